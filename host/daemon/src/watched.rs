//! What was made of files, and is made anew when they change: certificates are renewed and tokens are replaced while
//! the process runs on.
//!
//! ```text
//! somebody needs it ─▶ looked lately? ─yes─▶ what there is
//!                          └no─▶ files changed? ─▶ load ─▶ the new one; or, with a line in the log, what there is
//! ```
//! Files are looked at only when somebody needs what is made of them, and at most every [`EVERY`]; SIGHUP makes the next
//! one look. What does not load is tried again at each look, because two files of a pair are not replaced at once; the
//! log says it once for each change.
//!
//! Looking happens on a thread for what blocks, one at a time: a file system that hangs costs one caller [`DEADLINE`]
//! and nobody else anything.
//!
//! The state is behind a short lock instead of a task, so that nobody waits who needs only what there is.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{debug, info, warn};

/// Files are looked at once in this time, if somebody asks.
const EVERY: Duration = Duration::from_secs(10);
/// Longest wait for a look.
const DEADLINE: Duration = Duration::from_secs(2);

/// How often the process was told to look again.
static TOLD: AtomicU64 = AtomicU64::new(0);

/// The next who needs something looks whether its files have changed, and loads it in any case.
pub(crate) fn look_again() {
    TOLD.fetch_add(1, Ordering::Relaxed);
}

/// Something that is made of files.
pub(crate) struct Watched<T>(Arc<Inner<T>>);

struct Inner<T> {
    /// For the log.
    what: &'static str,
    files: Box<[PathBuf]>,
    load: Box<dyn Fn() -> anyhow::Result<T> + Send + Sync>,
    every: Duration,
    state: Mutex<State<T>>,
}

struct State<T> {
    current: Arc<T>,
    /// The files that it was made of.
    made_of: Files,
    /// The files that did not load, if the log has it.
    complained_of: Option<Files>,
    told: u64,
    looked: Instant,
    looking: bool,
}

/// What tells one content of some files from another, without reading them.
type Files = Vec<Option<Stamp>>;

/// Time of the last change of content and of the rest, length, and which file it is.
type Stamp = (i64, i64, i64, i64, u64, u64, u64);

fn stamp(path: &Path) -> Option<Stamp> {
    let about = fs::metadata(path).ok()?;
    let (modified, changed) = ((about.mtime(), about.mtime_nsec()), (about.ctime(), about.ctime_nsec()));
    Some((modified.0, modified.1, changed.0, changed.1, about.len(), about.ino(), about.dev()))
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Loads it for the first time.
    pub(crate) fn new<E>(
        what: &'static str,
        files: Vec<PathBuf>,
        load: impl Fn() -> Result<T, E> + Send + Sync + 'static,
    ) -> Result<Self, E>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        let told = TOLD.load(Ordering::Relaxed);
        // Before loading: what changes meanwhile is seen at the next look.
        let made_of = files.iter().map(|path| stamp(path)).collect();
        let state = State {
            current: Arc::new(load()?),
            made_of,
            complained_of: None,
            told,
            looked: Instant::now(),
            looking: false,
        };
        let load = Box::new(move || load().map_err(anyhow::Error::from));
        let (files, state) = (files.into(), Mutex::new(state));
        Ok(Self(Arc::new(Inner { what, files, load, every: EVERY, state })))
    }

    /// The newest that loads.
    pub(crate) async fn current(&self) -> Arc<T> {
        if self.0.begin_look() {
            let inner = Arc::clone(&self.0);
            let look = spawn_blocking(move || {
                let _looking = Looking(&inner);
                inner.look();
            });
            if timeout(DEADLINE, look).await.is_err() {
                warn!(what = self.0.what, "looking at the files takes long; what was loaded before is used");
            }
        }
        Arc::clone(&self.0.lock().current)
    }

    /// Looks every time. For tests.
    #[cfg(test)]
    pub(crate) fn eager(mut self) -> Self {
        Arc::get_mut(&mut self.0).unwrap().every = Duration::ZERO;
        self
    }
}

/// While this lives, nobody else looks.
struct Looking<'a, T>(&'a Inner<T>);

impl<T> Drop for Looking<'_, T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        (state.looking, state.looked) = (false, Instant::now());
    }
}

impl<T> Inner<T> {
    // Nothing under the lock panics; if it did, the state of before or after would be there.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the caller is the one who looks now.
    fn begin_look(&self) -> bool {
        let mut state = self.lock();
        let due = state.looked.elapsed() >= self.every || state.told != TOLD.load(Ordering::Relaxed);
        let begin = due && !state.looking;
        state.looking |= begin;
        begin
    }

