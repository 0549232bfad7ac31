//! One board that is killed again and again, and looked at after each time.

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use cardcage_tests::{Board, Kind, Order, Reply, until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// The variable of test builds that ends the agent at a step.
const CRASH_AT: &str = "CARDCAGE_CRASH_AT_STEP";
/// The longest time until a random end: a start takes less.
const LONGEST: u64 = 700;
/// Of the steps until the second end.
const SECOND: u64 = 9;

/// What is asked for when the agent is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// Nothing was there.
    Start,
    /// It was stopped before.
    StartAgain,
    /// It was another order, which failed.
    StartAfterFailure,
    /// It runs.
    Stop,
    /// The start was asked for just before.
    StopDuringStart,
}

/// See the module.
pub struct Lane {
    board: Board,
    kills: BTreeMap<String, usize>,
    uuids: u32,
    random: u64,
}

impl Lane {
    pub fn new(name: &str, kind: Kind) -> Option<Self> {
        let board = Board::new(name, kind)?;
        let random = RandomState::new().build_hasher().finish() | 1;
        Some(Self { board, kills: BTreeMap::new(), uuids: 0, random })
    }

    /// At which steps it was killed.
    pub fn over(self) -> BTreeMap<String, usize> {
        self.kills
    }

    /// Kills the agent at a step of a scenario. False if there are fewer steps.
    pub fn try_step(&mut self, scenario: Scenario, step: u32) -> bool {
        let order = self.prepare(scenario);
        self.board.agent.kill();
        assert!(
            self.board.agent.start_again_with(CRASH_AT, &step.to_string()),
            "it ended before it was asked"
        );
        self.ask(scenario, &order);
        let Some(at) = self.ended_by_itself() else {
            // It would end itself while it is looked at.
            self.kill("afterwards, from outside");
            self.board.agent.start_again();
            self.check(scenario, &order, None);
            return false;
        };
        self.count(&at);
        if step.is_multiple_of(2) {
            // And again, on its way back.
            let second = 1 + self.draw(SECOND);
            if self.board.agent.start_again_with(CRASH_AT, &second.to_string()) {
                self.ask(scenario, &order);
            }
            match self.ended_by_itself() {
                Some(at) => self.count(&at),
                None => self.kill("afterwards, from outside"),
            }
        }
        self.board.agent.start_again();
        self.check(scenario, &order, (step % 2 == 1).then_some(at.as_str()));
        true
    }

