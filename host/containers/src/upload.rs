//! An archive on its way into the engine.
//!
//! ```text
//! a thread that may block: open ─▶ Contents ─oneshot─▶ who loads
//!                          open ─▶ copy ─chunks, at most 4 wait─▶ the engine ─▶ "Loaded image ID: …"
//! ```
//!
//! Nothing of it is kept in memory or on disk on the way, and it is read only as fast as the engine takes it. When nobody
//! waits any more, the thread ends at its next read or write.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error as Answer;
use bollard::models::BuildInfo;
use bollard::query_parameters::ImportImageOptionsBuilder;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use crate::archive::{Contents, Fault, copy};
use crate::engine::lock;
use crate::remembered::IMAGES;
use crate::{Engine, Error};

const CHUNK: usize = 256 << 10;
const WAITING: usize = 4;
/// For all of it.
pub(crate) const LOAD: Duration = Duration::from_secs(15 * 60);
/// Without a chunk taken or a word said.
const IDLE: Duration = Duration::from_secs(60);
/// The same after the last chunk: some engines unpack everything before they say a word.
const UNPACKING: Duration = Duration::from_secs(5 * 60);

type Piece = Result<Bytes, String>;
pub(crate) type Pieces = mpsc::Receiver<Piece>;

/// How far the upload is.
#[derive(Debug)]
struct Upload {
    last: Instant,
    is_complete: bool,
    failure: Option<String>,
}

type Shared = Arc<Mutex<Upload>>;

impl Engine {
    /// What the archive is, and its pieces for the engine.
    pub(crate) async fn understand<F>(
        &self,
        what: &str,
        open: F,
        end: Instant,
    ) -> Result<(Arc<Contents>, Pieces), Error>
    where
        F: Fn() -> io::Result<Box<dyn Read + Send>> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let (give, take) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || pass_on(&open, tell, give));
        match timeout_at(end, told).await {
            Ok(Ok(Ok(contents))) => Ok((contents, take)),
            Ok(Ok(Err(fault))) => Err(explain(what, &fault)),
            Ok(Err(_)) => Err(Error::failed(what, "whatever reads the archive has ended")),
            Err(_) => Err(Error::failed(what, "the archive could not be read in 15 minutes")),
        }
    }

    /// The names that the engine says.
    pub(crate) async fn upload(
        &self,
        what: &str,
        docker: &Docker,
        pieces: Pieces,
        end: Instant,
    ) -> Result<Vec<String>, Error> {
        let upload = Arc::new(Mutex::new(Upload { last: Instant::now(), is_complete: false, failure: None }));
        let options = ImportImageOptionsBuilder::default().build();
        let answers = docker.import_image_stream(options, chunks(pieces, Arc::clone(&upload)), None);
        self.listen(what, answers, &upload, end).await
    }

    /// What the engine says until it is done.
    async fn listen(
        &self,
        what: &str,
        mut answers: impl Stream<Item = Result<BuildInfo, Answer>> + Unpin,
        upload: &Shared,
        end: Instant,
    ) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        loop {
            let (last, idle) = {
                let upload = lock(upload);
                (upload.last, if upload.is_complete { UNPACKING } else { IDLE })
            };
            match timeout_at((last + idle).min(end), answers.next()).await {
                Err(_) if Instant::now() < end && lock(upload).last > last => {}
                Err(_) => {
                    return Err(self.connection.silent(what, if Instant::now() < end { idle } else { LOAD }));
                }
                Ok(None) => return Ok(names),
                Ok(Some(Ok(said))) => {
                    lock(upload).last = Instant::now();
                    loaded(&said, &mut names);
                }
                Ok(Some(Err(answer))) => {
                    // The engine saw an upload that broke off; why it did is known here.
                    return Err(match lock(upload).failure.take() {
                        Some(failure) => Error::failed(what, failure),
                        None => self.connection.explain(what, &answer),
                    });
                }
            }
        }
    }
}

