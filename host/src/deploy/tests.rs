//! The three nevers, whatever happens when: never two instances of a uuid, never one that nobody ordered, never an order
//! that is forgotten.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::testing::{Fake, order};
use super::*;
use crate::model::InstanceState;

/// A board: what outlives the agent, and the agent's own folder.
struct Board {
    fake: Fake,
    state_dir: tempfile::TempDir,
    boot: u32,
}

/// One life of the agent.
struct Life {
    runtime: Runtime,
    deployments: Deployments,
}

impl Board {
    fn new() -> Self {
        let fake = Fake::default();
        fake.engine().pace = Duration::from_millis(40);
        Self { fake, state_dir: tempfile::tempdir().unwrap(), boot: 1 }
    }

    fn live(&self) -> Life {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let capacity = || {
            Ok(Capacity {
                cores: (0..4).collect(),
                shared_cores: [9].into(),
                overcommit: 1,
                memory: 1 << 30,
                gpus: Vec::new(),
            })
        };
        let ledger = Ledger::open(self.state_dir.path()).unwrap();
        let (deployments, ends) = Deployments::new();
        let boot = self.boot.to_string();
        let keeper = Keeper::new(self.fake.clone(), capacity, ledger, boot, ends).unwrap();
        runtime.spawn(keeper.run(CancellationToken::new()));
        Life { runtime, deployments }
    }

    fn running(&self) -> BTreeSet<String> {
        let engine = self.fake.engine();
        let things = engine.things.iter().filter(|(_, thing)| thing.state == InstanceState::Running);
        things.map(|(uuid, _)| uuid.clone()).collect()
    }
}

impl Life {
    fn start(&self, order: Order) -> Reply {
        self.runtime.block_on(self.deployments.start(order))
    }

    fn stop(&self, uuid: &str) -> Reply {
        let stop = self.deployments.stop("fake".into(), uuid.into(), Id::Text(uuid.into()));
        self.runtime.block_on(stop)
    }

    fn pass(&self, time: Duration) {
        self.runtime.block_on(async { sleep(time).await });
    }

    fn state(&self, uuid: &str) -> Option<InstanceState> {
        self.deployments.views().deployments.iter().find(|one| one.uuid == uuid).map(|one| one.state)
    }

    fn kill(self) {
        // What is being written at that moment is written or not, but not later.
        self.runtime.shutdown_timeout(Duration::from_secs(5));
    }
}

fn with(uuid: &str, change: impl FnOnce(&mut Order)) -> Order {
    let mut order = order(uuid);
    change(&mut order);
    order
}

#[test]
fn a_start_runs_a_stop_ends_it_and_both_may_be_repeated() {
    let board = Board::new();
    let life = board.live();
    let first = life.start(order("u"));
    assert_eq!((first.outcome, first.id.clone()), (Outcome::Done, Some(Id::Number(1))));
    assert_eq!(life.start(order("u")), first);
    assert_eq!(board.running(), ["u".to_owned()].into());
    assert_eq!(life.deployments.views().cores, 1);
    assert_eq!(life.stop("u").outcome, Outcome::Done);
    assert_eq!(life.stop("u").message, "stopped already");
    assert_eq!(life.state("u"), Some(InstanceState::Stopped));
    assert_eq!((board.fake.engine().things.len(), life.deployments.views().cores), (0, 0));
    assert_eq!(life.start(order("u")).id, Some(Id::Number(2)));
}

