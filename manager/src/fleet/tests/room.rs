//! A full inventory: who makes room, and that nothing is left behind.

use super::*;
use crate::fleet::Refused;

const LIMITS: Limits = Limits { boards: 64, weight: 1 << 20 };

fn invented(number: u128) -> Heartbeat {
    ours(1000 + number, 0, [10, 9, 9, 9])
}

fn real(number: u8) -> Heartbeat {
    ours(u128::from(number) + 1, i32::from(number) + 1, [10, 0, 0, number])
}

fn take(world: &mut World, board: &Heartbeat, body: usize) -> Option<Refused> {
    let body = Arc::from(vec![b' '; body]);
    let receipt = Receipt { body: &body, ..world.receipt() };
    world.inventory.heartbeat(&Arc::new(board.clone()), None, receipt).1.err()
}

fn is_known(world: &World, board: &Heartbeat) -> bool {
    world.inventory.view(BoardId::of(board).as_str()).is_some()
}

fn boards(world: &World) -> usize {
    world.inventory.count().iter().sum()
}

/// Everybody who does not answer these queries is lost.
fn lose_all_but(world: &mut World, answering: &[Heartbeat]) {
    for _ in 0..4 {
        world.query(&[OURS]);
        answering.iter().for_each(|board| world.heartbeat(board));
    }
}

/// That what is kept beside the boards follows from the boards.
fn check_consistency(inventory: &Inventory) {
    let entries = || inventory.boards.values();
    let weight: usize = entries().map(|entry| entry.weight.heartbeat + entry.weight.resource).sum();
    assert_eq!(inventory.weight, weight);
    assert!(inventory.order.iter().eq(inventory.boards.keys().collect::<std::collections::BTreeSet<_>>()));
    assert_eq!(inventory.count().iter().sum::<usize>(), inventory.boards.len());
    claims::check_claims(inventory);
}

#[test]
fn an_inventory_of_boards_that_answer_comes_to_an_end() {
    let mut world = World::with_limits(LIMITS);
    let refused = |world: &mut World, number| take(world, &invented(number), 2);
    assert!((0..64).all(|number| refused(&mut world, number).is_none()));
    assert_eq!(refused(&mut world, 64), Some(Refused::Boards(64)));
    assert_eq!(take(&mut world, &invented(0), 2), None, "who is known goes on reporting");
    assert_eq!((boards(&world), world.inventory.evicted), (64, 0));
}

#[test]
fn the_manager_keeps_twenty_thousand_boards() {
    let mut world = World::new();
    let refused = (0..20_001).find_map(|number| take(&mut world, &invented(number), 2));
    assert_eq!((refused, boards(&world)), (Some(Refused::Boards(20_000)), 20_000));
}

#[test]
fn lost_inventions_make_room_for_a_real_board_and_lost_real_ones_stay() {
    let mut world = World::with_limits(LIMITS);
    let (gone, here) = ([real(0), real(1)], [real(2)]);
    gone.iter().chain(&here).for_each(|board| world.heartbeat(board));
    // Known for an hour.
    for _ in 0..720 {
        world.query(&[OURS]);
        gone.iter().chain(&here).for_each(|board| world.heartbeat(board));
    }
    (0..61).for_each(|number| world.heartbeat(&invented(number)));
    assert_eq!(take(&mut world, &real(3), 2), Some(Refused::Boards(64)));
    lose_all_but(&mut world, &here);
    for number in 0..1000 {
        assert_eq!(take(&mut world, &invented(100 + number), 2), None, "{number}");
        world.now += 1_000;
        if number % 5 == 4 {
            world.query(&[OURS]);
            world.heartbeat(&here[0]);
        }
    }
    assert_eq!(take(&mut world, &real(3), 2), None);
    assert!(gone.iter().chain(&here).all(|board| is_known(&world, board)));
    assert!(is_known(&world, &real(3)) && boards(&world) <= 64);
    check_consistency(&world.inventory);
}

#[test]
fn of_boards_that_were_known_alike_the_one_that_was_lost_first_goes_first() {
    let mut world = World::with_limits(LIMITS);
    (0..64).for_each(|number| {
        world.heartbeat(&invented(number));
        world.now += 1;
    });
    lose_all_but(&mut world, &[]);
    world.heartbeat(&real(0));
    assert!(!is_known(&world, &invented(0)) && is_known(&world, &invented(1)));
}

