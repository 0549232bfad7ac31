//! Pushes of plugins: to begin, to read, to stop.

use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use cardcage_daemon::body::{self, BodyError};
use serde::Deserialize;
use utoipa::IntoParams;
use uuid::Uuid;

use super::answers::Allowance;
use super::auth::Authorized;
use super::select::{self, Selection};
use super::types::{PluginPush, PluginPushes};
use super::{Api, show};
use crate::fleet::View;
use crate::model::BoardId;
use crate::plugins::{NotNow, Wanted};
use crate::problem::Problem;

/// Longest plugin that agents take, in bytes, and how long it may take to come in.
const LIMIT: usize = 64 << 20;
const BODY: Duration = Duration::from_secs(5 * 60);

/// Boards in one push.
const BOARDS: usize = 4096;

/// Boards at once, unless it is told otherwise, and at most: each of them is sent the whole plugin.
const AT_ONCE: usize = 16;
const AT_ONCE_LIMIT: usize = 64;

/// Longest time until it runs on a board: unless it is told otherwise, and the bounds of that. An agent gives a plugin that
/// traps up after half a minute.
const TIMEOUT: u64 = 60;
const TIMEOUTS: std::ops::RangeInclusive<u64> = 1..=1800;

/// What begins with every WebAssembly file.
const WASM: &[u8] = b"\0asm";

/// What is pushed where.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct How {
    /// The name of its file on the boards: letters, digits, `-`, `_` and `.`, ending in `.wasm`.
    file: String,
    /// Every board that has all of these, as in `selector` of an order: `box=1,type=GPU`.
    group: Option<String>,
    /// Or these boards: their ids, with commas between.
    boards: Option<String>,
    /// The board that gets it first. By default the first that has a plugin called like the file and runs it, else the first.
    canary: Option<String>,
    /// Boards that may fail before it stops; 0 by default.
    max_failures: Option<usize>,
    /// Seconds until it must run on a board, at most 1800; 60 by default.
    timeout_s: Option<u64>,
    /// Boards at once, at most 64; 16 by default. Fewer while it runs on few.
    at_once: Option<usize>,
}

fn bad_push(detail: impl Into<String>) -> Problem {
    let remedy = "see POST /fleet/v1/plugin-pushes in /fleet/v1/openapi.json";
    Problem::new(StatusCode::BAD_REQUEST, "bad push", detail, remedy)
}

fn no_such_push(id: &str) -> Problem {
    let remedy =
        "GET /fleet/v1/plugin-pushes lists the last ones; a manager that was started again knows none";
    Problem::new(StatusCode::NOT_FOUND, "no such push", format!("there is no push {id}"), remedy)
}

impl From<NotNow> for Problem {
    fn from(not_now: NotNow) -> Self {
        let remedy = "wait for it, or stop it: GET and DELETE /fleet/v1/plugin-pushes/{id}";
        match not_now {
            NotNow::TooMany(_) => Self::busy(not_now.to_string(), remedy),
            NotNow::UnderWay { .. } => {
                Self::new(StatusCode::CONFLICT, "push under way", not_now.to_string(), remedy)
            }
        }
    }
}

/// Brings a plugin to boards: to one first, the canary, and once it has given a good sample there to the others. It stops
/// when the canary does not take it, or more than `max_failures` boards. Where it fails it is taken back, and what ran before
/// goes on. Agents take only what a key that they trust signed, and only with `push = true` in their configuration.
#[utoipa::path(
    post, path = "/fleet/v1/plugin-pushes", tag = "plugins", operation_id = "push_plugin", params(How),
    request_body(content = Vec<u8>, content_type = "application/wasm", description = "The signed plugin."),
    security(("token" = [])),
    responses(
        (status = 202, body = PluginPush, description = "It was begun, and goes on by itself."),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json"),
        (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn push(
    _: Authorized,
    State(api): State<Api>,
    Extension(allowance): Extension<Allowance>,
    how: Result<Query<How>, QueryRejection>,
    body: Body,
) -> Result<(StatusCode, Json<PluginPush>), Problem> {
    let Query(how) = how.map_err(|error| bad_push(error.body_text()))?;
    if !is_file_name(&how.file) {
        return Err(bad_push(
            "file is the name of the plugin on the boards, such as acme-psu.wasm: letters, digits, -, _ and .",
        ));
    }
    let timeout = how.timeout_s.unwrap_or(TIMEOUT);
    if !TIMEOUTS.contains(&timeout) {
        return Err(bad_push(format!("timeout_s must be {} to {}", TIMEOUTS.start(), TIMEOUTS.end())));
    }
    let Selection { boards, left_out, more_left_out } = boards(&api, &allowance, &how).await?;
    let (canary, others) = canary(&api, &how, boards)?;
    let place = api.plugins.place()?;
    let bytes = body::read(body, LIMIT, BODY).await.map_err(unread)?;
    if !bytes.starts_with(WASM) {
        return Err(bad_push("the body is no WebAssembly; send the .wasm as it is"));
    }
    let wanted = Wanted {
        file: how.file,
        group: how.group,
        canary,
        others,
        max_failures: how.max_failures.unwrap_or(0),
        timeout: Duration::from_secs(timeout),
        at_once: how.at_once.unwrap_or(AT_ONCE).clamp(1, AT_ONCE_LIMIT),
    };
    let begun = api.plugins.push(place, wanted, bytes)?;
    let begun = PluginPush { left_out, more_left_out, ..show::push(&begun) };
    Ok((StatusCode::ACCEPTED, Json(begun)))
}

/// As agents want it.
fn is_file_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.len() <= 255
        && name.strip_suffix(".wasm").is_some_and(|stem| !stem.is_empty())
        && !name.starts_with('.')
        && name.bytes().all(plain)
}

fn unread(error: BodyError) -> Problem {
    let (status, title) = match error {
        BodyError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "plugin too large"),
        BodyError::Late { .. } | BodyError::Broken => (StatusCode::BAD_REQUEST, "body broke off"),
    };
    Problem::new(status, title, error.to_string(), "send a plugin of at most 64 MiB, whole")
}

