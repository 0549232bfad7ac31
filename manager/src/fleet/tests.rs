//! The inventory, driven by hand: every moment is given.

mod claims;
mod current;
mod identity;
mod room;
mod saving;

use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use proptest::prelude::*;
use uuid::Uuid;

use super::identity::{Answer, Claimant};
use super::inventory::{Inventory, Receipt, Taken};
use super::room::Limits;
use super::{Filter, Restored};
use crate::clock::Moment;
use crate::model::report::Agent;
use crate::model::{BoardId, Heartbeat, Position, ResourceHead, State, Subject, Summary};

const PERIOD: i64 = 5_000;
const OURS: Ipv4Addr = Ipv4Addr::new(192, 168, 10, 254);

static BODY: LazyLock<Arc<[u8]>> = LazyLock::new(|| Arc::from(&b"{}"[..]));

/// A fleet, and the time in it.
struct World {
    inventory: Inventory,
    now: i64,
}

impl World {
    fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    fn with_limits(limits: Limits) -> Self {
        Self { inventory: Inventory::new(Duration::from_millis(PERIOD.unsigned_abs()), limits), now: 0 }
    }

    fn at(&self) -> Moment {
        Moment::from_millis(self.now)
    }

    fn receipt(&self) -> Receipt<'static> {
        Receipt { at: self.at(), via: Some(OURS), body: &BODY }
    }

    /// A query goes out from these addresses, a period after the one before.
    fn query(&mut self, from: &[Ipv4Addr]) {
        self.now += PERIOD;
        self.inventory.close(Subject::Heartbeat, self.at());
        self.inventory.asked(Subject::Heartbeat, self.at(), from.to_vec());
        self.now += 10;
    }

    fn heartbeat(&mut self, board: &Heartbeat) {
        let receipt = self.receipt();
        self.inventory.heartbeat(&Arc::new(board.clone()), None, receipt).1.unwrap();
    }

    fn resource(&mut self, head: ResourceHead) -> Taken {
        let receipt = self.receipt();
        self.inventory.resource(head, receipt).unwrap()
    }

    fn state(&self, board: &Heartbeat) -> State {
        self.inventory.view(BoardId::of(board).as_str()).unwrap().board.state
    }

    /// Missed in a row, and in all.
    fn missed(&self, board: &Heartbeat) -> (u32, u64) {
        let answers = self.inventory.view(BoardId::of(board).as_str()).unwrap().board.answers.heartbeat;
        (answers.missed_in_a_row, answers.missed_total)
    }

    /// How many rivals a board has for its slot, and for its address.
    fn rivals(&self, board: &Heartbeat) -> (usize, usize) {
        let conflicts = self.inventory.view(BoardId::of(board).as_str()).unwrap().conflicts;
        (conflicts.slot.len(), conflicts.address.len())
    }
}

fn plain(slot_id: i32, hostname: &str, host_ip: [u8; 4]) -> Heartbeat {
    Heartbeat {
        position: Position { box_id: i32::from(slot_id != 0), slot_id, cpu_id: 0, srio_id: 0 },
        host_ip: host_ip.into(),
        hostname: hostname.into(),
        service_port: 23980,
        box_type: None,
        board_type: None,
        cpu_type: None,
        os_type: None,
        resource_type: None,
        cpu_arch: None,
        gpus: Vec::new(),
        agent: None,
    }
}

fn ours(id: u128, slot_id: i32, host_ip: [u8; 4]) -> Heartbeat {
    let agent = Agent {
        id: Uuid::from_u128(id),
        version: None,
        kernel: None,
        manufacturer: None,
        model: None,
        serial: None,
        extra: Vec::new(),
        plugins: Vec::new(),
    };
    Heartbeat { agent: Some(agent), ..plain(slot_id, "ours", host_ip) }
}

fn readings(host_ip: [u8; 4], agent: Option<u128>) -> ResourceHead {
    ResourceHead { host_ip: host_ip.into(), agent: agent.map(Uuid::from_u128), summary: Summary::default() }
}

#[test]
fn a_board_that_stops_answering_is_late_and_then_lost_and_comes_back() {
    let (mut world, board) = (World::new(), plain(3, "node7", [10, 0, 0, 7]));
    world.query(&[OURS]);
    world.heartbeat(&board);
    let mut states = Vec::new();
    for _ in 0..5 {
        world.query(&[OURS]);
        states.push((world.state(&board), world.missed(&board)));
    }
    use State::{Late, Lost, Up};
    assert_eq!(states, [(Up, (0, 0)), (Late, (1, 1)), (Late, (2, 2)), (Lost, (3, 3)), (Lost, (4, 4))]);
    world.heartbeat(&board);
    assert_eq!((world.state(&board), world.missed(&board)), (Up, (0, 4)));
}

