//! The body of a request that has a short one. It is bounded in length and in time, whatever its head announces: whoever
//! sends it is a stranger, and a body that comes byte by byte would otherwise hold its connection for as long as an
//! answer may take.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Body;
use tokio::time::timeout;

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is announced as too long, or became so.
    #[error("the body has more than {limit} bytes")]
    TooLarge {
        /// How many it may have.
        limit: usize,
    },
    /// It did not come to its end.
    #[error("the body did not come to its end within {within:?}")]
    Late {
        /// How long it may take.
        within: Duration,
    },
    /// The peer went away, or does not speak HTTP.
    #[error("the body broke off")]
    Broken,
}

/// Reads a body of at most so many bytes, all of it within that time.
pub async fn read<B>(body: B, limit: usize, within: Duration) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
{
    // What the head announces; a chunked body announces nothing.
    if usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX) > limit {
        return Err(BodyError::TooLarge { limit });
    }
    timeout(within, read_all(body, limit)).await.unwrap_or(Err(BodyError::Late { within }))
}

async fn read_all<B>(body: B, limit: usize) -> Result<Bytes, BodyError>
where
    B: Body<Data = Bytes>,
{
    let mut body = std::pin::pin!(body);
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        // Trailers say nothing here.
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        if data.len() > limit - bytes.len() {
            return Err(BodyError::TooLarge { limit });
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests;
