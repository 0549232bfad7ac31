//! Reads that may block: an I2C sensor can take seconds, a dead network file system for ever, and no deadline can end a
//! read that the kernel does not end. So reads happen on threads that can be given up: when one item takes too long,
//! its thread is left behind, the path is set aside, and another thread goes on with the rest.
//!
//! ```text
//! items ─▶ fast ones, then slow ones (longest unread first) ─▶ thread ─▶ read in time
//!      └─▶ aside: stuck, at rest, or beside stuck ones               ├─▶ blocked: longer than DEADLINE
//!                                                                    └─▶ late: the call has no time left
//! ```
//! A call has a deadline of its own, and what reads it waits for must end before it ([`Patience`]). So what is known to be
//! slow is read last, in turn: it never costs the readings of what is fast, and each of it is read in some call.
//!
//! Each plugin has readers of its own, so that the files of one cannot use up the threads of another. Where nothing is
//! stuck, a few threads do all the reading, in turn: a thread more for each plugin would be memory for nothing.

mod pace;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::timeout;

pub use pace::Neighbours;
use pace::Paces;

/// Longest time that one file may take.
pub const DEADLINE: Duration = Duration::from_millis(500);
/// Longest turn: whoever reads longer than this is slow, and the others do not wait for it.
const TURN: Duration = Duration::from_millis(20);

/// Why a read did not happen, or did not end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("{0} did not answer within {DEADLINE:?}, or its neighbours did not; it is set aside")]
    Blocked(PathBuf),
    #[error("{0} was not read: what was read before it took all the time of the call")]
    Late(PathBuf),
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

/// Until when the current call of a plugin can wait for reads: some of its deadline is left to the plugin, to make
/// something of what was read. Clones are the same call's.
#[derive(Debug, Clone, Default)]
pub struct Patience(Arc<Mutex<Option<Instant>>>);

impl Patience {
    /// A call begins, and must have answered within this time.
    pub fn begin(&self, deadline: Duration) {
        *self.lock() = Some(Instant::now() + deadline * 3 / 4);
    }

    /// The longest time that it can still wait.
    pub fn left(&self) -> Duration {
        match self.until() {
            Some(until) => until.saturating_duration_since(Instant::now()),
            None => Duration::MAX,
        }
    }

    /// When what the call waits for must have ended; `None` before the first call.
    pub fn until(&self) -> Option<Instant> {
        *self.lock()
    }

    // Nobody panics while holding this.
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A bounded number of threads for the reads of one plugin.
#[derive(Debug, Clone)]
pub struct Readers {
    turns: Turns,
    patience: Patience,
    threads: Arc<Semaphore>,
    paces: Arc<Paces>,
}

/// What one thread is to read: some of the items, in this order.
#[derive(Debug)]
struct Job<I> {
    items: Arc<[I]>,
    order: Vec<usize>,
}

impl<I: AsRef<Path>> Job<I> {
    /// The path at a place of the order.
    fn path(&self, place: usize) -> Option<&Path> {
        self.order.get(place).and_then(|index| self.items.get(*index)).map(AsRef::as_ref)
    }

    /// The same error for the places from this one on.
    fn rest<T>(&self, first: usize, error: impl Fn(PathBuf) -> ReadError) -> Vec<Result<T, ReadError>> {
        (first..self.order.len())
            .map(|place| Err(error(self.path(place).map(Path::to_owned).unwrap_or_default())))
            .collect()
    }
}

/// One job on one thread: at which place of the order it is since when, and what came of those before.
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
    // No code panics while it holds this lock.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    /// Leaves the thread behind; its path is set aside before the thread can learn of it.
    fn leave<I: AsRef<Path>>(&mut self, job: &Job<I>, paces: &Paces) {
        self.left = true;
        if let Some(path) = self.current.and_then(|(place, _)| job.path(place)) {
            paces.stuck(path);
        }
    }
}

/// Leaves the thread behind if whoever waits for it goes away.
struct Abandon<'a, I: AsRef<Path>, T> {
    progress: &'a Progress<T>,
    job: &'a Job<I>,
    paces: &'a Paces,
}

impl<I: AsRef<Path>, T> Drop for Abandon<'_, I, T> {
    fn drop(&mut self) {
        let mut state = self.progress.lock();
        if !state.left {
            state.leave(self.job, self.paces);
        }
    }
}

impl Readers {
    /// At most this many threads may be stuck at once.
    pub fn new(turns: &Turns, patience: &Patience, threads: usize, neighbours: Neighbours) -> Self {
        Self {
            turns: turns.clone(),
            patience: patience.clone(),
            threads: Arc::new(Semaphore::new(threads)),
            paces: Arc::new(Paces::new(neighbours)),
        }
    }