#[test]
fn what_does_not_fit_together_is_refused_and_nothing_happens() {
    let board = Board::new();
    let life = board.live();
    life.start(order("u"));
    let other = life.start(with("u", |order| order.file = "other".into()));
    assert_eq!(other.outcome, Outcome::Conflict);
    assert_eq!(
        life.start(with("v", |order| order.kind = "floppy".into())).message,
        "type \"floppy\" is not served here; known are: fake"
    );
    assert_eq!(life.start(with("v", |order| order.file = String::new())).outcome, Outcome::Invalid);
    assert_eq!(life.start(with("v", |order| order.requirements.cores = 4)).outcome, Outcome::NoRoom);
    let wrong = |uuid: &str, kind: &str, id| {
        life.runtime.block_on(life.deployments.stop(kind.into(), uuid.into(), id)).outcome
    };
    assert_eq!(wrong("u", "fake", Id::Number(4711)), Outcome::WrongInstance);
    assert_eq!(wrong("u", "other", Id::Number(1)), Outcome::WrongInstance);
    assert_eq!(wrong("x", "fake", Id::Number(1)), Outcome::WrongInstance);
    assert_eq!(board.running(), ["u".to_owned()].into());
    assert_eq!(wrong("u", "fake", Id::Text("1".into())), Outcome::Done);
}

#[test]
fn a_hundred_starts_with_room_for_four_run_four() {
    let board = Board::new();
    let life = board.live();
    let starts: Vec<_> = (0..100)
        .map(|number| {
            let deployments = life.deployments.clone();
            life.runtime.spawn(async move { deployments.start(order(&format!("u{number}"))).await.outcome })
        })
        .collect();
    let outcomes: Vec<_> = life.runtime.block_on(async { futures(starts).await });
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Done).count(), 4);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::NoRoom).count(), 96);
    assert_eq!(board.running().len(), 4);
}

async fn futures(tasks: Vec<tokio::task::JoinHandle<Outcome>>) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

#[test]
fn equal_starts_at_once_are_one_start() {
    let board = Board::new();
    let life = board.live();
    let (a, b) = (life.deployments.clone(), life.deployments.clone());
    let (a, b) = life.runtime.block_on(async { tokio::join!(a.start(order("u")), b.start(order("u"))) });
    assert_eq!(a, b);
    assert_eq!(board.fake.engine().made, 1);
}

#[test]
fn a_stop_ends_a_start_that_is_under_way() {
    let board = Board::new();
    let life = board.live();
    let starting = life.deployments.clone();
    let starting = life.runtime.spawn(async move { starting.start(order("u")).await });
    life.pass(Duration::from_millis(50));
    assert_eq!(life.state("u"), Some(InstanceState::Pending));
    assert_eq!(life.stop("u").outcome, Outcome::Done);
    assert_eq!(life.runtime.block_on(starting).unwrap().outcome, Outcome::Conflict);
    life.pass(Duration::from_secs(10));
    assert_eq!((board.fake.engine().things.len(), life.state("u")), (0, Some(InstanceState::Stopped)));
}

#[test]
fn what_cannot_start_leaves_nothing_and_its_place_is_free() {
    let board = Board::new();
    let life = board.live();
    board.fake.engine().broken.push("u".into());
    let reply = life.start(with("u", |order| order.requirements.cores = 4));
    assert_eq!((reply.outcome, reply.message.as_str()), (Outcome::Failed, "no such command"));
    assert_eq!((life.state("u"), board.fake.engine().things.len()), (Some(InstanceState::Failed), 0));
    assert_eq!(life.start(with("v", |order| order.requirements.cores = 4)).outcome, Outcome::Done);
    life.stop("v");
    board.fake.engine().broken.clear();
    assert_eq!(life.start(with("u", |order| order.requirements.cores = 4)).outcome, Outcome::Done);
}

#[test]
fn an_engine_that_does_not_answer_is_unknown_and_not_a_failure() {
    let board = Board::new();
    let life = board.live();
    life.start(order("u"));
    board.fake.engine().down = true;
    life.pass(Duration::from_secs(10));
    let views = life.deployments.views();
    let one = views.deployments.first().unwrap();
    assert_eq!((one.state, one.unknown), (InstanceState::Running, true));
    let reply = life.start(order("v"));
    assert_eq!(reply.outcome, Outcome::Unreachable);
    assert_eq!(life.state("v"), Some(InstanceState::Pending));
    // It comes back without what ran.
    board.fake.engine().things.values_mut().for_each(|thing| thing.state = InstanceState::Failed);
    board.fake.engine().down = false;
    life.pass(Duration::from_secs(10));
    assert_eq!(board.running(), ["u".to_owned(), "v".to_owned()].into());
}