#[test]
fn a_query_that_could_not_be_sent_is_missed_by_nobody() {
    let (mut world, board) = (World::new(), plain(3, "node7", [10, 0, 0, 7]));
    world.query(&[OURS]);
    world.heartbeat(&board);
    world.query(&[]);
    assert_eq!(world.state(&board), State::Up);
    for _ in 0..9 {
        world.query(&[]);
    }
    assert_eq!((world.state(&board), world.missed(&board)), (State::Late, (0, 0)));
}

#[test]
fn a_board_misses_only_what_went_out_on_its_own_network() {
    let (mut world, board) = (World::new(), plain(3, "node7", [10, 0, 0, 7]));
    let other = Ipv4Addr::new(10, 9, 9, 9);
    world.query(&[OURS, other]);
    world.heartbeat(&board);
    (0..4).for_each(|_| world.query(&[other]));
    assert_eq!(world.missed(&board), (0, 0));
    (0..2).for_each(|_| world.query(&[OURS]));
    assert_eq!(world.missed(&board), (1, 1));
}

#[test]
fn a_board_that_joins_between_two_queries_has_missed_nothing() {
    let (mut world, board) = (World::new(), plain(3, "node7", [10, 0, 0, 7]));
    world.query(&[OURS]);
    world.now += 1_000;
    world.heartbeat(&board);
    world.query(&[OURS]);
    assert_eq!(world.missed(&board), (0, 0));
}

#[test]
fn two_hosts_in_one_slot_are_flagged_until_one_is_lost() {
    let mut world = World::new();
    let (one, two) = (plain(3, "one", [10, 0, 0, 1]), plain(3, "two", [10, 0, 0, 2]));
    world.query(&[OURS]);
    world.heartbeat(&one);
    assert_eq!(world.rivals(&one), (0, 0));
    world.heartbeat(&two);
    assert_eq!((world.rivals(&one), world.rivals(&two)), ((1, 0), (1, 0)));
    for _ in 0..4 {
        world.query(&[OURS]);
        world.heartbeat(&two);
    }
    assert_eq!((world.state(&one), world.rivals(&one), world.rivals(&two)), (State::Lost, (0, 0), (0, 0)));
}

#[test]
fn a_board_that_moves_to_another_slot_gives_up_the_old_one() {
    let mut world = World::new();
    let (mut one, two) = (ours(1, 3, [10, 0, 0, 1]), ours(2, 3, [10, 0, 0, 2]));
    world.heartbeat(&one);
    world.heartbeat(&two);
    assert_eq!(world.rivals(&two), (1, 0));
    one.position.slot_id = 4;
    world.heartbeat(&one);
    assert_eq!((world.rivals(&one), world.rivals(&two)), ((0, 0), (0, 0)));
}

#[test]
fn boards_without_a_position_claim_no_slot() {
    let mut world = World::new();
    let (one, two) = (plain(0, "one", [10, 0, 0, 1]), plain(0, "two", [10, 0, 0, 2]));
    world.heartbeat(&one);
    world.heartbeat(&two);
    assert_eq!((world.rivals(&one), world.rivals(&two)), ((0, 0), (0, 0)));
}

#[test]
fn one_address_with_two_identities_is_flagged_until_one_has_moved() {
    let mut world = World::new();
    let (mut one, two) = (ours(1, 3, [10, 0, 0, 1]), ours(2, 4, [10, 0, 0, 1]));
    world.query(&[OURS]);
    world.heartbeat(&one);
    world.heartbeat(&two);
    assert_eq!((world.rivals(&one), world.rivals(&two)), ((0, 1), (0, 1)));
    one.host_ip = Ipv4Addr::new(10, 0, 0, 9);
    for _ in 0..5 {
        world.heartbeat(&one);
        world.heartbeat(&two);
        world.query(&[OURS]);
    }
    assert_eq!((world.rivals(&one), world.rivals(&two)), ((0, 0), (0, 0)));
}

