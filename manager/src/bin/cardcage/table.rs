//! The lists: boards, plugins.

use cardcage_manager::api::types::{Board, BoardState, Flag, Plugins};
use comfy_table::{Cell, Color};

use crate::screen::{Screen, cell, coloured, number};
use crate::units;

/// Shortest id that is shown of an agent's.
const SHORT_ID: usize = 8;

/// What an identity of several agents is, and what to do about it. The other conflicts are a wrong position or address,
/// which the board's own configuration shows.
pub(crate) const COPIED_IDENTITY: &str = "several agents have one agent_id, as after a disk was copied; \
    delete agent_id in state_dir of all but one of them and restart those";

/// The boards, by their place.
pub(crate) fn boards(mut boards: Vec<Board>, screen: &Screen) -> String {
    boards.sort_by(|a, b| key(a).cmp(&key(b)));
    let mut table = screen.table(&[
        "STATE", "ID", "PLACE", "HOST", "ADDRESS", "TYPE", "CPU", "MEMORY", "TEMP", "POWER", "GPUS", "SEEN",
        "FLAGS",
    ]);
    for (board, id) in boards.iter().zip(short_ids(&boards)) {
        let summary = &board.summary;
        let seen = board.last_seen_age_ms.map(units::age);
        let gpus = (summary.gpus > 0).then(|| summary.gpus.to_string());
        table.add_row([
            coloured(state(board.state), Some(state_colour(board.state))),
            cell(Some(id)),
            cell(Some(place(board))),
            cell(Some(&board.hostname)),
            cell(Some(board.host_ip.to_string())),
            cell(board.board_type.as_ref()),
            number(summary.cpu_usage_percent.map(units::percent)),
            number(units::share(summary.memory_used, summary.memory_total)),
            number(summary.temperature.map(|value| format!("{value:.1} °C"))),
            number(summary.power.map(|value| format!("{value:.1} W"))),
            number(gpus),
            number(seen),
            coloured(&flags(&board.flags), Some(Color::Red)),
        ]);
    }
    let copied = boards.iter().any(|board| board.flags.contains(&Flag::CopiedIdentity));
    let remedy = if copied { format!("copied identity: {COPIED_IDENTITY}\n") } else { String::new() };
    format!("{}{}\n{remedy}", screen.text(table), totals(&boards))
}

fn key(board: &Board) -> (i32, i32, i32, &str, &str) {
    (board.box_id, board.slot_id, board.cpu_id, &board.hostname, &board.id)
}

fn totals(boards: &[Board]) -> String {
    let count = |state| boards.iter().filter(|board| board.state == state).count();
    let [up, late, lost] = [BoardState::Up, BoardState::Late, BoardState::Lost].map(count);
    let word = if boards.len() == 1 { "board" } else { "boards" };
    format!("{} {word}: {up} up, {late} late, {lost} lost", boards.len())
}

/// The id of a plain board is readable and shown whole; of an agent's UUID, as much as tells it from the others.
fn short_ids(boards: &[Board]) -> impl Iterator<Item = &str> {
    let mut sorted: Vec<_> = boards.iter().map(|board| &*board.id).collect();
    sorted.sort_unstable();
    sorted.dedup();
    boards.iter().map(move |board| match board.agent_id {
        Some(_) => short_id(&board.id, &sorted),
        None => &board.id,
    })
}

/// As much of an id as tells it from the others. No other has more in common with it than those that stand beside it.
fn short_id<'a>(id: &'a str, sorted: &[&str]) -> &'a str {
    let place = sorted.partition_point(|other| *other < id);
    let beside = [place.checked_sub(1), place.checked_add(1)].into_iter().flatten();
    let in_common = |other: &&str| id.bytes().zip(other.bytes()).take_while(|(one, two)| one == two).count();
    let in_common = beside.filter_map(|place| sorted.get(place)).map(in_common).max().unwrap_or(0);
    let length = id.ceil_char_boundary(SHORT_ID.max(in_common + 1));
    id.get(..length).unwrap_or(id)
}

/// Box, slot and cpu, as commands take it. None if nobody told the board.
pub(crate) fn place(board: &Board) -> String {
    match (board.box_id, board.slot_id, board.cpu_id) {
        (0, 0, 0) => "-".to_owned(),
        (box_id, slot_id, cpu_id) => format!("{box_id}/{slot_id}/{cpu_id}"),
    }
}

pub(crate) const fn state(state: BoardState) -> &'static str {
    match state {
        BoardState::Up => "up",
        BoardState::Late => "late",
        BoardState::Lost => "lost",
    }
}

