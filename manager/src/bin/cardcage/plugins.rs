//! `cardcage plugins`: what there is in the fleet, from the reports; or one plugin or one board in full, from the agents.

use cardcage_manager::api::types::{BoardPlugins, InstalledPlugin, PluginBoards, Plugins};
use comfy_table::{Cell, Color};
use serde_json::Value;

use crate::args::{Args, PluginsArgs, PluginsCommand};
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::screen::{self, Screen, cell, coloured, number};
use crate::{push, select, table, units};

/// Whatever was asked for.
pub(crate) fn run(
    args: &Args,
    client: &Client,
    wanted: &PluginsArgs,
    screen: &Screen,
) -> Result<(), Failure> {
    match (&wanted.change, &wanted.board, &wanted.name) {
        (Some(PluginsCommand::Push(what)), ..) => push::run(args, client, what, screen),
        (Some(PluginsCommand::Pushes), ..) => screen::print(&push::list(args, client, screen)?),
        (Some(PluginsCommand::Stop { id }), ..) => push::stop(args, client, *id),
        (None, Some(board), name) => screen::print(&of_board(args, client, board, name.as_deref(), screen)?),
        (None, None, Some(name)) => screen::print(&of_name(args, client, name, screen)?),
        (None, None, None) => screen::print(&all(args, client, screen)?),
    }
}

fn all(args: &Args, client: &Client, screen: &Screen) -> Result<String, Failure> {
    let plugins = client.plugins()?;
    if args.json {
        return Ok(screen::json(&plugins));
    }
    Ok(table::plugins(&client::typed::<Plugins>(&plugins)?, screen))
}

fn of_name(args: &Args, client: &Client, name: &str, screen: &Screen) -> Result<String, Failure> {
    let plugin = client.plugin(name)?;
    if args.json {
        return Ok(screen::json(&plugin));
    }
    let PluginBoards { boards, more, .. } = client::typed(&plugin)?;
    let more =
        if more > 0 { format!("and on {more} boards more, which were not asked\n") } else { String::new() };
    Ok(show(&boards, true, screen) + &more)
}

fn of_board(
    args: &Args,
    client: &Client,
    board: &str,
    name: Option<&str>,
    screen: &Screen,
) -> Result<String, Failure> {
    let mut of_board = client.board_plugins(&select::board(client, board)?)?;
    if let (Some(name), Some(Value::Array(plugins))) = (name, of_board.get_mut("plugins")) {
        plugins.retain(|plugin| plugin.get("name").and_then(Value::as_str) == Some(name));
    }
    if args.json {
        return Ok(screen::json(&of_board));
    }
    Ok(show(&[client::typed(&of_board)?], false, screen))
}

/// A row for each board and plugin; the first columns say which board, or which plugin.
fn show(boards: &[BoardPlugins], by_board: bool, screen: &Screen) -> String {
    let first: &[&str] = if by_board { &["BOARD", "PLACE"] } else { &["PLUGIN"] };
    let rest = [
        "VERSION", "DIGEST", "FROM", "STATE", "SUPPORT", "READINGS", "SAMPLES", "FAILURES", "CPU", "CALLS",
        "MEMORY", "LONGEST", "GRANTS", "SIGNER", "WHY",
    ];
    let mut table = screen.table(&[first, &rest].concat());
    for board in boards {
        for plugin in &board.plugins {
            let first = match by_board {
                true => vec![cell(Some(table::short_board(&board.board))), cell(Some(place(board)))],
                false => vec![cell(Some(&plugin.plugin.name))],
            };
            table.add_row(first.into_iter().chain(row(plugin)));
        }
    }
    screen.text(table) + &unanswered(boards)
}

fn place(board: &BoardPlugins) -> String {
    format!("{}/{}/{}", board.box_id, board.slot_id, board.cpu_id)
}

fn row(installed: &InstalledPlugin) -> [Cell; 15] {
    let plugin = &installed.plugin;
    let cost = installed.cost.as_ref();
    let count = |field: Option<u64>| number(field.map(|count| count.to_string()));
    let milliseconds = |value: Option<f64>| number(value.map(|value| format!("{value:.2} ms")));
    let samples = cost.map(|cost| cost.samples).filter(|samples| *samples > 0);
    // Of one sample, on average: what it costs to have this plugin.
    let per_sample = |total: Option<f64>| Some(total? / as_number(samples?));
    let calls = per_sample(cost.map(|cost| as_number(cost.host_calls)));
    [
        cell(Some(&plugin.version)),
        cell(plugin.digest.get(..12).or(Some(&plugin.digest))),
        cell(Some(if plugin.built_in { "agent" } else { "operator" })),
        coloured(&plugin.state, state_colour(&plugin.state)),
        cell(installed.support.as_ref()),
        count(installed.readings),
        count(cost.map(|cost| cost.samples)),
        count(cost.map(|cost| cost.failures)),
        milliseconds(per_sample(cost.map(|cost| cost.cpu_ms))),
        number(calls.map(|calls| format!("{calls:.0}"))),
        number(cost.and_then(|cost| cost.memory).map(units::bytes)),
        milliseconds(cost.and_then(|cost| cost.longest_sample_ms)),
        cell(grants(installed)),
        cell(installed.trust.as_ref()),
        cell(Some(why(installed))),
    ]
}

