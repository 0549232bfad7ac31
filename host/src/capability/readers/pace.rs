//! What is known of how fast paths answer. Only of those that once were slow: on a healthy board that is none.
//!
//! ```text
//!  unknown ──longer than a turn──▶ slow ──answers within a turn──▶ unknown
//!     └──────given up────▶ stuck ──answers at last──▶ at rest ──▶ slow
//! ```

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{DEADLINE, TURN};

/// After a path that blocked has answered at last, it is left alone for this long.
const REST: Duration = Duration::from_secs(60);
/// So many stuck paths of one folder speak for the others: they are files of one chip, on one bus.
const SPEAK_FOR_THE_FOLDER: usize = 2;
/// Most paths that something is remembered of: more than a plugin can hold open in batches that it reads.
const PATHS: usize = 16 << 10;

/// Whether paths in one folder fail together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbours {
    /// Files of one device.
    Together,
    /// Mount points, or the files of `/proc`.
    Apart,
}

/// The paths that once were slow.
#[derive(Debug)]
pub(super) struct Paces {
    neighbours: Neighbours,
    known: Mutex<HashMap<PathBuf, Pace>>,
}

#[derive(Debug, Clone, Copy)]
enum Pace {
    /// It answers, but keeps others waiting. Since when it was not read; none for what was given up when the call had no
    /// time left, so that the next call begins with it.
    Slow(Option<Instant>),
    /// A thread waits for it.
    Stuck,
    /// It answered when nobody waited any more. Until when it is left alone.
    AtRest(Instant),
}

impl Paces {
    pub(super) fn new(neighbours: Neighbours) -> Self {
        Self { neighbours, known: Mutex::default() }
    }

    // No code panics while it holds this lock, and a map of paths stays meaningful if one did.
    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Pace>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which of these items are to be read: fast ones as they come, then slow ones, the longest unread first.
    pub(super) fn order<I: AsRef<Path>>(&self, items: &[I], wanted: Vec<usize>) -> Vec<usize> {
        let known = self.lock();
        // Nearly always, and cheaper than to hash every path.
        if known.is_empty() {
            return wanted;
        }
        let now = Instant::now();
        let aside = self.folders_aside(&known);
        let (mut fast, mut slow) = (Vec::with_capacity(wanted.len()), Vec::new());
        for index in wanted {
            let Some(path) = items.get(index).map(AsRef::as_ref) else { continue };
            if path.parent().is_some_and(|folder| aside.contains(&folder)) {
                continue;
            }
            match known.get(path) {
                None => fast.push(index),
                Some(Pace::Slow(since)) => slow.push((*since, index)),
                Some(Pace::AtRest(until)) if *until <= now => slow.push((Some(*until), index)),
                Some(Pace::Stuck | Pace::AtRest(_)) => {}
            }
        }
        slow.sort_unstable();
        fast.extend(slow.into_iter().map(|(_, index)| index));
        fast
    }

