//! The plugins of the fleet: in short from the reports, which costs the boards nothing, and in full from the agents
//! themselves, which are asked for it.

use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};

use super::answers::Allowance;
use super::types::{BoardPlugins, PluginBoards, Plugins, SeenPlugin};
use super::{Api, show};
use crate::fleet::View;
use crate::problem::Problem;

/// Distinct plugins that are counted, one that is in two states as two. An honest fleet has some dozens.
const LIMIT: usize = 4096;

/// The plugins that the boards have, and on how many boards they are in which state.
#[utoipa::path(
    get, path = "/fleet/v1/plugins", tag = "plugins", operation_id = "list_plugins",
    responses(
        (status = 200, body = Plugins),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    Extension(allowance): Extension<Allowance>,
) -> Result<Json<Plugins>, Problem> {
    let fleet = api.fleet.clone();
    api.turns.make(&allowance, move || Ok(Json(count(fleet.walk().collect())))).await
}

/// Boards of which the agents are asked for one plugin. The rest is left out, and told.
const BOARDS: usize = 4096;

/// One plugin on every board that reports it, in full: what it costs and is given, who signed it, what is to replace it. The
/// agents are asked now, side by side; of those that do not answer in a few seconds the last report is shown.
#[utoipa::path(
    get, path = "/fleet/v1/plugins/{name}", tag = "plugins", operation_id = "get_plugin",
    params(("name" = String, Path, description = "Name of the plugin, as in its manifest.")),
    responses(
        (status = 200, body = PluginBoards),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn of_name(
    State(api): State<Api>,
    Extension(allowance): Extension<Allowance>,
    Path(name): Path<String>,
) -> Result<Json<PluginBoards>, Problem> {
    let (fleet, wanted) = (api.fleet.clone(), name.clone());
    let has_it = move |view: &View| {
        let agent = view.board.heartbeat.agent.as_ref();
        agent.is_some_and(|agent| agent.plugins.iter().any(|plugin| plugin.name.as_str() == wanted))
    };
    let find = move || Ok(fleet.walk().filter(has_it).collect::<Vec<_>>());
    let mut views = api.turns.make(&allowance, find).await?;
    if views.is_empty() {
        let detail = format!("no board reports a plugin called {name}");
        let remedy = "GET /fleet/v1/plugins lists them";
        return Err(Problem::new(StatusCode::NOT_FOUND, "no such plugin", detail, remedy));
    }
    let more = views.len().saturating_sub(BOARDS);
    views.truncate(BOARDS);
    let _turn = api.looks.turn(allowance.peer()).await?;
    let seen = api.plugins.of_boards(views, &name).await;
    let boards = seen.iter().map(|seen| show::seen(seen, api.fleet.clock())).collect();
    Ok(Json(PluginBoards { name, boards, more }))
}

/// The plugins of one board in full. Its agent is asked now; if it does not answer in a few seconds, the last report is shown.
#[utoipa::path(
    get, path = "/fleet/v1/boards/{id}/plugins", tag = "plugins", operation_id = "get_board_plugins",
    params(("id" = String, Path, description = "Id of the board.")),
    responses(
        (status = 200, body = BoardPlugins),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn of_board(
    State(api): State<Api>,
    Extension(allowance): Extension<Allowance>,
    Path(id): Path<String>,
) -> Result<Json<BoardPlugins>, Problem> {
    let view = super::boards::find(&api, &id)?;
    let _turn = api.looks.turn(allowance.peer()).await?;
    let seen = api.plugins.of_board(view).await;
    Ok(Json(show::seen(&seen, api.fleet.clock())))
}

fn count(mut views: Vec<View>) -> Plugins {
    // If there are too many, those stay that boards have which are known for long: no invention crowds them out.
    views.sort_by_key(|view| view.board.first_seen);
    let mut seen: BTreeMap<_, SeenPlugin> = BTreeMap::new();
    let (mut distinct, mut more) = (0, false);
    let agents = views.iter().filter_map(|view| view.board.heartbeat.agent.as_ref());
    for plugin in agents.flat_map(|agent| &agent.plugins) {
        let key = (&plugin.name, &plugin.version, &plugin.digest);
        let known = seen.get_mut(&key).and_then(|entry| entry.boards.get_mut(plugin.state.as_str()));
        if let Some(count) = known {
            *count += 1;
        } else if distinct == LIMIT {
            more = true;
        } else {
            distinct += 1;
            let entry = seen.entry(key).or_insert_with(|| SeenPlugin {
                name: plugin.name.to_string(),
                version: plugin.version.to_string(),
                digest: plugin.digest.to_string(),
                built_in: plugin.built_in,
                boards: BTreeMap::new(),
            });
            entry.boards.insert(plugin.state.to_string(), 1);
        }
    }
    Plugins { plugins: seen.into_values().collect(), more }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing;

    fn plugin(name: usize, state: &str) -> Value {
        json!({"name": format!("{name} {}", "n".repeat(250)), "version": "v".repeat(250), "digest": "d".repeat(250),
               "built_in": false, "state": state})
    }

    #[test]
    fn inventions_do_not_lengthen_the_list_without_end_nor_crowd_out_what_was_known() {
        let fleet = testing::fleet();
        let heartbeat = |id: u128, plugins: Vec<Value>| testing::heartbeat(&fleet, id, "n", &json!(plugins));
        heartbeat(999, vec![plugin(0, "ready")]);
        std::thread::sleep(std::time::Duration::from_millis(2));
        for board in 1..30_usize {
            let named = |number| plugin(board * 1000 + number, "ready");
            // Only when the list has long been full.
            let known = (board > 25).then(|| plugin(0, "ready"));
            heartbeat(board as u128, (0..200).map(named).chain(known).collect());
        }
        let plugins = count(fleet.walk().collect());
        let all: u64 = plugins.plugins.iter().flat_map(|plugin| plugin.boards.values()).sum();
        assert_eq!((plugins.plugins.len(), plugins.more, all), (LIMIT, true, LIMIT as u64 + 4));
        assert_eq!(plugins.plugins[0].boards["ready"], 5, "what is known is counted on");
        let json = serde_json::to_vec(&plugins).unwrap();
        assert!(json.len() < LIMIT * 1024, "{}", json.len());
    }

    #[test]
    fn states_are_bounded_as_plugins_are() {
        let fleet = testing::fleet();
        for board in 1..30_usize {
            let invented = |number| plugin(0, &format!("{board} {number}"));
            let plugins: Vec<_> = (0..200).map(invented).collect();
            testing::heartbeat(&fleet, board as u128, "n", &json!(plugins));
        }
        let plugins = count(fleet.walk().collect());
        assert_eq!((plugins.plugins.len(), plugins.plugins[0].boards.len(), plugins.more), (1, LIMIT, true));
    }
}
