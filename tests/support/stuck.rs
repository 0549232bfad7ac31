//! Files that block: a folder of its own (FUSE), some files of which never answer a read, as those of a dead sensor or
//! of a dead server do not, or take their time. The smallest part of the protocol that the kernel needs (linux/fuse.h).
//! One request is served after the other: that is how a bus is.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::thread::{Builder, JoinHandle, sleep};
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::namespace::skip;

/// Requests of the kernel, by their numbers.
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const RELEASE: u32 = 18;
const INIT: u32 = 26;
const OPENDIR: u32 = 27;
const READDIR: u32 = 28;
const RELEASEDIR: u32 = 29;
const INTERRUPT: u32 = 36;
const BATCH_FORGET: u32 = 42;

/// Errors.
const ENOENT: i32 = 2;
const EINTR: i32 = 4;
const ENOSYS: i32 = 38;
/// Number of the folder itself; the files follow.
const FOLDER: u64 = 1;

/// What a file says, and when.
#[derive(Debug, Clone, Copy)]
pub enum Content {
    Now(&'static str),
    /// The files beside it wait for as long.
    After(Duration, &'static str),
    /// The files beside it answer.
    Never,
}

/// The name of a file, and what it says.
type Entry = (String, Content);

/// The folder, for as long as this lives.
#[derive(Debug)]
pub struct StuckFiles {
    folder: PathBuf,
    server: Option<JoinHandle<()>>,
}

impl StuckFiles {
    /// Puts the files into a folder, which is made. `None`, and a word to the reader of the tests, where this machine
    /// does not let a test do so.
    #[track_caller]
    pub fn at<N: Into<String>>(
        test: &str,
        folder: &Path,
        files: impl IntoIterator<Item = (N, Content)>,
    ) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let Ok(kernel) = OpenOptions::new().read(true).write(true).open("/dev/fuse") else {
            skip(test, "root and /dev/fuse");
            return None;
        };
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", kernel.as_raw_fd());
        let mounted =
            mount(Some("cardcage"), folder, Some("fuse"), MsFlags::MS_NOSUID, Some(options.as_str()));
        if let Err(error) = mounted {
            skip(test, &format!("root to mount: {error}"));
            return None;
        }
        let files: Vec<Entry> = files.into_iter().map(|(name, content)| (name.into(), content)).collect();
        let server = Builder::new().name("stuck files".into()).spawn(move || serve(kernel, &files)).unwrap();
        Some(Self { folder: folder.to_owned(), server: Some(server) })
    }
}

impl Drop for StuckFiles {
    fn drop(&mut self) {
        // Ends what is stuck, too, and with it the server.
        let _gone = umount2(&self.folder, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH);
        let _ended = self.server.take().map(JoinHandle::join);
    }
}

/// Answers the kernel until it unmounts.
fn serve(mut kernel: File, files: &[Entry]) {
    let mut request = vec![0; 1 << 20];
    while let Ok(length) = kernel.read(&mut request) {
        let request = Request(&request[..length]);
        if request.opcode() == READ {
            match request.content(files) {
                Content::Never => continue,
                // Only the value is on the bus; that nothing follows is known.
                Content::After(pause, _) if request.offset() == 0 => sleep(pause),
                Content::After(..) | Content::Now(_) => {}
            }
        }
        let (whom, answer) = match request.opcode() {
            FORGET | BATCH_FORGET => continue,
            // Whoever waits is killed; the kernel lets it go with this.
            INTERRUPT => (request.long(40), Err(EINTR)),
            _ => (request.long(8), request.answer(files)),
        };
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(error) => (-error, Vec::new()),
        };
        let mut reply = u32::try_from(16 + body.len()).unwrap().to_ne_bytes().to_vec();
        reply.extend(error.to_ne_bytes());
        reply.extend(whom.to_ne_bytes());
        reply.extend(body);
        // Whoever asked may be gone.
        let _gone = kernel.write(&reply);
    }
}