pub(crate) const fn state_colour(state: BoardState) -> Color {
    match state {
        BoardState::Up => Color::Green,
        BoardState::Late => Color::Yellow,
        BoardState::Lost => Color::Red,
    }
}

pub(crate) fn flags(flags: &[Flag]) -> String {
    let word = |flag: &Flag| match flag {
        Flag::SlotConflict => "slot conflict",
        Flag::AddressConflict => "address conflict",
        Flag::CopiedIdentity => "copied identity",
    };
    flags.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// The plugins.
pub(crate) fn plugins(plugins: &Plugins, screen: &Screen) -> String {
    let mut table = screen.table(&["PLUGIN", "VERSION", "DIGEST", "FROM", "BOARDS"]);
    for plugin in &plugins.plugins {
        let boards: Vec<_> = plugin.boards.iter().map(|(state, count)| format!("{count} {state}")).collect();
        table.add_row([
            cell(Some(&plugin.name)),
            cell(Some(&plugin.version)),
            cell(plugin.digest.get(..12).or(Some(&plugin.digest))),
            cell(Some(if plugin.built_in { "agent" } else { "operator" })),
            cell(Some(boards.join(", "))),
        ]);
    }
    let more = if plugins.more { "and more, which are left out; some board invents them\n" } else { "" };
    format!("{}{more}", screen.text(table))
}

/// The state of a deployment, in its colour.
pub(crate) fn deployment_state(state: Option<&str>, unknown: bool) -> Cell {
    let text = state.unwrap_or("absent").to_lowercase();
    let colour = match text.as_str() {
        _ if unknown => Some(Color::Yellow),
        "running" => Some(Color::Green),
        "pending" | "sleeping" => Some(Color::Yellow),
        "failed" => Some(Color::Red),
        _ => None,
    };
    let text = if unknown { format!("{text}?") } else { text };
    coloured(&text, colour)
}

/// As much of a board's id as tells boards apart in nearly every fleet.
pub(crate) fn short_board(id: &str) -> String {
    const LONGEST: usize = 13;
    match id.char_indices().nth(LONGEST) {
        Some((end, _)) if uuid::Uuid::try_parse(id).is_ok() => id.get(..end).unwrap_or(id).to_owned(),
        _ => id.to_owned(),
    }
}

/// Logical cores, in ranges.
pub(crate) fn cores(cores: &[u32], shared: bool) -> Option<String> {
    let mut sorted = cores.to_vec();
    sorted.sort_unstable();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for core in sorted {
        match ranges.last_mut() {
            Some((_, last)) if core <= last.saturating_add(1) => *last = core,
            _ => ranges.push((core, core)),
        }
    }
    let text = |(first, last): &(u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    let text = ranges.iter().map(text).collect::<Vec<_>>().join(",");
    (!text.is_empty()).then(|| if shared { format!("{text} shared") } else { text })
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;
    use std::net::Ipv4Addr;

    use cardcage_manager::api::types::{Missed, MissedAnswers, SeenPlugin, Summary};
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn board() -> Board {
        let none = MissedAnswers { in_a_row: 0, total: 0 };
        Board {
            id: "1-3-1-0-node7".into(),
            state: BoardState::Up,
            flags: vec![],
            conflicts_with: vec![],
            claimants: vec![],
            agent_id: None,
            box_id: 1,
            slot_id: 3,
            cpu_id: 1,
            srio_id: 0,
            hostname: "node7".into(),
            host_ip: Ipv4Addr::new(192, 168, 10, 29),
            addresses: vec![Ipv4Addr::new(192, 168, 10, 29)],
            service_port: 23980,
            box_type: Some("计算I型".into()),
            board_type: Some("计算板".into()),
            cpu_type: None,
            os_type: None,
            resource_type: None,
            cpu_arch: None,
            first_seen: Some("2026-01-01T00:00:00.000Z".into()),
            last_seen: Some("2026-01-01T00:00:05.000Z".into()),
            last_seen_age_ms: Some(1_200),
            missed: Missed { heartbeat: none, resource: none },
            summary: Summary {
                age_ms: Some(300),
                cpu_usage_percent: Some(12.34),
                memory_used: Some(4_000_000_000),
                memory_total: Some(16_000_000_000),
                temperature: Some(61.5),
                power: Some(120.0),
                gpus: 2,
            },
        }
    }

    fn of_ours(id: &str, slot_id: i32) -> Board {
        Board {
            id: id.into(),
            agent_id: Some(id.into()),
            slot_id,
            hostname: "n\u{1b}[2J".into(),
            board_type: None,
            summary: Summary::default(),
            ..board()
        }
    }

    #[test]
    fn boards_stand_in_the_order_of_their_places_and_what_is_unknown_is_a_dash() {
        let lost = Board {
            state: BoardState::Lost,
            flags: vec![Flag::SlotConflict, Flag::AddressConflict],
            last_seen_age_ms: Some(7_300_000),
            ..of_ours("2b1f7d0e-9d53-4c0a-8a53-7e5b0c6f9a11", 2)
        };
        let twin = of_ours("2b1f7d0e-0000-4c0a-8a53-7e5b0c6f9a11", 1);
        let list = boards(vec![board(), lost, twin], &Screen::default());
        expect![[r#"
            STATE  ID             PLACE  HOST   ADDRESS        TYPE    CPU     MEMORY              TEMP     POWER    GPUS  SEEN  FLAGS
            up     2b1f7d0e-0     1/1/1  n�[2J  192.168.10.29  -            -                   -        -        -     -    1s
            lost   2b1f7d0e-9     1/2/1  n�[2J  192.168.10.29  -            -                   -        -        -     -    2h  slot conflict, address conflict
            up     1-3-1-0-node7  1/3/1  node7  192.168.10.29  计算板  12.3 %  3.7 GiB / 14.9 GiB  61.5 °C  120.0 W     2    1s
            3 boards: 2 up, 0 late, 1 lost
        "#]]
        .assert_eq(&list);
    }

    proptest! {
        #[test]
        fn a_short_id_is_as_much_as_tells_it_from_the_others(
            ids in prop::collection::vec("[ab]{6,9}[aé]{0,4}", 1..40)
        ) {
            let boards: Vec<_> = ids.iter().map(|id| of_ours(id, 1)).collect();
            for (id, short) in ids.iter().zip(short_ids(&boards)) {
                let tells = |short: &str| !ids.iter().any(|other| other != id && other.starts_with(short));
                let mut ends = (SHORT_ID..id.len()).filter(|end| id.is_char_boundary(*end));
                let end = ends.find(|end| tells(&id[..*end])).unwrap_or(id.len());
                prop_assert_eq!(short, &id[..end], "of {:?}", ids);
            }
        }
    }

    #[test]
    fn a_copied_identity_comes_with_its_remedy() {
        let list = |flags| boards(vec![Board { flags, ..board() }], &Screen::default());
        assert!(!list(vec![Flag::SlotConflict]).contains("agent_id"));
        let list = list(vec![Flag::CopiedIdentity]);
        let lines: Vec<_> = list.lines().collect();
        assert!(lines[1].ends_with("copied identity"), "{list}");
        assert!(lines[3].contains("delete agent_id in state_dir of all but one"), "{list}");
    }

    #[test]
    fn a_narrow_terminal_gets_narrow_lines() {
        let list = boards(vec![board()], &Screen { width: Some(80), ..Screen::default() });
        let widest = list.lines().map(|line| line.chars().count()).max();
        assert!(widest.is_some_and(|widest| widest <= 80), "{list}");
    }

    #[test]
    fn colours_come_only_where_they_are_wanted() {
        let list = |colours| boards(vec![board()], &Screen { colours, ..Screen::default() });
        assert!(!list(false).contains('\x1b') && list(true).contains("\x1b["));
    }

    #[test]
    fn plugins_show_how_many_boards_have_them_in_which_state() {
        let plugin = SeenPlugin {
            name: "acme-psu".into(),
            version: "1.2.0".into(),
            digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
            built_in: false,
            boards: BTreeMap::from([("ready".into(), 12), ("backoff".into(), 1)]),
        };
        let list = plugins(&Plugins { plugins: vec![plugin], more: true }, &Screen::default());
        expect![[r#"
            PLUGIN    VERSION  DIGEST        FROM      BOARDS
            acme-psu  1.2.0    9f86d081884c  operator  1 backoff, 12 ready
            and more, which are left out; some board invents them
        "#]]
        .assert_eq(&list);
    }

    #[test]
    fn cores_are_shown_in_ranges() {
        assert_eq!(cores(&[7, 2, 3, 4], false).as_deref(), Some("2-4,7"));
        assert_eq!(cores(&[u32::MAX, 0], true).as_deref(), Some("0,4294967295 shared"));
        assert_eq!(cores(&[], true), None);
    }
}
