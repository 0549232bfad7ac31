//! Why there is no response: a word for programs and a sentence for people.

use alloc::string::String;

use crate::{Error, code};

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The request is malformed, or too long.
    Request,
    /// Not requested in the manifest, or not granted by the operator.
    Denied,
    /// The plugin has as many requests under way as it may have.
    Busy,
    /// The host was not found, or nobody listens there.
    Unreachable,
    /// The certificate of the host is not trusted: the operator grants `http_ca` or `http_pin`.
    Untrusted,
    /// The host did not answer, or did not go on, in time.
    Late,
    /// The response is longer than was asked for, or than the host takes.
    TooLarge,
    /// What came is no HTTP, or not all of it came.
    Broken,
    /// It was answered, and the answer is that it did not work.
    Status(u16),
    /// It was answered with something else than expected.
    Content,
}

/// A request that brought nothing. `?` makes the probe's [`Error`] of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpError {
    /// What went wrong.
    pub fault: Fault,
    /// With which address, and how.
    pub detail: String,
}

impl HttpError {
    /// An error, for tests as well.
    pub fn new(fault: Fault, detail: impl Into<String>) -> Self {
        Self { fault, detail: detail.into() }
    }
}

impl From<HttpError> for Error {
    fn from(HttpError { fault, detail }: HttpError) -> Self {
        let code = match fault {
            Fault::Request | Fault::Content => code::INVALID,
            Fault::Denied | Fault::Status(401 | 403) => code::DENIED,
            Fault::Unreachable | Fault::Untrusted => code::UNREACHABLE,
            Fault::Busy | Fault::Late => code::LATE,
            Fault::TooLarge => code::TOO_LARGE,
            Fault::Status(404) => code::ABSENT,
            Fault::Broken => code::IO,
            Fault::Status(_) => code::FAILED,
        };
        Self::new(code, detail)
    }
}