#[expect(clippy::cast_precision_loss, reason = "2^53 calls are not reached")]
const fn as_number(count: u64) -> f64 {
    count as f64
}

fn state_colour(state: &str) -> Option<Color> {
    match state {
        "ready" => Some(Color::Green),
        "compiling" | "starting" | "backoff" => Some(Color::Yellow),
        "quarantined" | "refused" => Some(Color::Red),
        _ => None,
    }
}

/// What it asks for, and which of that it is not given.
fn grants(installed: &InstalledPlugin) -> Option<String> {
    let grant = |asked: &String| match installed.given.contains(asked) {
        true => asked.clone(),
        false => format!("{asked} (not given)"),
    };
    let grants: Vec<_> = installed.asked.iter().map(grant).collect();
    (!grants.is_empty()).then(|| grants.join(", "))
}

/// What an operator has to know about it, in a line.
fn why(installed: &InstalledPlugin) -> String {
    let own = installed.plugin.reason.clone().or_else(|| installed.faults.first().cloned());
    let error = installed.last_error.clone().filter(|error| own.as_ref() != Some(error));
    let error = error.map(|error| format!("last error: {error}"));
    let next = installed.replacement.as_ref().map(|next| {
        let reason = next.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
        let version = if next.version.is_empty() { String::new() } else { format!(" {}", next.version) };
        format!("the file's new content{version} is {}{reason}", next.state)
    });
    own.into_iter().chain(next).chain(error).collect::<Vec<_>>().join("; ")
}

/// Boards whose rows are older than this moment.
fn unanswered(boards: &[BoardPlugins]) -> String {
    let late = boards.iter().filter(|board| !board.answered);
    let line = |board: &BoardPlugins| {
        let id = table::short_board(&board.board);
        let age = board.last_seen_age_ms.map_or_else(String::new, |age| format!(" {} ago", units::age(age)));
        let why = board.why_not.as_deref().unwrap_or("no reason is given");
        format!("{} is shown as it last reported{age}: {}\n", screen::clean(&id), screen::clean(why))
    };
    late.map(line).collect()
}

#[cfg(test)]
mod tests {
    use cardcage_manager::api::types::{BoardState, Plugin, PluginCost, PluginReplacement};
    use expect_test::expect;

    use super::*;

    fn plugin(state: &str) -> InstalledPlugin {
        InstalledPlugin {
            plugin: Plugin {
                name: "acme-psu".into(),
                version: "1.2.0".into(),
                digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into(),
                built_in: false,
                state: state.into(),
                reason: None,
            },
            support: Some("board".into()),
            vendor: None,
            trust: Some("signed by ACME".into()),
            imports: Vec::new(),
            asked: vec!["files /sys/a".into(), "http b".into()],
            given: vec!["files /sys/a".into()],
            cost: Some(PluginCost {
                samples: 4,
                failures: 1,
                restarts: 1,
                last_sample_ms: Some(1.0),
                longest_sample_ms: Some(2.5),
                cpu_ms: 6.0,
                host_calls: 12,
                memory: Some(131_072),
            }),
            readings: Some(7),
            last_error: Some("late".into()),
            faults: Vec::new(),
            replacement: Some(PluginReplacement {
                name: "acme-psu".into(),
                version: "1.3.0".into(),
                digest: "ab".into(),
                state: "backoff".into(),
                reason: Some("trap".into()),
            }),
        }
    }

    fn board(answered: bool, plugin: InstalledPlugin) -> BoardPlugins {
        BoardPlugins {
            board: "1-3-1-0-node7".into(),
            state: BoardState::Up,
            hostname: "node7".into(),
            box_id: 1,
            slot_id: 3,
            cpu_id: 1,
            answered,
            why_not: (!answered).then(|| "it is\u{1b} lost".into()),
            last_seen_age_ms: Some(7000),
            plugins: vec![plugin],
        }
    }

    #[test]
    fn a_plugin_is_shown_with_what_it_costs_and_is_given() {
        let reported = InstalledPlugin {
            support: None,
            trust: None,
            asked: Vec::new(),
            given: Vec::new(),
            cost: None,
            readings: None,
            last_error: None,
            replacement: None,
            ..plugin("ready")
        };
        let text = show(&[board(true, plugin("ready")), board(false, reported)], true, &Screen::default());
        expect![[r#"
            BOARD          PLACE  VERSION  DIGEST        FROM      STATE  SUPPORT  READINGS  SAMPLES  FAILURES  CPU      CALLS  MEMORY     LONGEST  GRANTS                            SIGNER          WHY
            1-3-1-0-node7  1/3/1  1.2.0    9f86d081884c  operator  ready  board           7        4         1  1.50 ms      3  128.0 KiB  2.50 ms  files /sys/a, http b (not given)  signed by ACME  the file's new content 1.3.0 is backoff: trap; last error: late
            1-3-1-0-node7  1/3/1  1.2.0    9f86d081884c  operator  ready  -               -        -         -        -      -          -        -  -                                 -
            1-3-1-0-node7 is shown as it last reported 7s ago: it is� lost
        "#]].assert_eq(&text);
        let text = show(&[board(true, plugin("ready"))], false, &Screen::default());
        assert!(text.lines().nth(1).is_some_and(|row| row.starts_with("acme-psu")), "{text}");
    }
}
