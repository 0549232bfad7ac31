//! What can go wrong, in the words of the contract.

use crate::limits;

/// How a call fails. The same on the wire and for the plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Error {
    /// For programs.
    pub code: Code,
    /// For people.
    pub detail: String,
}

/// The error codes of `wit/host/native.wit`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The library or the symbol is not granted.
    Denied,
    /// The board has no such library, or the library no such symbol.
    Absent,
    /// The arguments do not fit the signature.
    Invalid,
    /// The deadline passed; the helper was killed.
    Late,
    /// The helper ended by itself.
    Crashed,
    /// Over a limit that the detail names.
    TooLarge,
    /// From before the helper's end.
    Closed,
    /// The system refused.
    Io,
}

impl Code {
    pub(crate) const ALL: [Self; 8] = [
        Self::Denied,
        Self::Absent,
        Self::Invalid,
        Self::Late,
        Self::Crashed,
        Self::TooLarge,
        Self::Closed,
        Self::Io,
    ];

    /// The word of the contract.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Absent => "absent",
            Self::Invalid => "invalid",
            Self::Late => "late",
            Self::Crashed => "crashed",
            Self::TooLarge => "too-large",
            Self::Closed => "closed",
            Self::Io => "io",
        }
    }
}

impl Error {
    /// With a detail that is cut where it is too long for a frame.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        detail.truncate(detail.floor_char_boundary(limits::DETAIL));
        Self { code, detail }
    }

    /// An argument that does not fit.
    #[must_use]
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(Code::Invalid, detail)
    }

    /// Over a limit.
    #[must_use]
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(Code::TooLarge, detail)
    }
}
