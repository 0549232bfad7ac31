//! How a connection begins where the service speaks TLS. Until then its peer is the greatest stranger: it has its place
//! and the time of a head, and is sent away for everything that is not a handshake. Whoever speaks plain HTTP is told in
//! plain HTTP, since that is an operator who wrote `http` for `https`.
//!
//! Failures are counted, and one of them is in the log now and then: anybody can make thousands.

use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use super::HEAD;
use crate::seldom::Seldom;
use crate::tls::Tls;

/// First byte of a handshake. No request begins with it.
const HANDSHAKE: u8 = 22;

const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 43\r\n\
    Connection: close\r\n\r\nthis port speaks TLS: use an https address\n";

/// Why there is no TLS with this peer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotGreeted {
    #[error("the peer connected and said nothing")]
    Silent,
    #[error("the peer speaks without TLS; it needs an https address")]
    Plain,
    #[error("the TLS handshake took too long")]
    Late,
    #[error("the TLS handshake failed: {0}")]
    Failed(io::Error),
}

/// The handshake, within that time.
pub(super) async fn tls(
    stream: TcpStream,
    tls: &Tls,
    within: Duration,
) -> Result<TlsStream<TcpStream>, NotGreeted> {
    timeout(within, shake(stream, tls)).await.unwrap_or(Err(NotGreeted::Late))
}

async fn shake(stream: TcpStream, tls: &Tls) -> Result<TlsStream<TcpStream>, NotGreeted> {
    let mut first = [0];
    match stream.peek(&mut first).await {
        Ok(0) | Err(_) => return Err(NotGreeted::Silent),
        Ok(_) if first != [HANDSHAKE] => {
            // It may be gone, and then there is nobody to tell.
            let _told = send_away(stream).await;
            return Err(NotGreeted::Plain);
        }
        Ok(_) => {}
    }
    TlsAcceptor::from(tls.config().await).accept(stream).await.map_err(NotGreeted::Failed)
}

async fn send_away(mut stream: TcpStream) -> io::Result<()> {
    stream.write_all(PLAIN).await?;
    stream.shutdown().await?;
    // Closing while there is something to read would cut off what was said.
    let most = u64::try_from(HEAD).unwrap_or(u64::MAX);
    tokio::io::copy(&mut stream.take(most), &mut tokio::io::sink()).await?;
    Ok(())
}

/// What became of all handshakes.
#[derive(Debug, Default)]
pub(super) struct Greetings {
    failed: AtomicU64,
    /// For the log. A lock, since connections are tasks; it is held for a comparison.
    told: Mutex<Seldom>,
}

impl Greetings {
    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn note(&self, theirs: IpAddr, error: &NotGreeted) {
        debug!(%theirs, %error, "connection refused");
        // As whoever looks whether the port is open does.
        if matches!(error, NotGreeted::Silent) {
            return;
        }
        let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).due() {
            warn!(%theirs, %error, failed, "connections are refused that do not begin with TLS as they must");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_answer_is_as_long_as_it_says() {
        let text = std::str::from_utf8(PLAIN).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }
}
