//! Plain requests to the products' own services.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::time::Duration;

use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};

/// Longest time for an answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends a GET.
pub fn get(service: SocketAddrV4, path: &str) -> Result<Answer, ureq::Error> {
    read(client().get(url(service, path)).call()?)
}

/// Sends a POST of JSON.
pub fn post(service: SocketAddrV4, path: &str, body: &[u8]) -> Result<Answer, ureq::Error> {
    read(client().post(url(service, path)).content_type("application/json").send(body)?)
}

/// The same, where an answer may take longer.
pub fn post_within(
    deadline: Duration,
    service: SocketAddrV4,
    path: &str,
    body: &[u8],
) -> Result<Answer, ureq::Error> {
    read(client_within(deadline).post(url(service, path)).content_type("application/json").send(body)?)
}

/// Sends a PUT of whatever it is.
pub fn put(service: SocketAddrV4, path: &str, body: &[u8]) -> Result<Answer, ureq::Error> {
    read(client().put(url(service, path)).send(body)?)
}

/// Sends a DELETE, with a bearer token or without.
pub fn delete(service: SocketAddrV4, path: &str, token: Option<&str>) -> Result<Answer, ureq::Error> {
    let mut request = client().delete(url(service, path));
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    read(request.call()?)
}

/// Sends a GET from an address of this machine.
pub fn get_from(address: Ipv4Addr, service: SocketAddrV4, path: &str) -> std::io::Result<Answer> {
    let mut stream = connect_from(address, service)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {service}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    whole(&answer)
}

/// Sends a POST from an address of this machine.
pub fn post_from(
    address: Ipv4Addr,
    service: SocketAddrV4,
    path: &str,
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = connect_from(address, service)?;
    write!(stream, "POST {path} HTTP/1.1\r\nHost: {service}\r\nConnection: close\r\n")?;
    write!(stream, "Content-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len())?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    whole(&answer)
}

/// A connection from an address of this machine.
pub fn connect_from(address: Ipv4Addr, service: SocketAddrV4) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.bind(&SocketAddrV4::new(address, 0).into())?;
    socket.set_read_timeout(Some(DEADLINE))?;
    socket.connect(&service.into())?;
    Ok(socket.into())
}

fn whole(answer: &str) -> std::io::Result<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or(std::io::ErrorKind::InvalidData)?;
    Ok(Answer { status, body: body.to_owned() })
}

fn url(service: SocketAddrV4, path: &str) -> String {
    format!("http://{service}{path}")
}

fn client() -> ureq::Agent {
    client_within(DEADLINE)
}

fn client_within(deadline: Duration) -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.timeout_global(Some(deadline)).build().into()
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    Ok(Answer { status: response.status().as_u16(), body: response.body_mut().read_to_string()? })
}
