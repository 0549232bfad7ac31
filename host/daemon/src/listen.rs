//! Connections of strangers. Whoever reaches the port may connect, so there is an end to how many there are, to how
//! long a head may take, and to what one peer can take from the others.
//!
//! ```text
//! accept ─▶ place (none left: the peer with the most connections loses one) ─▶ [TLS ─▶] requests ─▶ answer
//! ```
//! A connection has an age at which it ends, in use or not. Where answers may take longer than that, see
//! [`Listener::with_work`]: what is being answered then comes to its end, and the connection with it.
//!
//! A peer that goes away while its answer is being made ends its connection, and the answer is dropped where it waits:
//! whatever must not be left half done belongs to another task. One that vanishes without a word is noticed when the
//! answer is written.
//!
//! Only this file spawns tasks for connections. They are tracked, so that stopping can wait for them: first nothing new
//! is accepted, then each connection ends with the answer that it is at, then the grace period ends the rest.

mod greet;
mod places;

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::seldom::Seldom;
use crate::tls::Tls;
use greet::Greetings;
use places::{Place, Places};

/// A whole fleet may answer one query in the same millisecond.
const BACKLOG: i32 = 4096;
/// Longest head of a request.
const HEAD: usize = 16 << 10;
/// Pause after the system refused a connection, most often because there are no more files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How much and how long.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once. One more, and the peer with the most of them loses one.
    pub connections: usize,
    /// Longest time to the end of a request's head; also how long a connection is kept without a request, and how long
    /// TLS may take to begin.
    pub head: Duration,
    /// Longest time that a peer may take no bytes of an answer.
    pub unread: Duration,
    /// Longest life of a connection, in use or not; but see [`Listener::with_work`].
    pub life: Duration,
    /// Longest time that open requests get when the process stops.
    pub grace: Duration,
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The address of ours.
    pub ours: IpAddr,
    /// The peer's.
    pub theirs: IpAddr,
}

/// The listener, bound.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
    work: Duration,
    tls: Option<Tls>,
    places: Places,
    greetings: Arc<Greetings>,
}

/// Counts the connections of a listener.
#[derive(Debug, Clone)]
pub struct Connections {
    places: Places,
    greetings: Arc<Greetings>,
}

impl Connections {
    /// How many are open.
    pub fn open(&self) -> usize {
        self.places.taken()
    }

    /// How many did not get as far as a request, because TLS did not begin, in all.
    pub fn ungreeted(&self) -> u64 {
        self.greetings.failed()
    }
}

