//! Reads that may block: an I2C sensor can take seconds, a dead network file system for ever, and no deadline can end a
//! read that the kernel does not end. So reads happen on threads that can be given up: when one item takes too long,
//! its thread is left behind, the path is set aside, and another thread goes on with the rest.
//!
//! Each plugin has readers of its own, so that the files of one cannot use up the threads of another. Where nothing is
//! stuck, a few threads do all the reading, in turn: a thread more for each plugin would be memory for nothing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Longest time that one file may take.
pub const DEADLINE: Duration = Duration::from_millis(500);
/// Longest turn: whoever reads longer than this is slow, and the others do not wait for it.
const TURN: Duration = Duration::from_millis(20);
/// After a file that blocked has answered at last, it is left alone for this long.
const REST: Duration = Duration::from_secs(60);

/// Why a read did not happen, or did not end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("{0} did not answer within {DEADLINE:?}; it is set aside")]
    Blocked(PathBuf),
    #[error("every reader of this plugin waits for a file that does not answer")]
    NoReader,
    #[error("the read of {0} failed within the agent")]
    Panicked(PathBuf),
}

/// Whose turn it is, over all plugins. A turn ends with the read, or after [`TURN`].
#[derive(Debug, Clone)]
pub struct Turns(Arc<Semaphore>);

impl Turns {
    pub fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }
}

/// A bounded number of threads for the reads of one plugin.
#[derive(Debug, Clone)]
pub struct Readers {
    turns: Turns,
    threads: Arc<Semaphore>,
    aside: Arc<Aside>,
}

/// Paths that are not waited for. `None` while their thread is still stuck, then the time until which they rest.
#[derive(Debug, Default)]
struct Aside(Mutex<HashMap<PathBuf, Option<Instant>>>);

impl Aside {
    // No code panics while it holds these locks, and a map of paths stays meaningful if one did.
    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Option<Instant>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn contains(&self, path: &Path) -> bool {
        let mut aside = self.lock();
        // Nearly always, and cheaper than to hash a path.
        if aside.is_empty() {
            return false;
        }
        match aside.get(path) {
            None => false,
            Some(None) => true,
            Some(Some(until)) if Instant::now() < *until => true,
            Some(Some(_)) => {
                aside.remove(path);
                false
            }
        }
    }
}

/// One batch on one thread: who is at which item since when, and what came of those before.
#[derive(Debug)]
struct Progress<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    current: Option<(usize, Instant)>,
    done: Vec<Result<T, ReadError>>,
    /// Nobody waits for this thread any more.
    left: bool,
}

impl<T> Progress<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// Leaves the thread behind; its path is set aside before the thread can learn of it.
    fn leave<I: AsRef<Path>>(&mut self, items: &[I], aside: &Aside) {
        self.left = true;
        if let Some(item) = self.current.and_then(|(index, _)| items.get(index)) {
            aside.lock().insert(item.as_ref().to_owned(), None);
        }
    }
}

/// Leaves the thread behind if whoever waits for it goes away.
struct Abandon<'a, I: AsRef<Path>, T> {
    progress: &'a Progress<T>,
    items: &'a [I],
    aside: &'a Aside,
}

impl<I: AsRef<Path>, T> Drop for Abandon<'_, I, T> {
    fn drop(&mut self) {
        self.progress.lock().leave(self.items, self.aside);
    }
}

impl Readers {
    /// At most this many threads may be stuck at once.
    pub fn new(turns: &Turns, threads: usize) -> Self {
        Self { turns: turns.clone(), threads: Arc::new(Semaphore::new(threads)), aside: Arc::default() }
    }

    /// Does one thing that reads, off the runtime's thread. The path only names it.
    pub async fn once<T, F>(&self, path: &Path, work: F) -> Result<T, ReadError>
    where
        T: Send + 'static,
        F: Fn(&Path) -> T + Send + Sync + 'static,
    {
        let mut results = self.each(vec![path.to_owned()].into(), move |path: &PathBuf| work(path)).await;
        results.pop().unwrap_or_else(|| Err(ReadError::NoReader))
    }

