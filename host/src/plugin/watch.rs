//! Looks at the plugin folder for as long as the agent runs, on a thread of its own: a file system that hangs stops this
//! thread, and nothing else.
//!
//! inotify says that something has happened; what is there now is always found by looking, so that a lost event, or a file
//! system that sends none, costs seconds and nothing else. A file is taken once nobody writes to it any more:
//!
//! ```text
//! new or changed -> closed by its writer, or moved in      taken at once; less and less soon while it keeps changing
//!                -> unchanged for a second                 taken (a link; or a file system without events)
//!                -> written to and never closed, or empty  taken once unchanged for half a minute
//! gone           -> still gone a quarter of a second later  gone
//! ```

mod events; // what the kernel says
mod known; // one file over several looks

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cardcage_signature::PublicKey;
use nix::libc::O_NONBLOCK;
use tokio::sync::watch;
use tracing::warn;

use events::{Events, Heard};
use known::{Known, MISSED, QUIET, Stamp, Step};

use super::folder::{FILES_LIMIT, names, stem, warn_of_too_many};
use super::kept::{Kept, Wanted};
use super::package::{Package, PackageError, Refused, Source, read_from};
use crate::error::{brief, chain};
use crate::model::Digest;

/// How often the folder is looked at when nothing is heard of it.
const PERIOD: Duration = Duration::from_secs(5);
/// The thread reads files, and looks at what they say.
const STACK: usize = 512 << 10;

/// One file of the folder, as it is now.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Its name in the folder.
    pub(super) file: String,
    pub(super) found: Result<Package, Refused>,
    pub(super) accepted: Accepted,
}

/// What an earlier agent accepted from a file.
#[derive(Debug, Clone)]
pub(super) enum Accepted {
    /// Nothing that is known.
    Nothing,
    /// What it holds now.
    This,
    /// Something else.
    Other(Box<Package>),
}

impl Accepted {
    pub(super) fn other(&self) -> Option<&Package> {
        match self {
            Self::Other(package) => Some(package),
            Self::Nothing | Self::This => None,
        }
    }
}

/// All files of the folder, as they are now; absent before the first look.
pub(super) type Look = Option<Arc<Vec<Seen>>>;

/// What the supervisor wants to be kept.
#[derive(Debug, Clone)]
pub(super) struct Wish(Arc<Wishes>);

#[derive(Debug)]
struct Wishes {
    wanted: Mutex<Wanted>,
    /// Wakes the watcher where something is to be written down; without it that waits for the next look.
    bell: Option<UnixStream>,
}

impl Wish {
    /// A wish, and where it rings.
    fn new(wanted: Wanted) -> (Self, Option<UnixStream>) {
        let pair = UnixStream::pair().and_then(|(bell, heard)| {
            // A watcher that is stuck must not stop who rings.
            bell.set_nonblocking(true).and(heard.set_nonblocking(true))?;
            Ok((bell, heard))
        });
        let (bell, heard) = pair.ok().unzip();
        (Self(Arc::new(Wishes { wanted: Mutex::new(wanted), bell })), heard)
    }

    pub(super) fn set(&self, wanted: Wanted) {
        let before = std::mem::replace(&mut *self.lock(), wanted.clone());
        if before.accepted != wanted.accepted
            && let Some(mut bell) = self.0.bell.as_ref()
        {
            // Full is rung often enough.
            let _ = bell.write(&[0]);
        }
    }

