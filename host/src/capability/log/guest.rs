//! The guest's side of `cardcage:host/log`, and of the standard error that every std guest has.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use super::real::{Level, Lines};
use crate::plugin::bindings::cardcage::host::log as wit;

/// The log, for one plugin.
#[derive(Debug)]
pub struct Log(pub Lines);

impl wit::Host for Log {
    async fn write(&mut self, level: wit::Level, message: String) {
        let level = match level {
            wit::Level::Error => Level::Error,
            wit::Level::Warn => Level::Warn,
            wit::Level::Info => Level::Info,
            wit::Level::Debug => Level::Debug,
        };
        self.0.write(level, &message);
    }
}

/// Standard output and error of a guest: panic messages, above all. Each write is a line under the same bound.
#[derive(Debug, Clone)]
pub struct Output(pub Lines);

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
        for line in String::from_utf8_lossy(bytes).lines().filter(|line| !line.trim().is_empty()) {
            self.0.write(Level::Warn, line);
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