    /// Does the same with each item, in order. The answer has one result an item; its path is what may block.
    pub async fn each<I, T, F>(&self, items: Arc<[I]>, work: F) -> Vec<Result<T, ReadError>>
    where
        I: AsRef<Path> + Send + Sync + 'static,
        T: Send + 'static,
        F: Fn(&I) -> T + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        let mut results = Vec::with_capacity(items.len());
        while results.len() < items.len() {
            let more = self.from(results.len(), &items, &work).await;
            results.extend(more);
        }
        results
    }

    /// One thread, from the item `first` until the end or until an item takes too long; at least one result.
    async fn from<I, T, F>(&self, first: usize, items: &Arc<[I]>, work: &Arc<F>) -> Vec<Result<T, ReadError>>
    where
        I: AsRef<Path> + Send + Sync + 'static,
        T: Send + 'static,
        F: Fn(&I) -> T + Send + Sync + 'static,
    {
        let path = |index: usize| items.get(index).map(|item| item.as_ref().to_owned());
        let Ok(Ok(thread)) = timeout(DEADLINE, Arc::clone(&self.threads).acquire_owned()).await else {
            return items.iter().skip(first).map(|_| Err(ReadError::NoReader)).collect();
        };
        // Every turn ends soon, so this one comes; nobody closes the semaphore.
        let mut turn = self.turns.0.acquire().await.ok();
        let state = State { current: None, done: Vec::new(), left: false };
        let progress = Arc::new(Progress { state: Mutex::new(state) });
        let mut task = {
            let (progress, items, work, aside) =
                (Arc::clone(&progress), Arc::clone(items), Arc::clone(work), Arc::clone(&self.aside));
            tokio::task::spawn_blocking(move || {
                let _thread = thread;
                read(first, &items, &*work, &progress, &aside);
            })
        };
        // Does nothing to a thread that ended: it is at no item any more.
        let _abandon = Abandon { progress: &progress, items, aside: &self.aside };
        let mut wait = TURN;
        loop {
            let ended = timeout(wait, &mut task).await;
            drop(turn.take());
            let mut state = progress.lock();
            let stopped_at = match (&ended, state.current) {
                (Ok(Ok(())), _) | (_, None) => None,
                (Ok(Err(_)), Some((index, _))) => path(index).map(ReadError::Panicked),
                (Err(_), Some((_, since))) if since.elapsed() < DEADLINE => {
                    wait = DEADLINE.saturating_sub(since.elapsed());
                    continue;
                }
                (Err(_), Some((index, _))) => {
                    state.leave(items, &self.aside);
                    path(index).map(ReadError::Blocked)
                }
            };
            if ended.is_err() && stopped_at.is_none() {
                // Between two items: the thread has not begun yet, or is about to end.
                wait = DEADLINE;
                continue;
            }
            // A thread that panicked is at no item any more, and its path was not at fault.
            if ended.is_ok() {
                state.current = None;
            }
            let mut done = std::mem::take(&mut state.done);
            done.extend(stopped_at.map(Err));
            return done;
        }
    }
}