#[test]
fn what_ends_by_itself_is_not_started_again_and_gives_back_what_it_held() {
    let board = Board::new();
    let life = board.live();
    life.start(with("u", |order| order.requirements.cores = 4));
    board.fake.engine().things.get_mut("u").unwrap().state = InstanceState::Failed;
    life.pass(Duration::from_secs(10));
    assert_eq!((life.state("u"), life.deployments.views().cores), (Some(InstanceState::Failed), 0));
    assert_eq!(life.start(with("v", |order| order.requirements.cores = 4)).outcome, Outcome::Done);
    // Somebody starts it by hand, on cores that are another's by now.
    board.fake.engine().things.get_mut("u").unwrap().state = InstanceState::Running;
    life.pass(Duration::from_secs(10));
    assert_eq!(board.running(), ["v".to_owned()].into());
}

#[test]
fn a_board_that_comes_up_again_starts_what_ran() {
    let board = Board::new();
    let life = board.live();
    life.start(order("u"));
    life.start(order("ended"));
    life.start(order("stopped"));
    life.stop("stopped");
    board.fake.engine().things.get_mut("ended").unwrap().state = InstanceState::Stopped;
    life.pass(Duration::from_secs(10));
    life.kill();
    board.fake.engine().things.values_mut().for_each(|thing| thing.state = InstanceState::Failed);
    let life = board.live();
    life.pass(Duration::from_secs(10));
    assert_eq!(board.running(), ["u".to_owned()].into());
    assert_eq!(life.state("ended"), Some(InstanceState::Stopped));
}

#[test]
fn a_lost_record_is_made_again_from_what_runs() {
    let board = Board::new();
    let life = board.live();
    let reply = life.start(order("u"));
    life.kill();
    for file in std::fs::read_dir(board.state_dir.path().join("deployments")).unwrap() {
        std::fs::write(file.unwrap().path(), b"\xff").unwrap();
    }
    let life = board.live();
    life.pass(Duration::from_secs(10));
    assert_eq!((life.state("u"), life.deployments.views().damaged), (Some(InstanceState::Running), 1));
    assert_eq!(life.start(order("u")), reply);
    assert_eq!(board.fake.engine().made, 1);
    life.kill();
    assert_eq!(Ledger::open(board.state_dir.path()).unwrap().load().unwrap().0.len(), 1);
}

#[test]
fn a_disk_that_is_full_begins_nothing() {
    let board = Board::new();
    let life = board.live();
    life.start(order("ran"));
    life.stop("ran");
    // Something is in the way of the files that are written first.
    let ledger = Ledger::open(board.state_dir.path()).unwrap();
    let in_the_way = ["u", "ran"].map(|uuid| ledger.path(uuid).with_extension("new"));
    in_the_way.iter().for_each(|path| std::fs::create_dir(path).unwrap());
    assert_eq!(life.start(order("u")).outcome, Outcome::NoSpace);
    assert_eq!(life.start(order("ran")).outcome, Outcome::NoSpace);
    assert_eq!((life.state("u"), life.state("ran")), (None, Some(InstanceState::Stopped)));
    in_the_way.iter().for_each(|path| std::fs::remove_dir(path).unwrap());
    assert_eq!(board.fake.engine().made, 1);
    assert_eq!(life.start(order("ran")).outcome, Outcome::Done);
}

#[test]
fn a_stop_takes_back_an_order_that_is_only_looked_at() {
    let board = Board::new();
    board.fake.engine().slow_check = Duration::from_secs(30);
    let life = board.live();
    let starting = life.deployments.clone();
    let starting = life.runtime.spawn(async move { starting.start(order("u")).await });
    life.pass(Duration::from_secs(1));
    assert_eq!(life.state("u"), Some(InstanceState::Pending));
    for (kind, id) in [("fake", Id::Number(4711)), ("other", Id::Text("u".into()))] {
        let stop = life.deployments.stop(kind.into(), "u".into(), id);
        assert_eq!(life.runtime.block_on(stop).outcome, Outcome::WrongInstance);
    }
    assert_eq!(life.stop("u").outcome, Outcome::Done);
    assert_eq!(life.state("u"), None);
    assert_eq!(life.runtime.block_on(starting).unwrap().outcome, Outcome::Conflict);
    life.pass(Duration::from_secs(60));
    assert_eq!((board.fake.engine().made, life.state("u")), (0, None));
}

