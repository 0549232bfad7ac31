//! What the store is told, while it works and while it does not.

use std::collections::BTreeMap;

use super::*;
use crate::fleet::Changes;

const LIMITS: Limits = Limits { boards: 64, weight: 1 << 20 };

/// Rows, by the rules of the real one: a batch is written wholly or not at all, what is forgotten goes first, and a row
/// begins with a heartbeat.
#[derive(Debug, Default, PartialEq)]
struct Store(BTreeMap<String, Row>);

#[derive(Debug, Clone, PartialEq)]
struct Row {
    first_seen: Option<Moment>,
    hostname: String,
    readings: Option<Moment>,
}

impl Store {
    fn save(&mut self, changes: Changes) {
        for id in &changes.forgotten {
            self.0.remove(id.as_str());
        }
        for record in changes.boards {
            let board = record.board;
            if record.heartbeat.is_some() {
                let (hostname, first_seen) = (board.heartbeat.hostname.to_string(), board.first_seen);
                let row = Row { first_seen, hostname: hostname.clone(), readings: None };
                let row = self.0.entry(board.id.to_string()).or_insert(row);
                (row.first_seen, row.hostname) = (first_seen, hostname);
            }
            if let Some((row, received)) = self.0.get_mut(board.id.as_str()).zip(board.resource)
                && record.resource
            {
                row.readings = Some(received.at);
            }
        }
    }

    /// What it should have.
    fn of(inventory: &Inventory) -> Self {
        let row = |board: &crate::fleet::Board| Row {
            first_seen: board.first_seen,
            hostname: board.heartbeat.hostname.to_string(),
            readings: board.resource.as_ref().map(|received| received.at),
        };
        let boards = inventory.boards.values().map(|entry| &entry.board);
        Self(boards.map(|board| (board.id.to_string(), row(board))).collect())
    }
}

#[test]
fn while_the_store_fails_no_more_is_remembered_for_it_than_it_has() {
    let (mut world, mut store) = (World::with_limits(LIMITS), Store::default());
    let invent = |world: &mut World, numbers: std::ops::Range<u128>| {
        numbers.for_each(|number| world.heartbeat(&ours(number, 0, [10, 9, 9, 9])));
        (0..4).for_each(|_| world.query(&[OURS]));
    };
    invent(&mut world, 1..65);
    store.save(world.inventory.take_unsaved());
    assert_eq!(store.0.len(), 64);
    for generation in 1..50 {
        let first = 1 + generation * 64;
        invent(&mut world, first..first + 32);
        let failing = world.inventory.take_unsaved();
        // They go away while their batch is under way, and others come.
        invent(&mut world, first + 32..first + 64);
        world.inventory.put_back(failing);
        assert!(world.inventory.forgotten.len() <= 64, "{}", world.inventory.forgotten.len());
    }
    assert_eq!(world.inventory.forgotten.len(), 64);
    store.save(world.inventory.take_unsaved());
    assert_eq!(store, Store::of(&world.inventory));
    assert!(world.inventory.forgotten.is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    Heartbeat { board: u8, name: u8 },
    Readings { board: u8 },
    Forget { board: u8 },
    Query,
    Begin,
    End { written: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let board = || 0..12_u8;
    prop_oneof![
        5 => (board(), 0..3_u8).prop_map(|(board, name)| Step::Heartbeat { board, name }),
        2 => board().prop_map(|board| Step::Readings { board }),
        3 => board().prop_map(|board| Step::Forget { board }),
        1 => Just(Step::Query),
        3 => Just(Step::Begin),
        3 => any::<bool>().prop_map(|written| Step::End { written }),
    ]
}

proptest! {
    #[test]
    fn the_store_has_what_the_inventory_has_when_it_works_again(
        steps in prop::collection::vec(step(), 0..150)
    ) {
        let mut world = World::with_limits(Limits { boards: 6, ..LIMITS });
        let (mut store, mut under_way) = (Store::default(), None::<Changes>);
        for step in steps {
            world.now += 1;
            match step {
                Step::Heartbeat { board, name } => {
                    let heartbeat = Heartbeat {
                        hostname: format!("n{name}").as_str().into(),
                        ..ours(u128::from(board), 0, [10, 0, 0, board])
                    };
                    let receipt = world.receipt();
                    // There may be no room for it.
                    let _ = world.inventory.heartbeat(&Arc::new(heartbeat), None, receipt);
                }
                Step::Readings { board } => {
                    world.resource(readings([10, 0, 0, board], Some(board.into())));
                }
                Step::Forget { board } => {
                    world.inventory.forget(&Uuid::from_u128(board.into()).to_string());
                }
                Step::Query => world.query(&[OURS]),
                Step::Begin => under_way = under_way.or_else(|| Some(world.inventory.take_unsaved())),
                Step::End { written } => match under_way.take() {
                    Some(changes) if written => store.save(changes),
                    Some(changes) => world.inventory.put_back(changes),
                    None => {}
                },
            }
            let coming = under_way.iter().flat_map(|changes| &changes.boards);
            let comes = |id: &BoardId| coming.clone().any(|record| record.board.id == *id);
            let is_there = |id: &BoardId| store.0.contains_key(id.as_str()) || comes(id);
            prop_assert!(world.inventory.forgotten.iter().all(is_there));
        }
        if let Some(changes) = under_way {
            world.inventory.put_back(changes);
        }
        store.save(world.inventory.take_unsaved());
        prop_assert_eq!(store, Store::of(&world.inventory));
    }
}
