//! The entries of a tar, one after the other. Headers are read by the tar crate; their order, and the long names that
//! stand in entries of their own, are followed here, since there every length must be bounded.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use tar::{EntryType, Header};

use super::path::{Inside, shown};
use super::pax::Extended;
use super::stream::{TarStream, explain};
use crate::Error;

const BLOCK: usize = 512;
/// Of a long name or an extended header, in bytes.
const EXTENSION: u64 = 64 << 10;
/// Long names and extended headers in a row.
const EXTENSIONS: usize = 8;

pub(super) const SPARSE: &str = "a sparse file; make the archive without them (tar without --sparse)";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Symlink(Vec<u8>),
    Hardlink(Inside),
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) path: Inside,
    pub(crate) kind: Kind,
    /// Of a file; everything else has no content.
    pub(crate) size: u64,
    pub(crate) mode: u32,
}

pub(crate) struct Entries {
    stream: TarStream,
    what: String,
    limit: usize,
    seen: usize,
    /// Of the current entry: content, and filling to a whole block.
    left: u64,
    filling: u64,
}

/// Whether a tar could begin with that block: its checksum is right.
pub(crate) fn is_header(block: &[u8; BLOCK]) -> bool {
    let header = Header::from_byte_slice(block);
    let sum = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) });
    // 256 is the sum of nothing but blanks, of an empty block.
    let sum: u32 = sum.sum();
    sum > 256 && header.cksum().is_ok_and(|stated| stated == sum)
}

impl Entries {
    pub(crate) fn new(stream: TarStream, what: String, limit: usize) -> Self {
        Self { stream, what, limit, seen: 0, left: 0, filling: 0 }
    }

