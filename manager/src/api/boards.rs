//! The boards.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::auth::Authorized;
use super::types::{BoardDetail, BoardState, Boards, Resource};
use super::{Api, show};
use crate::fleet::{Filter, View};
use crate::problem::Problem;
use crate::protocol;

/// Boards on a page, unless it is told otherwise, and at most.
const PAGE: usize = 500;
const PAGE_LIMIT: usize = 5000;

/// Which boards, and where to go on.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Wanted {
    /// Only boards in this state.
    #[param(inline)]
    state: Option<BoardState>,
    /// Only boards of this chassis.
    #[serde(rename = "box")]
    box_id: Option<i32>,
    /// Boards on a page, at most 5000; 500 by default.
    limit: Option<usize>,
    /// Go on after the board of this id: `next` of the page before.
    after: Option<String>,
}

/// The boards, in the order of their ids.
#[utoipa::path(
    get, path = "/fleet/v1/boards", tag = "boards", operation_id = "list_boards", params(Wanted),
    responses(
        (status = 200, body = Boards),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Boards>, Problem> {
    let Query(wanted) = wanted.map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "bad query",
            error.body_text(),
            "use state=up|late|lost, box=N, limit=N, after=ID",
        )
    })?;
    let filter = Filter { state: wanted.state.map(Into::into), box_id: wanted.box_id };
    let limit = wanted.limit.unwrap_or(PAGE).clamp(1, PAGE_LIMIT);
    let page = api.fleet.boards(&filter, wanted.after.as_deref(), limit);
    let next = page.boards.last().filter(|_| page.more).map(|view| view.board.id.to_string());
    let boards = page.boards.iter().map(|view| show::board(view, api.fleet.clock())).collect();
    Ok(Json(Boards { boards, total: page.total, next }))
}

/// One board.
#[utoipa::path(
    get, path = "/fleet/v1/boards/{id}", tag = "boards", operation_id = "get_board",
    params(("id" = String, Path, description = "Id of the board.")),
    responses(
        (status = 200, body = BoardDetail),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn show(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<BoardDetail>, Problem> {
    let view = find(&api, &id)?;
    Ok(Json(show::detail(&view, api.fleet.clock())))
}

/// The latest readings of one board, with their ages.
#[utoipa::path(
    get, path = "/fleet/v1/boards/{id}/resource", tag = "boards", operation_id = "get_board_resource",
    params(("id" = String, Path, description = "Id of the board.")),
    responses(
        (status = 200, body = Resource),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn resource(
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<Resource>, Problem> {
    let view = find(&api, &id)?;
    let Some(received) = &view.board.resource else {
        let detail = format!("{id} has not reported its readings");
        let remedy = "wait for the next query, or look at the agent's log";
        return Err(Problem::new(StatusCode::NOT_FOUND, "no readings", detail, remedy));
    };
    let report = protocol::resource::parse(&received.body).map_err(|error| {
        // It was checked when it came.
        let remedy = "report this as an error of Cardcage";
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "unreadable readings", error.to_string(), remedy)
    })?;
    Ok(Json(show::resource(received, &report, api.fleet.clock())))
}

/// Forgets a board. If it is still there, it comes back as a new one with its next report.
#[utoipa::path(
    delete, path = "/fleet/v1/boards/{id}", tag = "boards", operation_id = "forget_board",
    params(("id" = String, Path, description = "Id of the board.")), security(("token" = [])),
    responses(
        (status = 204, description = "Forgotten."),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn forget(
    _: Authorized,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    if api.fleet.forget(&id) { Ok(StatusCode::NO_CONTENT) } else { Err(unknown(&id)) }
}

fn find(api: &Api, id: &str) -> Result<View, Problem> {
    api.fleet.board(id).ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Problem {
    let detail = format!("there is no board with the id {id}");
    Problem::new(StatusCode::NOT_FOUND, "no such board", detail, "GET /fleet/v1/boards lists the ids")
}
