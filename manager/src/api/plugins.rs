//! The plugins of the fleet.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;

use super::Api;
use super::types::{Plugins, SeenPlugin};
use crate::fleet::Filter;
use crate::problem::Problem;

/// The plugins that the boards have, and on how many boards they are in which state.
#[utoipa::path(
    get, path = "/fleet/v1/plugins", tag = "plugins", operation_id = "list_plugins",
    responses(
        (status = 200, body = Plugins),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn list(State(api): State<Api>) -> Json<Plugins> {
    let views = api.fleet.boards(&Filter::default(), None, usize::MAX).boards;
    let mut seen: BTreeMap<_, SeenPlugin> = BTreeMap::new();
    let agents = views.iter().filter_map(|view| view.board.heartbeat.agent.as_ref());
    for plugin in agents.flat_map(|agent| &agent.plugins) {
        let entry =
            seen.entry((&plugin.name, &plugin.version, &plugin.digest)).or_insert_with(|| SeenPlugin {
                name: plugin.name.to_string(),
                version: plugin.version.to_string(),
                digest: plugin.digest.to_string(),
                built_in: plugin.built_in,
                boards: BTreeMap::new(),
            });
        *entry.boards.entry(plugin.state.to_string()).or_insert(0) += 1;
    }
    Json(Plugins { plugins: seen.into_values().collect() })
}
