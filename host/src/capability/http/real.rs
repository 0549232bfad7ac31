//! One request at a time over a connection of its own, bounded in every direction.

use std::error::Error as StdError;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use cardcage_manifest::Scheme;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Method, Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tokio_rustls::TlsConnector;

use super::grant::{Denied, Grant};
use super::tls::{self, BadTrust};
use crate::error::chain;

/// Requests at once, of one plugin.
const AT_ONCE: usize = 4;
/// Names that are looked up at once: a thread waits for each, also when nobody waits for the thread any more.
const LOOKUPS: usize = 2;
/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;
/// Longest body of a request.
const REQUEST_BODY: usize = 64 << 10;
/// Longest status line and headers of a response.
const RESPONSE_HEAD: usize = 16 << 10;
/// Most headers of a response.
const RESPONSE_HEADERS: usize = 128;
/// Longest body of a response.
const RESPONSE_BODY: usize = 4 << 20;

/// What the instances of one plugin share.
#[derive(Debug, Clone)]
pub struct Shared {
    slots: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
    /// Read when it is needed first, and again after a failure: until then a bundle costs nothing.
    tls: Arc<OnceCell<Arc<ClientConfig>>>,
}

impl Default for Shared {
    fn default() -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self { slots: semaphore(AT_ONCE), lookups: semaphore(LOOKUPS), tls: Arc::default() }
    }
}

/// Sends the requests of one instance.
#[derive(Debug, Clone)]
pub struct Client {
    grant: Arc<Grant>,
    shared: Shared,
}

/// Until when, and how long the parts of it may take at most.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub until: Instant,
    pub connect: Option<Duration>,
    pub first_byte: Option<Duration>,
    pub between_bytes: Option<Duration>,
}

impl Pace {
    fn within(&self, part: Option<Duration>) -> Instant {
        part.and_then(|part| Instant::now().checked_add(part)).map_or(self.until, |end| end.min(self.until))
    }
}

/// Why there is no response, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("{0} is no address of HTTP")]
    Address(String),
    #[error("more than {AT_ONCE} requests at once")]
    Busy,
    #[error("{0} was not found in time")]
    LookupLate(String),
    #[error("{host} was not found")]
    Lookup { host: String, source: Option<io::Error> },
    #[error("{0} did not accept a connection in time")]
    ConnectLate(String),
    #[error("{host} cannot be reached")]
    Connect { host: String, source: io::Error },
    #[error(transparent)]
    Trust(#[from] BadTrust),
    #[error("the certificate of {host} is not trusted")]
    Certificate { host: String, source: io::Error },
    #[error("{host} does not speak TLS as it should")]
    Tls { host: String, source: io::Error },
    #[error("{0} did not answer in time")]
    AnswerLate(String),
    #[error("a request of more than {REQUEST_BODY} bytes")]
    RequestTooLarge,
    #[error("the headers of the response have more than {RESPONSE_HEAD} bytes")]
    HeadTooLarge,
    #[error("the body of the response has more than {RESPONSE_BODY} bytes")]
    ResponseTooLarge,
    #[error("the body did not go on in time")]
    BodyLate,
    #[error("HTTP")]
    Http(#[source] hyper::Error),
    #[error("the body of the request was not finished")]
    Unfinished(#[source] Box<dyn StdError + Send + Sync>),
}

impl HttpError {
    /// For programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Denied(_) => "denied",
            Self::Address(_) => "invalid",
            Self::Busy => "busy",
            Self::LookupLate(_) => "lookup-late",
            Self::Lookup { .. } => "lookup",
            Self::ConnectLate(_) => "connect-late",
            Self::Connect { source, .. } if source.kind() == io::ErrorKind::ConnectionRefused => "refused",
            Self::Connect { .. } => "unreachable",
            Self::Certificate { .. } => "certificate",
            Self::Tls { .. } => "tls",
            Self::AnswerLate(_) => "late",
            Self::RequestTooLarge => "request-too-large",
            Self::HeadTooLarge => "head-too-large",
            Self::ResponseTooLarge => "response-too-large",
            Self::BodyLate => "body-late",
            Self::Http(source) if source.is_incomplete_message() || source.is_closed() => "incomplete",
            Self::Http(source) if source.is_parse() => "protocol",
            Self::Http(_) => "terminated",
            Self::Trust(_) => "trust",
            Self::Unfinished(_) => "unfinished",
        }
    }
}

