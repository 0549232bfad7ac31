//! Deployments, to read.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use utoipa::IntoParams;

use super::answers::Allowance;
use super::auth::Authorized;
use super::turns::failed;
use super::types::{Deployment, Deployments, Log};
use super::{Api, page, show};
use crate::deployments::{Entry, Piece, Wanted};
use crate::model::BoardId;
use crate::model::report::Component;
use crate::problem::Problem;

/// Which deployments, and where to go on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    /// Only those of this board.
    board: Option<String>,
    /// Only those that are reported in this state: `PENDING`, `RUNNING`, `FAILED`, `STOPPED`, `SLEEPING`, or `absent` for those
    /// that are not reported.
    state: Option<String>,
    /// Only those of this type.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Also those that were stopped here and are gone.
    #[serde(default)]
    all: bool,
    /// Deployments on a page, at most 5000; 500 by default.
    limit: Option<usize>,
    /// Go on after this one: `next` of the page before.
    after: Option<String>,
}

/// Which piece of a log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wherefrom {
    /// Its board, if several have it.
    board: Option<String>,
    /// Go on here: `next` of the piece before.
    after: Option<String>,
    /// Bytes, at most 262144.
    limit: Option<usize>,
    /// Without `after`: so many bytes from the end.
    tail: Option<usize>,
}

fn bad_query(error: &str, remedy: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad query", error, remedy)
}

/// The deployments: as they are wanted, beside what their boards report. Also those that this manager did not order.
#[utoipa::path(
    get, path = "/fleet/v1/deployments", tag = "deployments", operation_id = "list_deployments", params(Filter),
    responses(
        (status = 200, body = Deployments),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    Extension(allowance): Extension<Allowance>,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Response, Problem> {
    const REMEDY: &str = "use board=ID, state=RUNNING|absent|…, type=docker, all=true, limit=N, after=NEXT";
    let Query(filter) = filter.map_err(|error| bad_query(&error.body_text(), REMEDY))?;
    if let Some(state) = &filter.state
        && !Component::STATES.iter().chain(&["absent"]).any(|known| known.eq_ignore_ascii_case(state))
    {
        return Err(bad_query(&format!("there is no state {state}"), REMEDY));
    }
    let after = match filter.after.as_deref().map(|after| after.split_once('/')) {
        Some(None) => return Err(bad_query("after must be `next` of an earlier page", REMEDY)),
        Some(Some((board, uuid))) => Some((board.to_owned(), uuid.to_owned())),
        None => None,
    };
    let limit = filter.limit.unwrap_or(page::ITEMS).clamp(1, page::ITEMS_LIMIT);
    let Filter { board, state, kind, all, .. } = filter;
    let wanted = Wanted { board, state, kind, all, limit, after };
    let this = api.clone();
    let page = move || {
        let (entries, more) = this.deployments.list(&wanted);
        render(&this, &entries, more).map_err(|error| failed(&error.to_string()))
    };
    let page = api.turns.make(&allowance, page).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], page).into_response())
}

/// A [`Deployments`] as JSON.
fn render(api: &Api, entries: &[Entry], more: bool) -> serde_json::Result<Vec<u8>> {
    let shown = |entry: &Entry| {
        (show::deployment(entry, api.fleet.clock()), format!("{}/{}", entry.board, entry.uuid))
    };
    page::write(entries.iter().map(shown), more, page::BYTES, |next| Deployments {
        deployments: Vec::new(),
        next,
    })
}

/// One deployment.
#[utoipa::path(
    get, path = "/fleet/v1/deployments/{uuid}", tag = "deployments", operation_id = "get_deployment",
    params(("uuid" = String, Path, description = "The component instance.")),
    responses(
        (status = 200, body = Deployment),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn show(
    State(api): State<Api>,
    Extension(allowance): Extension<Allowance>,
    Path(uuid): Path<String>,
) -> Result<Json<Deployment>, Problem> {
    let this = api.clone();
    let find = move || {
        let entry = this.deployments.entry(&uuid).ok_or_else(|| unknown(&uuid))?;
        Ok(Json(show::deployment(&entry, this.fleet.clock())))
    };
    api.turns.make(&allowance, find).await
}

/// What an instance printed, in pieces. Read from its board with the manager's own token, so it needs one here.
#[utoipa::path(
    get, path = "/fleet/v1/deployments/{uuid}/log", tag = "deployments", operation_id = "get_deployment_log",
    params(("uuid" = String, Path, description = "The component instance."), Wherefrom), security(("token" = [])),
    responses(
        (status = 200, body = Log),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 502, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn log(
    _: Authorized,
    State(api): State<Api>,
    Extension(allowance): Extension<Allowance>,
    Path(uuid): Path<String>,
    piece: Result<Query<Wherefrom>, QueryRejection>,
) -> Result<Json<Log>, Problem> {
    let Query(piece) = piece.map_err(|error| {
        bad_query(&error.body_text(), "use after=NEXT, limit=BYTES, tail=BYTES, board=ID")
    })?;
    let board = match piece.board {
        Some(board) => BoardId::from(board.as_str()),
        None => where_is(&api, &allowance, &uuid).await?,
    };
    let Wherefrom { after, limit, tail, .. } = piece;
    let read = api.deployments.log(&board, &uuid, Piece { after, limit, tail }).await;
    let log = read.map_err(|reply| {
        let remedy = "see whether the board is up: cardcage boards; then ask again";
        Problem::new(StatusCode::BAD_GATEWAY, "no log", reply.message, remedy)
    })?;
    let Some(log) = log else {
        let detail = format!("board {board} has no log of {uuid}");
        let remedy = "see what it runs: cardcage ps --all";
        return Err(Problem::new(StatusCode::NOT_FOUND, "no such log", detail, remedy));
    };
    Ok(Json(Log { text: log.text, next: log.next, lost: log.lost }))
}

async fn where_is(api: &Api, allowance: &Allowance, uuid: &str) -> Result<BoardId, Problem> {
    // What was ordered here needs no turn: logs are asked for again and again.
    if let Some(known) = api.deployments.get(uuid) {
        return Ok(known.board);
    }
    let (deployments, uuid) = (api.deployments.clone(), uuid.to_owned());
    let find = move || Ok(deployments.entry(&uuid).ok_or_else(|| unknown(&uuid))?.board);
    api.turns.make(allowance, find).await
}

pub(super) fn unknown(uuid: &str) -> Problem {
    let detail = format!("there is no deployment with the uuid {uuid}");
    Problem::new(
        StatusCode::NOT_FOUND,
        "no such deployment",
        detail,
        "GET /fleet/v1/deployments?all=true lists them",
    )
}
