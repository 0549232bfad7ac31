//! Names to addresses, with a deadline. The system's resolver can neither be given one nor be ended, so it runs on a
//! thread that is left behind when it is late; the resolver's own timeouts end that one.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Instant;
use std::{io, thread};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::connection::SLICE;

/// Addresses of one name that are tried; the library has room for 16.
const ADDRESSES: usize = 16;

#[derive(Debug)]
pub(super) struct Names {
    pub(super) cancelled: Arc<AtomicBool>,
}

impl Resolver for Names {
    fn resolve(&self, uri: &Uri, _: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().ok_or(Error::HostNotFound)?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => self.ask(host.to_owned(), port, timeout)?,
        };
        let mut addresses = self.empty();
        for address in found.into_iter().take(ADDRESSES) {
            addresses.push(address);
        }
        if addresses.is_empty() { Err(Error::HostNotFound) } else { Ok(addresses) }
    }
}

impl Names {
    fn ask(&self, host: String, port: u16, timeout: NextTimeout) -> Result<Vec<SocketAddr>, Error> {
        let (sender, answer) = mpsc::sync_channel(1);
        let ask = move || {
            let found = (host.as_str(), port).to_socket_addrs().map(|found| found.take(ADDRESSES).collect());
            // Nobody listens any more if it was late.
            sender.send(found).ok();
        };
        thread::Builder::new().name("resolve".to_owned()).spawn(ask)?;
        let started = Instant::now();
        loop {
            let left = timeout.after.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(Error::Timeout(timeout.reason));
            }
            match answer.recv_timeout(left.min(SLICE)) {
                Ok(found) => return found.map_err(|error: io::Error| Error::Other(error.into())),
                Err(RecvTimeoutError::Disconnected) => return Err(Error::HostNotFound),
                Err(RecvTimeoutError::Timeout) if self.cancelled.load(Ordering::Relaxed) => {
                    return Err(Error::Other("given up".into()));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}