/// Moves the bytes of the response, for as long as somebody reads it.
pub type Connection = Pin<Box<dyn Future<Output = ()> + Send>>;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Where a request goes.
struct Target {
    scheme: Scheme,
    /// An IPv6 address in brackets.
    host: String,
    port: u16,
    /// Host, and port where it was said.
    authority: HeaderValue,
}

impl Target {
    fn new(uri: &Uri) -> Result<Self, HttpError> {
        let wrong = || HttpError::Address(uri.to_string());
        let scheme = match uri.scheme_str() {
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(wrong()),
        };
        // A user in it would make one host look like another.
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or_else(wrong)?;
        let (host, said) = (authority.host().to_ascii_lowercase(), authority.as_str());
        let port = match said.strip_prefix(authority.host()) {
            Some("") => scheme.port(),
            _ => authority.port_u16().filter(|port| *port != 0).ok_or_else(wrong)?,
        };
        let authority = HeaderValue::from_str(said).map_err(|_| wrong())?;
        Ok(Self { scheme, host, port, authority })
    }

    /// Without the brackets.
    fn bare(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }
}

impl Client {
    pub fn new(grant: Grant, shared: Shared) -> Self {
        Self { grant: Arc::new(grant), shared }
    }

    /// Sends one request. The response is there once its headers are; whoever reads its body also drives the connection.
    pub async fn send<B>(
        self,
        request: Request<B>,
        pace: Pace,
    ) -> Result<(Response<Bounded<Incoming>>, Connection), HttpError>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let target = Target::new(request.uri())?;
        self.grant.ask(target.scheme, &target.host, target.port)?;
        if request.method() == Method::CONNECT {
            return Err(HttpError::Address("a tunnel".to_owned()));
        }
        let slot = Arc::clone(&self.shared.slots).try_acquire_owned().map_err(|_| HttpError::Busy)?;
        let stream = self.connect(&target, pace.within(pace.connect)).await?;
        let until = pace.within(pace.first_byte);
        let answered = timeout_at(until, exchange(stream, request, &target, pace.until)).await;
        let (response, connection) = answered.map_err(|_| HttpError::AnswerLate(target.host))??;
        let body = |body| Bounded::new(body, RESPONSE_BODY, HttpError::ResponseTooLarge, pace).holding(slot);
        Ok((response.map(body), connection))
    }

    async fn connect(&self, target: &Target, until: Instant) -> Result<Box<dyn Stream>, HttpError> {
        let host = || target.host.clone();
        let lookup = timeout_at(until, self.look_up(target)).await;
        let addresses = lookup.map_err(|_| HttpError::LookupLate(host()))??;
        let stream = reach(&addresses, until).await;
        let stream = stream.map_err(|source| match source.kind() {
            io::ErrorKind::TimedOut => HttpError::ConnectLate(host()),
            _ => HttpError::Connect { host: host(), source },
        })?;
        if target.scheme == Scheme::Http {
            return Ok(Box::new(stream));
        }
        let tls = TlsConnector::from(self.tls().await?);
        let name = ServerName::try_from(target.bare().to_owned());
        let name = name.map_err(|_| HttpError::Address(host()))?;
        match timeout_at(until, tls.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(Box::new(stream)),
            Ok(Err(source)) if is_certificate(&source) => {
                Err(HttpError::Certificate { host: host(), source })
            }
            Ok(Err(source)) => Err(HttpError::Tls { host: host(), source }),
            Err(_) => Err(HttpError::ConnectLate(host())),
        }
    }

    async fn tls(&self) -> Result<Arc<ClientConfig>, HttpError> {
        let read = || async {
            let grant = Arc::clone(&self.grant);
            let read = spawn_blocking(move || tls::client(&grant.trust)).await;
            read.unwrap_or_else(|_| Err(BadTrust::Setup(rustls::Error::General("interrupted".to_owned()))))
        };
        Ok(Arc::clone(self.shared.tls.get_or_try_init(read).await?))
    }

    /// Asks the system's resolver, which no deadline can end: its thread is left behind, and counted until it returns.
    async fn look_up(&self, target: &Target) -> Result<Vec<SocketAddr>, HttpError> {
        if let Ok(address) = target.bare().parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, target.port)]);
        }
        let lookup = Arc::clone(&self.shared.lookups).acquire_owned().await;
        let (name, port) = (target.bare().to_owned(), target.port);
        let found = spawn_blocking(move || {
            let _lookup = lookup;
            (name, port).to_socket_addrs().map(|found| found.take(ADDRESSES).collect::<Vec<_>>())
        });
        let lost = |source| HttpError::Lookup { host: target.host.clone(), source };
        match found.await {
            Ok(Ok(addresses)) if addresses.is_empty() => Err(lost(None)),
            Ok(found) => found.map_err(|error| lost(Some(error))),
            Err(_) => Err(lost(None)),
        }
    }
}

