//! Archives, entry by entry, without the care of a tool that makes them.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

#[derive(Default)]
pub struct Tarball {
    bytes: Vec<u8>,
}

impl Tarball {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(EntryType::Regular, path.as_bytes(), b"", 0o644, content)
    }

    pub fn folder(self, path: &str, mode: u32) -> Self {
        self.entry(EntryType::Directory, path.as_bytes(), b"", mode, b"")
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path.as_bytes(), target.as_bytes(), 0o777, b"")
    }

    pub fn hardlink(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Link, path.as_bytes(), target.as_bytes(), 0o644, b"")
    }

    pub fn entry(self, kind: EntryType, path: &[u8], link: &[u8], mode: u32, content: &[u8]) -> Self {
        let size = content.len() as u64;
        self.header(kind, path, link, mode, size).content(content)
    }

    /// Only the header, whatever follows. Names beyond the field of 100 bytes are cut.
    pub fn header(mut self, kind: EntryType, path: &[u8], link: &[u8], mode: u32, size: u64) -> Self {
        let mut header = Header::new_gnu();
        let old = header.as_old_mut();
        for (field, value) in [(&mut old.name, path), (&mut old.linkname, link)] {
            let length = value.len().min(field.len());
            field[..length].copy_from_slice(&value[..length]);
        }
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_cksum();
        self.bytes.extend(header.as_bytes());
        self
    }

    pub fn content(mut self, content: &[u8]) -> Self {
        self.bytes.extend(content);
        let filled = self.bytes.len().next_multiple_of(512);
        self.bytes.resize(filled, 0);
        self
    }

    /// One extended header, of one record.
    pub fn pax(self, key: &str, value: &str) -> Self {
        let rest = key.len() + value.len() + 3;
        let length = (rest + 1..).find(|length| rest + length.to_string().len() == *length).unwrap();
        self.entry(EntryType::XHeader, b"pax", b"", 0o644, format!("{length} {key}={value}\n").as_bytes())
    }

    pub fn end(mut self) -> Vec<u8> {
        self.bytes.extend([0; 1024]);
        self.bytes
    }
}

pub fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(content: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
}
