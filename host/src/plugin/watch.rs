//! Looks at the plugin folder for as long as the agent runs, on a thread of its own: a file system that hangs stops this
//! thread, and nothing else.
//!
//! inotify says that something has happened; what is there now is always found by looking, so that a lost event, or a file
//! system that sends none, costs seconds and nothing else. A file is taken once nobody writes to it any more:
//!
//! ```text
//! new or changed -> closed by its writer, or moved in      taken at once; less and less soon while it keeps changing
//!                -> unchanged for a second                 taken (a link; or a file system without events)
//!                -> written to and never closed            taken once unchanged for half a minute
//! gone           -> still gone a quarter of a second later  gone
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cardcage_signature::PublicKey;
use nix::libc::O_NONBLOCK;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::sync::watch;
use tracing::warn;

use super::folder::{FILES_LIMIT, names, stem, warn_of_too_many};
use super::kept::{Kept, Wanted};
use super::package::{Package, PackageError, Refused, Source, read_from};
use crate::error::{brief, chain};
use crate::model::Digest;

/// How often the folder is looked at when nothing is heard of it.
const PERIOD: Duration = Duration::from_secs(5);
/// How long a file stays as it is before it is taken, where nobody said that it is whole.
const QUIET: Duration = Duration::from_secs(1);
/// The same for a file that somebody was seen to write to, and not to close.
const ABANDONED: Duration = Duration::from_secs(30);
/// A file that changes again this soon is made to wait: twice as long each time, at first and at most this long.
const CALM: Duration = Duration::from_secs(10);
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How long a file that was there is missed: `install` and `cp --remove-destination` remove it and make it anew.
const MISSED: Duration = Duration::from_millis(250);
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

/// What tells one content of a file from the next, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file, over several looks.
#[derive(Debug, Default)]
struct Known {
    /// What was taken, and how the file was then.
    taken: Option<(Stamp, Seen)>,
    /// How it has been since when, if that is something else.
    waiting: Option<(Stamp, Instant)>,
    /// How it was when its writer closed it.
    whole: Option<Stamp>,
    missed: Option<Instant>,
    restless: Restless,
}

/// How soon a file may be taken again. One that somebody writes to all the time would keep the agent busy.
#[derive(Debug, Default)]
struct Restless {
    /// When it was taken last.
    taken: Option<Instant>,
    wait: Duration,
}

impl Restless {
    fn take(&mut self, now: Instant) {
        let soon = self.taken.is_some_and(|taken| now.saturating_duration_since(taken) < CALM);
        self.wait = if soon { (self.wait * 2).clamp(FIRST_WAIT, LONGEST_WAIT) } else { Duration::ZERO };
        self.taken = Some(now);
    }

    fn left(&self, now: Instant) -> Duration {
        let since = self.taken.map_or(Duration::MAX, |taken| now.saturating_duration_since(taken));
        self.wait.saturating_sub(since)
    }
}

/// What is to be done about a file that is there.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Nothing,
    Take,
    /// Look again in this time.
    Wait(Duration),
}

impl Stamp {
    fn of(about: &std::fs::Metadata) -> Self {
        Self {
            device: about.dev(),
            inode: about.ino(),
            size: about.size(),
            modified: (about.mtime(), about.mtime_nsec()),
            changed: (about.ctime(), about.ctime_nsec()),
        }
    }
}

impl Known {
    /// Pure, apart from what it remembers: time is handed in.
    fn step(&mut self, stamp: Stamp, whole: bool, written: bool, now: Instant) -> Step {
        self.missed = None;
        if self.taken.as_ref().is_some_and(|(taken, _)| *taken == stamp) {
            self.waiting = None;
            return Step::Nothing;
        }
        // What its writer closed stays whole until it is written to again.
        let whole = whole && stamp.size > 0 || self.whole == Some(stamp);
        self.whole = whole.then_some(stamp);
        if whole {
            return match self.restless.left(now) {
                Duration::ZERO => Step::Take,
                left => Step::Wait(left),
            };
        }
        let since = match self.waiting {
            Some((waiting, since)) if waiting == stamp => since,
            _ => now,
        };
        self.waiting = Some((stamp, since));
        let patience = if written { ABANDONED } else { QUIET };
        let left = patience.saturating_sub(now.saturating_duration_since(since));
        // A file without a length is one that is about to be written, or one of the kernel's, which may never end.
        match left.is_zero() && stamp.size > 0 {
            true => Step::Take,
            false => Step::Wait(if left.is_zero() { PERIOD } else { left }),
        }
    }

