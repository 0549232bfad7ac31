//! The body of a report: bounded in length, in time, and in the memory that all of them together take.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use prometheus::IntGauge;
use tokio::time::timeout;

use crate::budget::{Budget, Exhausted, Share};
use crate::protocol::REPORT_LIMIT;

/// Longest time that a body may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Up to here a body is read without further ado: ten times an ordinary report. What connections can hold this way is
/// bounded by their number.
const ORDINARY: usize = 64 << 10;

/// Memory for longer bodies that are being read. It is taken as the bytes come and not as they are announced: a peer that
/// only promises a long body keeps nobody out.
///
/// What JSON becomes in memory is more than its text. But a body is parsed without a pause, so no more of them are in that
/// state than the runtime has threads.
const MEMORY: usize = 256 << 20;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("the report has more than {REPORT_LIMIT} bytes")]
    Oversized,
    #[error("the report did not come to its end within {DEADLINE:?}")]
    Slow,
    #[error("the report broke off")]
    Broken,
    #[error("too many long reports at once: {0}")]
    Busy(Exhausted),
}

/// Reads bodies.
pub(super) struct Bodies {
    memory: Arc<Budget>,
}

/// A body. While it lives, a long one keeps its share of the memory.
pub(super) struct Body {
    pub(super) bytes: Vec<u8>,
    _share: Share,
}

impl Bodies {
    /// The gauge shows the memory that is taken.
    pub(super) fn new(gauge: IntGauge) -> Self {
        Self { memory: Budget::new(MEMORY, gauge) }
    }

    /// Reads one to its end.
    pub(super) async fn read(&self, body: Incoming, from: IpAddr) -> Result<Body, Unread> {
        timeout(DEADLINE, self.read_all(body, from)).await.unwrap_or(Err(Unread::Slow))
    }

    async fn read_all(&self, mut body: Incoming, from: IpAddr) -> Result<Body, Unread> {
        // What the head announces; a chunked body announces nothing.
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        if announced > REPORT_LIMIT {
            return Err(Unread::Oversized);
        }
        let mut share = self.memory.share(from);
        let mut bytes = Vec::with_capacity(announced.min(ORDINARY));
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
            let length = bytes.len().saturating_add(data.len());
            if length > REPORT_LIMIT {
                return Err(Unread::Oversized);
            }
            if length > ORDINARY {
                share.cover(length).map_err(Unread::Busy)?;
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Body { bytes, _share: share })
    }
}
