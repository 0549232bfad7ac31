//! The boards.

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
use super::types::{BoardDetail, BoardState, Boards, Resource};
use super::{Api, page, show};
use crate::fleet::{Filter, Fleet, Page, View};
use crate::problem::Problem;
use crate::protocol;

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
    /// Boards on a page, at most 5000; 500 by default. A page of long boards may have fewer; `next` says whether it is the
    /// last.
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
    Extension(allowance): Extension<Allowance>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) = wanted.map_err(|error| {
        Problem::new(
            StatusCode::BAD_REQUEST,
            "bad query",
            error.body_text(),
            "use state=up|late|lost, box=N, limit=N, after=ID",
        )
    })?;
    let filter = Filter { state: wanted.state.map(Into::into), box_id: wanted.box_id };
    let limit = wanted.limit.unwrap_or(page::ITEMS).clamp(1, page::ITEMS_LIMIT);
    let fleet = api.fleet.clone();
    let page = move || {
        let page = fleet.boards(&filter, wanted.after.as_deref(), limit);
        render(&page, &fleet, page::BYTES).map_err(|error| failed(&error.to_string()))
    };
    let page = api.turns.make(&allowance, page).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], page).into_response())
}

/// A [`Boards`] as JSON.
fn render(page: &Page, fleet: &Fleet, limit: usize) -> serde_json::Result<Vec<u8>> {
    let boards = page.boards.iter().map(|view| (show::board(view, fleet), view.board.id.to_string()));
    let frame = |next| Boards { boards: Vec::new(), total: page.total, next };
    page::write(boards, page.more, limit, frame)
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
    let components = api.deployments.components(&id);
    Ok(Json(show::detail(&view, &api.fleet, &components)))
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

pub(super) fn find(api: &Api, id: &str) -> Result<View, Problem> {
    api.fleet.board(id).ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Problem {
    let detail = format!("there is no board with the id {id}");
    Problem::new(StatusCode::NOT_FOUND, "no such board", detail, "GET /fleet/v1/boards lists the ids")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing;

    #[test]
    fn a_page_that_becomes_too_long_ends_and_the_next_one_goes_on() {
        let fleet = testing::fleet();
        (1..=20).for_each(|id| testing::heartbeat(&fleet, id, &"h".repeat(256), &json!([])));
        let (mut ids, mut pages, mut after) = (Vec::new(), 0, None::<String>);
        loop {
            let page = fleet.boards(&Filter::default(), after.as_deref(), 15);
            let text = render(&page, &fleet, 5_000).unwrap();
            assert!(text.len() < 5_100, "{}", text.len());
            let page: Boards = serde_json::from_slice(&text).unwrap();
            assert_eq!(page.total, 20);
            ids.extend(page.boards.into_iter().map(|board| board.id));
            (pages, after) = (pages + 1, page.next);
            if after.is_none() {
                break;
            }
        }
        assert!(ids.is_sorted() && ids.len() == 20 && pages > 3, "{pages} {ids:?}");
        let page = fleet.boards(&Filter::default(), None, 15);
        let one: Boards = serde_json::from_slice(&render(&page, &fleet, 1).unwrap()).unwrap();
        assert_eq!((one.boards.len(), one.next.is_some()), (1, true), "there is always one");
    }
}
