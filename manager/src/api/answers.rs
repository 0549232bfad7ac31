//! Memory for answers: an answer is held until its peer has read it, and a peer need not read.
//!
//! ```text
//! request ─▶ has its peer used up its share? ─▶ handler ─▶ the answer's length is added ─▶ connection, until it is sent
//!              └▶ 503                                        └▶ 503
//! ```
//! The first question keeps a crowd of requests from each making an answer that is then thrown away. A handler makes its
//! answer without a pause and the length is added at once after it, so no more answers than the runtime has threads are
//! made beyond the bound; of those about the whole fleet one is made at a time (`turns`). `/healthz` does not come through
//! here.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use cardcage_daemon::listen::Ends;
use hyper::body::{Body as _, Frame, SizeHint};
use prometheus::IntGauge;
use tracing::warn;

use crate::budget::{Budget, Exhausted, Share};
use crate::problem::Problem;
use crate::quiet::Quiet;

/// Memory for answers that are not read yet. A peer that holds less than its quarter gets one more answer, however long:
/// those about a large fleet are longer than that.
const MEMORY: usize = 256 << 20;

/// The memory, for all peers.
#[derive(Clone)]
pub(super) struct Answers {
    memory: Arc<Budget>,
    refusals: Arc<Quiet>,
}

/// What the peer of one request may take of it.
#[derive(Clone)]
pub(super) struct Allowance {
    answers: Answers,
    ends: Ends,
}

impl Answers {
    /// The gauge shows the memory that is taken.
    pub(super) fn new(gauge: IntGauge) -> Self {
        Self { memory: Budget::new(MEMORY, gauge), refusals: Arc::new(Quiet::new()) }
    }
}

/// Stands before the handlers. The peer's [`Allowance`] is an extension of the request.
pub(super) async fn bounded(
    State(answers): State<Answers>,
    Extension(ends): Extension<Ends>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let allowance = Allowance { answers, ends };
    allowance.check()?;
    request.extensions_mut().insert(allowance.clone());
    allowance.hold(next.run(request).await)
}

impl Allowance {
    /// Whose it is.
    pub(super) fn peer(&self) -> IpAddr {
        self.ends.theirs
    }

    /// Whether another answer can be held for the peer.
    pub(super) fn check(&self) -> Result<(), Problem> {
        self.share().check().map_err(|exhausted| self.refuse(exhausted))
    }

    fn hold(&self, response: Response) -> Result<Response, Problem> {
        let hint = response.body().size_hint();
        // Every answer of ours has an exact length.
        let length = hint.upper().unwrap_or_else(|| hint.lower());
        let mut share = self.share();
        share
            .cover(usize::try_from(length).unwrap_or(usize::MAX))
            .map_err(|exhausted| self.refuse(exhausted))?;
        let share = Arc::new(share);
        Ok(response.map(|body| Body::new(Held { body, share })))
    }

    fn share(&self) -> Share {
        self.answers.memory.share(self.ends.theirs)
    }

    fn refuse(&self, exhausted: Exhausted) -> Problem {
        if let Some(kept_back) = self.answers.refusals.due() {
            warn!(to = %self.ends.theirs, reason = %exhausted, kept_back, "answers are not read, further ones are refused");
        }
        Problem::busy(exhausted.to_string(), "read the answers to earlier requests, then ask again")
    }
}

/// The body of an answer. Its bytes keep the share: a connection takes them out of the body before it can send them.
struct Held {
    body: Body,
    share: Arc<Share>,
}

struct Kept {
    data: Bytes,
    _share: Arc<Share>,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        let keep = |data| Bytes::from_owner(Kept { data, _share: Arc::clone(&self.share) });
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(keep))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn bytes_are_held_until_they_are_sent_though_the_body_is_gone() {
        let gauge = IntGauge::new("held", "Held.").unwrap();
        let local = [127, 0, 0, 1].into();
        let allowance =
            Allowance { answers: Answers::new(gauge.clone()), ends: Ends { ours: local, theirs: local } };
        let response = allowance.hold("four".into_response()).unwrap();
        assert_eq!((gauge.get(), response.body().size_hint().exact()), (4, Some(4)));
        let mut body = response.into_body();
        let data = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(body.is_end_stream());
        drop(body);
        assert_eq!((gauge.get(), &*data), (4, &b"four"[..]));
        drop(data);
        assert_eq!(gauge.get(), 0);
        drop(allowance.hold("never sent".into_response()).unwrap());
        assert_eq!(gauge.get(), 0);
    }
}