    fn look(&self) {
        let told = TOLD.load(Ordering::Relaxed);
        let files: Files = self.files.iter().map(|path| stamp(path)).collect();
        {
            let mut state = self.lock();
            let asked = std::mem::replace(&mut state.told, told) != told;
            if asked {
                state.complained_of = None;
            } else if state.made_of == files {
                return;
            }
        }
        let loaded = (self.load)();
        let mut state = self.lock();
        match loaded {
            Ok(new) => {
                if state.made_of != files {
                    info!(what = self.what, "its files have changed, and are in use from now on");
                }
                (state.current, state.made_of, state.complained_of) = (Arc::new(new), files, None);
            }
            Err(error) if state.complained_of.as_ref() == Some(&files) => {
                debug!(what = self.what, error = format!("{error:#}"), "its files still do not load");
            }
            Err(error) => {
                warn!(
                    what = self.what,
                    error = format!("{error:#}"),
                    "its files have changed and do not load; what was loaded before is used"
                );
                state.complained_of = Some(files);
            }
        }
    }
}

impl<T> Clone for Watched<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Without what was made: it may be a secret.
impl<T> fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("what", &self.0.what).field("files", &self.0.files).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// A number in a file.
    fn number(dir: &Path) -> Watched<u32> {
        let path = dir.join("number");
        let load = {
            let path = path.clone();
            move || fs::read_to_string(&path)?.trim().parse().map_err(io::Error::other)
        };
        Watched::new("a number", vec![path], load).unwrap()
    }

    /// As an operator's tools replace a file.
    fn replace(dir: &Path, text: &str) {
        fs::write(dir.join("new"), text).unwrap();
        fs::rename(dir.join("new"), dir.join("number")).unwrap();
    }

    #[tokio::test]
    async fn a_changed_file_is_loaded_and_a_bad_one_leaves_what_there_was() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), "1");
        let number = number(dir.path()).eager();
        assert_eq!(*number.current().await, 1);
        replace(dir.path(), "2");
        assert_eq!(*number.current().await, 2);
        replace(dir.path(), "three");
        assert_eq!(*number.current().await, 2);
        fs::remove_file(dir.path().join("number")).unwrap();
        assert_eq!(*number.current().await, 2);
        replace(dir.path(), "4");
        assert_eq!(*number.current().await, 4);
    }

    #[tokio::test]
    async fn files_are_looked_at_seldom_and_when_the_process_is_told_to() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), "1");
        let mut number = number(dir.path());
        // However slow this machine is; and another test may tell the process to look, before the file changes.
        Arc::get_mut(&mut number.0).unwrap().every = Duration::MAX;
        number.current().await;
        replace(dir.path(), "2");
        look_again();
        assert_eq!(*number.current().await, 2);
    }

    #[tokio::test]
    async fn what_failed_is_tried_again_although_the_file_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), "1");
        let fails = Arc::new(AtomicBool::new(false));
        let load = {
            let fails = Arc::clone(&fails);
            move || {
                if fails.load(Ordering::Relaxed) { Err(io::Error::other("no files left")) } else { Ok(()) }
            }
        };
        let watched = Watched::new("it", vec![dir.path().join("number")], load).unwrap().eager();
        let first = watched.current().await;
        replace(dir.path(), "2");
        fails.store(true, Ordering::Relaxed);
        assert!(Arc::ptr_eq(&first, &watched.current().await));
        fails.store(false, Ordering::Relaxed);
        assert!(!Arc::ptr_eq(&first, &watched.current().await));
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_hangs_holds_one_caller_up_for_a_while_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), "1");
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let wait = Mutex::new(Some(wait));
        let loads = AtomicU64::new(0);
        let load = move || {
            if loads.fetch_add(1, Ordering::Relaxed) == 1 {
                let _gone = wait.lock().unwrap().take().unwrap().recv();
            }
            Ok::<_, io::Error>(loads.load(Ordering::Relaxed))
        };
        let watched = Watched::new("it", vec![dir.path().join("number")], load).unwrap().eager();
        replace(dir.path(), "2");
        let held_up = tokio::spawn({
            let watched = watched.clone();
            async move { *watched.current().await }
        });
        while !watched.0.lock().looking {
            tokio::task::yield_now().await;
        }
        assert_eq!(*watched.current().await, 1);
        // A thread that blocks keeps paused time from passing by itself.
        tokio::time::advance(DEADLINE + Duration::from_secs(1)).await;
        assert_eq!(held_up.await.unwrap(), 1);
        drop(go_on);
        while watched.0.lock().looking {
            tokio::task::yield_now().await;
        }
        assert_eq!(*watched.0.lock().current, 2);
    }
}