#[test]
fn plain_readings_belong_to_the_one_board_with_that_address() {
    let mut world = World::new();
    let board = plain(3, "node7", [10, 0, 0, 7]);
    assert_eq!(world.resource(readings([10, 0, 0, 7], None)), Taken::Waiting);
    world.heartbeat(&board);
    assert!(world.inventory.view("1-3-0-0-node7").unwrap().board.resource.is_some());
    assert_eq!(world.resource(readings([10, 0, 0, 7], None)), Taken::Kept);
    world.heartbeat(&plain(4, "twin", [10, 0, 0, 7]));
    assert_eq!(world.resource(readings([10, 0, 0, 7], None)), Taken::Ambiguous);
}

#[test]
fn signed_readings_belong_to_their_agent_whatever_the_address() {
    let mut world = World::new();
    assert_eq!(world.resource(readings([10, 0, 0, 9], Some(1))), Taken::Waiting);
    world.heartbeat(&ours(1, 3, [10, 0, 0, 1]));
    world.heartbeat(&plain(4, "old", [10, 0, 0, 1]));
    assert!(world.inventory.view(&Uuid::from_u128(1).to_string()).unwrap().board.resource.is_some());
    // An unsigned report from the address of both can only be the plain one's.
    assert_eq!(world.resource(readings([10, 0, 0, 1], None)), Taken::Kept);
    assert!(world.inventory.view("1-4-0-0-old").unwrap().board.resource.is_some());
}

#[test]
fn a_forgotten_board_leaves_nothing_behind() {
    let mut world = World::new();
    let (one, two) = (plain(3, "one", [10, 0, 0, 1]), plain(3, "two", [10, 0, 0, 1]));
    world.heartbeat(&one);
    world.inventory.take_unsaved();
    world.heartbeat(&two);
    assert!(world.inventory.forget(BoardId::of(&one).as_str()));
    assert!(!world.inventory.forget(BoardId::of(&one).as_str()));
    assert_eq!(world.rivals(&two), (0, 0));
    let changes = world.inventory.take_unsaved();
    assert_eq!((changes.forgotten.len(), changes.boards.len()), (1, 1));
    assert!(world.inventory.take_unsaved().is_empty());
}

#[test]
fn what_was_not_saved_is_saved_the_next_time() {
    let mut world = World::new();
    world.heartbeat(&plain(3, "one", [10, 0, 0, 1]));
    let changes = world.inventory.take_unsaved();
    assert!(changes.boards[0].heartbeat.is_some());
    world.inventory.put_back(changes);
    assert!(world.inventory.take_unsaved().boards[0].heartbeat.is_some());
    world.heartbeat(&plain(3, "one", [10, 0, 0, 1]));
    assert!(
        world.inventory.take_unsaved().boards[0].heartbeat.is_none(),
        "an unchanged heartbeat is saved once"
    );
}

#[test]
fn a_restored_board_is_judged_by_its_silence_until_it_answers() {
    let mut world = World::new();
    let mut restore = |hostname: &str, silent: i64| {
        let board = plain(3, hostname, [10, 0, 0, 1]);
        let restored = Restored {
            heartbeat: (board.clone(), 100),
            resource: None,
            first_seen: Some(Moment::from_millis(-1_000_000)),
            last_seen: Some(Moment::from_millis(-silent)),
            missed: [(0, 40), (0, 2)],
        };
        world.inventory.restore(restored, Moment::from_millis(0));
        board
    };
    let boards = [restore("a", 100), restore("b", 3 * PERIOD), restore("c", 30 * PERIOD)];
    assert_eq!(boards.each_ref().map(|board| world.state(board)), [State::Up, State::Late, State::Lost]);
    world.heartbeat(&boards[2]);
    assert_eq!((world.state(&boards[2]), world.missed(&boards[2])), (State::Up, (0, 40)));
    world.query(&[OURS]);
    assert_eq!(world.missed(&boards[1]), (0, 40), "nothing was missed while nobody asked");
}

#[test]
fn pages_follow_each_other_and_filters_hold() {
    let mut world = World::new();
    (1..=7).for_each(|n: u8| world.heartbeat(&plain(n.into(), "n", [10, 0, 0, n])));
    let mut seen = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = world.inventory.page(&Filter::default(), after.as_deref(), 3);
        assert_eq!(page.total, 7);
        seen.extend(page.boards.iter().map(|view| view.board.id.to_string()));
        after = seen.last().cloned();
        if !page.more {
            break;
        }
    }
    assert_eq!(seen.len(), 7);
    let lost = Filter { state: Some(State::Lost), box_id: None };
    assert_eq!(world.inventory.page(&lost, None, 3).total, 0);
    assert_eq!(world.inventory.page(&Filter { state: None, box_id: Some(9) }, None, 3).total, 0);
}