impl Listener {
    /// Binds. With port 0 the system chooses one; see [`Listener::address`]. To be called within a runtime.
    pub fn bind(address: SocketAddr, limits: Limits) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(false)?;
        }
        // A restart must not wait for connections of the process before it to time out.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // Accepted connections inherit both.
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_user_timeout(Some(limits.unread))?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from_std(socket.into())?;
        let address = listener.local_addr()?;
        Ok(Self {
            listener,
            address,
            limits,
            work: Duration::ZERO,
            tls: None,
            places: Places::new(limits.connections),
            greetings: Arc::default(),
        })
    }

    /// Speaks TLS, and nothing else.
    #[must_use]
    pub fn with_tls(self, tls: Tls) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// An answer that is being made when its connection comes to its age may take this long, from the end of the
    /// request's head to the last byte of the answer. It is the last one of that connection. Whatever waits for the peer
    /// meanwhile, such as for a body, needs a deadline of its own, or a stranger could stay as long.
    #[must_use]
    pub fn with_work(self, work: Duration) -> Self {
        Self { work, ..self }
    }

    /// Its connections, for the metrics.
    pub fn connections(&self) -> Connections {
        Connections { places: self.places.clone(), greetings: Arc::clone(&self.greetings) }
    }

    /// The address that is really listened on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until it is told to stop, and then to the end of what was begun, or of the grace period.
    pub async fn serve<A, F, B>(self, answer: A, stop: CancellationToken)
    where
        A: Fn(Request<Incoming>, Ends) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let Self { listener, limits, work, tls, places, greetings, .. } = self;
        let tasks = TaskTracker::new();
        let (mut faults, mut crowds) = (Seldom::default(), Seldom::default());
        loop {
            let accepted = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted.and_then(|(stream, _)| Ok((ends(&stream)?, stream))) {
                Ok((ends, stream)) => {
                    if let Some((peer, connections)) = places.full_with().filter(|_| crowds.due()) {
                        warn!(%peer, connections, "no connection is left, so the peer with the most of them loses some");
                    }
                    // Dropping a stream closes it.
                    if let Ok(place) = places.take(ends.theirs) {
                        let visit = Visit::new(ends, place, limits, work, stop.clone());
                        match &tls {
                            None => tasks.spawn(visit.requests(stream, answer.clone())),
                            Some(tls) => {
                                let (tls, greetings) = (tls.clone(), Arc::clone(&greetings));
                                tasks.spawn(visit.greeted_requests(stream, tls, greetings, answer.clone()))
                            }
                        };
                    }
                }
                // The peer is gone again; the next one is none the worse for it.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                Err(error) => {
                    if faults.due() {
                        warn!(%error, "connections cannot be accepted");
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        tasks.close();
        if timeout(limits.grace, tasks.wait()).await.is_err() {
            warn!(left = tasks.len(), "grace period over, connections are cut");
            places.clear();
            let _ended = timeout(limits.grace, tasks.wait()).await;
        }
    }
}

fn ends(stream: &TcpStream) -> io::Result<Ends> {
    Ok(Ends {
        ours: stream.local_addr()?.ip().to_canonical(),
        theirs: stream.peer_addr()?.ip().to_canonical(),
    })
}

/// One connection, but for its bytes.
struct Visit {
    ends: Ends,
    place: Place,
    limits: Limits,
    work: Duration,
    /// When it comes to its age.
    over: Instant,
    stop: CancellationToken,
}

impl Visit {
    fn new(ends: Ends, place: Place, limits: Limits, work: Duration, stop: CancellationToken) -> Self {
        Self { ends, place, limits, work, over: Instant::now() + limits.life, stop }
    }

    /// TLS, then the requests.
    async fn greeted_requests<A, F, B>(
        mut self,
        stream: TcpStream,
        tls: Tls,
        greetings: Arc<Greetings>,
        answer: A,
    ) where
        A: Fn(Request<Incoming>, Ends) -> F,
        F: Future<Output = Response<B>> + 'static,
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
    {
        let theirs = self.ends.theirs;
        let greeted = tokio::select! {
            greeted = greet::tls(stream, &tls, self.limits.head) => greeted,
            () = self.place.lost() => return debug!(%theirs, "connection ended for the sake of another"),
            () = sleep_until(self.over.into()) => return debug!(%theirs, "connection ended at its age"),
            // Nothing was asked yet.
            () = self.stop.cancelled() => return,
        };
        match greeted {
            Ok(stream) => self.requests(stream, answer).await,
            Err(error) => greetings.note(theirs, &error),
        }
    }

    /// From the first request to the last.
    async fn requests<S, A, F, B>(mut self, stream: S, answer: A)
    where
        S: AsyncRead + AsyncWrite + Unpin,
        A: Fn(Request<Incoming>, Ends) -> F,
        F: Future<Output = Response<B>> + 'static,
        B: Body<Error: Into<Box<dyn Error + Send + Sync>>> + 'static,
    {
        let Self { ends, limits, work, over, stop, .. } = self;
        let (theirs, use_of) = (ends.theirs, Arc::clone(self.place.in_use()));
        let asked = Mutex::new(over);
        let served = service_fn(|request| {
            let working = places::Working::new(&use_of);
            *asked.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            let answered = answer(request, ends);
            async move {
                let _working = working;
                Ok::<_, Infallible>(answered.await)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.head)
            .max_buf_size(HEAD)
            .serve_connection(TokioIo::new(stream), served);
        let mut connection = std::pin::pin!(connection);
        let last = tokio::select! {
            ended = connection.as_mut() => return note(theirs, ended),
            // Dropping a connection closes it.
            () = self.place.lost() => return debug!(%theirs, "connection ended for the sake of another"),
            () = sleep_until(over.into()) => {
                let asked = *asked.lock().unwrap_or_else(PoisonError::into_inner);
                Some(asked + work).filter(|last| use_of.load(Ordering::Relaxed) && *last > over)
            }
            // The place is taken away after the grace period.
            () = stop.cancelled() => Some(over + work),
        };
        let Some(last) = last else { return debug!(%theirs, "connection ended at its age") };
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            ended = connection.as_mut() => note(theirs, ended),
            () = self.place.lost() => debug!(%theirs, "connection ended for the sake of another"),
            () = sleep_until(last.into()) => debug!(%theirs, "connection ended, its last answer took too long"),
        }
    }
}

fn note(theirs: IpAddr, ended: hyper::Result<()>) {
    if let Err(error) = ended {
        debug!(%theirs, %error, "connection broken");
    }
}

#[cfg(test)]
mod tests;
