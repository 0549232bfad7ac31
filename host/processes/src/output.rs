//! What a program said, both streams as they came. Bounded: a file is at most half of what is kept, and the oldest of two
//! goes. The files are named by how much was said before them, so that a cursor is a number of bytes since the beginning
//! and outlives both a rotation and a supervisor.
//!
//! A disk that is full costs output, never the program: what could not be written is counted, and said in its place later.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::model::Chunk;

/// The smallest file that is worth turning.
const SMALLEST: u64 = 4096;
/// The most that is given at once.
const LARGEST_CHUNK: usize = 1024 * 1024;

/// The writing end.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    each: u64,
    start: u64,
    length: u64,
    file: Option<File>,
    unwritten: u64,
}

impl Writer {
    /// Goes on where the last one ended.
    pub fn open(dir: &Path, limit: u64) -> Self {
        let last = parts(dir).unwrap_or_default().pop();
        let (start, length) = last.map_or((0, 0), |part| (part.start, part.length));
        Self { dir: dir.to_owned(), each: (limit / 2).max(SMALLEST), start, length, file: None, unwritten: 0 }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        if self.unwritten > 0 {
            let note = format!("[cardcage: {} bytes of output could not be written]\n", self.unwritten);
            if self.put(note.as_bytes()) == note.len() {
                self.unwritten = 0;
            }
        }
        let written = self.put(bytes);
        self.unwritten += bytes.len().saturating_sub(written) as u64;
    }

