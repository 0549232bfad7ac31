//! `cardcage ps`: what is to run beside what does.

use cardcage_manager::agents::escaped;
use cardcage_manager::api::types::{BoardState, Deployment, DesiredState};
use comfy_table::Color;
use serde_json::json;

use crate::args::Args;
use crate::client::{self, Client};
use crate::failure::Failure;
use crate::screen::{self, Screen, cell, coloured, number};
use crate::{select, table, units};

pub(crate) fn list(
    args: &Args,
    client: &Client,
    board: Option<&str>,
    state: Option<&str>,
    all: bool,
    screen: &Screen,
) -> Result<String, Failure> {
    let mut query = String::new();
    if let Some(board) = board {
        query += &format!("&board={}", escaped(&select::board(client, board)?));
    }
    if let Some(state) = state {
        query += &format!("&state={}", escaped(state));
    }
    if all {
        query += "&all=true";
    }
    let deployments = client.deployments(&query)?;
    if args.json {
        return Ok(screen::json(&json!({ "deployments": deployments })));
    }
    let deployments = deployments.iter().map(client::typed).collect::<Result<Vec<_>, _>>()?;
    Ok(show(&deployments, screen))
}

fn show(deployments: &[Deployment], screen: &Screen) -> String {
    let mut table = screen.table(&[
        "STATE", "WANTED", "UUID", "BOARD", "TYPE", "NAME", "FILE", "CORES", "CPU", "MEMORY", "WHY",
    ]);
    for deployment in deployments {
        let more = &deployment.placement;
        let wanted = match deployment.desired {
            Some(DesiredState::Running) => "running",
            Some(DesiredState::Stopped) => "stopped",
            None => "unmanaged",
        };
        let why = deployment.why.as_deref().filter(|_| !deployment.in_step);
        let why = why.or(more.reason.as_deref()).unwrap_or_default();
        let away = match deployment.board_state {
            Some(BoardState::Up) => "",
            Some(BoardState::Late) => " (late)",
            Some(BoardState::Lost) => " (lost)",
            None => " (unknown)",
        };
        let board = table::short_board(&deployment.board);
        table.add_row([
            table::deployment_state(deployment.state.as_deref(), more.unknown),
            coloured(wanted, (!deployment.in_step).then_some(Color::Red)),
            cell(Some(&deployment.uuid)),
            cell(Some(format!("{board}{away}"))),
            cell(more.kind.as_ref()),
            cell(deployment.name.as_ref()),
            cell(deployment.file.as_ref()),
            cell(table::cores(&more.cores, more.shared)),
            number(deployment.cpu_load.map(units::percent)),
            number(deployment.mem_used.map(units::bytes)),
            cell(Some(why)),
        ]);
    }
    let astray = deployments.iter().filter(|deployment| !deployment.in_step).count();
    let word = if deployments.len() == 1 { "deployment" } else { "deployments" };
    format!("{}{} {word}, {astray} not as wanted\n", screen.text(table), deployments.len())
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn deployments() -> Vec<Deployment> {
        let deployment = |value| serde_json::from_value(value).unwrap();
        vec![
            deployment(
                json!({"uuid": "7c1d9f6a-0d0c-4b7e-9d55-0f6d1e5a0001", "board": "2b1f7d0e-9d53-4c0a-8a53-7e5b0c6f9a11",
                "board_state": "up", "desired": "running", "state": "RUNNING", "in_step": true, "type": "docker",
                "name": "web", "file": "nginx:1.29", "cores": [2, 3], "cpu_load": 12.5, "mem_used": 1_048_576}),
            ),
            deployment(
                json!({"uuid": "7c1d9f6a-0d0c-4b7e-9d55-0f6d1e5a0002", "board": "1-4-1-0-node8", "board_state": "lost",
                "desired": "running", "in_step": false, "why": "no room: 4 cores are required, 2 are free", "type": "bar"}),
            ),
            deployment(
                json!({"uuid": "c", "board": "b", "state": "FAILED", "in_step": true, "unknown": true,
                "why": "not ordered by this manager"}),
            ),
        ]
    }

    #[test]
    fn what_is_wanted_stands_beside_what_is() {
        expect![[r#"
            STATE    WANTED     UUID                                  BOARD                 TYPE    NAME  FILE        CORES  CPU     MEMORY   WHY
            running  running    7c1d9f6a-0d0c-4b7e-9d55-0f6d1e5a0001  2b1f7d0e-9d53         docker  web   nginx:1.29  2-3    12.5 %  1.0 MiB
            absent   running    7c1d9f6a-0d0c-4b7e-9d55-0f6d1e5a0002  1-4-1-0-node8 (lost)  bar     -     -           -           -        -  no room: 4 cores are required, 2 are free
            failed?  unmanaged  c                                     b (unknown)           -       -     -           -           -        -
            3 deployments, 1 not as wanted
        "#]]
        .assert_eq(&show(&deployments(), &Screen::default()));
    }

    #[test]
    fn eighty_columns_are_enough_to_stop_what_is_wrong() {
        let text = show(&deployments(), &Screen { width: Some(80), ..Screen::default() });
        assert_eq!(text.lines().count(), 5, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("7c1d9f6a-0d0c-4b7e-9d55-0f6d1e5a0002") && text.contains("no room:"), "{text}");
    }
}