#[test]
fn what_ended_well_while_the_agent_was_away_is_not_run_again() {
    let board = Board::new();
    let life = board.live();
    life.start(order("job"));
    life.start(order("service"));
    life.kill();
    let end = |uuid: &str, state| board.fake.engine().things.get_mut(uuid).unwrap().state = state;
    end("job", InstanceState::Stopped);
    end("service", InstanceState::Failed);
    let life = board.live();
    life.pass(Duration::from_secs(10));
    assert_eq!(life.state("job"), Some(InstanceState::Stopped));
    assert_eq!(board.running(), ["service".to_owned()].into());
}

#[test]
fn a_restart_by_hand_is_no_end_and_a_start_by_hand_is_taken_in() {
    let board = Board::new();
    let life = board.live();
    let first = life.start(order("u"));
    let set = |state| board.fake.engine().things.get_mut("u").unwrap().state = state;
    // One survey falls into the gap.
    set(InstanceState::Failed);
    life.pass(Duration::from_millis(2100));
    set(InstanceState::Running);
    life.pass(Duration::from_secs(10));
    assert_eq!((life.state("u"), life.deployments.views().cores), (Some(InstanceState::Running), 1));
    set(InstanceState::Failed);
    life.pass(Duration::from_secs(10));
    assert_eq!((life.state("u"), life.deployments.views().cores), (Some(InstanceState::Failed), 0));
    set(InstanceState::Running);
    life.pass(Duration::from_secs(10));
    assert_eq!((life.state("u"), life.deployments.views().cores), (Some(InstanceState::Running), 1));
    assert_eq!(life.start(order("u")), first);
}

#[test]
fn what_failed_and_left_nothing_makes_room() {
    let board = Board::new();
    board.fake.engine().pace = Duration::ZERO;
    let life = board.live();
    board.fake.engine().broken = (0..100).map(|number| format!("u{number}")).collect();
    for number in 0..100 {
        assert_eq!(life.start(order(&format!("u{number}"))).outcome, Outcome::Failed);
    }
    assert_eq!(life.start(order("sound")).outcome, Outcome::Done);
    assert!(life.deployments.views().deployments.len() <= keeper::MOST);
}

#[test]
fn a_full_disk_does_not_keep_anything_running() {
    let board = Board::new();
    let life = board.live();
    life.start(order("u"));
    let ledger = Ledger::open(board.state_dir.path()).unwrap();
    let in_the_way = ledger.path("u").with_extension("new");
    std::fs::create_dir(&in_the_way).unwrap();
    assert_eq!(life.stop("u").outcome, Outcome::NoSpace);
    life.pass(Duration::from_secs(5));
    assert!(board.running().is_empty());
    std::fs::remove_dir(&in_the_way).unwrap();
    life.pass(Duration::from_secs(60));
    assert_eq!(life.state("u"), Some(InstanceState::Stopped));
}