    fn folders_aside<'a>(&self, known: &'a HashMap<PathBuf, Pace>) -> Vec<&'a Path> {
        let mut stuck: HashMap<&Path, usize> = HashMap::new();
        if self.neighbours == Neighbours::Together {
            let paths = known.iter().filter(|(_, pace)| matches!(pace, Pace::Stuck)).map(|(path, _)| path);
            for folder in paths.filter_map(|path| path.parent()) {
                *stuck.entry(folder).or_default() += 1;
            }
        }
        stuck.retain(|_, stuck| *stuck >= SPEAK_FOR_THE_FOLDER);
        stuck.into_keys().collect()
    }

    /// A thread was left behind at this path.
    pub(super) fn stuck(&self, path: &Path) {
        self.lock().insert(path.to_owned(), Pace::Stuck);
    }

    /// A path answered after this time, and somebody still waited for it or not.
    pub(super) fn answered(&self, path: &Path, took: Duration, awaited: bool) {
        let mut known = self.lock();
        if took > TURN && (known.len() < PATHS || known.contains_key(path)) {
            let now = Instant::now();
            let pace =
                if took >= DEADLINE { Pace::AtRest(now + REST) } else { Pace::Slow(awaited.then_some(now)) };
            known.insert(path.to_owned(), pace);
        } else if !known.is_empty() {
            known.remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SLOW: Duration = Duration::from_millis(100);

    fn order(paces: &Paces, items: &[&str]) -> Vec<String> {
        let all = (0..items.len()).collect();
        paces.order(items, all).into_iter().map(|index| items[index].to_owned()).collect()
    }

    #[test]
    fn what_is_slow_comes_last_and_in_turn() {
        let paces = Paces::new(Neighbours::Together);
        let items = ["/chip/a", "/chip/b", "/chip/c", "/chip/d"];
        assert_eq!(order(&paces, &items), items);
        paces.answered(Path::new("/chip/c"), SLOW, true);
        paces.answered(Path::new("/chip/a"), SLOW, true);
        assert_eq!(order(&paces, &items), ["/chip/b", "/chip/d", "/chip/c", "/chip/a"]);
        paces.answered(Path::new("/chip/c"), SLOW, true);
        assert_eq!(order(&paces, &items), ["/chip/b", "/chip/d", "/chip/a", "/chip/c"]);
        // It was given up for lack of time, and is the first of the slow ones to be tried again.
        paces.answered(Path::new("/chip/c"), SLOW, false);
        assert_eq!(order(&paces, &items), ["/chip/b", "/chip/d", "/chip/c", "/chip/a"]);
        // It has become fast.
        paces.answered(Path::new("/chip/a"), Duration::ZERO, true);
        assert_eq!(order(&paces, &items), ["/chip/a", "/chip/b", "/chip/d", "/chip/c"]);
    }

    #[test]
    fn what_is_stuck_or_at_rest_is_left_alone() {
        let paces = Paces::new(Neighbours::Together);
        let items = ["/chip/a", "/chip/b"];
        paces.stuck(Path::new("/chip/a"));
        assert_eq!(order(&paces, &items), ["/chip/b"]);
        paces.answered(Path::new("/chip/a"), 2 * DEADLINE, true);
        assert_eq!(order(&paces, &items), ["/chip/b"]);
        // It answered in time after all: the call had no patience left, and that was not its fault.
        paces.stuck(Path::new("/chip/b"));
        paces.answered(Path::new("/chip/b"), SLOW, false);
        assert_eq!(order(&paces, &items), ["/chip/b"]);
    }

    #[test]
    fn two_stuck_files_speak_for_their_chip_and_for_no_other() {
        let items = ["/chip1/a", "/chip1/b", "/chip1/c", "/chip2/a"];
        for (neighbours, expected) in
            [(Neighbours::Together, vec!["/chip2/a"]), (Neighbours::Apart, vec!["/chip1/c", "/chip2/a"])]
        {
            let paces = Paces::new(neighbours);
            paces.stuck(Path::new("/chip1/a"));
            assert_eq!(order(&paces, &items), ["/chip1/b", "/chip1/c", "/chip2/a"]);
            paces.stuck(Path::new("/chip1/b"));
            assert_eq!(order(&paces, &items), expected);
            paces.answered(Path::new("/chip1/b"), Duration::ZERO, true);
            assert_eq!(order(&paces, &items), ["/chip1/b", "/chip1/c", "/chip2/a"]);
        }
    }

    proptest! {
        #[test]
        fn no_path_is_read_twice_and_a_fast_one_never_waits_for_a_slow_one(
            steps in prop::collection::vec((0..20_usize, 0..3_u8), 0..60),
        ) {
            let paces = Paces::new(Neighbours::Apart);
            let items: Vec<PathBuf> = (0..20).map(|number| format!("/{number}").into()).collect();
            for (item, what) in steps {
                match what {
                    0 => paces.stuck(&items[item]),
                    1 => paces.answered(&items[item], SLOW, true),
                    _ => paces.answered(&items[item], Duration::ZERO, true),
                }
                let order = paces.order(&items, (0..items.len()).collect());
                let mut unique = order.clone();
                unique.sort_unstable();
                unique.dedup();
                prop_assert_eq!(unique.len(), order.len());
                let known = paces.lock();
                let is_slow = |index: &usize| known.contains_key(&items[*index]);
                prop_assert!(order.iter().map(is_slow).is_sorted());
                let stuck = known.values().filter(|pace| matches!(pace, Pace::Stuck)).count();
                prop_assert_eq!(order.len() + stuck, items.len());
            }
        }
    }
}
