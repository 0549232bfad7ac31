//! Deployments, to start and to stop.
//!
//! An order for several boards is several orders: each has its own result, and the request waits for all of them, but not
//! for ever. What has no result by then is recorded all the same, and goes on.

use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use utoipa::IntoParams;
use uuid::Uuid;

use super::answers::Allowance;
use super::auth::Authorized;
use super::deployments::unknown;
use super::turns::failed;
use super::types::{NewDeployment, OrderResult, OrderResults, StopSeveral};
use super::{Api, select, show};
use crate::deployments::{Pending, Start, Stop};
use crate::model::{BoardId, Order, Outcome, Reply};
use crate::problem::Problem;
use select::Selection;

/// Longest time that a request waits for its results; less than the server gives it.
const PATIENCE: Duration = Duration::from_secs(6 * 60 + 30);

/// Instances in one request.
const LIMIT: usize = 4096;

/// How to stop.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct How {
    /// Its board, where several boards have it.
    board: Option<String>,
    /// Its backend, where an agent that speaks v1.1 alone started it for somebody else.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Do not ask the board: forget what was ordered. For boards that are gone for good.
    #[serde(default)]
    forget: bool,
}

fn bad_order(detail: impl Into<String>) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "bad order",
        detail,
        "see POST /fleet/v1/deployments in /fleet/v1/openapi.json",
    )
}

/// Starts one instance on each of the boards. Idempotent where the uuid is given: the same order again asks the board
/// again, which has it already; another order for that uuid is a `conflict`.
#[utoipa::path(
    post, path = "/fleet/v1/deployments", tag = "deployments", operation_id = "start_deployments",
    request_body = NewDeployment, security(("token" = [])),
    responses(
        (status = 200, body = OrderResults, description = "A result for each board, whatever it is."),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn start(
    _: Authorized,
    State(api): State<Api>,
    Extension(allowance): Extension<Allowance>,
    order: Result<Json<NewDeployment>, JsonRejection>,
) -> Result<Json<OrderResults>, Problem> {
    let Json(new) = order.map_err(|error| bad_order(error.body_text()))?;
    let Selection { boards, left_out, more_left_out } = boards(&api, &allowance, &new).await?;
    if new.uuid.is_some() && boards.len() > 1 {
        return Err(bad_order(
            "uuid is given, and more than one board; leave it out, and each gets one of its own",
        ));
    }
    let order = Order {
        kind: new.kind,
        url: new.url,
        file: new.file,
        cpu: new.require.cpu,
        memory: new.require.memory,
        gpu: new.require.gpu,
        instance_id: new.instance_id,
        index: new.index,
        name: new.name,
        options: serde_json::to_string(&new.options).map_err(|error| failed(&error.to_string()))?,
    };
    let uuid = || new.uuid.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let all: Vec<(String, BoardId)> =
        boards.iter().map(|board| (uuid(), BoardId::from(board.as_str()))).collect();
    let is_known = |board: &BoardId| api.fleet.board(board.as_str()).is_some();
    let starts = all.iter().filter(|(_, board)| is_known(board)).map(|(uuid, board)| Start {
        uuid: uuid.clone(),
        board: board.clone(),
        order: order.clone(),
    });
    let starts: Vec<Start> = starts.collect();
    let known: Vec<BoardId> = starts.iter().map(|start| start.board.clone()).collect();
    let mut pending = api.deployments.start(starts).await.into_iter();
    let mut known = known.into_iter().peekable();
    let waiting = all.into_iter().map(|(uuid, board)| {
        let pending = known.next_if_eq(&board).and_then(|_| pending.next()).unwrap_or_else(|| {
            let message = format!("no board has the id {board}; `cardcage boards` lists them");
            Pending::Known(Reply::own(Outcome::UnknownBoard, message))
        });
        (uuid, Some(board), pending)
    });
    Ok(Json(OrderResults { results: results(&api, waiting.collect()).await, left_out, more_left_out }))
}

async fn boards(api: &Api, allowance: &Allowance, new: &NewDeployment) -> Result<Selection, Problem> {
    let selection = match (&new.selector, new.boards.is_empty()) {
        (None, false) => {
            let mut seen = std::collections::HashSet::new();
            let boards = new.boards.iter().filter(|board| seen.insert(*board)).cloned().collect();
            Selection { boards, ..Selection::default() }
        }
        (Some(selector), true) => {
            let (fleet, deployments, selector) =
                (api.fleet.clone(), api.deployments.clone(), selector.clone());
            let select = move || select::select(&fleet, &deployments.holders(), &selector).map_err(bad_order);
            api.turns.make(allowance, select).await?
        }
        _ => return Err(bad_order("give either boards or selector")),
    };
    match selection.boards.len() {
        0 => Err(bad_order(selection.nothing())),
        1..=LIMIT => Ok(selection),
        more => Err(bad_order(format!("{more} boards are named, at most {LIMIT} are taken at once"))),
    }
}

/// Stops one instance, whoever started it. Idempotent.
#[utoipa::path(
    delete, path = "/fleet/v1/deployments/{uuid}", tag = "deployments", operation_id = "stop_deployment",
    params(("uuid" = String, Path, description = "The component instance."), How), security(("token" = [])),
    responses(
        (status = 200, body = OrderResult, description = "Whatever came of it."),
        (status = 204, description = "Forgotten."),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn stop(
    _: Authorized,
    State(api): State<Api>,
    Extension(allowance): Extension<Allowance>,
    Path(uuid): Path<String>,
    how: Result<Query<How>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(how) = how.map_err(|error| bad_order(error.body_text()))?;
    if how.forget {
        return match api.deployments.forget(&uuid).await {
            Ok(true) => Ok(StatusCode::NO_CONTENT.into_response()),
            Ok(false) => Err(unknown(&uuid)),
            Err(reason) => Err(Problem::busy(reason, "try again")),
        };
    }
    let what = StopSeveral { uuids: vec![uuid.clone()], board: how.board, kind: how.kind };
    let result = stop_all(&api, &allowance, what).await?.pop().ok_or_else(|| unknown(&uuid))?;
    if result.outcome == Outcome::UnknownDeployment.name() {
        return Err(unknown(&uuid));
    }
    Ok(Json(result).into_response())
}

/// Stops several instances, each with its own result.
#[utoipa::path(
    post, path = "/fleet/v1/stop", tag = "deployments", operation_id = "stop_deployments",
    request_body = StopSeveral, security(("token" = [])),
    responses(
        (status = 200, body = OrderResults, description = "A result for each uuid, whatever it is."),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 503, body = Problem, content_type = "application/problem+json")
    )
)]
pub(super) async fn stop_several(
    _: Authorized,
    State(api): State<Api>,
    Extension(allowance): Extension<Allowance>,
    what: Result<Json<StopSeveral>, JsonRejection>,
) -> Result<Json<OrderResults>, Problem> {
    let Json(what) = what.map_err(|error| bad_order(error.body_text()))?;
    if !(1..=LIMIT).contains(&what.uuids.len()) {
        return Err(bad_order(format!("uuids must be 1 to {LIMIT}")));
    }
    let results = stop_all(&api, &allowance, what).await?;
    Ok(Json(OrderResults { results, left_out: Vec::new(), more_left_out: 0 }))
}

