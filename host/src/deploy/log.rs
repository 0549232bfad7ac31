//! What instances wrote: read where it is kept, by whoever made the instance. Nothing is copied.

use std::sync::Arc;

use cardcage_containers::Position;
use tokio::runtime::Handle;

use crate::capability::mechanisms::Mechanisms;
use crate::plugin::PluginBackends;

/// Most bytes of one piece.
pub const PIECE: usize = 1 << 20;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The cursor of the piece before; without one, the last lines.
    pub after: Option<String>,
    /// Bytes.
    pub limit: usize,
    /// How many of the last lines, where there is no cursor.
    pub tail: usize,
}

/// A piece of what an instance wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub text: String,
    /// Where the next piece begins.
    pub next: String,
    /// Bytes before this piece that are no longer kept.
    pub lost: u64,
}

/// Reads logs, on the thread of the deploys.
#[derive(Debug, Clone)]
pub struct Logs {
    handle: Handle,
    mechanisms: Arc<Mechanisms>,
    backends: PluginBackends,
}

impl Logs {
    pub const fn new(handle: Handle, mechanisms: Arc<Mechanisms>, backends: PluginBackends) -> Self {
        Self { handle, mechanisms, backends }
    }

    /// A piece of the log of an instance of this type; nothing where nothing is kept. The error is for people.
    pub async fn read(&self, uuid: &str, kind: &str, wanted: Wanted) -> Result<Option<Piece>, String> {
        let (logs, uuid, kind) = (self.clone(), uuid.to_owned(), kind.to_owned());
        let read = self.handle.spawn(async move { logs.read_here(&uuid, &kind, wanted).await });
        read.await.map_err(|_| "the agent is stopping".to_owned())?
    }

    async fn read_here(&self, uuid: &str, kind: &str, wanted: Wanted) -> Result<Option<Piece>, String> {
        if let Some(piece) = self.of_a_program(uuid, &wanted).await? {
            return Ok(Some(piece));
        }
        match self.backends.plugin(kind).await {
            Some(plugin) => self.of_a_container(uuid, &plugin, &wanted).await,
            None => Ok(None),
        }
    }

    async fn of_a_program(&self, uuid: &str, wanted: &Wanted) -> Result<Option<Piece>, String> {
        let (mechanisms, uuid) = (Arc::clone(&self.mechanisms), uuid.to_owned());
        let (after, limit) = (wanted.after.clone(), wanted.limit);
        let read = tokio::task::spawn_blocking(move || match &mechanisms.processes {
            Ok(processes) => processes.log(&uuid, after.as_deref(), limit).map_err(|error| error.to_string()),
            Err(_) => Ok(None),
        });
        let chunk = read.await.map_err(|_| "the agent is stopping".to_owned())??;
        Ok(chunk.map(|chunk| {
            let text = String::from_utf8_lossy(&chunk.bytes).into_owned();
            let text = if wanted.after.is_none() { last_lines(&text, wanted.tail).to_owned() } else { text };
            Piece { text, next: chunk.next, lost: chunk.lost }
        }))
    }

    async fn of_a_container(
        &self,
        uuid: &str,
        plugin: &str,
        wanted: &Wanted,
    ) -> Result<Option<Piece>, String> {
        let from = match &wanted.after {
            Some(after) => Position::After(after),
            None => Position::Last(wanted.tail),
        };
        let chunk = self.mechanisms.engine.logs(uuid, plugin, from, wanted.limit).await;
        let chunk = chunk.map_err(|error| error.to_string())?;
        Ok(chunk.map(|chunk| {
            let lines = chunk.lines.iter().map(|line| String::from_utf8_lossy(&line.text));
            let mut text = String::new();
            for line in lines {
                text.push_str(line.trim_end_matches('\n'));
                text.push('\n');
            }
            Piece { text, next: chunk.next, lost: 0 }
        }))
    }
}

/// The end of a text, so many lines of it.
fn last_lines(text: &str, lines: usize) -> &str {
    let whole = text.strip_suffix('\n').unwrap_or(text);
    let begins = whole.rmatch_indices('\n').nth(lines.saturating_sub(1)).map_or(0, |(at, _)| at + 1);
    match lines {
        0 => "",
        _ => text.get(begins..).unwrap_or(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_whole_lines() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc\n");
        assert_eq!(last_lines("a\nb\nc", 1), "c");
        assert_eq!(last_lines("a\nb\n", 9), "a\nb\n");
        assert_eq!(last_lines("a\nb\n", 0), "");
        assert_eq!(last_lines("", 3), "");
    }
}
