//! The guest's side of `cardcage:host/log`, and of the standard error that every std guest has.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use super::real::{LINE, Level, Lines};
use super::words::Words;
use crate::plugin::bindings::cardcage::host::log as wit;

/// The log, for one plugin.
#[derive(Debug)]
pub struct Log {
    pub lines: Lines,
    pub words: Words,
}

impl wit::Host for Log {
    async fn write(&mut self, level: wit::Level, message: String) {
        let level = match level {
            wit::Level::Error => Level::Error,
            wit::Level::Warn => Level::Warn,
            wit::Level::Info => Level::Info,
            wit::Level::Debug => Level::Debug,
        };
        self.words.say(&message);
        self.lines.write(level, &message);
    }
}

/// Standard output and error of a guest: panic messages, above all. A guest writes a line in pieces; they are put
/// together here, and each line counts once.
#[derive(Debug, Clone)]
pub struct Output(Arc<Mutex<Begun>>);

/// The line that is being written.
#[derive(Debug)]
struct Begun {
    lines: Lines,
    words: Words,
    line: Vec<u8>,
}

impl Output {
    pub fn new(lines: Lines, words: Words) -> Self {
        Self(Arc::new(Mutex::new(Begun { lines, words, line: Vec::new() })))
    }
}

impl Begun {
    fn add(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            // What does not fit into a line is cut, and must not be kept meanwhile.
            let room = LINE.saturating_sub(self.line.len()).min(piece.len());
            self.line.extend_from_slice(piece.get(..room).unwrap_or_default());
            if piece.ends_with(b"\n") {
                self.end();
            }
        }
    }

    fn end(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        if !line.trim().is_empty() {
            self.words.say(&line);
            self.lines.write(Level::Warn, line.trim_end());
        }
        self.line.clear();
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // An instance that ended in the middle of a line.
        self.end();
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl AsyncWrite for Output {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).add(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn begun() -> Begun {
        Begun { lines: Lines::new("test".into()), words: Words::default(), line: Vec::new() }
    }

    #[test]
    fn pieces_become_a_line() {
        let mut begun = begun();
        begun.add(b"thread panicked");
        begun.add(b" at ");
        assert_eq!(begun.line, b"thread panicked at ");
        begun.add(b"lib.rs\nnote: ");
        assert_eq!(begun.line, b"note: ");
    }

    proptest! {
        #[test]
        fn a_line_that_never_ends_takes_no_more_room(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..900), 0..8)) {
            let mut begun = begun();
            for piece in pieces {
                begun.add(&piece);
                prop_assert!(begun.line.len() <= LINE);
            }
        }
    }
}