    /// The same threads, and what is known of the paths, for calls that have a time of their own.
    #[must_use]
    pub fn with_patience(&self, patience: &Patience) -> Self {
        Self { patience: patience.clone(), ..self.clone() }
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

    /// Does the same with each item. The answer has one result an item, in their order; its path is what may block.
    pub async fn each<I, T, F>(&self, items: Arc<[I]>, work: F) -> Vec<Result<T, ReadError>>
    where
        I: AsRef<Path> + Send + Sync + 'static,
        T: Send + 'static,
        F: Fn(&I) -> T + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        let mut results: Vec<Option<Result<T, ReadError>>> = items.iter().map(|_| None).collect();
        let mut left: Vec<usize> = (0..items.len()).collect();
        loop {
            // Anew for each thread: what the last one got stuck at may speak for others.
            let job = Arc::new(Job { items: Arc::clone(&items), order: self.paces.order(&items, left) });
            if job.order.is_empty() {
                break;
            }
            let read = self.read(&job, &work).await;
            left = job.order.iter().skip(read.len()).copied().collect();
            for (index, result) in job.order.iter().zip(read) {
                if let Some(slot) = results.get_mut(*index) {
                    *slot = Some(result);
                }
            }
        }
        let aside = |item: &I| Err(ReadError::Blocked(item.as_ref().to_owned()));
        items.iter().zip(results).map(|(item, result)| result.unwrap_or_else(|| aside(item))).collect()
    }

    /// One thread, until the end or until an item takes too long; at least one result.
    async fn read<I, T, F>(&self, job: &Arc<Job<I>>, work: &Arc<F>) -> Vec<Result<T, ReadError>>
    where
        I: AsRef<Path> + Send + Sync + 'static,
        T: Send + 'static,
        F: Fn(&I) -> T + Send + Sync + 'static,
    {
        if self.patience.left().is_zero() {
            return job.rest(0, ReadError::Late);
        }
        // A plugin reads one thing at a time, so a thread that does not come soon is stuck.
        let Ok(Ok(thread)) = timeout(TURN, Arc::clone(&self.threads).acquire_owned()).await else {
            return job.rest(0, |_| ReadError::NoReader);
        };
        // Every turn ends soon, so this one comes; nobody closes the semaphore.
        let mut turn = self.turns.0.acquire().await.ok();
        let state = State { current: None, done: Vec::new(), left: false };
        let progress = Arc::new(Progress { state: Mutex::new(state) });
        let mut task = {
            let (progress, job, work, paces) =
                (Arc::clone(&progress), Arc::clone(job), Arc::clone(work), Arc::clone(&self.paces));
            tokio::task::spawn_blocking(move || {
                let _thread = thread;
                read(&job, &*work, &progress, &paces);
            })
        };
        // Does nothing to a thread that ended: it is at no item any more.
        let _abandon = Abandon { progress: &progress, job, paces: &self.paces };
        let mut wait = TURN;
        loop {
            let ended = timeout(wait.min(self.patience.left()), &mut task).await;
            drop(turn.take());
            let mut state = progress.lock();
            let at = state.current;
            if let Ok(ended) = ended {
                // A thread that panicked is at no item any more, and its path was not at fault.
                state.current = None;
                let panicked = at.filter(|_| ended.is_err()).and_then(|(place, _)| job.path(place));
                let mut done = std::mem::take(&mut state.done);
                done.extend(panicked.map(|path| Err(ReadError::Panicked(path.to_owned()))));
                return done;
            }
            let blocked = at.filter(|(_, since)| since.elapsed() >= DEADLINE);
            let out_of_time = self.patience.left().is_zero();
            if blocked.is_none() && !out_of_time {
                // Between two items the thread has not begun yet, or is about to end.
                wait = DEADLINE.saturating_sub(at.map_or(Duration::ZERO, |(_, since)| since.elapsed()));
                continue;
            }
            state.leave(job, &self.paces);
            let mut done = std::mem::take(&mut state.done);
            if let Some(path) = blocked.and_then(|(place, _)| job.path(place)) {
                done.push(Err(ReadError::Blocked(path.to_owned())));
            }
            if out_of_time {
                done.extend(job.rest(done.len(), ReadError::Late));
            }
            return done;
        }
    }
}

