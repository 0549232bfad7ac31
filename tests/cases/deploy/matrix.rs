//! `kill -9` at every step: the agent of a test build ends itself at the N-th step that leaves a trace, for every N of a
//! start and of a stop, of both backends; often a second time on its way back; and then at random times from outside.
//!
//! Three things must never be: two instances of one uuid, an instance that nobody can stop, an order that was lost. For the
//! first a watch looks at the kernel's processes all the time; the others are looked at when the agent is back.

mod lane; // one board that is killed again and again
mod watch; // what must not be seen at any time

use std::collections::BTreeMap;
use std::io::Write as _;
use std::thread;

use cardcage_tests::Kind;

use lane::{Lane, Scenario};
use watch::Watch;

/// Ends of the agent that have to be tried in all.
const KILLS: usize = 200;
/// No request passes as many steps.
const MOST_STEPS: u32 = 60;

/// What a lane was killed at, and how often.
type Kills = BTreeMap<String, usize>;

/// Every step of some scenarios.
fn steps(kind: Kind, scenarios: &[Scenario]) -> Option<Kills> {
    let mut lane = Lane::new(&format!("every step of {scenarios:?}"), kind)?;
    for scenario in scenarios {
        // Where a stop overtakes the start, a step in the middle is not passed each time.
        let gap = if *scenario == Scenario::StopDuringStart { 6 } else { 1 };
        let (mut passed, mut missed) = (0, 0);
        let is_behind_the_last = |step: &u32| {
            match lane.try_step(*scenario, *step) {
                true => (passed, missed) = (passed + 1, 0),
                false => missed += 1,
            }
            missed == gap
        };
        let last = (1..=MOST_STEPS).find(is_behind_the_last);
        assert!(last.is_some(), "{scenario:?} passes more than {MOST_STEPS} steps");
        assert!(passed >= 4, "{scenario:?} has {passed} steps only: they are not counted");
    }
    Some(lane.over())
}

/// At random times, so often.
fn random(kind: Kind, kills: usize) -> Option<Kills> {
    let mut lane = Lane::new("random times", kind)?;
    for number in 0..kills {
        lane.try_random_time(number);
    }
    Some(lane.over())
}

#[test]
fn whenever_the_agent_is_killed_nothing_is_doubled_orphaned_or_lost() {
    use Scenario::{Start, StartAfterFailure, StartAgain, Stop, StopDuringStart};
    let watch = Watch::begin();
    let lanes: Vec<thread::JoinHandle<Option<Kills>>> = Kind::BOTH
        .into_iter()
        .flat_map(|kind| {
            let lanes: [Box<dyn FnOnce() -> Option<Kills> + Send>; 3] = [
                Box::new(move || steps(kind, &[Start, Stop])),
                Box::new(move || steps(kind, &[StartAgain, StartAfterFailure])),
                Box::new(move || {
                    let mut kills = steps(kind, &[StopDuringStart])?;
                    for (step, count) in random(kind, 30)? {
                        *kills.entry(step).or_default() += count;
                    }
                    Some(kills)
                }),
            ];
            lanes
        })
        .map(thread::spawn)
        .collect();
    let lanes: Vec<_> = lanes.into_iter().map(|lane| lane.join()).collect();
    watch.end();
    let mut kills = Kills::new();
    for lane in lanes {
        match lane {
            Ok(Some(lane)) => {
                lane.into_iter().for_each(|(step, count)| *kills.entry(step).or_default() += count)
            }
            // It was said that it is skipped.
            Ok(None) => return,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
    let total: usize = kills.values().sum();
    let list: String = kills.iter().map(|(step, count)| format!("{count:5} {step}\n")).collect();
    // For whoever reads the tests, also when they pass.
    let _unread = write!(std::io::stderr(), "the agent was killed {total} times:\n{list}");
    assert!(total >= KILLS, "the agent was killed {total} times only: {kills:?}");
    for step in [
        "record starting: before",
        "record starting: written",
        "container start: done",
        "process start: done",
    ] {
        assert!(kills.contains_key(step), "never killed at {step}: {kills:?}");
    }
}