fn explain(what: &str, fault: &Fault) -> Error {
    match fault {
        Fault::Wrong(_) => Error::invalid(what, fault.to_string()),
        Fault::Read(error) if error.kind() == io::ErrorKind::InvalidData => {
            Error::invalid(what, fault.to_string())
        }
        Fault::Read(_) | Fault::Sent(_) => Error::failed(what, fault.to_string()),
    }
}

/// The two readings, on a thread that may block.
fn pass_on(
    open: &dyn Fn() -> io::Result<Box<dyn Read + Send>>,
    tell: oneshot::Sender<Result<Arc<Contents>, Fault>>,
    give: mpsc::Sender<Piece>,
) {
    let first = open().map_err(Fault::Read);
    let is_awaited = || !tell.is_closed();
    let contents = first.and_then(|reader| Contents::of(While { reader, is_awaited }));
    let contents = contents.map(Arc::new);
    let kept = contents.as_ref().ok().map(Arc::clone);
    if let (Ok(()), Some(contents)) = (tell.send(contents), kept) {
        let sent = open().map_err(Fault::Read).and_then(|reader| send(reader, &contents, give.clone()));
        // Nobody hears it where nobody takes the pieces.
        let _ = give.blocking_send(sent.map(|()| Bytes::new()).map_err(|fault| fault.to_string()));
    }
}

fn send(reader: Box<dyn Read + Send>, contents: &Contents, give: mpsc::Sender<Piece>) -> Result<(), Fault> {
    let mut sink = copy(reader, contents, Sink { give, chunk: Vec::new() })?;
    sink.flush().map_err(Fault::Sent)
}

/// A reader for as long as somebody waits for what is read.
struct While<R, F> {
    reader: R,
    is_awaited: F,
}

impl<R: Read, F: Fn() -> bool> Read for While<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.is_awaited)() {
            self.reader.read(buffer)
        } else {
            Err(io::Error::other("nobody waits for it"))
        }
    }
}

/// Pieces of one size, so that small writes do not become small requests.
struct Sink {
    give: mpsc::Sender<Piece>,
    chunk: Vec<u8>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = CHUNK.saturating_sub(self.chunk.len()).min(bytes.len());
        self.chunk.reserve_exact(CHUNK.saturating_sub(self.chunk.len()));
        self.chunk.extend_from_slice(bytes.get(..room).unwrap_or_default());
        if self.chunk.len() >= CHUNK {
            self.flush()?;
        }
        Ok(room)
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = std::mem::take(&mut self.chunk);
        if chunk.is_empty() {
            return Ok(());
        }
        let gone = |_| io::Error::other("nobody takes it");
        self.give.blocking_send(Ok(chunk.into())).map_err(gone)
    }
}

/// The pieces in the client's words. An empty one is the end.
fn chunks(pieces: Pieces, upload: Shared) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
    stream::unfold(Some((pieces, upload)), |state| async move {
        let (mut pieces, upload) = state?;
        let piece = pieces.recv().await.unwrap_or_else(|| Err("whatever reads the archive has ended".into()));
        let mut now = lock(&upload);
        now.last = Instant::now();
        match piece {
            Ok(bytes) if bytes.is_empty() => {
                now.is_complete = true;
                None
            }
            Ok(bytes) => {
                drop(now);
                Some((Ok(bytes), Some((pieces, upload))))
            }
            Err(failure) => {
                now.failure = Some(failure.clone());
                Some((Err(io::Error::other(failure)), None))
            }
        }
    })
}

/// `Loaded image: a:1`, `Loaded image ID: sha256:…`, several lines at once, and podman's `Loaded image: a:1,b:2`.
fn loaded(said: &BuildInfo, names: &mut Vec<String>) {
    let lines = said.stream.as_deref().unwrap_or_default().lines();
    let found = lines.filter_map(|line| line.trim().split_once(": "));
    let found = found.filter(|(before, _)| before.starts_with("Loaded image")).map(|(_, found)| found);
    for name in found.flat_map(|found| found.split(',')).map(str::trim).filter(|name| !name.is_empty()) {
        // One more than there may be, so that it is noticed.
        if names.len() <= IMAGES && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests;