async fn boards(api: &Api, allowance: &Allowance, how: &How) -> Result<Selection, Problem> {
    let selection = match (&how.group, &how.boards) {
        (None, Some(boards)) => {
            let mut seen = std::collections::HashSet::new();
            let named = boards.split(',').map(str::trim).filter(|board| !board.is_empty());
            let boards: Vec<_> = named.filter(|board| seen.insert(*board)).map(str::to_owned).collect();
            boards.iter().try_for_each(|board| find(api, board).map(drop))?;
            Selection { boards, ..Selection::default() }
        }
        (Some(group), None) => {
            let (fleet, deployments, group) = (api.fleet.clone(), api.deployments.clone(), group.clone());
            let select = move || select::select(&fleet, &deployments.holders(), &group).map_err(bad_push);
            api.turns.make(allowance, select).await?
        }
        _ => return Err(bad_push("give either group or boards")),
    };
    match selection.boards.len() {
        0 => Err(bad_push(selection.nothing())),
        1..=BOARDS => Ok(selection),
        more => Err(bad_push(format!("{more} boards are named, at most {BOARDS} are taken at once"))),
    }
}

fn find(api: &Api, board: &str) -> Result<View, Problem> {
    let unknown = || bad_push(format!("no board has the id {board}; `cardcage boards` lists them"));
    api.fleet.board(board).ok_or_else(unknown)
}

/// The canary, and the others.
fn canary(api: &Api, how: &How, boards: Vec<String>) -> Result<(BoardId, Vec<BoardId>), Problem> {
    let canary = match &how.canary {
        Some(named) => {
            find(api, named)?;
            named.clone()
        }
        None => {
            let stem = how.file.strip_suffix(".wasm").unwrap_or(&how.file);
            let runs_it = |board: &&String| {
                let view = api.fleet.board(board);
                let agent = view.as_ref().and_then(|view| view.board.heartbeat.agent.as_ref());
                agent.is_some_and(|agent| {
                    let mut plugins = agent.plugins.iter();
                    plugins.any(|plugin| plugin.name.as_str() == stem && plugin.state.as_str() == "ready")
                })
            };
            let chosen = boards.iter().find(runs_it).or(boards.first());
            chosen.cloned().ok_or_else(|| bad_push("there is no board"))?
        }
    };
    let others = boards.iter().filter(|board| **board != canary);
    let others = others.map(|board| BoardId::from(board.as_str())).collect();
    Ok((BoardId::from(canary.as_str()), others))
}

/// The last pushes, the latest first. They are kept until the manager ends.
#[utoipa::path(
    get, path = "/fleet/v1/plugin-pushes", tag = "plugins", operation_id = "list_plugin_pushes",
    responses(
        (status = 200, body = PluginPushes),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    Extension(allowance): Extension<Allowance>,
) -> Result<Json<PluginPushes>, Problem> {
    let plugins = api.plugins.clone();
    let list = move || Ok(Json(PluginPushes { pushes: plugins.pushes().iter().map(show::push).collect() }));
    api.turns.make(&allowance, list).await
}

/// One push: how far it is, and what has become of it on each board.
#[utoipa::path(
    get, path = "/fleet/v1/plugin-pushes/{id}", tag = "plugins", operation_id = "get_plugin_push",
    params(("id" = String, Path, description = "Id of the push.")),
    responses(
        (status = 200, body = PluginPush),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn show_one(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<PluginPush>, Problem> {
    let push = Uuid::try_parse(&id).ok().and_then(|id| api.plugins.pushed(id));
    push.as_ref().map(|push| Json(show::push(push))).ok_or_else(|| no_such_push(&id))
}

/// Stops a push: no further board is begun. Boards that have it keep it.
#[utoipa::path(
    delete, path = "/fleet/v1/plugin-pushes/{id}", tag = "plugins", operation_id = "stop_plugin_push",
    params(("id" = String, Path, description = "Id of the push.")), security(("token" = [])),
    responses(
        (status = 204, description = "No further board is begun."),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn stop(
    _: Authorized,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let stopped = Uuid::try_parse(&id).is_ok_and(|id| api.plugins.stop_push(id));
    if stopped { Ok(StatusCode::NO_CONTENT) } else { Err(no_such_push(&id)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_as_agents_want_it() {
        assert!(is_file_name("acme-psu_1.2.wasm"));
        for wrong in
            ["", ".wasm", ".a.wasm", "a/b.wasm", "a+b.wasm", "a.cwasm", &format!("{}.wasm", "a".repeat(251))]
        {
            assert!(!is_file_name(wrong), "{wrong}");
        }
    }
}
