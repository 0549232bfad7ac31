//! An error answer (RFC 9457) that says what to do about it.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::text::printable;

/// Seconds after which it is worth to try again what is too much now.
const RETRY_AFTER: &str = "5";

/// The body of every answer that is not a success, as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Which problem, for programs. Further ones may come.
    #[serde(rename = "type")]
    #[schema(example = "urn:cardcage:problem:no-such-board")]
    pub kind: String,
    /// Which problem, for people.
    #[schema(example = "no such board")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What happened this time.
    pub detail: String,
    /// What to do about it.
    pub remedy: String,
}

impl Problem {
    /// A problem. Its type is made of its title.
    pub fn new(status: StatusCode, title: &str, detail: impl Into<String>, remedy: &str) -> Self {
        Self {
            kind: format!("urn:cardcage:problem:{}", title.replace(' ', "-")),
            title: title.to_owned(),
            status: status.as_u16(),
            // It may name what somebody asked for.
            detail: printable(&detail.into()).into_owned(),
            remedy: remedy.to_owned(),
        }
    }

    /// Too much is going on now.
    pub fn busy(detail: impl Into<String>, remedy: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "manager busy", detail, remedy)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}
