//! Looks at the processes of this machine all the time. Two instances of one deployment for a moment is two too many.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use cardcage_tests::census::{self, Seen};

/// Between two looks: processors are for what is tested.
const PAUSE: Duration = Duration::from_millis(25);

/// See the module.
pub struct Watch {
    over: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Vec<String>)>,
}

impl Watch {
    pub fn begin() -> Self {
        let over = Arc::<AtomicBool>::default();
        let watch = {
            let over = Arc::clone(&over);
            move || watch(&over)
        };
        Self { over, thread: thread::spawn(watch) }
    }

    /// It never saw two.
    #[track_caller]
    pub fn end(self) {
        self.over.store(true, Ordering::Relaxed);
        let (looks, doubled) = self.thread.join().unwrap();
        assert!(looks > 100, "it looked {looks} times only");
        assert!(doubled.is_empty(), "two instances of one deployment at one time: {doubled:#?}");
    }
}

fn watch(over: &AtomicBool) -> (usize, Vec<String>) {
    let (mut looks, mut doubled) = (0, Vec::new());
    while !over.load(Ordering::Relaxed) {
        for (mark, seen) in census::instances() {
            // One look takes a while: of two that were seen, one may have been gone when the other began.
            let alive: Vec<Seen> = seen.into_iter().filter(|seen| seen.lives()).collect();
            if alive.len() > 1 {
                doubled.push(format!("{mark}: {alive:?}"));
            }
        }
        looks += 1;
        thread::sleep(PAUSE);
    }
    (looks, doubled)
}
