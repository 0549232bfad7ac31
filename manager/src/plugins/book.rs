//! Which pushes there are. Pure: nothing here waits.

use std::collections::VecDeque;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::model::plugin::Push;

/// Pushes that are kept; those that are over make room, the oldest first.
const KEPT: usize = 64;

/// Why a push is not begun.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// The same file goes to boards already.
    #[error("{file} is being pushed already, by push {id}")]
    UnderWay {
        /// The file.
        file: String,
        /// By which.
        id: Uuid,
    },
    /// As many as are taken at once.
    #[error("{0} pushes are under way, and no more are taken at once")]
    TooMany(usize),
}

/// The pushes, in the order in which they were begun.
#[derive(Debug, Default)]
pub(super) struct Book(VecDeque<Entry>);

#[derive(Debug)]
struct Entry {
    push: Push,
    stop: CancellationToken,
}

impl Book {
    /// Adds one. `stop` is cancelled when somebody stops it.
    pub(super) fn begin(&mut self, push: Push, stop: CancellationToken) -> Result<(), NotNow> {
        let mut under_way = self.0.iter().filter(|entry| !entry.push.stage.is_over());
        if let Some(other) = under_way.find(|entry| entry.push.file == push.file) {
            return Err(NotNow::UnderWay { file: push.file, id: other.push.id });
        }
        while self.0.len() >= KEPT
            && let Some(over) = self.0.iter().position(|entry| entry.push.stage.is_over())
        {
            self.0.remove(over);
        }
        self.0.push_back(Entry { push, stop });
        Ok(())
    }

    pub(super) fn get(&self, id: Uuid) -> Option<&Push> {
        self.0.iter().map(|entry| &entry.push).find(|push| push.id == id)
    }

    /// The latest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Push> {
        self.0.iter().rev().map(|entry| &entry.push)
    }

    /// Changes one.
    pub(super) fn change(&mut self, id: Uuid, change: impl FnOnce(&mut Push)) {
        if let Some(entry) = self.0.iter_mut().find(|entry| entry.push.id == id) {
            change(&mut entry.push);
        }
    }

    /// Has one stopped. False if there is none.
    pub(super) fn stop(&self, id: Uuid) -> bool {
        let entry = self.0.iter().find(|entry| entry.push.id == id);
        entry.inspect(|entry| entry.stop.cancel()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::plugin::Stage;

    fn push(number: u128, file: &str, stage: Stage) -> Push {
        Push {
            id: Uuid::from_u128(number),
            file: file.into(),
            digest: "d".into(),
            bytes: 1,
            group: None,
            max_failures: 0,
            begun: 0,
            stage,
            why: None,
            boards: Vec::new(),
        }
    }

    #[test]
    fn one_file_is_pushed_once_at_a_time_and_the_oldest_are_forgotten() {
        let mut book = Book::default();
        let mut begin = |push| book.begin(push, CancellationToken::new());
        assert_eq!(begin(push(0, "a.wasm", Stage::Rolling)), Ok(()));
        let again = begin(push(1, "a.wasm", Stage::Canary));
        assert!(matches!(again, Err(NotNow::UnderWay { id, .. }) if id == Uuid::from_u128(0)));
        for number in 1..=100 {
            assert_eq!(begin(push(number, "b.wasm", Stage::Done)), Ok(()));
        }
        let kept: Vec<_> = book.all().map(|push| push.id.as_u128()).collect();
        assert_eq!((kept.len(), kept[0], kept[KEPT - 1]), (KEPT, 100, 0), "what is under way stays");
        assert!(book.get(Uuid::from_u128(1)).is_none() && book.stop(Uuid::from_u128(0)));
    }
}
