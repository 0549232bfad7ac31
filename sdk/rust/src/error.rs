//! Errors: a word for programs and a sentence for people.

use alloc::string::String;

use crate::Error;

/// The known values of [`Error::code`]. The set is open: an unknown word means "it failed".
pub mod code {
    /// Not requested in the manifest, or not granted by the operator.
    pub const DENIED: &str = "denied";
    /// This board has no such thing.
    pub const ABSENT: &str = "absent";
    /// The thing is there and has no value now (the system said `ENODATA` or `EAGAIN`): the part is off.
    pub const UNAVAILABLE: &str = "unavailable";
    /// The board did not answer before the deadline; the source is set aside for a while.
    pub const BLOCKED: &str = "blocked";
    /// Other reads took all the time of this call; what is slow is read in turn, so a later call will have it. A function
    /// of a vendor's library was not back in time.
    pub const LATE: &str = "late";
    /// Over a limit that the detail names.
    pub const TOO_LARGE: &str = "too-large";
    /// A vendor's library ended the process that it was loaded in; see [`native`](crate::native).
    pub const CRASHED: &str = "crashed";
    /// From before that process ended: it is to be opened anew.
    pub const CLOSED: &str = "closed";
    /// The argument or the content is malformed.
    pub const INVALID: &str = "invalid";
    /// The system refused.
    pub const IO: &str = "io";
    /// Who would know does not answer, so nothing is known: it is asked again later.
    pub const UNREACHABLE: &str = "unreachable";
    /// Something else has that name or place.
    pub const CONFLICT: &str = "conflict";
    /// The software cannot be had, or is not what was announced.
    pub const ARTIFACT: &str = "artifact";
    /// The disk is full.
    pub const NO_SPACE: &str = "no-space";
    /// Nobody wants the result any more: what a task is told by [`progress`](crate::task::progress).
    pub const CANCELLED: &str = "cancelled";
    /// It was tried and did not work.
    pub const FAILED: &str = "failed";
}

impl Error {
    /// An error with one of the words of [`code`], and what failed, on what, in one sentence.
    pub fn new(code: &str, detail: impl Into<String>) -> Self {
        Self { code: code.into(), detail: detail.into() }
    }

    /// The argument or the content is malformed ([`code::INVALID`]).
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(code::INVALID, detail)
    }

    /// This board has no such thing ([`code::ABSENT`]).
    pub fn absent(detail: impl Into<String>) -> Self {
        Self::new(code::ABSENT, detail)
    }

    /// Whether this is the error of that word, such as [`code::ABSENT`].
    pub fn is(&self, code: &str) -> bool {
        self.code == code
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_known_by_its_word() {
        let error = Error::absent("this board has no fan");
        assert!(error.is(code::ABSENT));
        assert!(!error.is(code::IO));
        assert_eq!(error.detail, "this board has no fan");
    }
}
