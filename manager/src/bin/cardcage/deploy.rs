//! `cardcage deploy` and `cardcage stop`: an order, and what came of it on each board.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use cardcage_manager::api::types::{
    Deployment, NewDeployment, OrderResult, OrderResults, Require, StopSeveral,
};
use comfy_table::Color;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::args::{Args, DeployArgs, StopArgs};
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::screen::{self, Screen, cell, coloured};
use crate::{select, table};

/// How often the progress is shown.
const EVERY: Duration = Duration::from_secs(1);

/// Starts.
pub(crate) fn start(
    args: &Args,
    client: &Client,
    order: &DeployArgs,
    screen: &Screen,
) -> Result<(), Failure> {
    let token = args.token()?;
    let boards =
        order.boards.iter().map(|board| select::board(client, board)).collect::<Result<Vec<_>, _>>()?;
    // With a uuid from here the progress of this deployment can be looked up, and nothing starts twice.
    let made = || (boards.len() == 1).then(|| Uuid::new_v4().to_string());
    let uuid = order.uuid.clone().or_else(made);
    let new = NewDeployment {
        boards,
        selector: order.select.clone(),
        kind: order.kind.clone(),
        url: order.url.clone(),
        file: order.file.clone(),
        require: Require { cpu: order.cpu, memory: order.memory, gpu: order.gpu },
        uuid: uuid.clone(),
        instance_id: order.instance_id.clone(),
        index: order.index,
        name: order.name.clone(),
        options: options(order),
    };
    let new = serde_json::to_value(new).unwrap_or_default();
    let what = format!("starting {}", order.file);
    let answer = with_progress(client, &what, uuid.as_deref(), || {
        client.order("/fleet/v1/deployments", &new, &token)
    })?;
    tell(args, &answer, screen)
}

/// The options as the backends read them.
fn options(order: &DeployArgs) -> Map<String, Value> {
    let mut options: Map<String, Value> = order.options.iter().cloned().collect();
    if !order.env.is_empty() {
        let env: Map<String, Value> =
            order.env.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        options.insert("env".to_owned(), Value::Object(env));
    }
    if !order.args.is_empty() {
        options.insert("args".to_owned(), json!(order.args));
    }
    options
}

/// Stops.
pub(crate) fn stop(args: &Args, client: &Client, stop: &StopArgs, screen: &Screen) -> Result<(), Failure> {
    let token = args.token()?;
    if stop.forget {
        for uuid in &stop.uuids {
            client.forget_deployment(uuid, &token)?;
        }
        let said: String =
            stop.uuids.iter().map(|uuid| format!("forgot {}\n", screen::clean(uuid))).collect();
        return screen::print(&if args.json {
            screen::json(&json!({ "forgotten": stop.uuids }))
        } else {
            said
        });
    }
    let board = stop.board.as_deref().map(|board| select::board(client, board)).transpose()?;
    let several = StopSeveral { uuids: stop.uuids.clone(), board, kind: stop.kind.clone() };
    let several = serde_json::to_value(several).unwrap_or_default();
    let answer =
        with_progress(client, "stopping", None, || client.order("/fleet/v1/stop", &several, &token))?;
    tell(args, &answer, screen)
}

