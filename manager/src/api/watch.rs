//! What watches the manager.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Api;
use super::answers::Allowance;
use crate::metrics;
use crate::problem::Problem;

/// `/metrics`. The text of a large fleet takes long to make, so it is made beside the tasks that answer reports.
pub(super) async fn metrics(
    State(api): State<Api>,
    Extension(allowance): Extension<Allowance>,
) -> Result<Response, Problem> {
    let turn = api.scrape.acquire_owned().await.map_err(|_| failed("the manager is stopping"))?;
    // What the peer got while this request waited for its turn may be all that it gets.
    allowance.check()?;
    let (meters, fleet) = (Arc::clone(&api.meters), api.fleet.clone());
    // The turn goes along: if nobody waits for the text any more, it is made to its end all the same.
    let made = tokio::task::spawn_blocking(move || (metrics::render(&meters, &fleet), turn)).await;
    let (text, _turn) = made.map_err(|error| failed(&error.to_string()))?;
    let text = text.map_err(|error| failed(&error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response())
}

fn failed(detail: &str) -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "no metrics",
        detail,
        "report this as an error of Cardcage",
    )
}
