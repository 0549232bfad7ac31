//! What the kernel says about the folder, and the bell of the supervisor: reasons to look.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Read as _;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tracing::warn;

/// What was heard since the last look.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Files that their writers closed, or that were moved in.
    whole: BTreeSet<OsString>,
    /// At the start: who would have said that a file is whole was not listened to.
    all_whole: bool,
}

impl Heard {
    /// Who would have said that a file is whole was not heard, so each may be.
    pub(super) fn before_anybody_listened() -> Self {
        Self { all_whole: true, ..Self::default() }
    }

    pub(super) fn is_whole(&self, name: &OsString) -> bool {
        self.all_whole || self.whole.contains(name)
    }
}

/// What the kernel says about the folder. Without it the folder is looked at once a period.
#[derive(Debug)]
pub(super) struct Events {
    inotify: Option<Inotify>,
    /// Rings when the supervisor wants something written down.
    bell: Option<UnixStream>,
    /// The inode that is watched.
    watched: Option<(u64, u64)>,
    /// Files that somebody was seen to write to, and not yet to close.
    written: BTreeSet<OsString>,
}

/// Most names that are remembered as being written to.
pub(super) const WRITTEN: usize = 1024;

impl Events {
    /// Whether somebody was seen to write to a file, and not yet to close it.
    pub(super) fn is_written(&self, name: &OsString) -> bool {
        self.written.contains(name)
    }

    pub(super) fn new(bell: Option<UnixStream>) -> Self {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC);
        let inotify = inotify
            .map_err(
                |error| warn!(%error, "no events of the plugin folder, it is looked at every few seconds"),
            )
            .ok();
        Self { inotify, bell, watched: None, written: BTreeSet::new() }
    }

    /// Listens to the folder that has this path now: it may have been made, or replaced, since.
    pub(super) fn follow(&mut self, folder: &Path) {
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
    pub(super) fn wait(&mut self, pause: Duration) -> Heard {
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
