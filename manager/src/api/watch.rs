//! What watches the manager.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Api;
use crate::metrics;
use crate::problem::Problem;

/// `/metrics`. The text of a large fleet takes long to make, so it is made beside the tasks that answer reports.
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    let Ok(_turn) = api.scrape.acquire().await else {
        return failed("the manager is stopping").into_response();
    };
    let made = tokio::task::spawn_blocking(move || metrics::render(&api.meters, &api.fleet)).await;
    match made {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Ok(Err(error)) => failed(&error.to_string()).into_response(),
        Err(error) => failed(&error.to_string()).into_response(),
    }
}

fn failed(detail: &str) -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "no metrics",
        detail,
        "report this as an error of Cardcage",
    )
}