    fn get(&self) -> Wanted {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread. It ends when nobody listens any more, at its next look.
pub(super) fn watch(
    folder: PathBuf,
    state_dir: &Path,
    keys: Vec<PublicKey>,
) -> std::io::Result<(watch::Receiver<Look>, Wish)> {
    let (looks, receiver) = watch::channel(None);
    let kept = Kept::open(state_dir);
    // Until the supervisor knows what it wants, that is what there was.
    let (wish, bell) = Wish::new(Wanted { accepted: kept.accepted().clone(), ..Wanted::default() });
    let theirs = wish.clone();
    let run = move || {
        let (events, files) = (Events::new(bell), BTreeMap::new());
        Watcher { events, files, kept, folder, keys, too_many: false, unreadable: None }.run(&looks, &theirs);
    };
    std::thread::Builder::new().name("folder".into()).stack_size(STACK).spawn(run)?;
    Ok((receiver, wish))
}

#[derive(Debug)]
struct Watcher {
    folder: PathBuf,
    /// Whose signatures are asked about.
    keys: Vec<PublicKey>,
    kept: Kept,
    events: Events,
    files: BTreeMap<OsString, Known>,
    too_many: bool,
    /// Why the folder cannot be read, said once.
    unreadable: Option<String>,
}

impl Watcher {
    fn run(mut self, looks: &watch::Sender<Look>, wish: &Wish) {
        let mut heard = Heard::before_anybody_listened();
        let mut first = true;
        loop {
            self.events.follow(&self.folder);
            let wanted = wish.get();
            let pause = match self.look(&heard, first) {
                // Until the folder has been seen, nobody knows what was accepted from it, and nothing of that is forgotten.
                None => PERIOD,
                Some((changed, pause)) => {
                    if (changed || first) && looks.send(Some(Arc::new(self.seen()))).is_err() {
                        return;
                    }
                    self.kept.follow(&wanted, &self.digests());
                    first = false;
                    pause
                }
            };
            let since = self.events.wait(pause);
            heard = if first { Heard::before_anybody_listened() } else { since };
            if looks.is_closed() {
                return;
            }
        }
    }

    /// The files, without those that are missed while another holds a plugin of their name: they were moved.
    fn seen(&self) -> Vec<Seen> {
        let taken = |known: &Known| known.taken().cloned();
        let there = self.files.values().filter(|known| !known.is_missed()).filter_map(taken);
        let mut seen: Vec<Seen> = there.collect();
        let names: BTreeSet<_> =
            seen.iter().flat_map(|seen| &seen.found).map(|plugin| plugin.name.clone()).collect();
        let missed = self.files.values().filter(|known| known.is_missed()).filter_map(taken);
        seen.extend(
            missed.filter(|seen| !seen.found.as_ref().is_ok_and(|plugin| names.contains(&plugin.name))),
        );
        seen
    }

    fn digests(&self) -> BTreeSet<Digest> {
        let taken = self.files.values().filter_map(Known::taken);
        let packages = taken.flat_map(|seen| seen.found.iter().chain(seen.accepted.other()));
        packages.map(|package| package.digest).collect()
    }

    /// Whether something is different, and when to look again at the latest. What runs keeps running where the folder
    /// cannot be read: that does not mean that it is empty.
    fn look(&mut self, heard: &Heard, first: bool) -> Option<(bool, Duration)> {
        let names = match names(&self.folder) {
            Ok(names) => names,
            Err(error) => {
                let said = error.to_string();
                if self.unreadable.as_ref() != Some(&said) {
                    warn!(folder = %self.folder.display(), %error, "plugin folder cannot be read, it is tried again");
                }
                self.unreadable = Some(said);
                return None;
            }
        };
        self.unreadable = None;
        let (now, mut changed, mut pause) = (Instant::now(), false, PERIOD);
        let mut there = BTreeMap::new();
        for name in self.choose(names) {
            match self.folder.join(&name).metadata() {
                Ok(about) if about.is_file() => drop(there.insert(name, Some(Stamp::of(&about)))),
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => drop(there.insert(name, None)),
                // A link to nowhere.
                _ => {}
            }
        }
        self.files.retain(|name, known| {
            let stays = there.contains_key(name) || !known.is_gone(now);
            changed |= !stays && known.taken().is_some();
            stays
        });
        if self.files.values().any(Known::is_missed) {
            pause = MISSED;
        }
        for (name, stamp) in there {
            let path = self.folder.join(&name);
            let Some(stamp) = stamp else { continue };
            let (whole, written) = (heard.is_whole(&name), self.events.is_written(&name));
            let known = self.files.entry(name.clone()).or_default();
            // What is there at the start is what there is: what was accepted from an empty file must not be forgotten.
            let step = if first { Step::Take } else { known.step(stamp, whole, written, now) };
            match step {
                Step::Nothing => {}
                Step::Wait(left) => pause = pause.min(left),
                Step::Take => match self.take(&path, &name, first) {
                    Some((stamp, seen)) => {
                        self.files.entry(name).or_default().take(stamp, seen, now);
                        changed = true;
                    }
                    // It changed while it was read.
                    None => pause = pause.min(QUIET),
                },
            }
        }
        Some((changed, pause))
    }

    /// The files that are looked at: those that are known, and others up to the limit, so that a flood of files does not
    /// wash away what runs.
    fn choose(&mut self, names: Vec<OsString>) -> BTreeSet<OsString> {
        let count = names.len();
        let (known, new): (Vec<_>, Vec<_>) =
            names.into_iter().partition(|name| self.files.contains_key(name));
        let accepted = |name: &OsString| self.kept.accepted().contains_key(&*name.to_string_lossy());
        let (before, new): (Vec<_>, Vec<_>) = new.into_iter().partition(accepted);
        let is_file = |name: &OsString| self.folder.join(name).metadata().is_ok_and(|about| about.is_file());
        let room = FILES_LIMIT.saturating_sub(known.len());
        let chosen: BTreeSet<_> =
            known.into_iter().chain(before.into_iter().chain(new).filter(is_file).take(room)).collect();
        let too_many = count > FILES_LIMIT && chosen.len() >= FILES_LIMIT;
        if too_many && !self.too_many {
            warn_of_too_many(&self.folder, count);
        }
        self.too_many = too_many;
        chosen
    }

    /// Reads a file, and keeps a copy of what may run. None if somebody changes it meanwhile.
    fn take(&self, path: &Path, name: &OsString, first: bool) -> Option<(Stamp, Seen)> {
        // Not blocking: what was a file a moment ago may be a pipe now.
        let file = File::options().read(true).custom_flags(O_NONBLOCK).open(path);
        let opened = file.and_then(|file| Ok((file.metadata()?, file)));
        let (before, read) = match opened {
            Ok((about, file)) if about.is_file() => {
                // One of the kernel's has no length and may never end.
                let read = if about.len() == 0 { Err(PackageError::Empty) } else { read_from(&file) };
                let after = file.metadata().ok()?;
                if Stamp::of(&about) != Stamp::of(&after) {
                    return None;
                }
                (Stamp::of(&about), read)
            }
            Ok(_) => return None,
            Err(error) => (Stamp::of(&path.metadata().ok()?), Err(PackageError::Read(error))),
        };
        let file = name.to_string_lossy().into_owned();
        let (found, lasting) = self.examine(path, read);
        // What a disk is at fault for is tried again with the next looks.
        let before = if lasting { before } else { before.of_no_file() };
        let digest = found.as_ref().map_or_else(|refused| refused.digest, |package| package.digest);
        let accepted = if first { self.accepted(path, &file, &digest) } else { Accepted::Nothing };
        Some((before, Seen { file, found, accepted }))
    }

    /// What the bytes say, and whether they will say so again.
    fn examine(&self, path: &Path, read: Result<Vec<u8>, PackageError>) -> (Result<Package, Refused>, bool) {
        let mut digest = Digest::of(b"");
        let found = read.and_then(|bytes| {
            digest = Digest::of(&bytes);
            let content = self.kept.path(&digest);
            let package = Package::of(&bytes, Source::File { path: path.to_owned(), content }, &self.keys)?;
            self.kept.put(&package.digest, &bytes).map_err(PackageError::Keep)?;
            Ok(package)
        });
        let lasting = !matches!(found, Err(PackageError::Read(_) | PackageError::Keep(_)));
        let found = found.map_err(|error| Refused {
            name: stem(path),
            version: String::new(),
            digest,
            built_in: false,
            source: Box::new(Source::file(path.to_owned())),
            reason: brief(&chain(&error)),
        });
        (found, lasting)
    }

    fn accepted(&self, path: &Path, file: &str, now: &Digest) -> Accepted {
        let Some(accepted) = self.kept.accepted().get(file) else { return Accepted::Nothing };
        if accepted == now {
            return Accepted::This;
        }
        let source = Source::File { path: path.to_owned(), content: self.kept.path(accepted) };
        match Package::open(source, &self.keys) {
            Ok(package) if package.digest == *accepted => Accepted::Other(Box::new(package)),
            _ => Accepted::Nothing,
        }
    }
}