/// Tries one after the other; each has its share of the time that is left.
async fn reach(addresses: &[SocketAddr], until: Instant) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::TimedOut);
    for (address, left) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let share = until.saturating_duration_since(Instant::now()) / u32::try_from(left).unwrap_or(1);
        match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // A request is written at once, so nothing is gained by waiting for more of it.
                stream.set_nodelay(true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failure)
}

/// One request and the head of its response.
async fn exchange<B>(
    stream: Box<dyn Stream>,
    request: Request<B>,
    target: &Target,
    until: Instant,
) -> Result<(Response<Incoming>, Connection), HttpError>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let (mut head, body) = request.into_parts();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = path.parse().map_err(|_| HttpError::Address(path.to_owned()))?;
    // Whatever the guest calls it: the host that was granted.
    head.headers.insert(HOST, target.authority.clone());
    let pace = Pace { until, connect: None, first_byte: None, between_bytes: None };
    let body = Bounded::new(body, REQUEST_BODY, HttpError::RequestTooLarge, pace);
    let mut builder = http1::Builder::new();
    builder.max_buf_size(RESPONSE_HEAD).max_headers(RESPONSE_HEADERS);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(failure)?;
    let mut connection: Connection = Box::pin(async move {
        // Whoever reads the body is told what went wrong.
        let _ = connection.await;
    });
    let mut answer = pin!(sender.send_request(Request::from_parts(head, body)));
    tokio::select! {
        response = &mut answer => Ok((response.map_err(failure)?, connection)),
        () = &mut connection => Ok((answer.await.map_err(failure)?, Box::pin(std::future::ready(())))),
    }
}

/// What hyper says of a bound is what the bound says.
fn failure(error: hyper::Error) -> HttpError {
    if error.is_parse_too_large() {
        return HttpError::HeadTooLarge;
    }
    let mut source = error.source();
    while let Some(cause) = source {
        match cause.downcast_ref::<HttpError>() {
            Some(HttpError::RequestTooLarge) => return HttpError::RequestTooLarge,
            Some(HttpError::BodyLate) => return HttpError::BodyLate,
            _ => source = cause.source(),
        }
    }
    HttpError::Http(error)
}

fn is_certificate(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidCertificate(_)))
}

/// A body that is not longer than it may be, and not later.
#[derive(Debug)]
pub struct Bounded<B> {
    inner: B,
    left: usize,
    too_large: Option<HttpError>,
    between: Option<Duration>,
    until: Instant,
    late: Pin<Box<Sleep>>,
    over: bool,
    /// Given back with the body.
    _slot: Option<OwnedSemaphorePermit>,
}

impl<B> Bounded<B> {
    fn new(inner: B, most: usize, too_large: HttpError, pace: Pace) -> Self {
        Self {
            inner,
            left: most,
            too_large: Some(too_large),
            between: pace.between_bytes,
            until: pace.until,
            late: Box::pin(sleep_until(pace.within(pace.between_bytes))),
            over: false,
            _slot: None,
        }
    }