/// Waits, and shows on a terminal for how long and for what.
fn with_progress<T: Send>(
    client: &Client,
    what: &str,
    uuid: Option<&str>,
    order: impl FnOnce() -> T + Send,
) -> T {
    let mut stderr = io::stderr();
    if !stderr.is_terminal() {
        return order();
    }
    let start = Instant::now();
    thread::scope(|scope| {
        let (done, wait) = channel();
        let asked = scope.spawn(move || {
            let answer = order();
            // Nobody waits if the progress could not be shown.
            let _ = done.send(());
            answer
        });
        while matches!(wait.recv_timeout(EVERY), Err(RecvTimeoutError::Timeout)) {
            let stage = uuid.and_then(|uuid| stage(client, uuid)).unwrap_or_default();
            let line = format!("{what}, {}s{stage}", start.elapsed().as_secs());
            let _ = write!(stderr, "\r{}\x1b[K", screen::clean(&line));
            let _ = stderr.flush();
        }
        let _ = write!(stderr, "\r\x1b[K");
        asked.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// How far it is, as its board last reported.
fn stage(client: &Client, uuid: &str) -> Option<String> {
    let deployment: Deployment = client::typed(&client.deployment(uuid).ok()?).ok()?;
    let state = deployment.state?.to_lowercase();
    Some(match deployment.placement.reason {
        Some(reason) => format!(": {state}, {reason}"),
        None => format!(": {state}"),
    })
}

/// Shows the results, and fails unless all are good.
fn tell(args: &Args, answer: &Value, screen: &Screen) -> Result<(), Failure> {
    let results: OrderResults = client::typed(answer)?;
    screen::print(&if args.json {
        screen::json(answer)
    } else {
        show(&results.results, screen) + &left_out(&results)
    })?;
    verdict(&results.results)
}

fn verdict(results: &[OrderResult]) -> Result<(), Failure> {
    let all = results.len();
    let refused: Vec<_> = results.iter().filter(|result| result.outcome != "done" && !result.open).collect();
    let open = results.iter().filter(|result| result.open).count();
    match refused.as_slice() {
        [one] if all == 1 && one.outcome == "unknown_deployment" => {
            Err(Failure::NoSuchDeployment(one.uuid.clone()))
        }
        [] if open > 0 => Err(Failure::Undecided { open, all }),
        [] => Ok(()),
        refused => Err(Failure::Refused { refused: refused.len(), all }),
    }
}

fn show(results: &[OrderResult], screen: &Screen) -> String {
    let mut table = screen.table(&["OUTCOME", "UUID", "BOARD", "ID", "MESSAGE"]);
    for result in results {
        let colour = match result.outcome.as_str() {
            "done" => Color::Green,
            _ if result.open => Color::Yellow,
            _ => Color::Red,
        };
        let id = result.id.as_ref().map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
        // As much as engines show.
        let id = id.map(|id| id.chars().take(12).collect::<String>());
        table.add_row([
            coloured(&result.outcome.replace('_', " "), Some(colour)),
            cell(Some(&result.uuid)),
            cell(result.board.as_deref().map(table::short_board)),
            cell(id),
            cell(Some(&result.message)),
        ]);
    }
    screen.text(table) + &whole(results, screen)
}

/// Boards that were not asked, since anybody could be them.
fn left_out(results: &OrderResults) -> String {
    let clean = screen::clean;
    let lines = results.left_out.iter();
    let lines = lines.map(|one| format!("left out {}: {}\n", clean(&one.board), clean(&one.why)));
    let mut text: String = lines.collect();
    if results.more_left_out > 0 {
        text.push_str(&format!("left out {} more\n", results.more_left_out));
    }
    if !text.is_empty() {
        text.push_str("name them with --board if they are meant\n");
    }
    text
}

/// A message that a narrow line has no room for is what people need most.
fn whole(results: &[OrderResult], screen: &Screen) -> String {
    let failed = results.iter().filter(|result| screen.width.is_some() && result.outcome != "done");
    failed
        .take(10)
        .map(|result| format!("{}: {}\n", screen::clean(&result.uuid), screen::clean(&result.message)))
        .collect()
}

#[cfg(test)]
mod tests {
    use cardcage_manager::api::types::LeftOut;

    use super::*;

    fn result(outcome: &str, open: bool) -> OrderResult {
        OrderResult {
            board: Some("b".into()),
            uuid: "u".into(),
            id: Some(json!(815)),
            result: None,
            outcome: outcome.into(),
            open,
            message: "m".into(),
        }
    }

    #[test]
    fn the_status_is_that_of_the_worst_result() {
        let status = |results: &[OrderResult]| verdict(results).err().map(|failure| failure.status());
        assert_eq!(status(&[result("done", false)]), None);
        assert_eq!(status(&[result("done", false), result("no_answer", true)]), Some(4));
        assert_eq!(status(&[result("no_room", false), result("no_answer", true)]), Some(1));
        assert_eq!(status(&[result("unknown_deployment", false)]), Some(3));
    }

    #[test]
    fn what_a_selector_left_out_is_told() {
        let one = LeftOut { board: "b".into(), why: "it is late\u{1b}, not up".into() };
        let some = OrderResults { results: Vec::new(), left_out: vec![one], more_left_out: 3 };
        let expected = "left out b: it is late\u{FFFD}, not up\nleft out 3 more\nname them with --board if they are meant\n";
        assert_eq!(left_out(&some), expected);
        assert_eq!(left_out(&OrderResults { left_out: Vec::new(), more_left_out: 0, ..some }), "");
    }

    #[test]
    fn a_message_is_whole_also_where_its_line_is_not() {
        let long = OrderResult { message: "why ".repeat(40), ..result("no_room", false) };
        let text = show(&[long], &Screen { width: Some(80), ..Screen::default() });
        assert!(text.contains(&"why ".repeat(40)), "{text}");
    }
}
