//! Two agents with one identity, and what is none.

use super::*;
use crate::fleet::event::Event;
use crate::model::QueryId;

/// How often the begin and the end of a copied identity were told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    begun: usize,
    settled: usize,
}

impl Told {
    fn note(&mut self, events: &[Event]) {
        let count = |is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
        self.begun += count(|event| matches!(event, Event::CopiedIdentity { .. }));
        self.settled += count(|event| matches!(event, Event::SettledIdentity(_)));
    }
}

fn answer(world: &mut World, board: &Heartbeat, query: &str, told: &mut Told) {
    let receipt = world.receipt();
    let answer = QueryId::known(query.into()).map(|query| Answer { query, by: Claimant::of(board) });
    told.note(&world.inventory.heartbeat(&Arc::new(board.clone()), answer, receipt).0);
}

/// A query goes out and these boards answer it.
fn round(world: &mut World, query: &str, boards: &[&Heartbeat], told: &mut Told) {
    world.now += PERIOD;
    told.note(&world.inventory.close(Subject::Heartbeat, world.at()));
    world.inventory.asked(Subject::Heartbeat, world.at(), vec![OURS]);
    for board in boards {
        world.now += 10;
        answer(world, board, query, told);
    }
}

fn claimants(world: &World) -> Vec<Ipv4Addr> {
    let view = world.inventory.view(&Uuid::from_u128(1).to_string()).unwrap();
    let mut addresses: Vec<_> = view.conflicts.identity.iter().map(|claimant| claimant.host_ip).collect();
    addresses.sort_unstable();
    addresses
}

fn check(others: impl Fn(Heartbeat) -> Heartbeat, copied: bool) {
    let (mut world, mut told) = (World::new(), Told::default());
    let one = ours(1, 3, [10, 0, 0, 1]);
    let other = others(one.clone());
    round(&mut world, "q1", &[&one, &other], &mut told);
    assert_eq!(told, Told { begun: usize::from(copied), settled: 0 });
    assert_eq!(!claimants(&world).is_empty(), copied);
}

#[test]
fn two_different_answers_to_one_query_are_two_agents() {
    check(|one| Heartbeat { host_ip: [10, 0, 0, 2].into(), ..one }, true);
    check(|one| Heartbeat { hostname: "other".into(), ..one }, true);
    check(|one| Heartbeat { position: Position { slot_id: 4, ..one.position }, ..one }, true);
}

#[test]
fn what_else_differs_proves_nothing() {
    check(|one| one, false);
    check(|one| Heartbeat { os_type: Some("other".into()), ..one }, false);
}

#[test]
fn a_copied_identity_is_told_once_and_settles_when_one_agent_is_left() {
    let (mut world, mut told) = (World::new(), Told::default());
    let (one, two) = (ours(1, 3, [10, 0, 0, 1]), ours(1, 3, [10, 0, 0, 2]));
    for number in 0..5 {
        // The one that answers first is another each time.
        let boards = if number % 2 == 0 { [&one, &two] } else { [&two, &one] };
        round(&mut world, &format!("both {number}"), &boards, &mut told);
    }
    assert_eq!(told, Told { begun: 1, settled: 0 });
    assert_eq!(claimants(&world), [one.host_ip, two.host_ip]);
    for number in 0..3 {
        round(&mut world, &format!("one {number}"), &[&one], &mut told);
    }
    assert_eq!((told.settled, claimants(&world).len()), (0, 2), "a lost report or two settle nothing");
    round(&mut world, "last", &[&one], &mut told);
    assert_eq!((told, claimants(&world).len()), (Told { begun: 1, settled: 1 }, 0));
}

#[test]
fn of_three_agents_the_one_that_is_mended_is_no_longer_named() {
    let (mut world, mut told) = (World::new(), Told::default());
    let [one, two, three] = [1, 2, 3].map(|last| ours(1, 3, [10, 0, 0, last]));
    round(&mut world, "all", &[&one, &two, &three], &mut told);
    assert_eq!(claimants(&world), [one.host_ip, two.host_ip, three.host_ip]);
    for number in 0..6 {
        round(&mut world, &format!("two {number}"), &[&one, &two], &mut told);
    }
    assert_eq!((told, claimants(&world)), (Told { begun: 1, settled: 0 }, vec![one.host_ip, two.host_ip]));
}

#[test]
fn a_board_on_two_networks_is_one_agent() {
    let (mut world, mut told) = (World::new(), Told::default());
    let (here, there) = (ours(1, 3, [10, 0, 0, 1]), ours(1, 3, [10, 1, 0, 1]));
    for number in 0..20 {
        answer(&mut world, &here, &format!("here {number}"), &mut told);
        answer(&mut world, &there, &format!("there {number}"), &mut told);
    }
    // Nor do plain queries prove anything.
    world.heartbeat(&here);
    world.heartbeat(&there);
    assert_eq!((told, claimants(&world).len()), (Told::default(), 0));
}

#[test]
fn two_agents_on_two_networks_are_found_whatever_the_order_of_their_answers() {
    let (mut world, mut told) = (World::new(), Told::default());
    let one = ours(1, 3, [10, 0, 0, 1]);
    let there = |board: &Heartbeat| Heartbeat { host_ip: [10, 1, 0, 9].into(), ..board.clone() };
    let two = ours(1, 3, [10, 0, 0, 2]);
    answer(&mut world, &one, "here", &mut told);
    answer(&mut world, &there(&one), "there", &mut told);
    answer(&mut world, &two, "here", &mut told);
    assert_eq!((told.begun, claimants(&world)), (1, vec![one.host_ip, two.host_ip]));
}

#[test]
fn a_forgotten_board_is_no_longer_proved_to_be_two() {
    let (mut world, mut told) = (World::new(), Told::default());
    let (one, two) = (ours(1, 3, [10, 0, 0, 1]), ours(1, 3, [10, 0, 0, 2]));
    round(&mut world, "q1", &[&one, &two], &mut told);
    world.inventory.forget(BoardId::of(&one).as_str());
    round(&mut world, "q2", &[&one], &mut told);
    assert!(claimants(&world).is_empty());
}

proptest! {
    #[test]
    fn one_agent_is_never_taken_for_two(answers in prop::collection::vec((0..4_u8, 0..9_u16), 0..60)) {
        let (mut world, mut told) = (World::new(), Told::default());
        // It may change its address with each query, but it answers each query once.
        for (number, (last, wait)) in answers.into_iter().enumerate() {
            world.now += i64::from(wait) * 1000;
            answer(&mut world, &ours(1, 3, [10, 0, 0, last + 1]), &number.to_string(), &mut told);
        }
        prop_assert_eq!(told, Told::default());
    }
}
