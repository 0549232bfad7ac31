//! Bytes of strangers, from the front to the back.

/// Why a file, or the signatures in it, cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Not the header of a component or of a module.
    #[error("neither a WebAssembly component nor a module")]
    NotWasm,
    /// What no compiler and no signer writes.
    #[error("{what} at byte {at}: the file is damaged, get it anew")]
    Damaged {
        /// What is wrong.
        what: &'static str,
        /// Where.
        at: usize,
    },
    /// More than anyone needs: hashing and verifying cost time.
    #[error("more {what} than {limit} at byte {at}: take the signatures away and sign anew")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        limit: usize,
        /// Where.
        at: usize,
    },
    /// Another version of the format, or of its parts.
    #[error(
        "the signatures' {what} is {found}, only 1 is known here: sign with a tool that writes version 1"
    )]
    Version {
        /// Of what.
        what: &'static str,
        /// What it is.
        found: u8,
    },
    /// Signatures that others would read, or others than they would read.
    #[error(
        "a signature section at byte {0}, not first or not alone: take the signatures away and sign anew"
    )]
    Misplaced(usize),
}

/// Whether a number may be longer than it must be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    /// As WebAssembly has it: at most five bytes.
    Allowed,
    /// In what is not signed, there is one way to write each thing.
    Refused,
}

/// A place in a slice.
#[derive(Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Bytes that begin at this offset of the file.
    pub(crate) fn new(rest: &'a [u8], at: usize) -> Self {
        Self { rest, at }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn damaged(&self, what: &'static str) -> FormatError {
        FormatError::Damaged { what, at: self.at }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], FormatError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(self.damaged("an end too early"))?;
        (self.rest, self.at) = (rest, self.at + count);
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], FormatError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(self.damaged("an end too early"))?;
        (self.rest, self.at) = (rest, self.at + N);
        Ok(*taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, FormatError> {
        self.array().map(|[byte]| byte)
    }

    /// A `varuint32`.
    pub(crate) fn number(&mut self, padding: Padding) -> Result<usize, FormatError> {
        let begin = self.clone();
        let mut number = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 && padding == Padding::Refused {
                    return Err(begin.damaged("a number longer than it must be"));
                }
                let number = u32::try_from(number).ok().and_then(|number| usize::try_from(number).ok());
                return number.ok_or(begin.damaged("a number too large"));
            }
        }
        Err(begin.damaged("a number too long"))
    }

    /// A number that says how many bytes or things follow.
    pub(crate) fn count(&mut self, what: &'static str, limit: usize) -> Result<usize, FormatError> {
        let at = self.at;
        let count = self.number(Padding::Refused)?;
        if count > limit { Err(FormatError::TooMany { what, limit, at }) } else { Ok(count) }
    }

    /// What follows its own length.
    pub(crate) fn counted(&mut self, what: &'static str, limit: usize) -> Result<Self, FormatError> {
        let count = self.count(what, limit)?;
        let at = self.at;
        self.take(count).map(|bytes| Self::new(bytes, at))
    }

    /// Nothing is left.
    pub(crate) fn end(&self) -> Result<(), FormatError> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.damaged("bytes that belong to nothing")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(bytes: &[u8], padding: Padding) -> Option<usize> {
        let mut reader = Reader::new(bytes, 0);
        let number = reader.number(padding).ok()?;
        assert!(reader.end().is_ok());
        Some(number)
    }

    #[test]
    fn a_number_has_at_most_32_bits_and_five_bytes() {
        for (bytes, wasm, strict) in [
            (&[0][..], Some(0), true),
            (&[0x7f], Some(127), true),
            (&[0x80, 0x01], Some(128), true),
            (&[0xff, 0xff, 0xff, 0xff, 0x0f], Some(0xffff_ffff), true),
            (&[0x89, 0x00], Some(9), false),
            (&[0x89, 0x80, 0x80, 0x80, 0x00], Some(9), false),
            (&[0x89, 0x80, 0x80, 0x80, 0x80, 0x00], None, false),
            (&[0xff, 0xff, 0xff, 0xff, 0x1f], None, false),
            (&[0x80], None, false),
            (&[], None, false),
        ] {
            assert_eq!(number(bytes, Padding::Allowed), wasm, "{bytes:x?}");
            assert_eq!(number(bytes, Padding::Refused), wasm.filter(|_| strict), "{bytes:x?}");
        }
    }
}
