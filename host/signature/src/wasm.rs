//! The frame of a WebAssembly file: its header, its top-level sections, and the one that holds signatures.

use sha2::{Digest as _, Sha256};

use crate::reader::{FormatError, Padding, Reader};
use crate::section::{HASHES_LIMIT, Hash};

/// Name of the custom section that holds the signatures.
pub(crate) const SECTION: &str = "signature";
/// Name of the custom sections between parts that some signer wanted to sign one by one.
const DELIMITER: &[u8] = b"signature_delimiter";
/// Longest signature section, in bytes: every signer that may be in it fits.
pub(crate) const SECTION_LIMIT: usize = 64 << 10;
/// Id of a custom section.
pub(crate) const CUSTOM: u8 = 0;

/// Which of the two binary formats a file has. No signature covers it, so who verifies must know which one will run:
/// a signer's module must not come in as a component, nor the reverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// A component, such as a plugin.
    Component,
    /// A core module.
    Module,
}

impl Encoding {
    fn read(header: [u8; 8]) -> Result<Self, FormatError> {
        match &header {
            b"\0asm\x0d\0\x01\0" => Ok(Self::Component),
            b"\0asm\x01\0\0\0" => Ok(Self::Module),
            _ => Err(FormatError::NotWasm),
        }
    }
}

impl std::fmt::Display for Encoding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Component => "component",
            Self::Module => "core module",
        })
    }
}

/// One top-level section.
pub(crate) struct Section<'a> {
    at: usize,
    /// All of it, from its id.
    pub(crate) bytes: &'a [u8],
    /// What a custom section is called.
    name: Option<&'a [u8]>,
}

impl<'a> Section<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, FormatError> {
        let (at, whole) = (reader.at(), reader.rest());
        let id = reader.byte()?;
        // Others read seven bits here.
        if id > 0x7f {
            return Err(FormatError::Damaged { what: "a section of an unknown kind", at });
        }
        let size = reader.number(Padding::Allowed)?;
        let begin = reader.at();
        let mut body = Reader::new(reader.take(size)?, begin);
        let bytes = whole.get(..reader.at() - at).unwrap_or_default();
        let name = (id == CUSTOM).then(|| {
            let length = body.number(Padding::Allowed)?;
            body.take(length)
        });
        Ok(Self { at, bytes, name: name.transpose()? })
    }

    pub(crate) fn is_signature(&self) -> bool {
        self.name == Some(SECTION.as_bytes())
    }

    /// What stands in a signature section, which is written in one way only.
    fn signatures(&self) -> Result<Reader<'a>, FormatError> {
        let mut reader = Reader::new(self.bytes, self.at);
        reader.take(1)?;
        let mut body = reader.counted("bytes in the signature section", SECTION_LIMIT)?;
        body.counted("bytes in a name", SECTION.len())?;
        Ok(body)
    }
}

/// Top-level sections, up to the first error.
pub(crate) struct Sections<'a>(Reader<'a>);

impl<'a> Iterator for Sections<'a> {
    type Item = Result<Section<'a>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.rest().is_empty() {
            return None;
        }
        let section = Section::read(&mut self.0);
        if section.is_err() {
            self.0 = Reader::new(&[], 0);
        }
        Some(section)
    }
}

/// Header and top-level sections.
pub(crate) fn sections(wasm: &[u8]) -> Result<(Encoding, &[u8; 8], Sections<'_>), FormatError> {
    let (header, rest) = wasm.split_first_chunk().ok_or(FormatError::NotWasm)?;
    Ok((Encoding::read(*header)?, header, Sections(Reader::new(rest, header.len()))))
}

/// A file whose signature section, if it has one, stands where it must.
pub(crate) struct Wasm<'a> {
    pub(crate) encoding: Encoding,
    pub(crate) header: &'a [u8; 8],
    /// What the signature section holds.
    pub(crate) signatures: Option<Reader<'a>>,
    /// What signatures are about: all that follows them.
    pub(crate) content: &'a [u8],
    /// Where its parts end, if delimiters divide it into parts.
    delimiters: Vec<usize>,
}

impl<'a> Wasm<'a> {
    pub(crate) fn read(wasm: &'a [u8]) -> Result<Self, FormatError> {
        let (encoding, header, mut sections) = sections(wasm)?;
        let mut read =
            Self { encoding, header, signatures: None, content: sections.0.rest(), delimiters: vec![] };
        let mut end = 0;
        while let Some(section) = sections.next() {
            let section = section?;
            if section.is_signature() {
                if section.at != header.len() {
                    return Err(FormatError::Misplaced(section.at));
                }
                read.signatures = Some(section.signatures()?);
                read.content = sections.0.rest();
                continue;
            }
            end += section.bytes.len();
            // One more than any signature can cover is enough to know that none does.
            if section.name == Some(DELIMITER) && read.delimiters.len() <= HASHES_LIMIT {
                read.delimiters.push(end);
            }
        }
        Ok(read)
    }

    /// The hash of all content.
    pub(crate) fn hash(&self) -> Hash {
        Sha256::digest(self.content).into()
    }

    /// The hashes of the content up to each delimiter, and of all of it.
    pub(crate) fn hashes(&self) -> Vec<Hash> {
        let (mut hasher, mut begin, mut hashes) = (Sha256::new(), 0, vec![]);
        for &end in &self.delimiters {
            hasher.update(self.content.get(begin..end).unwrap_or_default());
            hashes.push(hasher.clone().finalize().into());
            begin = end;
        }
        let tail = self.content.get(begin..).unwrap_or_default();
        if !tail.is_empty() || hashes.is_empty() {
            hasher.update(tail);
            hashes.push(hasher.finalize().into());
        }
        hashes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn a_frame_that_does_not_hold_is_refused() {
        for (sections, at) in [
            // Without a name, with one that reaches into the next section, too long, too short.
            (&[0, 0, 1, 1, 0][..], 10),
            (&[0, 2, 3, b'a', 1, 2, b'b', b'c'], 11),
            (&[1, 2, 0], 10),
            (&[1], 9),
            (&[1, 0x80], 10),
            (&[1, 0xff, 0xff, 0xff, 0xff, 0x7f], 9),
            (&[0x80, 0], 8),
        ] {
            match Wasm::read(&[COMPONENT, sections].concat()).map(|_| ()) {
                Err(FormatError::Damaged { at: found, .. }) => assert_eq!(found, at, "{sections:x?}"),
                other => panic!("{sections:x?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_file_has_the_hashes_of_its_beginnings() {
        let delimiter = [&[0, 21, 19][..], b"signature_delimiter", b"!"].concat();
        let one = [&[1, 1, 7][..], &delimiter].concat();
        let (two, tail) = ([&[1, 1, 8][..], &delimiter].concat(), [1, 1, 9]);
        let check = |content: &[&[u8]], beginnings: &[&[&[u8]]]| {
            let file = [COMPONENT, &content.concat()].concat();
            let hashes: Vec<Hash> =
                beginnings.iter().map(|part| Sha256::digest(part.concat()).into()).collect();
            let read = Wasm::read(&file).unwrap();
            assert_eq!(read.hashes(), hashes);
            assert_eq!(read.hash(), *hashes.last().unwrap());
        };
        check(&[], &[&[]]);
        check(&[&tail], &[&[&tail]]);
        check(&[&one], &[&[&one]]);
        check(&[&one, &two], &[&[&one], &[&one, &two]]);
        check(&[&one, &two, &tail], &[&[&one], &[&one, &two], &[&one, &two, &tail]]);
    }
}