/// What may happen to a board.
#[derive(Debug, Clone)]
enum Happening {
    Start(u8),
    Other(u8),
    Stop(u8),
    Pass(u16),
    Kill,
    Reboot,
    EngineDown,
    EngineUp,
    EngineRestarts,
    EndsByItself(u8),
    LateEffects,
    Break(u8),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0..5_u8).prop_map(Happening::Start),
        1 => (0..5_u8).prop_map(Happening::Other),
        3 => (0..5_u8).prop_map(Happening::Stop),
        4 => (0..400_u16).prop_map(Happening::Pass),
        1 => (2000..5000_u16).prop_map(Happening::Pass),
        3 => Just(Happening::Kill),
        1 => Just(Happening::Reboot),
        1 => Just(Happening::EngineDown),
        2 => Just(Happening::EngineUp),
        1 => Just(Happening::EngineRestarts),
        1 => (0..5_u8).prop_map(Happening::EndsByItself),
        1 => Just(Happening::LateEffects),
        1 => (0..5_u8).prop_map(Happening::Break),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn whatever_happens_the_three_nevers_hold(story in prop::collection::vec(happening(), 1..60)) {
        let board = Board::new();
        let mut life = board.live();
        // What the manager was told, and has not taken back.
        let mut told_running: BTreeSet<String> = BTreeSet::new();
        for happening in story {
            match happening {
                Happening::Start(n) | Happening::Other(n) => {
                    let order = with(&format!("u{n}"), |order| {
                        if matches!(happening, Happening::Other(_)) {
                            order.file = "other".into();
                        }
                    });
                    let deployments = life.deployments.clone();
                    let uuid = order.uuid.clone();
                    let reply = life.runtime.block_on(async {
                        timeout(Duration::from_millis(30 * u64::from(n) + 20), deployments.start(order)).await
                    });
                    if reply.is_ok_and(|reply| reply.outcome == Outcome::Done) {
                        told_running.insert(uuid);
                    }
                }
                Happening::Stop(n) => {
                    let uuid = format!("u{n}");
                    told_running.remove(&uuid);
                    let stop = life.deployments.stop("fake".into(), uuid.clone(), Id::Text(uuid));
                    let _reply = life.runtime.block_on(async { timeout(Duration::from_millis(60), stop).await });
                }
                Happening::Pass(ms) => life.pass(Duration::from_millis(ms.into())),
                Happening::Kill => {
                    life.kill();
                    life = board.live();
                }
                Happening::Reboot => {
                    life.kill();
                                    board.fake.engine().pending.clear();
                    board.fake.engine().down = false;
                    board.fake.engine().things.values_mut().for_each(|thing| thing.state = InstanceState::Failed);
                    life = board.live();
                }
                Happening::EngineDown => board.fake.engine().down = true,
                Happening::EngineUp => board.fake.engine().down = false,
                Happening::EngineRestarts => {
                    board.fake.engine().down = true;
                    life.pass(Duration::from_secs(5));
                    board.fake.engine().things.values_mut().for_each(|thing| thing.state = InstanceState::Failed);
                    board.fake.engine().down = false;
                }
                Happening::EndsByItself(n) => {
                    let uuid = format!("u{n}");
                    if let Some(thing) = board.fake.engine().things.get_mut(&uuid) {
                        thing.state = InstanceState::Failed;
                        told_running.remove(&uuid);
                    }
                }
                Happening::LateEffects => board.fake.finish_pending(),
                Happening::Break(n) => {
                    let uuid = format!("u{n}");
                    told_running.remove(&uuid);
                    board.fake.engine().broken = vec![uuid];
                }
            }
            let views = life.deployments.views();
            let held: Vec<u32> = views.deployments.iter().flat_map(|one| one.cores.clone()).collect();
            prop_assert_eq!(held.len(), held.iter().collect::<BTreeSet<_>>().len(), "cores given twice");
        }
        board.fake.finish_pending();
        board.fake.engine().down = false;
        life.pass(Duration::from_secs(150));
        let views = life.deployments.views();
        let says_running: BTreeSet<String> = views
            .deployments
            .iter()
            .filter(|one| one.state == InstanceState::Running)
            .map(|one| one.uuid.clone())
            .collect();
        let ordered: BTreeSet<String> = views.deployments.iter().map(|one| one.uuid.clone()).collect();
        prop_assert_eq!(&board.running(), &says_running, "what runs is what is said to run");
        for uuid in board.fake.engine().things.keys() {
            prop_assert!(ordered.contains(uuid), "an orphan");
        }
        let lost: Vec<_> = told_running.difference(&says_running).collect();
        let broken = board.fake.engine().broken.clone();
        prop_assert!(lost.iter().all(|uuid| broken.contains(uuid)), "lost: {:?}", lost);
        life.kill();
    }
}