/// The thread's part.
fn read<I: AsRef<Path>, T>(job: &Job<I>, work: &impl Fn(&I) -> T, progress: &Progress<T>, paces: &Paces) {
    for (place, index) in job.order.iter().enumerate() {
        let Some(item) = job.items.get(*index) else { return };
        let since = Instant::now();
        {
            let mut state = progress.lock();
            if state.left {
                return;
            }
            state.current = Some((place, since));
        }
        let result = work(item);
        let took = since.elapsed();
        let mut state = progress.lock();
        // Under the lock, so that nobody sets the path aside after this.
        paces.answered(item.as_ref(), took, !state.left);
        if state.left {
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
        Readers::new(&Turns::new(1), &Patience::default(), threads, Neighbours::Apart)
    }

    #[test]
    fn calls_of_two_versions_have_a_time_each() {
        let (old, hasty) = (readers(1), Patience::default());
        let new = old.with_patience(&hasty);
        old.patience.begin(Duration::from_secs(2));
        let until = old.patience.until();
        hasty.begin(Duration::from_millis(10));
        assert_eq!(old.patience.until(), until);
        assert!(new.patience.until() < until && Arc::ptr_eq(&old.threads, &new.threads));
    }

    fn paths(names: &[&str]) -> Arc<[PathBuf]> {
        names.iter().map(PathBuf::from).collect()
    }

    /// Blocks on the path `stuck` until the sender is dropped.
    fn blocking() -> (mpsc::Sender<()>, impl Fn(&PathBuf) -> String + Send + Sync + 'static) {
        blocking_below("stuck")
    }

    fn blocking_below(
        stuck: &'static str,
    ) -> (mpsc::Sender<()>, impl Fn(&PathBuf) -> String + Send + Sync + 'static) {
        let (release, gate) = mpsc::channel();
        let gate = Mutex::new(gate);
        let work = move |path: &PathBuf| {
            if path.starts_with(stuck) {
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
        let new = || Readers::new(&turns, &Patience::default(), 1, Neighbours::Apart);
        let (stuck, other) = (new(), new());
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
    async fn a_call_ends_in_time_and_what_is_slow_is_read_in_turn() {
        const DEADLINE_OF_CALL: Duration = Duration::from_millis(400);
        let patience = Patience::default();
        let readers = Readers::new(&Turns::new(1), &patience, 2, Neighbours::Together);
        let slow: Vec<String> = (0..8).map(|number| format!("/chip/slow{number}")).collect();
        // The fast one is the last in the list: it is read at every call as soon as the others are known to be slow.
        let names: Vec<&str> = slow.iter().map(String::as_str).chain(["/cpu/fast"]).collect();
        let work = |path: &PathBuf| {
            if path.starts_with("/chip") {
                std::thread::sleep(Duration::from_millis(90));
            }
        };
        let mut seen = vec![0; names.len()];
        for call in 0..8 {
            patience.begin(DEADLINE_OF_CALL);
            let began = Instant::now();
            let results = readers.each(paths(&names), work).await;
            assert!(began.elapsed() < DEADLINE_OF_CALL, "{:?}", began.elapsed());
            for (result, seen) in results.iter().zip(&mut seen) {
                *seen += u32::from(result.is_ok());
            }
            assert!(call < 3 || results.last().unwrap().is_ok(), "{results:?}");
            let late = |result: &&Result<(), ReadError>| matches!(result, Err(ReadError::Late(_)));
            assert!(results.iter().any(|result| late(&result)), "{results:?}");
            // A path that was given up is stuck until its thread has answered.
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(seen.iter().all(|seen| *seen >= 1), "{seen:?}");
    }

    #[tokio::test]
    async fn a_chip_that_is_stuck_costs_two_threads_and_no_other_chip() {
        let readers = Readers::new(&Turns::new(1), &Patience::default(), 3, Neighbours::Together);
        let (_release, work) = blocking_below("/dead");
        let names = ["/dead/1", "/dead/2", "/dead/3", "/dead/4", "/fine/1"];
        let results = readers.each(paths(&names), work).await;
        let blocked = |path: &str| Err(ReadError::Blocked(path.into()));
        let [dead @ .., _] = names;
        assert_eq!(results[..4], dead.map(blocked));
        assert_eq!(results[4], Ok("/fine/1".into()));
        assert_eq!(readers.threads.available_permits(), 1);
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_file() {
        let readers = readers(1);
        let work = |path: &PathBuf| assert!(path != Path::new("bad"), "as the test wants it");
        let results = readers.each(paths(&["a", "bad", "c"]), work).await;
        assert_eq!(results, [Ok(()), Err(ReadError::Panicked("bad".into())), Ok(())]);
    }
}