/// The thread's part.
fn read<I: AsRef<Path>, T>(
    first: usize,
    items: &[I],
    work: &impl Fn(&I) -> T,
    progress: &Progress<T>,
    aside: &Aside,
) {
    for (index, item) in items.iter().enumerate().skip(first) {
        if aside.contains(item.as_ref()) {
            progress.lock().done.push(Err(ReadError::Blocked(item.as_ref().to_owned())));
            continue;
        }
        progress.lock().current = Some((index, Instant::now()));
        let result = work(item);
        let mut state = progress.lock();
        if state.left {
            drop(state);
            aside.lock().insert(item.as_ref().to_owned(), Some(Instant::now() + REST));
            return;
        }
        state.done.push(Ok(result));
        state.current = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn readers(threads: usize) -> Readers {
        Readers::new(&Turns::new(1), threads)
    }

    fn paths(names: &[&str]) -> Arc<[PathBuf]> {
        names.iter().map(PathBuf::from).collect()
    }

    /// Blocks on the path `stuck` until the sender is dropped.
    fn blocking() -> (mpsc::Sender<()>, impl Fn(&PathBuf) -> String + Send + Sync + 'static) {
        let (release, gate) = mpsc::channel();
        let gate = Mutex::new(gate);
        let work = move |path: &PathBuf| {
            if path.starts_with("stuck") {
                let _ = gate.lock().unwrap().recv();
            }
            path.display().to_string()
        };
        (release, work)
    }

    #[tokio::test]
    async fn results_come_in_the_order_of_the_paths() {
        let results =
            readers(1).each(paths(&["a", "b", "c"]), |path: &PathBuf| path.display().to_string()).await;
        assert_eq!(results, [Ok("a".into()), Ok("b".into()), Ok("c".into())]);
    }

    #[tokio::test]
    async fn a_file_that_blocks_is_given_up_and_the_rest_is_read() {
        let readers = readers(2);
        let (_release, work) = blocking();
        let results = readers.each(paths(&["a", "stuck", "c"]), work).await;
        assert_eq!(results, [Ok("a".into()), Err(ReadError::Blocked("stuck".into())), Ok("c".into())]);
    }

    #[tokio::test]
    async fn a_thread_that_is_left_behind_gives_up_its_turn() {
        let turns = Turns::new(1);
        let (_release, work) = blocking();
        let (stuck, other) = (Readers::new(&turns, 1), Readers::new(&turns, 1));
        let stuck = stuck.each(paths(&["stuck"]), work).await;
        assert_eq!(stuck, [Err(ReadError::Blocked("stuck".into()))]);
        assert_eq!(other.each(paths(&["b"]), |_: &PathBuf| ()).await, [Ok(())]);
    }

    #[tokio::test]
    async fn a_file_that_blocked_is_not_waited_for_again() {
        let readers = readers(2);
        let (_release, work) = blocking();
        readers.each(paths(&["stuck"]), work).await;
        let began = Instant::now();
        let results = readers.each(paths(&["stuck", "b"]), |path: &PathBuf| path.display().to_string()).await;
        assert_eq!(results, [Err(ReadError::Blocked("stuck".into())), Ok("b".into())]);
        assert!(began.elapsed() < DEADLINE);
    }

    #[tokio::test]
    async fn when_every_thread_is_stuck_the_answer_says_so() {
        let readers = readers(1);
        let (_release, work) = blocking();
        let results = readers.each(paths(&["stuck", "b"]), work).await;
        assert_eq!(results, [Err(ReadError::Blocked("stuck".into())), Err(ReadError::NoReader)]);
    }

    #[tokio::test]
    async fn a_thread_that_comes_back_can_be_used_again() {
        let readers = readers(1);
        let (release, work) = blocking();
        readers.each(paths(&["stuck"]), work).await;
        drop(release);
        let freed = readers.threads.acquire().await.unwrap();
        drop(freed);
        assert_eq!(readers.each(paths(&["b"]), |_: &PathBuf| ()).await, [Ok(())]);
    }

    #[tokio::test]
    async fn whoever_stops_waiting_leaves_the_path_aside() {
        let readers = readers(2);
        let (_release, work) = blocking();
        let cut = timeout(Duration::from_millis(50), readers.each(paths(&["stuck"]), work)).await;
        assert!(cut.is_err());
        assert_eq!(
            readers.each(paths(&["stuck"]), |_: &PathBuf| ()).await,
            [Err(ReadError::Blocked("stuck".into()))]
        );
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_file() {
        let readers = readers(1);
        let work = |path: &PathBuf| assert!(path != Path::new("bad"), "as the test wants it");
        let results = readers.each(paths(&["a", "bad", "c"]), work).await;
        assert_eq!(results, [Ok(()), Err(ReadError::Panicked("bad".into())), Ok(())]);
    }
}
