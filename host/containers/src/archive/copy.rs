//! The archive without names. The index comes first, where readers look for it soonest; the rest keeps its order, and of
//! every entry its name, its content, and where it leads.

use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

use super::documents::is_index;
use super::entries::{Entries, Entry, Kind};
use super::{Contents, Fault};

/// Reads the archive again and writes what the engine shall have. What it says twice is checked twice.
pub(crate) fn copy<W: Write>(reader: impl Read, contents: &Contents, sink: W) -> Result<W, Fault> {
    let mut entries = Entries::new(reader);
    let mut out = Builder::new(sink);
    for (name, index) in &contents.indexes {
        let mut header = header(EntryType::Regular, index.len() as u64);
        out.append_data(&mut header, name, index.as_slice()).map_err(Fault::Sent)?;
    }
    while let Some(entry) = entries.next()? {
        // The root is there, and what is below it says so.
        if !entry.name.is_empty() && !is_index(&entry.name) {
            append(&mut out, &entry, &mut entries)?;
        }
    }
    out.into_inner().map_err(Fault::Sent)
}

fn append<W: Write>(out: &mut Builder<W>, entry: &Entry, content: &mut impl Read) -> Result<(), Fault> {
    let mut failed = None;
    let name = entry.name.as_str();
    let appended = match &entry.kind {
        Kind::File => {
            let content = Telling { reader: content, failed: &mut failed };
            out.append_data(&mut header(EntryType::Regular, entry.size), name, content)
        }
        Kind::Folder => {
            out.append_data(&mut header(EntryType::Directory, 0), format!("{name}/"), io::empty())
        }
        Kind::Symlink(target) => out.append_link(&mut header(EntryType::Symlink, 0), name, target),
    };
    match failed {
        Some(error) => Err(Fault::Read(error)),
        None => appended.map_err(Fault::Sent),
    }
}

fn header(kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
    header.set_mtime(0);
    header.set_size(size);
    header
}

/// Keeps apart what went wrong with reading and what with writing.
struct Telling<'a, R> {
    reader: &'a mut R,
    failed: &'a mut Option<io::Error>,
}

impl<R: Read> Read for Telling<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer);
        if let Err(error) = &read
            && error.kind() != io::ErrorKind::Interrupted
        {
            *self.failed = Some(io::Error::new(error.kind(), error.to_string()));
        }
        read
    }
}