    /// Whether it is missing for long enough to be gone.
    fn is_gone(&mut self, now: Instant) -> bool {
        now.saturating_duration_since(*self.missed.get_or_insert(now)) >= MISSED
    }
}

impl Watcher {
    fn run(mut self, looks: &watch::Sender<Look>, wish: &Wish) {
        let mut heard = Heard { all_whole: true, ..Heard::default() };
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
            heard = Heard { all_whole: first, ..self.events.wait(pause) };
            if looks.is_closed() {
                return;
            }
        }
    }

    /// The files, without those that are missed while another holds a plugin of their name: they were moved.
    fn seen(&self) -> Vec<Seen> {
        let taken = |known: &Known| known.taken.as_ref().map(|(_, seen)| seen.clone());
        let there = self.files.values().filter(|known| known.missed.is_none()).filter_map(taken);
        let mut seen: Vec<Seen> = there.collect();
        let names: BTreeSet<_> =
            seen.iter().flat_map(|seen| &seen.found).map(|plugin| plugin.name.clone()).collect();
        let missed = self.files.values().filter(|known| known.missed.is_some()).filter_map(taken);
        seen.extend(
            missed.filter(|seen| !seen.found.as_ref().is_ok_and(|plugin| names.contains(&plugin.name))),
        );
        seen
    }

    fn digests(&self) -> BTreeSet<Digest> {
        let taken = self.files.values().filter_map(|known| known.taken.as_ref());
        let packages = taken.flat_map(|(_, seen)| seen.found.iter().chain(seen.accepted.other()));
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
            changed |= !stays && known.taken.is_some();
            stays
        });
        if self.files.values().any(|known| known.missed.is_some()) {
            pause = MISSED;
        }
        for (name, stamp) in there {
            let path = self.folder.join(&name);
            let Some(stamp) = stamp else { continue };
            let (whole, written) = (heard.is_whole(&name), self.events.written.contains(&name));
            let known = self.files.entry(name.clone()).or_default();
            match known.step(stamp, whole, written, now) {
                Step::Nothing => {}
                Step::Wait(left) => pause = pause.min(left),
                Step::Take => match self.take(&path, &name, first) {
                    Some((stamp, seen)) => {
                        let known = self.files.entry(name).or_default();
                        (known.taken, known.waiting, known.whole) = (Some((stamp, seen)), None, None);
                        known.restless.take(now);
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
                let read = read_from(&file);
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
        let before = if lasting { before } else { Stamp { inode: 0, ..before } };
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

/// What was heard since the last look.
#[derive(Debug, Default)]
struct Heard {
    /// Files that their writers closed, or that were moved in.
    whole: BTreeSet<OsString>,
    /// At the start: who would have said that a file is whole was not listened to.
    all_whole: bool,
}

impl Heard {
    fn is_whole(&self, name: &OsString) -> bool {
        self.all_whole || self.whole.contains(name)
    }
}

/// What the kernel says about the folder. Without it the folder is looked at once a period.
#[derive(Debug)]
struct Events {
    inotify: Option<Inotify>,
    /// Rings when the supervisor wants something written down.
    bell: Option<UnixStream>,
    /// The inode that is watched.
    watched: Option<(u64, u64)>,
    /// Files that somebody was seen to write to, and not yet to close.
    written: BTreeSet<OsString>,
}

/// Most names that are remembered as being written to.
const WRITTEN: usize = 1024;

impl Events {
    fn new(bell: Option<UnixStream>) -> Self {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC);
        let inotify = inotify
            .map_err(
                |error| warn!(%error, "no events of the plugin folder, it is looked at every few seconds"),
            )
            .ok();
        Self { inotify, bell, watched: None, written: BTreeSet::new() }
    }

    /// Listens to the folder that has this path now: it may have been made, or replaced, since.
    fn follow(&mut self, folder: &Path) {
        let Some(inotify) = &self.inotify else { return };
        let now = folder.metadata().ok().map(|about| (about.dev(), about.ino()));
        if now == self.watched {
            return;
        }
        let flags = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_MODIFY
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_ONLYDIR;
        self.watched = now.filter(|_| match inotify.add_watch(folder, flags) {
            Ok(_) => true,
            Err(error) => {
                warn!(folder = %folder.display(), %error, "no events of the plugin folder, it is looked at every few seconds");
                false
            }
        });
    }

    /// Waits until it is worth while to look again, but no longer than this.
    fn wait(&mut self, pause: Duration) -> Heard {
        let deadline = Instant::now() + pause;
        let mut heard = Heard::default();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let inotify = self.inotify.as_ref().filter(|_| self.watched.is_some());
            let sources = inotify.map(AsFd::as_fd).into_iter().chain(self.bell.as_ref().map(AsFd::as_fd));
            let mut ready: Vec<_> = sources.map(|source| PollFd::new(source, PollFlags::POLLIN)).collect();
            // Rounded up, so that the last millisecond is not spun away.
            let milliseconds = i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX);
            match poll(&mut ready, PollTimeout::try_from(milliseconds).unwrap_or(PollTimeout::NONE)) {
                Ok(0) => return heard,
                Ok(_) => {}
                // Interrupted; never in a circle, whatever else it may be.
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
            let rung =
                self.bell.as_mut().is_some_and(|bell| bell.read(&mut [0; 64]).is_ok_and(|rings| rings > 0));
            let events = inotify.and_then(|inotify| inotify.read_events().ok()).unwrap_or_default();
            let mut worth_while = rung;
            for event in events {
                worth_while |= self.hear(&event, &mut heard);
            }
            if worth_while || left.is_zero() {
                return heard;
            }
        }
    }

    /// Whether the event is a reason to look.
    fn hear(&mut self, event: &nix::sys::inotify::InotifyEvent, heard: &mut Heard) -> bool {
        if event.mask.intersects(AddWatchFlags::IN_Q_OVERFLOW | AddWatchFlags::IN_IGNORED) {
            self.written.clear();
            if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                self.watched = None;
            }
            return true;
        }
        let Some(name) = event.name.clone() else { return true };
        if event.mask.contains(AddWatchFlags::IN_MODIFY) {
            if self.written.len() < WRITTEN {
                self.written.insert(name);
            }
            return false;
        }
        self.written.remove(&name);
        if event.mask.intersects(AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO) {
            heard.whole.insert(name);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(size: u64, modified: i64) -> Stamp {
        Stamp { device: 1, inode: 1, size, modified: (modified, 0), changed: (modified, 0) }
    }

    #[test]
    fn a_file_is_taken_once_it_is_whole() {
        let (mut known, now) = (Known::default(), Instant::now());
        let at = |seconds: u64| now + Duration::from_secs(seconds);
        assert_eq!(known.step(stamp(1, 0), false, false, now), Step::Wait(QUIET));
        // It grows: the wait begins anew.
        assert_eq!(known.step(stamp(2, 1), false, false, at(1)), Step::Wait(QUIET));
        assert_eq!(known.step(stamp(2, 1), false, false, at(2)), Step::Take);
        assert_eq!(known.step(stamp(2, 1), true, false, at(2)), Step::Take);
        // Somebody has it open.
        assert_eq!(known.step(stamp(3, 2), false, true, at(3)), Step::Wait(ABANDONED));
        assert_eq!(known.step(stamp(3, 2), false, true, at(33)), Step::Take);
        // `cp` over a file empties it first.
        assert_eq!(known.step(stamp(0, 4), true, false, at(40)), Step::Wait(QUIET));
        assert_eq!(known.step(stamp(0, 4), false, false, at(50)), Step::Wait(PERIOD));
    }

    #[test]
    fn a_file_that_keeps_changing_is_taken_less_and_less_often() {
        let (mut known, mut now, mut taken) = (Known::default(), Instant::now(), 0);
        for round in 0..1000 {
            if known.step(stamp(1, round), true, false, now) == Step::Take {
                known.restless.take(now);
                taken += 1;
            }
            now += Duration::from_millis(10);
        }
        assert!((6..=10).contains(&taken), "{taken}");
        // Some time later it is as good as new.
        assert_eq!(known.step(stamp(1, -1), true, false, now + CALM), Step::Take);
        known.restless.take(now + CALM);
        assert_eq!(known.restless.left(now + CALM), Duration::ZERO);
    }

    #[test]
    fn a_file_that_is_made_anew_is_not_gone() {
        let (mut known, now) = (Known::default(), Instant::now());
        assert!(!known.is_gone(now));
        assert!(!known.is_gone(now + MISSED / 2));
        known.step(stamp(1, 1), true, false, now + MISSED / 2);
        assert!(!known.is_gone(now + MISSED * 2));
        assert!(known.is_gone(now + MISSED * 3));
    }
}
