//! The API under `/fleet/v1`, and what stands beside it on the same port.
//!
//! ```text
//! GET    /fleet/v1/boards               boards::list
//! GET    /fleet/v1/boards/{id}          boards::show
//! GET    /fleet/v1/boards/{id}/resource boards::resource
//! DELETE /fleet/v1/boards/{id}          boards::forget     (needs the token)
//! GET    /fleet/v1/boards/{id}/plugins  plugins::of_board
//! GET    /fleet/v1/plugins              plugins::list
//! GET    /fleet/v1/plugins/{name}       plugins::of_name
//! GET    /fleet/v1/plugin-pushes        pushes::list
//! POST   /fleet/v1/plugin-pushes        pushes::push   (needs the token)
//! GET    /fleet/v1/plugin-pushes/{id}   pushes::show_one
//! DELETE /fleet/v1/plugin-pushes/{id}   pushes::stop   (needs the token)
//! GET    /fleet/v1/deployments          deployments::list
//! POST   /fleet/v1/deployments          order::start   (needs the token)
//! GET    /fleet/v1/deployments/{uuid}   deployments::show
//! DELETE /fleet/v1/deployments/{uuid}   order::stop    (needs the token)
//! POST   /fleet/v1/stop                 order::stop_several (needs the token)
//! GET    /fleet/v1/deployments/{uuid}/log deployments::log   (needs the token)
//! GET    /fleet/v1/openapi.json         this, for programs
//! GET    /metrics  /healthz             watch
//! ```
//! Reading is open, as the protocols are; every change needs the bearer token, and so do logs, which the manager reads
//! from agents with a token of its own. Errors are
//! [`Problem`]s. The JSON itself is in [`types`]; the model becomes JSON in `show`. Before every handler but that of
//! `/healthz` stands `answers`, which bounds the memory for answers that nobody reads; those about the whole fleet are made in
//! `turns`.

mod answers;
mod auth;
mod boards;
mod deployments;
mod order;
mod page;
mod plugins;
mod pushes;
mod select;
mod show;
mod turns;
pub mod types;
mod watch;

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::deployments::Deployments;
use crate::fleet::Fleet;
use crate::metrics::Meters;
use crate::plugins::Plugins;
use crate::problem::Problem;
use crate::token::Token;
use answers::Answers;
use turns::Turns;

/// Requests that have agents asked, at once. Others wait for their turn.
const LOOKS: usize = 4;

/// What the handlers need.
#[derive(Clone)]
pub struct Api {
    fleet: Fleet,
    deployments: Deployments,
    plugins: Plugins,
    meters: Arc<Meters>,
    token: Arc<Token>,
    turns: Turns,
    /// Who has agents asked, and waits for them.
    looks: Turns,
    answers: Answers,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cardcage manager",
        description = "The fleet as the manager sees it. A field that is unknown is absent, never 0.",
    ),
    tags(
        (name = "boards", description = "The boards and their readings."),
        (name = "deployments", description = "What is to run on the boards, and whether it does."),
        (name = "plugins", description = "The plugins that the boards have, and new ones for them.")
    )
)]
struct Description;

impl Api {
    /// The handlers' state.
    pub fn new(
        fleet: Fleet,
        deployments: Deployments,
        plugins: Plugins,
        meters: Arc<Meters>,
        token: Token,
    ) -> Self {
        let answers = Answers::new(meters.held_answers.clone());
        let (turns, looks) = (Turns::new(), Turns::several(LOOKS));
        Self { fleet, deployments, plugins, meters, token: Arc::new(token), turns, looks, answers }
    }

    /// Whether a request to this path may wait for agents, for longer than others take.
    pub fn waits_for_agents(path: &str) -> bool {
        let waits = ["/fleet/v1/deployments", "/fleet/v1/plugin-pushes"];
        waits.iter().any(|path_of| path.starts_with(path_of)) || path == "/fleet/v1/stop"
    }

    /// Everything but the reports. Requests must carry the two ends of their connection as an extension.
    pub fn router(self) -> Router {
        let (router, _) = described().split_for_parts();
        router
            .route("/fleet/v1/openapi.json", get(async || axum::Json(document())))
            .route("/metrics", get(watch::metrics))
            .fallback(no_such_path)
            .method_not_allowed_fallback(no_such_method)
            .layer(from_fn_with_state(self.answers.clone(), answers::bounded))
            // A manager that refuses answers to one peer is not ill, and the answer is three bytes.
            .route("/healthz", get(async || "ok\n").fallback(no_such_method))
            .with_state(self)
    }
}

/// The OpenAPI document, made from the handlers and the types.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = described().into_openapi();
    let token = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("The text of the file `token` in the manager's state directory."))
        .build();
    document.components.get_or_insert_default().add_security_scheme("token", SecurityScheme::Http(token));
    document
}

fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(boards::list))
        .routes(routes!(boards::show, boards::forget))
        .routes(routes!(boards::resource))
        .routes(routes!(deployments::list, order::start))
        .routes(routes!(deployments::show, order::stop))
        .routes(routes!(order::stop_several))
        .routes(routes!(deployments::log))
        .routes(routes!(plugins::list))
        .routes(routes!(plugins::of_name))
        .routes(routes!(plugins::of_board))
        .routes(routes!(pushes::list, pushes::push))
        .routes(routes!(pushes::show_one, pushes::stop))
}

async fn no_such_path(uri: Uri) -> Problem {
    let detail = format!("there is nothing at {}", uri.path());
    Problem::new(StatusCode::NOT_FOUND, "no such path", detail, "see /fleet/v1/openapi.json")
}

async fn no_such_method(uri: Uri) -> Problem {
    let detail = format!("{} does not know this method", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed", detail, "see /fleet/v1/openapi.json")
}