    fn put(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.put_some(rest) {
                Ok(count) if count > 0 => written += count,
                _ => break,
            }
        }
        written
    }

    fn put_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.length >= self.each {
            self.turn();
        }
        let room = usize::try_from(self.each - self.length).unwrap_or(usize::MAX);
        let some = bytes.get(..room).unwrap_or(bytes);
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(open(&self.dir.join(name(self.start)))?),
        };
        let count = file.write(some)?;
        self.length += count as u64;
        Ok(count)
    }

    fn turn(&mut self) {
        self.start += self.length;
        self.length = 0;
        self.file = None;
        let mut old = parts(&self.dir).unwrap_or_default();
        old.pop();
        for part in old {
            // One that stays is found again at the next turn.
            let _stays = fs::remove_file(self.dir.join(name(part.start)));
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(nix::libc::O_NOFOLLOW).open(path)
}

/// Gives what came after a cursor, or, without one, the last `limit` bytes. `generation` tells a program from an earlier one
/// of the same deployment: a cursor of that one begins at the beginning.
pub fn read(dir: &Path, generation: u64, after: Option<&str>, limit: usize) -> Result<Chunk, Error> {
    let limit = limit.min(LARGEST_CHUNK);
    // The supervisor may turn the files while they are read.
    for _ in 0..3 {
        if let Some(chunk) = try_read(dir, generation, after, limit)
            .map_err(|error| Error::io("read output in", dir, error))?
        {
            return Ok(chunk);
        }
    }
    Err(Error::io("read output in", dir, io::Error::other("it is written faster than it can be read")))
}

fn try_read(dir: &Path, generation: u64, after: Option<&str>, limit: usize) -> io::Result<Option<Chunk>> {
    let parts = parts(dir)?;
    let oldest = parts.first().map_or(0, |part| part.start);
    let end = parts.last().map_or(0, |part| part.start + part.length);
    let wanted = match after {
        Some(cursor) => offset(cursor, generation).unwrap_or(0).min(end),
        None => end.saturating_sub(limit as u64).max(oldest),
    };
    let from = wanted.max(oldest);
    let mut bytes = Vec::new();
    for part in parts.iter().filter(|part| part.start + part.length > from) {
        let at = from + bytes.len() as u64;
        let Some(skip) = at.checked_sub(part.start) else { break };
        let room = (limit - bytes.len()) as u64;
        match File::open(dir.join(name(part.start))) {
            Ok(mut file) => {
                file.seek(SeekFrom::Start(skip))?;
                file.take(room.min(part.length.saturating_sub(skip))).read_to_end(&mut bytes)?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
    }
    let next = format!("{generation:x}-{}", from + bytes.len() as u64);
    Ok(Some(Chunk { bytes, next, lost: from - wanted }))
}

fn offset(cursor: &str, generation: u64) -> Option<u64> {
    let (of, offset) = cursor.split_once('-')?;
    (u64::from_str_radix(of, 16).ok()? == generation).then(|| offset.parse().ok())?
}

#[derive(Debug)]
struct Part {
    start: u64,
    length: u64,
}

fn name(start: u64) -> String {
    format!("output-{start:020}.log")
}

// The oldest first.
fn parts(dir: &Path) -> io::Result<Vec<Part>> {
    let mut parts = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let file = entry.file_name();
        let digits = file.to_str().and_then(|name| name.strip_prefix("output-")?.strip_suffix(".log"));
        let Some(start) = digits.and_then(|digits| digits.parse().ok()) else { continue };
        match entry.metadata() {
            Ok(meta) => parts.push(Part { start, length: meta.len() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    parts.sort_unstable_by_key(|part| part.start);
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(dir: &Path) -> u64 {
        parts(dir).unwrap().iter().map(|part| part.length).sum()
    }

    #[test]
    fn a_cursor_goes_on_where_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path(), 1 << 20);
        writer.write(b"one\n");
        let first = read(dir.path(), 7, None, 100).unwrap();
        assert_eq!(first.bytes, b"one\n");
        writer.write(b"two\n");
        let second = read(dir.path(), 7, Some(&first.next), 100).unwrap();
        assert_eq!((second.bytes.as_slice(), second.lost), (b"two\n".as_slice(), 0));
        let nothing = read(dir.path(), 7, Some(&second.next), 100).unwrap();
        assert_eq!((nothing.bytes.len(), &nothing.next), (0, &second.next));
    }

    #[test]
    fn what_is_kept_is_bounded_and_what_is_lost_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let limit = 2 * SMALLEST;
        let mut writer = Writer::open(dir.path(), limit);
        writer.write(b"0123456789");
        let start = read(dir.path(), 1, None, 100).unwrap().next;
        for _ in 0..2000 {
            writer.write(b"0123456789");
            assert!(kept(dir.path()) <= limit);
        }
        let chunk = read(dir.path(), 1, Some(&start), 1 << 20).unwrap();
        assert_eq!(10 + chunk.lost + chunk.bytes.len() as u64, 20_010);
        assert!(chunk.lost > 0 && chunk.bytes.ends_with(b"0123456789"));
    }

    #[test]
    fn another_writer_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        Writer::open(dir.path(), 1 << 20).write(b"one ");
        Writer::open(dir.path(), 1 << 20).write(b"two");
        assert_eq!(read(dir.path(), 1, None, 100).unwrap().bytes, b"one two");
        assert_eq!(read(dir.path(), 1, None, 3).unwrap().bytes, b"two");
    }

    #[test]
    fn a_cursor_of_an_earlier_program_or_of_nobody_begins_at_the_beginning() {
        let dir = tempfile::tempdir().unwrap();
        Writer::open(dir.path(), 1 << 20).write(b"one");
        for cursor in ["2-3", "", "x", "-", "1-x", "1--1", "1-99999999999999999999999"] {
            assert_eq!(read(dir.path(), 1, Some(cursor), 100).unwrap().bytes, b"one", "{cursor}");
        }
        assert!(read(dir.path(), 1, Some("1-999"), 100).unwrap().bytes.is_empty());
    }

    #[test]
    fn what_could_not_be_written_is_said_later() {
        let dir = tempfile::tempdir().unwrap();
        let there = dir.path().join("there");
        let mut writer = Writer::open(&there, 1 << 20);
        writer.write(b"lost");
        fs::create_dir(&there).unwrap();
        writer.write(b"kept");
        let said = read(&there, 1, None, 1000).unwrap().bytes;
        assert_eq!(
            String::from_utf8(said).unwrap(),
            "[cardcage: 4 bytes of output could not be written]\nkept"
        );
    }

    proptest::proptest! {
        #[test]
        fn reading_in_pieces_gives_everything(
            writes in proptest::collection::vec(0_usize..3000, 1..8), piece in 1_usize..5000,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let mut writer = Writer::open(dir.path(), 1 << 20);
            let mut said = Vec::new();
            for (number, &length) in writes.iter().enumerate() {
                let bytes = vec![u8::try_from(number).unwrap(); length];
                writer.write(&bytes);
                said.extend(bytes);
            }
            let (mut heard, mut cursor) = (Vec::new(), "1-0".to_owned());
            loop {
                let chunk = read(dir.path(), 1, Some(&cursor), piece).unwrap();
                if chunk.bytes.is_empty() { break }
                heard.extend(chunk.bytes);
                cursor = chunk.next;
            }
            proptest::prop_assert_eq!(heard, said);
        }
    }
}
