//! Plain requests to the products' own services.

use std::net::SocketAddrV4;
use std::time::Duration;

use serde_json::Value;

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

/// Sends a DELETE, with a bearer token or without.
pub fn delete(service: SocketAddrV4, path: &str, token: Option<&str>) -> Result<Answer, ureq::Error> {
    let mut request = client().delete(url(service, path));
    if let Some(token) = token {
        request = request.header("Authorization", format!("Bearer {token}"));
    }
    read(request.call()?)
}

fn url(service: SocketAddrV4, path: &str) -> String {
    format!("http://{service}{path}")
}

fn client() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    config.timeout_global(Some(Duration::from_secs(10))).build().into()
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    Ok(Answer { status: response.status().as_u16(), body: response.body_mut().read_to_string()? })
}