#[test]
fn room_is_made_in_batches_and_the_store_is_told() {
    let mut world = World::with_limits(Limits { boards: 640, ..LIMITS });
    (0..640).for_each(|number| world.heartbeat(&invented(number)));
    world.inventory.take_unsaved();
    lose_all_but(&mut world, &[]);
    world.heartbeat(&real(0));
    assert_eq!((boards(&world), world.inventory.evicted), (631, 10));
    (1..10).for_each(|number| world.heartbeat(&real(number)));
    assert_eq!((boards(&world), world.inventory.evicted), (640, 10));
    let changes = world.inventory.take_unsaved();
    assert_eq!(changes.forgotten.len(), 10);
    check_consistency(&world.inventory);
}

#[test]
fn nobody_is_looked_for_twice_in_a_round_without_lost_boards() {
    let mut world = World::with_limits(LIMITS);
    (0..64).for_each(|number| world.heartbeat(&invented(number)));
    assert!(!world.inventory.nobody_lost);
    take(&mut world, &invented(64), 2);
    assert!(world.inventory.nobody_lost);
    lose_all_but(&mut world, &[]);
    assert!(!world.inventory.nobody_lost);
    assert_eq!(take(&mut world, &invented(64), 2), None);
}

#[test]
fn memory_is_made_by_lost_boards_too() {
    let mut world = World::with_limits(LIMITS);
    let long = LIMITS.weight / 8;
    let fits = (0..9).take_while(|number| take(&mut world, &invented(*number), long).is_none()).count();
    assert_eq!((fits, boards(&world)), (7, 7));
    let here = invented(6);
    lose_all_but(&mut world, std::slice::from_ref(&here));
    assert_eq!(take(&mut world, &real(0), long), None);
    assert!(is_known(&world, &here) && !is_known(&world, &invented(0)));
    // A known board that grows gets its room from others, though it is lost itself.
    let back = Heartbeat { os_type: Some("longer".into()), ..invented(1) };
    assert_eq!(take(&mut world, &back, 2 * long), None);
    assert_eq!(world.state(&back), State::Up);
    check_consistency(&world.inventory);
    // And what does not fit at all drives out no board that answers.
    assert_eq!(take(&mut world, &real(1), LIMITS.weight), Some(Refused::Weight(LIMITS.weight)));
    assert!(is_known(&world, &here) && is_known(&world, &real(0)) && is_known(&world, &back));
}

#[test]
fn readings_find_room_as_heartbeats_do() {
    let mut world = World::with_limits(LIMITS);
    let body = |bytes| Arc::from(vec![b' '; bytes]);
    (0..2).for_each(|number| world.heartbeat(&invented(number)));
    let report = |world: &mut World, number: u128, body: &Arc<[u8]>| {
        let receipt = Receipt { body, ..world.receipt() };
        world.inventory.resource(readings([10, 9, 9, 9], Some(1000 + number)), receipt)
    };
    let half = body(LIMITS.weight / 2);
    assert_eq!(report(&mut world, 0, &half), Ok(Taken::Kept));
    assert_eq!(report(&mut world, 1, &half), Err(Refused::Weight(LIMITS.weight)));
    lose_all_but(&mut world, &[invented(1)]);
    assert_eq!(report(&mut world, 1, &half), Ok(Taken::Kept));
    assert!(!is_known(&world, &invented(0)));
    check_consistency(&world.inventory);
}