/// Something that happens to the fleet.
#[derive(Debug, Clone)]
enum Step {
    Query { sent: bool },
    Heartbeat { board: u8, address: u8 },
    Resource { board: u8, signed: bool },
    Forget { board: u8 },
    Wait { millis: u16 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<bool>().prop_map(|sent| Step::Query { sent }),
        4 => (0..6_u8, 0..4_u8).prop_map(|(board, address)| Step::Heartbeat { board, address }),
        2 => (0..6_u8, any::<bool>()).prop_map(|(board, signed)| Step::Resource { board, signed }),
        1 => (0..6_u8).prop_map(|board| Step::Forget { board }),
        1 => any::<u16>().prop_map(|millis| Step::Wait { millis }),
    ]
}

fn any_board(number: u8, address: u8) -> Heartbeat {
    let host_ip = [10, 0, 0, address];
    match number % 2 {
        0 => plain(i32::from(number) % 3, &format!("n{number}"), host_ip),
        _ => ours(u128::from(number), i32::from(number) % 3, host_ip),
    }
}

proptest! {
    #[test]
    fn the_state_always_follows_from_the_answers(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new();
        for step in steps {
            let total = |world: &World| -> u64 {
                let page = world.inventory.page(&Filter::default(), None, 100);
                page.boards.iter().map(|view| view.board.answers.heartbeat.missed_total).sum()
            };
            let before = total(&world);
            match step {
                Step::Query { sent } => world.query(if sent { &[OURS] } else { &[] }),
                Step::Heartbeat { board, address } => {
                    let board = any_board(board, address);
                    world.heartbeat(&board);
                    prop_assert_eq!(world.state(&board), State::Up);
                    prop_assert_eq!(world.missed(&board).0, 0);
                }
                Step::Resource { board, signed } => {
                    let agent = signed.then_some(u128::from(board));
                    let head = readings([10, 0, 0, board % 4], agent);
                    let owner = match agent.map(|id| BoardId::of_agent(Uuid::from_u128(id))) {
                        Some(id) => Ok(world.inventory.boards.contains_key(&id).then_some(id)),
                        None => claims::owner(&world.inventory, head.host_ip),
                    };
                    let taken = world.resource(head);
                    prop_assert_eq!(total(&world), before);
                    match owner {
                        Ok(Some(id)) => {
                            let last = world.inventory.boards[&id].board.answers.resource.last;
                            prop_assert_eq!((taken, last), (Taken::Kept, Some(world.at())));
                        }
                        Ok(None) => prop_assert_eq!(taken, Taken::Waiting),
                        Err(ambiguous) => prop_assert_eq!(taken, ambiguous),
                    }
                }
                Step::Forget { board } => {
                    world.inventory.forget(BoardId::of(&any_board(board, 0)).as_str());
                }
                Step::Wait { millis } => world.now += i64::from(millis),
            }
            claims::check_claims(&world.inventory);
            for view in world.inventory.page(&Filter::default(), None, 100).boards {
                let (board, answers) = (&view.board, view.board.answers.heartbeat);
                prop_assert_eq!(board.state == State::Lost, answers.missed_in_a_row >= 3);
                prop_assert!(board.state != State::Up || answers.missed_in_a_row == 0);
                prop_assert!(u64::from(answers.missed_in_a_row) <= answers.missed_total);
                prop_assert!(board.first_seen <= board.last_seen && board.last_seen <= Some(world.at()));
                prop_assert!((1..=8).contains(&board.addresses.len()));
                for rival in view.conflicts.slot.iter().chain(&view.conflicts.address) {
                    let other = world.inventory.view(rival.as_str()).unwrap();
                    let theirs = other.conflicts.slot.iter().chain(&other.conflicts.address);
                    prop_assert!(theirs.into_iter().any(|id| *id == board.id), "a conflict has two sides");
                }
            }
        }
        let page = world.inventory.page(&Filter::default(), None, 100);
        let ids: Vec<_> = page.boards.iter().map(|view| view.board.id.to_string()).collect();
        ids.iter().for_each(|id| assert!(world.inventory.forget(id)));
        prop_assert_eq!(world.inventory.weight, 0);
    }
}
