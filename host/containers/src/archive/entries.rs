//! The entries of a tar, one after the other. Headers are read by the tar crate; their order, and the long names that stand
//! in entries of their own, are followed here, since there every length must be bounded.

use std::io::{self, BufReader, Read};

use tar::{EntryType, Header};

use super::names::{Tree, may_point_to, normal};
use super::pax::Extended;
use super::{Fault, wrong};

const BLOCK: usize = 512;
/// Of a long name or an extended header, in bytes.
const EXTENSION: u64 = 64 << 10;
/// Long names and extended headers in a row.
const EXTENSIONS: usize = 8;
/// Sixteen images of the most layers that there may be, as the older format has them.
const ENTRIES: usize = 10_000;
const BUFFER: usize = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Folder,
    Symlink(String),
}

#[derive(Debug)]
pub(super) struct Entry {
    /// As `names` has it.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Of a file; everything else has no content.
    pub(super) size: u64,
}

pub(super) struct Entries<R> {
    reader: BufReader<R>,
    tree: Tree,
    seen: usize,
    /// Of the current entry: content, and filling to a whole block.
    left: u64,
    filling: u64,
}

impl<R: Read> Entries<R> {
    pub(super) fn new(reader: R) -> Self {
        let reader = BufReader::with_capacity(BUFFER, reader);
        Self { reader, tree: Tree::default(), seen: 0, left: 0, filling: 0 }
    }

    /// The next one that makes something; what is left of the last one is passed over.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Fault> {
        let (mut name, mut link, mut extended) = (None, None, Extended::default());
        for _ in 0..=EXTENSIONS {
            self.pass_over()?;
            let Some(header) = self.header()? else { return Ok(None) };
            let Ok(size) = header.entry_size() else { return wrong("a header whose size is no number") };
            self.begin(size);
            match header.entry_type() {
                EntryType::GNULongName => name = Some(self.text()?),
                EntryType::GNULongLink => link = Some(self.text()?),
                EntryType::XHeader => {
                    extended =
                        Extended::parse(&self.extension()?).map_err(|reason| Fault::Wrong(reason.into()))?;
                }
                // A comment for the whole archive, as git writes it.
                EntryType::XGlobalHeader => drop(self.extension()?),
                _ => {
                    let name = extended.path.or(name).unwrap_or_else(|| header.path_bytes().into_owned());
                    let link = extended.link.or(link).or_else(|| header.link_name_bytes().map(Into::into));
                    let entry = self.entry(&header, &name, &link.unwrap_or_default(), extended.size)?;
                    self.count(&entry)?;
                    return Ok(Some(entry));
                }
            }
        }
        wrong("too many extended headers in a row")
    }

    fn count(&mut self, entry: &Entry) -> Result<(), Fault> {
        self.seen += 1;
        if self.seen > ENTRIES {
            return wrong("it has more than 10000 entries");
        }
        self.tree.add(entry)
    }

    fn entry(
        &mut self,
        header: &Header,
        path: &[u8],
        link: &[u8],
        extended: Option<u64>,
    ) -> Result<Entry, Fault> {
        let odd = |reason: &str| Fault::Wrong(format!("{:?}: {reason}", String::from_utf8_lossy(path)));
        let name = normal(path).map_err(odd)?;
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => Kind::Folder,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Directory => Kind::Folder,
            EntryType::Symlink => Kind::Symlink(may_point_to(&name, link).map_err(odd)?),
            EntryType::GNUSparse => return Err(odd("a sparse file")),
            _ => return Err(odd("neither a file nor a folder nor a symbolic link")),
        };
        match kind {
            Kind::File => self.begin(extended.unwrap_or(self.left)),
            // Readers differ in whether content follows, where a size is stated.
            _ if self.left > 0 || extended.is_some_and(|size| size > 0) => {
                return Err(odd("a folder or a link with a size"));
            }
            _ => {}
        }
        Ok(Entry { name, kind, size: self.left })
    }

    fn begin(&mut self, size: u64) {
        self.left = size;
        // Of a size near 2^64 no archive has the content; the filling does not matter then.
        self.filling = size.checked_next_multiple_of(BLOCK as u64).unwrap_or(size) - size;
    }

    /// Nothing at the end: an empty block, or no block at all.
    fn header(&mut self) -> Result<Option<Header>, Fault> {
        let mut block = Vec::with_capacity(BLOCK);
        (&mut self.reader).take(BLOCK as u64).read_to_end(&mut block).map_err(Fault::Read)?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let Ok(block) = <[u8; BLOCK]>::try_from(block) else { return wrong("it ends within a header") };
        if !is_header(&block) {
            return wrong("it is not a tar, or has a header with a wrong checksum");
        }
        Ok(Some(Header::from_byte_slice(&block).clone()))
    }

    fn pass_over(&mut self) -> Result<(), Fault> {
        let rest = self.left.saturating_add(self.filling);
        let passed = io::copy(&mut (&mut self.reader).take(rest), &mut io::sink()).map_err(Fault::Read)?;
        (self.left, self.filling) = (0, 0);
        if passed == rest { Ok(()) } else { wrong("it ends within an entry") }
    }

    fn extension(&mut self) -> Result<Vec<u8>, Fault> {
        if self.left > EXTENSION {
            return wrong("a long name or extended header of more than 64 KiB");
        }
        let mut text = Vec::new();
        self.read_to_end(&mut text).map_err(Fault::Read)?;
        Ok(text)
    }

    /// GNU ends them with a NUL.
    fn text(&mut self) -> Result<Vec<u8>, Fault> {
        let text = self.extension()?;
        Ok(text.split(|byte| *byte == 0).next().unwrap_or_default().to_vec())
    }
}

/// The content of the current entry.
impl<R: Read> Read for Entries<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.reader.read(buffer.get_mut(..wanted).unwrap_or_default())?;
        self.left -= read as u64;
        if read == 0 && wanted > 0 {
            return Err(io::Error::other("it ends within an entry"));
        }
        Ok(read)
    }
}

fn is_header(block: &[u8; BLOCK]) -> bool {
    let blank = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) };
    let sum: u32 = block.iter().enumerate().map(blank).sum();
    Header::from_byte_slice(block).cksum().is_ok_and(|stated| stated == sum)
}

#[cfg(test)]
mod tests;