async fn stop_all(api: &Api, allowance: &Allowance, what: StopSeveral) -> Result<Vec<OrderResult>, Problem> {
    let StopSeveral { uuids, board, kind } = what;
    let deployments = api.deployments.clone();
    let asked = uuids.clone();
    let resolve = move || Ok(deployments.resolve(&asked, board.as_deref(), kind.as_deref()));
    let resolved = api.turns.make(allowance, resolve).await?;
    let stops: Vec<Stop> = resolved.iter().flatten().cloned().collect();
    let mut pending = api.deployments.stop(stops).await.into_iter();
    let waiting = uuids.into_iter().zip(resolved).map(|(uuid, resolved)| {
        let board = match &resolved {
            Ok(Stop { stranger: Some((board, _)), .. }) => Some(board.clone()),
            _ => api.deployments.get(&uuid).map(|known| known.board),
        };
        let pending = match resolved {
            Err(reply) => Pending::Known(reply),
            Ok(_) => pending.next().unwrap_or_else(|| {
                Pending::Known(Reply::own(Outcome::NotRecorded, "the manager is stopping"))
            }),
        };
        (uuid, board, pending)
    });
    Ok(results(api, waiting.collect()).await)
}

/// Waits for every result, and for none too long.
async fn results(api: &Api, waiting: Vec<(String, Option<BoardId>, Pending)>) -> Vec<OrderResult> {
    let until = Instant::now() + PATIENCE;
    let mut results = Vec::new();
    for (uuid, board, mut pending) in waiting {
        let reply = timeout_at(until, pending.reply()).await.unwrap_or_else(|_| {
            Reply::own(Outcome::NoAnswer, "no answer yet; it goes on, `cardcage ps` shows what comes of it")
        });
        let open = reply.outcome != Outcome::Done
            && api
                .deployments
                .get(&uuid)
                .is_some_and(|known| known.open && Some(&known.board) == board.as_ref());
        results.push(show::result(&uuid, board.as_ref(), reply, open));
    }
    results
}
