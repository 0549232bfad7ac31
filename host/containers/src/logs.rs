//! What a container wrote, piece by piece.
//!
//! A reader asks for the last lines once, and then again and again for what came after its cursor. Every answer is bounded.
//! Nothing is kept here between two questions: the place in the log is in the cursor.
//!
//! ```text
//! Last(n):      tail=n, for the time of the first of them ─▶ everything since then ─▶ the last n
//! After(cursor): everything since the cursor's second ─▶ without what was seen
//! ```

use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error as Answer;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::stream::StreamExt as _;

use crate::engine::REQUEST;
use crate::{Engine, Error};

mod chunk; // which lines
mod cursor; // where in the log

pub use chunk::{Line, Stream};

use chunk::{Flow, Picker};
use cursor::Cursor;

/// Of the container's id, in the cursor.
const ID: usize = 12;
/// The most lines at once, and the most bytes.
const LINES: usize = 10_000;
const BYTES: usize = 4 << 20;
/// Reading may mean reading all of a few files.
const READ: Duration = REQUEST;

/// Where to begin.
#[derive(Debug, Clone, Copy)]
pub enum Position<'a> {
    /// With the last lines, so many.
    Last(usize),
    /// With what was written after the chunk whose `next` this is.
    After(&'a str),
}

/// A piece of a container's log.
#[derive(Debug, Clone)]
pub struct Chunk {
    /// In the order of the log. Empty if nothing was written since.
    pub lines: Vec<Line>,
    /// The cursor for what comes after it.
    pub next: String,
}

impl Engine {
    /// What the container of a deployment wrote, at most `limit` bytes of it and at least one line. `None` if there is no
    /// container. A cursor of an earlier container of the deployment begins at the beginning of this one.
    pub async fn logs(
        &self,
        uuid: &str,
        backend: &str,
        from: Position<'_>,
        limit: usize,
    ) -> Result<Option<Chunk>, Error> {
        let cursor = match from {
            Position::Last(_) => None,
            Position::After(text) => Some(Cursor::parse(text)?),
        };
        let limit = limit.min(BYTES);
        let Some(id) = self.newest(uuid, backend).await? else { return Ok(None) };
        let container: String = id.chars().take(ID).collect();
        let picker = match (from, cursor) {
            (Position::Last(lines), _) => self.last(&id, lines.min(LINES), limit).await?,
            (_, Some(cursor)) if cursor.container == container => self.after(&id, cursor, limit).await?,
            _ => self.after(&id, Cursor::default(), limit).await?,
        };
        let (lines, cursor) = picker.finish(&container);
        Ok(Some(Chunk { lines, next: cursor.to_string() }))
    }

    async fn last(&self, id: &str, lines: usize, limit: usize) -> Result<Picker, Error> {
        let mut first = FirstTime::default();
        self.read(id, 0, Some(lines.max(1)), &mut first).await?;
        let mut picker = Picker::last(lines, limit);
        // From two seconds before it, for what was written a moment late.
        self.read(id, first.second.saturating_sub(2), None, &mut picker).await?;
        Ok(picker)
    }

    async fn after(&self, id: &str, cursor: Cursor, limit: usize) -> Result<Picker, Error> {
        let since = cursor.second;
        let mut picker = Picker::after(cursor.clone(), limit);
        if self.read(id, since, None, &mut picker).await? == Flow::Lost {
            picker = Picker::later(cursor, limit);
            self.read(id, since, None, &mut picker).await?;
        }
        Ok(picker)
    }

    /// Reads the log as far as it is wanted, or to its end.
    async fn read(
        &self,
        id: &str,
        since: u64,
        tail: Option<usize>,
        take: &mut impl Take,
    ) -> Result<Flow, Error> {
        let docker = self.docker().await?;
        let tail = tail.map_or_else(|| "all".to_owned(), |lines| lines.to_string());
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .timestamps(true)
            .since(i32::try_from(since).unwrap_or(i32::MAX))
            .tail(&tail)
            .build();
        let mut log = docker.logs(id, Some(options));
        let reading = async {
            while let Some(output) = log.next().await {
                let flow = take_output(take, output?);
                if flow != Flow::More {
                    return Ok::<_, Answer>(flow);
                }
            }
            Ok(take.end())
        };
        self.connection.finish(&format!("read the log of container {id}"), READ, reading).await
    }

    async fn newest(&self, uuid: &str, backend: &str) -> Result<Option<String>, Error> {
        let listed = self.list(backend, Some(uuid)).await?;
        Ok(listed.into_iter().max_by_key(|summary| summary.created).and_then(|summary| summary.id))
    }
}

fn take_output(take: &mut impl Take, output: LogOutput) -> Flow {
    let (stream, message) = match output {
        LogOutput::StdErr { message } => (Stream::Error, message),
        LogOutput::StdOut { message } | LogOutput::StdIn { message } | LogOutput::Console { message } => {
            (Stream::Output, message)
        }
    };
    // What has no time is no line of the log but the engine's own word.
    match cursor::split(&message) {
        Some((stamp, text)) => take.take(stamp, Line { stream, text: text.to_vec() }),
        None => Flow::More,
    }
}

trait Take: Send {
    fn take(&mut self, stamp: cursor::Stamp, line: Line) -> Flow;
    fn end(&self) -> Flow;
}

impl Take for Picker {
    fn take(&mut self, stamp: cursor::Stamp, line: Line) -> Flow {
        Self::take(self, stamp, line)
    }

    fn end(&self) -> Flow {
        Self::end(self)
    }
}

/// The time of the first line that comes.
#[derive(Debug, Default)]
struct FirstTime {
    second: u64,
}

impl Take for FirstTime {
    fn take(&mut self, stamp: cursor::Stamp, _: Line) -> Flow {
        self.second = stamp.second;
        Flow::Full
    }

    fn end(&self) -> Flow {
        Flow::More
    }
}