#[test]
fn a_board_that_answers_is_there_though_there_is_no_room_for_what_it_says() {
    let mut world = World::with_limits(LIMITS);
    let (full, here) = (invented(0), real(0));
    assert_eq!(take(&mut world, &full, LIMITS.weight - 4096), None);
    world.heartbeat(&here);
    let longer = Heartbeat { os_type: Some("longer".into()), host_ip: [10, 0, 0, 77].into(), ..here.clone() };
    for _ in 0..8 {
        world.query(&[OURS]);
        world.inventory.close(Subject::Resource, world.at());
        world.inventory.asked(Subject::Resource, world.at(), vec![OURS]);
        world.heartbeat(&full);
        assert_eq!(take(&mut world, &longer, 8192), Some(Refused::Weight(LIMITS.weight)));
        let body = Arc::from(vec![b' '; 8192]);
        let receipt = Receipt { body: &body, ..world.receipt() };
        let taken = world.inventory.resource(readings([10, 0, 0, 77], Some(1)), receipt);
        assert_eq!(taken, Err(Refused::Weight(LIMITS.weight)));
    }
    let board = world.inventory.view(BoardId::of(&here).as_str()).unwrap().board;
    assert_eq!((board.state, board.last_seen), (State::Up, Some(world.at())));
    assert_eq!((board.answers.heartbeat.missed_total, board.answers.resource.missed_total), (0, 0));
    assert_eq!((&*board.heartbeat, board.addresses[0].address), (&here, [10, 0, 0, 77].into()));
    check_consistency(&world.inventory);
}

#[test]
fn a_lost_board_that_is_spared_is_not_denied_in_the_refusal() {
    let mut world = World::with_limits(LIMITS);
    world.heartbeat(&real(0));
    lose_all_but(&mut world, &[]);
    let body = Arc::from(vec![b' '; LIMITS.weight]);
    let receipt = Receipt { body: &body, ..world.receipt() };
    let refused = world.inventory.resource(readings([10, 0, 0, 0], Some(1)), receipt).unwrap_err();
    assert_eq!(world.state(&real(0)), State::Lost);
    assert!(refused.to_string().ends_with("and no lost board makes room"), "{refused}");
}

#[derive(Debug, Clone)]
enum Siege {
    Invent { boards: u8, body: u16 },
    Real { number: u8, body: u16 },
    Readings { number: u8, body: u16 },
    Query,
    Forget { number: u8 },
    Save,
}

fn siege() -> impl Strategy<Value = Siege> {
    prop_oneof![
        3 => (1..20_u8, 0..200_u16).prop_map(|(boards, body)| Siege::Invent { boards, body }),
        3 => (0..6_u8, 0..800_u16).prop_map(|(number, body)| Siege::Real { number, body }),
        2 => (0..6_u8, 0..800_u16).prop_map(|(number, body)| Siege::Readings { number, body }),
        4 => Just(Siege::Query),
        1 => (0..6_u8).prop_map(|number| Siege::Forget { number }),
        1 => Just(Siege::Save),
    ]
}

proptest! {
    #[test]
    fn limits_hold_and_nobody_who_answers_is_evicted(steps in prop::collection::vec(siege(), 0..80)) {
        let limits = Limits { boards: 16, weight: 16 << 10 };
        let mut world = World::with_limits(limits);
        let mut inventions = 0;
        for step in steps {
            let live: Vec<_> = world.inventory.boards.values()
                .filter(|entry| entry.board.state != State::Lost)
                .map(|entry| entry.board.id.clone())
                .collect();
            let mut forgotten = None;
            match step {
                Siege::Invent { boards, body } => for _ in 0..boards {
                    inventions += 1;
                    take(&mut world, &invented(inventions), body.into());
                },
                Siege::Real { number, body } => {
                    // Another text each time, since an unchanged heartbeat keeps its weight.
                    let changed = Heartbeat { os_type: Some(body.to_string().as_str().into()), ..real(number) };
                    take(&mut world, &changed, body.into());
                }
                Siege::Readings { number, body } => {
                    let body = Arc::from(vec![b' '; body.into()]);
                    let receipt = Receipt { body: &body, ..world.receipt() };
                    let head = readings([10, 0, 0, number], Some(u128::from(number) + 1));
                    let _ = world.inventory.resource(head, receipt);
                }
                Siege::Query => world.query(&[OURS]),
                Siege::Forget { number } => {
                    let id = BoardId::of(&real(number));
                    world.inventory.forget(id.as_str());
                    forgotten = Some(id);
                }
                Siege::Save => drop(world.inventory.take_unsaved()),
            }
            check_consistency(&world.inventory);
            prop_assert!(world.inventory.boards.len() <= limits.boards);
            prop_assert!(world.inventory.weight <= limits.weight);
            for id in live {
                prop_assert!(world.inventory.boards.contains_key(&id) || forgotten == Some(id));
            }
        }
    }
}