/// `struct fuse_in_header` and what follows it.
struct Request<'a>(&'a [u8]);

impl Request<'_> {
    fn word(&self, at: usize) -> u32 {
        u32::from_ne_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    fn long(&self, at: usize) -> u64 {
        u64::from_ne_bytes(self.0[at..at + 8].try_into().unwrap())
    }

    fn opcode(&self) -> u32 {
        self.word(4)
    }

    fn node(&self) -> u64 {
        self.long(16)
    }

    /// Of a request to read.
    fn offset(&self) -> u64 {
        self.long(48)
    }

    fn content(&self, files: &[Entry]) -> Content {
        let number = self.node().checked_sub(FOLDER + 1).and_then(|number| usize::try_from(number).ok());
        number.and_then(|number| files.get(number)).map_or(Content::Now(""), |(_, content)| *content)
    }

    fn answer(&self, files: &[Entry]) -> Result<Vec<u8>, i32> {
        match self.opcode() {
            INIT => Ok(init(self.word(44))),
            GETATTR => Ok([[0; 16].as_slice(), &attributes(self.node(), files)].concat()),
            LOOKUP => {
                let name = self.0[40..].split(|byte| *byte == 0).next().unwrap_or_default();
                let number = files.iter().position(|(file, _)| file.as_bytes() == name).ok_or(ENOENT)?;
                let node = FOLDER + 1 + u64::try_from(number).unwrap();
                let mut entry = node.to_ne_bytes().to_vec();
                // Generation, and for how long it may be kept: not at all.
                entry.extend([0; 32]);
                entry.extend(attributes(node, files));
                Ok(entry)
            }
            // No handle; read without the page cache, as files of /sys are.
            OPEN | OPENDIR => Ok([0_u64.to_ne_bytes(), 1_u64.to_ne_bytes()].concat()),
            READ => {
                let text = match self.content(files) {
                    Content::Now(text) | Content::After(_, text) => text,
                    Content::Never => "",
                };
                let from = usize::try_from(self.offset()).unwrap().min(text.len());
                Ok(text.as_bytes()[from..].to_vec())
            }
            READDIR if self.offset() == 0 => Ok(list(files)),
            READDIR => Ok(Vec::new()),
            RELEASE | RELEASEDIR => Ok(Vec::new()),
            _ => Err(ENOSYS),
        }
    }
}

/// `struct fuse_init_out`: the kernel's minor version, no flags, ordinary limits.
fn init(minor: u32) -> Vec<u8> {
    let mut reply = Vec::new();
    for word in [7, minor, 0, 0, 0, 64 << 10, 1] {
        reply.extend(u32::to_ne_bytes(word));
    }
    reply.resize(64, 0);
    reply
}

/// `struct fuse_attr`
fn attributes(node: u64, files: &[Entry]) -> Vec<u8> {
    let (kind, size) = match node {
        FOLDER => (0o040_555, 0),
        _ => (0o100_444, 4096),
    };
    let mut reply = Vec::new();
    for long in [node, size, 1, 0, 0, 0] {
        reply.extend(u64::to_ne_bytes(long));
    }
    let links = u32::try_from(files.len()).unwrap();
    for word in [0, 0, 0, kind, links, 0, 0, 0, 4096, 0] {
        reply.extend(u32::to_ne_bytes(word));
    }
    reply
}

/// `struct fuse_dirent` of each file.
fn list(files: &[Entry]) -> Vec<u8> {
    let mut reply = Vec::new();
    for (number, (name, _)) in (1..).zip(files) {
        reply.extend(u64::to_ne_bytes(FOLDER + number));
        reply.extend(u64::to_ne_bytes(number));
        reply.extend(u32::try_from(name.len()).unwrap().to_ne_bytes());
        reply.extend(8_u32.to_ne_bytes());
        reply.extend(name.as_bytes());
        reply.resize(reply.len().next_multiple_of(8), 0);
    }
    reply
}