    /// The next one that makes something; what is left of the last one is passed over.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, Error> {
        let (mut name, mut link, mut extended) = (None, None, Extended::default());
        for _ in 0..=EXTENSIONS {
            self.pass_over()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let kind = header.entry_type();
            self.begin(
                header.entry_size().map_err(|_| self.invalid("", "a header whose size is no number"))?,
            );
            match kind {
                EntryType::GNULongName => name = Some(self.text()?),
                EntryType::GNULongLink => link = Some(self.text()?),
                EntryType::XHeader => {
                    let text = self.extension()?;
                    extended = Extended::parse(&text).map_err(|reason| self.invalid("", reason))?;
                }
                // A comment for the whole archive, as git writes it.
                EntryType::XGlobalHeader => drop(self.extension()?),
                _ => {
                    self.count()?;
                    let path =
                        extended.path.take().or(name).unwrap_or_else(|| header.path_bytes().into_owned());
                    let link =
                        extended.link.take().or(link).or_else(|| header.link_name_bytes().map(Into::into));
                    return self.entry(&header, &path, link, extended.size).map(Some);
                }
            }
        }
        Err(self.invalid("", "too many extended headers in a row"))
    }

    fn count(&mut self) -> Result<(), Error> {
        self.seen += 1;
        if self.seen <= self.limit {
            return Ok(());
        }
        let limit = self.limit as u64;
        Err(Error::TooLarge {
            what: self.what.clone(),
            name: "of an archive's entries",
            limit,
            unit: "entries",
        })
    }

    fn entry(
        &mut self,
        header: &Header,
        path: &[u8],
        link: Option<Vec<u8>>,
        size: Option<u64>,
    ) -> Result<Entry, Error> {
        let inside = Inside::parse(path).map_err(|reason| self.invalid(&shown(path), reason))?;
        let link = link.unwrap_or_default();
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => Kind::Folder,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Directory => Kind::Folder,
            EntryType::Symlink => {
                inside.may_point_to(&link).map_err(|reason| self.invalid(&shown(path), reason))?;
                Kind::Symlink(link)
            }
            EntryType::Link => {
                Kind::Hardlink(Inside::parse(&link).map_err(|reason| self.invalid(&shown(path), reason))?)
            }
            EntryType::GNUSparse => return Err(self.invalid(&shown(path), SPARSE)),
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                return Err(self.invalid(
                    &shown(path),
                    "a device or a pipe; only files, folders and links are unpacked",
                ));
            }
            _ => return Err(self.invalid(&shown(path), "an entry of an unknown kind")),
        };
        match (&kind, size) {
            (Kind::File, Some(size)) => self.begin(size),
            (Kind::File, None) => {}
            // Some state the size of what the link leads to; no content follows.
            (Kind::Symlink(_) | Kind::Hardlink(_), _) => self.begin(0),
            (Kind::Folder, _) => {
                self.begin(if header.entry_type() == EntryType::Directory { 0 } else { self.left })
            }
        }
        let mode =
            header.mode().map_err(|_| self.invalid(&shown(path), "a header whose mode is no number"))?;
        Ok(Entry { path: inside, kind, size: self.left, mode: mode & 0o777 })
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        self.filling = size.next_multiple_of_block() - size;
    }

    /// The content of the current entry.
    pub(crate) fn copy(&mut self, sink: &mut impl Write, cancelled: &AtomicBool) -> Result<(), Error> {
        let mut chunk = vec![0; 64 << 10];
        while self.left > 0 {
            if cancelled.load(Ordering::Relaxed) {
                return Err(Error::Cancelled { what: self.what.clone() });
            }
            let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(chunk.len());
            let part = chunk.get_mut(..room).unwrap_or_default();
            let read = self.stream.read(part).map_err(|error| explain(&self.what, &error))?;
            if read == 0 {
                return Err(self.invalid("", "the archive ends within a file"));
            }
            self.left -= read as u64;
            sink.write_all(part.get(..read).unwrap_or_default())
                .map_err(|error| Error::io(&self.what, &error))?;
        }
        Ok(())
    }

    fn pass_over(&mut self) -> Result<(), Error> {
        let rest = self.left.saturating_add(self.filling);
        let passed = io::copy(&mut (&mut self.stream).take(rest), &mut io::sink());
        (self.left, self.filling) = (0, 0);
        match passed.map_err(|error| explain(&self.what, &error))? {
            passed if passed == rest => Ok(()),
            _ => Err(self.invalid("", "the archive ends within an entry")),
        }
    }

    /// Nothing at the end: an empty block, or no block at all.
    fn header(&mut self) -> Result<Option<Header>, Error> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while let Some(rest) = block.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.stream.read(rest).map_err(|error| explain(&self.what, &error))? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(self.invalid("", "the archive ends within a header")),
                read => filled += read,
            }
        }
        if block == [0; BLOCK] {
            return Ok(None);
        }
        if !is_header(&block) {
            return Err(self.invalid("", "a header with a wrong checksum"));
        }
        Ok(Some(Header::from_byte_slice(&block).clone()))
    }

    fn extension(&mut self) -> Result<Vec<u8>, Error> {
        if self.left > EXTENSION {
            return Err(self.invalid("", "a long name or extended header of more than 64 KiB"));
        }
        let mut text = Vec::new();
        self.copy(&mut text, &AtomicBool::new(false))?;
        Ok(text)
    }

    /// GNU ends them with a NUL.
    fn text(&mut self) -> Result<Vec<u8>, Error> {
        let text = self.extension()?;
        Ok(text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec())
    }

    pub(crate) fn invalid(&self, entry: &str, reason: &str) -> Error {
        let what = if entry.is_empty() { self.what.clone() } else { format!("{entry} in {}", self.what) };
        Error::invalid(what, reason)
    }
}

trait Blocks {
    fn next_multiple_of_block(self) -> Self;
}

impl Blocks for u64 {
    /// Of a size near 2^64 no archive has the content; the filling does not matter then.
    fn next_multiple_of_block(self) -> Self {
        self.checked_next_multiple_of(BLOCK as u64).unwrap_or(self)
    }
}
