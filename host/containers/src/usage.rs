//! What a container uses.
//!
//! The kernel says it in a few small files, which cost a fraction of what the engine's own answer costs. Where this process
//! cannot see them (an engine on another machine, or in a virtual one) the engine is asked after all.
//!
//! Whether what is seen is the container is not taken on trust: the control group of its process has to be named after it.
//! The folder of the process is kept open, so that a number that another process was given meanwhile is noticed.
//!
//! Measuring happens on a thread that may block, one measurement at a time: if the kernel keeps one waiting, the next does
//! without, and usage is absent.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::engine::lock;

mod asked; // from the engine
mod files; // the files of a process's groups
mod groups; // where they are
mod meter; // one container

use meter::Meter;

/// A measurement that takes longer is not waited for.
const DEADLINE: Duration = Duration::from_secs(2);

/// What a container uses. What is not measured is absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    /// Share of one core's time since the previous measurement, in percent. Absent the first time.
    pub cpu_load: Option<f64>,
    /// Memory that could not be reclaimed, in bytes.
    pub memory_used: Option<u64>,
    /// The most that it may use, in bytes.
    pub memory_limit: Option<u64>,
    /// Bytes received over its networks since it started. Absent on the board's own network.
    pub network_rx: Option<u64>,
    /// Bytes sent.
    pub network_tx: Option<u64>,
}

/// The first process of a container that runs.
#[derive(Debug, Clone)]
pub(crate) struct Process {
    /// The container's.
    pub(crate) id: String,
    pub(crate) pid: u32,
    /// It has networks of its own.
    pub(crate) has_network: bool,
}

/// What came of measuring one.
#[derive(Debug, Clone)]
pub(crate) enum Measured {
    Alive(Usage),
    /// It was seen, and has ended.
    Gone,
    /// It cannot be seen from here.
    Elsewhere,
}

/// The containers that are measured.
#[derive(Debug)]
pub(crate) struct Meters {
    seen: Arc<Mutex<HashMap<String, Meter>>>,
    /// Of those that the engine was asked for: the processor time so far.
    asked: Mutex<HashMap<String, Load>>,
    one: Arc<Semaphore>,
}

impl Default for Meters {
    fn default() -> Self {
        Self { seen: Arc::default(), asked: Mutex::default(), one: Arc::new(Semaphore::new(1)) }
    }
}

impl Meters {
    /// Measures them by their ids. What is missing in the answer is not known.
    pub(crate) async fn measure(&self, processes: Vec<Process>) -> HashMap<String, Measured> {
        if processes.is_empty() {
            return HashMap::new();
        }
        let seen = Arc::clone(&self.seen);
        let one = Arc::clone(&self.one);
        let measured = timeout(DEADLINE, async move {
            // Goes with the work: who gives up waiting does not let another one in.
            let permit = one.acquire_owned().await.ok()?;
            let work = move || {
                let _permit = permit;
                let mut seen = lock(&seen);
                processes
                    .into_iter()
                    .map(|process| (process.id.clone(), measure_one(&mut seen, process)))
                    .collect()
            };
            tokio::task::spawn_blocking(work).await.ok()
        });
        measured.await.ok().flatten().unwrap_or_default()
    }

    /// Forgets the others.
    pub(crate) fn keep_only(&self, ids: HashSet<String>) {
        lock(&self.asked).retain(|id, _| ids.contains(id));
        // The lock is held by a measurement only while that has the permit.
        if let Ok(_permit) = self.one.try_acquire() {
            lock(&self.seen).retain(|id, _| ids.contains(id));
        }
    }
}

fn measure_one(seen: &mut HashMap<String, Meter>, process: Process) -> Measured {
    let is_other = |meter: &Meter| meter.pid != process.pid;
    if seen.get(&process.id).is_some_and(is_other) {
        seen.remove(&process.id);
    }
    if !seen.contains_key(&process.id) {
        match Meter::open(&process) {
            Some(meter) => seen.insert(process.id.clone(), meter),
            None => return Measured::Elsewhere,
        };
    }
    match seen.get_mut(&process.id).and_then(Meter::read) {
        Some(usage) => Measured::Alive(usage),
        None => {
            seen.remove(&process.id);
            Measured::Gone
        }
    }
}

/// Two measurements that follow each other faster than this say nothing of a load; the one before stays.
const APART: Duration = Duration::from_millis(250);

/// Processor time, and what it was.
#[derive(Debug, Clone, Default)]
pub(crate) struct Load {
    previous: Option<(Instant, u64)>,
    percent: Option<f64>,
}

impl Load {
    /// The load, given the processor time so far in nanoseconds.
    fn next(&mut self, now: Instant, total: u64) -> Option<f64> {
        match self.previous {
            Some((then, _)) if now.saturating_duration_since(then) < APART => {}
            Some((then, before)) => {
                self.percent = total.checked_sub(before).map(|used| {
                    Duration::from_nanos(used).as_secs_f64()
                        / now.saturating_duration_since(then).as_secs_f64()
                        * 100.0
                });
                self.previous = Some((now, total));
            }
            None => self.previous = Some((now, total)),
        }
        self.percent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_the_share_of_one_core_since_the_previous_measurement() {
        let start = Instant::now();
        let mut load = Load::default();
        let second = |n| start + Duration::from_secs(n);
        assert_eq!(load.next(start, 1_000_000_000), None);
        assert_eq!(load.next(second(2), 6_000_000_000), Some(250.0));
        assert_eq!(load.next(second(2) + Duration::from_millis(10), 6_000_000_001), Some(250.0));
        assert_eq!(load.next(second(4), 6_000_000_000), Some(0.0));
        assert_eq!(load.next(second(5), 1), None, "it was started anew");
    }
}
