//! The body of a report: bounded in length, in time, and in how many long ones there are at once.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::protocol::REPORT_LIMIT;

/// Longest time that a body may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Up to here a body is read without further ado: ten times an ordinary report.
const ORDINARY: usize = 64 << 10;

/// Longer bodies that are dealt with at the same time, and how long one waits for its turn. Connections are thousands, and
/// what a few megabytes of JSON become in memory can be a hundred times as much.
const LONG_ONES: usize = 8;
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("the report has more than {REPORT_LIMIT} bytes")]
    Oversized,
    #[error("the report did not come to its end within {DEADLINE:?}")]
    Slow,
    #[error("the report broke off")]
    Broken,
    #[error("too many long reports at once")]
    Busy,
}

/// Reads bodies.
pub(super) struct Bodies {
    long_ones: Semaphore,
}

/// A body. While it lives, a long one keeps its turn.
pub(super) struct Body<'a> {
    pub(super) bytes: Vec<u8>,
    _turn: Option<SemaphorePermit<'a>>,
}

impl Bodies {
    pub(super) fn new() -> Self {
        Self { long_ones: Semaphore::new(LONG_ONES) }
    }

    /// Reads one to its end.
    pub(super) async fn read(&self, body: Incoming) -> Result<Body<'_>, Unread> {
        timeout(DEADLINE, self.read_all(body)).await.unwrap_or(Err(Unread::Slow))
    }

    async fn read_all(&self, mut body: Incoming) -> Result<Body<'_>, Unread> {
        // What the head announces; a chunked body announces nothing.
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        let mut turn = self.turn(announced, None).await?;
        let mut bytes = Vec::with_capacity(announced);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Unread::Broken)?.into_data() else { continue };
            turn = self.turn(bytes.len().saturating_add(data.len()), turn).await?;
            bytes.extend_from_slice(&data);
        }
        Ok(Body { bytes, _turn: turn })
    }

    /// What a body of this length needs beside what it has.
    async fn turn<'a>(
        &'a self,
        length: usize,
        turn: Option<SemaphorePermit<'a>>,
    ) -> Result<Option<SemaphorePermit<'a>>, Unread> {
        if length > REPORT_LIMIT {
            return Err(Unread::Oversized);
        }
        if length <= ORDINARY || turn.is_some() {
            return Ok(turn);
        }
        match timeout(PATIENCE, self.long_ones.acquire()).await {
            Ok(Ok(permit)) => Ok(Some(permit)),
            _ => Err(Unread::Busy),
        }
    }
}