    /// Kills the agent at some time after it was asked for something.
    pub fn try_random_time(&mut self, number: usize) {
        let scenario =
            [Scenario::Start, Scenario::Stop, Scenario::StopDuringStart, Scenario::StartAgain][number % 4];
        let order = self.prepare(scenario);
        let time = Duration::from_millis(self.draw(LONGEST));
        let pid = nix::unistd::Pid::from_raw(self.board.agent.process.pid().try_into().unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Not to wait for anything: this is the time at which it is killed.
                std::thread::sleep(time);
                nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
            });
            self.ask(scenario, &order);
        });
        self.board.agent.process.wait();
        self.count("at a random time, from outside");
        self.board.agent.start_again();
        self.check(scenario, &order, None);
    }

    fn draw(&mut self, below: u64) -> u64 {
        // xorshift
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    fn count(&mut self, step: &str) {
        *self.kills.entry(step.to_owned()).or_default() += 1;
    }

    fn kill(&mut self, when: &str) {
        self.board.agent.kill();
        self.count(when);
    }

    /// What has to be there before.
    fn prepare(&mut self, scenario: Scenario) -> Order {
        self.uuids += 1;
        let order = self.board.serve(&format!("{}-{}", self.board.kind.name(), self.uuids));
        match scenario {
            Scenario::Start | Scenario::StopDuringStart => {}
            Scenario::StartAgain => {
                let id = self.board.agent.order(&order).done().id;
                self.board.agent.deploy(&order.stop(&id)).done();
            }
            Scenario::StartAfterFailure => {
                let failing = self.board.script(order.uuid(), "exit 3");
                self.board.agent.deploy(&failing.body());
                // It holds nothing any more: that is written down.
                self.board.agent.until_deployment(order.uuid(), "over", |one| {
                    one["state"] == "FAILED" && one["cores"] == json!([])
                });
            }
            Scenario::Stop => drop(self.board.agent.order(&order).done()),
        }
        order
    }

    /// Asks, and waits until there is a reply or the agent is gone.
    fn ask(&self, scenario: Scenario, order: &Order) {
        let agent = &self.board.agent;
        let start = || drop(agent.try_deploy(&order.body()));
        let stop = || drop(agent.try_deploy(&order.stop(&json!(order.uuid()))));
        match scenario {
            Scenario::Stop => stop(),
            Scenario::StopDuringStart => std::thread::scope(|scope| {
                let starting = scope.spawn(start);
                // Until there is something to stop, or nobody to ask.
                until("the start is under way, or over", || {
                    (agent.deployment(order.uuid()).is_some() || starting.is_finished()).then_some(())
                });
                stop();
            }),
            _ => start(),
        }
    }

    /// At which step the agent ended; none if it answers.
    fn ended_by_itself(&mut self) -> Option<String> {
        let agent = &mut self.board.agent;
        let alive = until("the agent answers, or has ended", || match agent.process.ended() {
            Some(_) => Some(false),
            None => cardcage_tests::get(agent.service(), "/healthz").ok().map(|_| true),
        });
        if alive {
            return None;
        }
        let log = agent.process.log();
        let at = log.lines().rev().find_map(|line| line.strip_prefix("crash at step "));
        assert!(at.is_some(), "it ended, but not at a step\n{log}");
        at.map(str::to_owned)
    }

    /// The agent is back: what must be, is. `untouched`: the step that it was killed at, if nobody asked again since.
    fn check(&self, scenario: Scenario, order: &Order, untouched: Option<&str>) {
        let case = format!("{scenario:?} of {}, killed at {untouched:?}", order.uuid());
        match scenario {
            Scenario::Stop => self.stopped(order),
            Scenario::StopDuringStart => {
                // Which of both came first is open; what is asked last holds.
                if self.board.agent.deployment(order.uuid()).is_some() {
                    self.stopped(order);
                }
            }
            Scenario::Start | Scenario::StartAgain | Scenario::StartAfterFailure => {
                let written =
                    untouched.is_some_and(|at| !at.ends_with(": before") || !is_first_record(scenario, at));
                if written {
                    self.goes_on(order, &case);
                }
                self.runs(order, &case);
                self.stopped(order);
            }
        }
        self.nothing_is_left(order, &case);
    }

    /// What was written down goes on by itself, and says how it ended.
    fn goes_on(&self, order: &Order, case: &str) {
        let uuid = order.uuid();
        let now = until(&format!("{case}: it goes on by itself"), || {
            let now = self.board.agent.deployment(uuid)?;
            (now["state"] == "RUNNING" && now["unknown"] == false).then_some(now)
        });
        assert_eq!(now["file"], self.board.kind.file(), "{case}: {now}");
    }

    /// The same request succeeds, with the id of what runs.
    fn runs(&self, order: &Order, case: &str) {
        let id = self.board.agent.order(order).done().id;
        let instance = self.board.instance(order.uuid());
        match &self.board.engine {
            Some(engine) => {
                let containers = engine.containers_for(&self.board.agent.id(), order.uuid());
                let ids: Vec<&Value> = containers.iter().map(|one| &one["Id"]).collect();
                assert_eq!(ids, [&id], "{case}");
            }
            // A program is known by its supervisor.
            None => assert_eq!(id, json!(instance.parent), "{case}"),
        }
    }

    /// A stop succeeds, also if it did before.
    fn stopped(&self, order: &Order) {
        let answer = self.board.agent.try_deploy(&order.stop(&json!(order.uuid()))).unwrap();
        let reply = Reply::of(&answer);
        assert_eq!(reply.result, 0, "{}: {reply:?}", order.uuid());
        self.board.agent.until_state(order.uuid(), "STOPPED");
    }

    /// Neither processes nor containers, control groups, folders.
    fn nothing_is_left(&self, order: &Order, case: &str) {
        until(&format!("{case}: nothing is left, but there is {:?}", self.left(order)), || {
            self.left(order).is_empty().then_some(())
        });
    }

    fn left(&self, order: &Order) -> Vec<String> {
        let mut left = self.board.remains(order.uuid());
        if self.board.kind == Kind::Bar {
            left.extend(self.board.remains_of_programs());
        }
        left
    }
}

/// Whether nothing was written down of the order yet, when the agent was killed here.
fn is_first_record(scenario: Scenario, at: &str) -> bool {
    match scenario {
        Scenario::Start => at == "record starting: before",
        _ => at == "record clearing: before",
    }
}