    fn holding(self, slot: OwnedSemaphorePermit) -> Self {
        Self { _slot: Some(slot), ..self }
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, HttpError> {
        let length = frame.data_ref().map_or(0, Bytes::len);
        match self.left.checked_sub(length) {
            Some(left) => self.left = left,
            None => return Err(self.too_large.take().unwrap_or(HttpError::ResponseTooLarge)),
        }
        if let Some(between) = self.between {
            self.late.as_mut().reset((Instant::now() + between).min(self.until));
        }
        Ok(frame)
    }
}

impl<B> Body for Bounded<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let frame = match Pin::new(&mut self.inner).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => Some(self.take(frame)),
            // Its connection ends at the same moment, and may be the first to say so.
            Poll::Ready(Some(Err(_))) if Instant::now() >= self.until => Some(Err(HttpError::BodyLate)),
            Poll::Ready(Some(Err(error))) => {
                let error = error.into();
                Some(Err(match error.downcast::<hyper::Error>() {
                    Ok(error) => failure(*error),
                    Err(other) => HttpError::Unfinished(other),
                }))
            }
            Poll::Ready(None) => None,
            Poll::Pending => match self.late.as_mut().poll(context) {
                Poll::Ready(()) => Some(Err(HttpError::BodyLate)),
                Poll::Pending => return Poll::Pending,
            },
        };
        self.over = !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.over || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl HttpError {
    /// The whole of it, for a log.
    pub fn said(&self) -> String {
        chain(self)
    }
}

#[cfg(test)]
mod tests {
    use cardcage_manifest::Origin;
    use http_body_util::Empty;
    use tokio::net::TcpListener;

    use super::*;
    use crate::capability::http::Trust;

    fn client(given: &str) -> Client {
        let origins = |text| vec![Origin::parse(text).unwrap()];
        Client::new(Grant::new(origins("*"), origins(given), Trust::default()), Shared::default())
    }

    fn request(method: Method, uri: &str) -> Request<Empty<Bytes>> {
        Request::builder().method(method).uri(uri).body(Empty::new()).unwrap()
    }

    fn pace(time: Duration) -> Pace {
        Pace { until: Instant::now() + time, connect: None, first_byte: None, between_bytes: None }
    }

    async fn failure_of(client: &Client, method: Method, uri: &str) -> HttpError {
        let sent = client.clone().send(request(method, uri), pace(Duration::from_millis(200))).await;
        sent.map(|(response, _)| response.status()).unwrap_err()
    }

    #[tokio::test]
    async fn a_fifth_request_at_once_is_refused_until_one_is_over() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let client = client(&url);
        let (mut sent, mut silent) = (Vec::new(), Vec::new());
        for _ in 0..AT_ONCE {
            let patient = pace(Duration::from_secs(30));
            sent.push(tokio::spawn(client.clone().send(request(Method::GET, &url), patient)));
            silent.push(listener.accept().await.unwrap());
        }
        assert!(matches!(failure_of(&client, Method::GET, &url).await, HttpError::Busy));
        for request in sent {
            request.abort();
            let _ = request.await;
        }
        assert!(matches!(failure_of(&client, Method::GET, &url).await, HttpError::AnswerLate(_)));
    }

    #[tokio::test]
    async fn an_address_that_looks_like_another_is_none() {
        let client = client("bmc");
        for (method, uri) in [
            (Method::GET, "http://bmc@evil/"),
            (Method::GET, "http://bmc:80@evil/"),
            (Method::GET, "http://bmc:0/"),
            (Method::GET, "ftp://bmc/"),
            (Method::GET, "/path"),
            (Method::CONNECT, "http://bmc/"),
        ] {
            let failure = failure_of(&client, method, uri).await;
            assert!(matches!(failure, HttpError::Address(_)), "{uri}: {failure:?}");
        }
        assert!(matches!(failure_of(&client, Method::GET, "http://evil/").await, HttpError::Denied(_)));
    }

    #[test]
    fn a_target_has_the_port_of_its_scheme() {
        let target =
            |uri: &str| Target::new(&uri.parse().unwrap()).map(|target| (target.host, target.port)).ok();
        assert_eq!(target("https://BMC/a"), Some(("bmc".into(), 443)));
        assert_eq!(target("http://[fe80::1]/"), Some(("[fe80::1]".into(), 80)));
        assert_eq!(target("http://[fe80::1]:8080/"), Some(("[fe80::1]".into(), 8080)));
        assert_eq!(target("http://bmc:/"), None);
    }
}
