//! States in between.
//!
//! When a container has ended, podman calls it `stopped` until it has cleaned up after it, which takes moments, or for ever if
//! whatever cleans up was killed. The client does not know the word and understands nothing of such an answer. So the
//! question is asked again for a while, and then the list is asked instead: it has one set of words for all engines, and says
//! most of what is needed.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerConfig, ContainerInspectResponse, ContainerState, ContainerStateStatusEnum, ContainerSummary,
    ContainerSummaryStateEnum,
};
use bollard::query_parameters::ListContainersOptionsBuilder;
use tokio::time::{Instant, sleep};

use crate::engine::REQUEST;
use crate::{Engine, Error};

/// Cleaning up takes a fraction of it.
const CLEANING: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(50);

impl Engine {
    /// What the engine knows of a container; `None` if there is none of that id or name.
    pub(crate) async fn details(&self, id: &str) -> Result<Option<ContainerInspectResponse>, Error> {
        let end = Instant::now() + CLEANING;
        loop {
            match self.try_details(id).await {
                Err(error) if !is_in_between(&error) => return Err(error),
                Err(_) if Instant::now() > end => return self.details_of_list(id).await,
                Err(_) => sleep(LOOK).await,
                details => return details,
            }
        }
    }

    async fn details_of_list(&self, id: &str) -> Result<Option<ContainerInspectResponse>, Error> {
        let docker = self.docker().await?;
        let filters = HashMap::from([("id".to_owned(), vec![id.to_owned()])]);
        let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
        let asked = docker.list_containers(Some(options));
        let listed = self.connection.finish(&format!("list container {id}"), REQUEST, asked).await?;
        Ok(listed.into_iter().find(|summary| summary.id.as_deref() == Some(id)).map(of_list))
    }
}

fn is_in_between(error: &Error) -> bool {
    matches!(error, Error::Failed { reason, .. } if reason.contains("unknown variant `stopped`"))
}

/// What the list says, as far as it goes.
pub(crate) fn of_list(summary: ContainerSummary) -> ContainerInspectResponse {
    let exit_code = summary.status.as_deref().and_then(exit_code);
    ContainerInspectResponse {
        id: summary.id,
        name: summary.names.into_iter().flatten().next(),
        config: Some(ContainerConfig { labels: summary.labels, ..ContainerConfig::default() }),
        state: Some(ContainerState {
            status: summary.state.map(same),
            exit_code,
            ..ContainerState::default()
        }),
        ..ContainerInspectResponse::default()
    }
}

fn same(state: ContainerSummaryStateEnum) -> ContainerStateStatusEnum {
    use ContainerStateStatusEnum as To;
    use ContainerSummaryStateEnum as From;
    match state {
        From::EMPTY => To::EMPTY,
        From::CREATED => To::CREATED,
        From::RUNNING => To::RUNNING,
        From::PAUSED => To::PAUSED,
        From::RESTARTING => To::RESTARTING,
        From::EXITED => To::EXITED,
        From::REMOVING => To::REMOVING,
        From::DEAD => To::DEAD,
        From::STOPPING => To::STOPPING,
    }
}

/// `Exited (137) 2 seconds ago`
fn exit_code(status: &str) -> Option<i64> {
    let (code, _) = status.strip_prefix("Exited (")?.split_once(')')?;
    code.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_it_ended_is_in_the_list_too() {
        let summary = ContainerSummary {
            id: Some("a".into()),
            names: Some(vec!["/name".into()]),
            state: Some(ContainerSummaryStateEnum::EXITED),
            status: Some("Exited (137) 2 seconds ago".into()),
            ..ContainerSummary::default()
        };
        let details = of_list(summary);
        assert_eq!(
            details.state.as_ref().and_then(|state| state.status),
            Some(ContainerStateStatusEnum::EXITED)
        );
        assert_eq!(details.state.and_then(|state| state.exit_code), Some(137));
        assert_eq!(details.name.as_deref(), Some("/name"));
        assert_eq!(exit_code("Up 2 minutes"), None);
    }

    #[test]
    fn only_that_state_is_in_between() {
        assert!(is_in_between(&Error::failed("inspect", "… unknown variant `stopped`, expected one of …")));
        assert!(!is_in_between(&Error::failed("inspect", "… unknown variant `odd`, expected one of …")));
    }
}
