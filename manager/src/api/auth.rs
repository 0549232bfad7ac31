//! Who may change things: whoever knows the token.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};

use super::Api;
use crate::problem::Problem;

/// A handler with this argument is reached with the token only.
pub(super) struct Authorized;

const REMEDY: &str =
    "send `Authorization: Bearer` and the text of the file `token` in the manager's state directory";

impl FromRequestParts<Api> for Authorized {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Some(value) = parts.headers.get(header::AUTHORIZATION) else {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "token required",
                "changes need the token",
                REMEDY,
            ));
        };
        let (scheme, offered) = value.as_bytes().split_at_checked(7).unwrap_or_default();
        if scheme.eq_ignore_ascii_case(b"bearer ") && api.token.is(offered.trim_ascii()) {
            return Ok(Self);
        }
        Err(Problem::new(StatusCode::FORBIDDEN, "wrong token", "that is not this manager's token", REMEDY))
    }
}
