//! What watches the manager.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, SizeHint};

use super::Api;
use super::answers::Allowance;
use super::turns::failed;
use crate::metrics::{self, NoText};
use crate::problem::Problem;

/// `/metrics`.
pub(super) async fn metrics(
    State(api): State<Api>,
    Extension(allowance): Extension<Allowance>,
) -> Result<Response, Problem> {
    let (meters, fleet) = (Arc::clone(&api.meters), api.fleet.clone());
    let (deployments, open) = api.deployments.count();
    meters.set_deployments(deployments, open);
    let text = move || metrics::render(&meters, &fleet).map_err(problem);
    let text = api.turns.make(&allowance, text).await?;
    let body = Body::new(Pieces(text.into_iter().map(Bytes::from).collect()));
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], body).into_response())
}

/// A body of known length, piece by piece.
struct Pieces(VecDeque<Bytes>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let left: usize = self.0.iter().map(Bytes::len).sum();
        SizeHint::with_exact(u64::try_from(left).unwrap_or(u64::MAX))
    }
}

fn problem(error: NoText) -> Problem {
    match error {
        NoText::TooLong => Problem::new(
            StatusCode::INSUFFICIENT_STORAGE,
            "metrics too long",
            error.to_string(),
            "forget boards that are none: cardcage boards, cardcage forget ID; or read the fleet in pages at /fleet/v1/boards",
        ),
        NoText::Own(_) => failed(&error.to_string()),
    }
}
