//! Start, stop, remove. Each may be repeated, and each leaves alone what this agent did not make.

use std::time::Duration;

use bollard::query_parameters::{
    RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use tokio::time::{Instant, sleep};

use crate::create::GPUS;
use crate::engine::{REQUEST, label};
use crate::{Engine, Error};

/// The longest grace that is waited for.
const GRACE: u32 = 3600;
/// Starting pulls nothing, but a slow disk makes a root file system slowly.
const START: Duration = Duration::from_secs(60);
/// How often a removal by somebody else is looked at.
const LOOK: Duration = Duration::from_millis(50);

impl Engine {
    /// Starts it. Running already: nothing happens.
    pub async fn start(&self, id: &str) -> Result<(), Error> {
        let what = format!("start container {id}");
        if !self.owns(id).await? {
            return Err(Error::Absent { what, reason: "no such container".into() });
        }
        let docker = self.docker().await?;
        let asked = docker.start_container(id, None::<StartContainerOptions>);
        let started = self.connection.finish(&what, START, asked).await;
        // After a start that failed the list says what it said before.
        self.forget(id);
        match started {
            Err(error) if is_without_driver(&error) => Err(self.without_accelerators(id, error).await),
            result => result,
        }
    }

    /// Asks it to end, and ends it after `grace` seconds. Ended already, or gone: nothing happens.
    pub async fn stop(&self, id: &str, grace: u32) -> Result<(), Error> {
        if !self.owns(id).await? {
            return Ok(());
        }
        let grace = grace.min(GRACE);
        match self.try_stop(id, grace).await {
            Err(error) if error.is_absent() => {
                self.forget(id);
                Ok(())
            }
            // Some engines cannot stop what is paused.
            Err(error) if !error.is_unreachable() && error.to_string().contains("paused") => {
                let docker = self.docker().await?;
                let what = format!("resume container {id}");
                self.connection.finish(&what, REQUEST, docker.unpause_container(id)).await?;
                self.try_stop(id, grace).await
            }
            result => result,
        }
    }

    async fn try_stop(&self, id: &str, grace: u32) -> Result<(), Error> {
        let docker = self.docker().await?;
        let options =
            StopContainerOptionsBuilder::default().t(i32::try_from(grace).unwrap_or(i32::MAX)).build();
        let deadline = REQUEST + Duration::from_secs(grace.into());
        let asked = docker.stop_container(id, Some(options));
        self.connection.finish(&format!("stop container {id}"), deadline, asked).await
    }

    /// Removes it, ended or not, with its anonymous volumes. Gone already: nothing happens.
    pub async fn remove(&self, id: &str) -> Result<(), Error> {
        if !self.owns(id).await? {
            return Ok(());
        }
        let docker = self.docker().await?;
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        let what = format!("remove container {id}");
        let asked = docker.remove_container(id, Some(options));
        match self.connection.finish(&what, START, asked).await {
            Ok(()) => {}
            Err(error) if error.is_absent() => {}
            // Somebody else is at it; its name is free only when they are done.
            Err(Error::Conflict { .. }) => self.wait_until_gone(&what, id).await?,
            Err(error) => return Err(error),
        }
        self.forget(id);
        Ok(())
    }

    async fn wait_until_gone(&self, what: &str, id: &str) -> Result<(), Error> {
        let end = Instant::now() + REQUEST;
        while self.details(id).await?.is_some() {
            if Instant::now() > end {
                return Err(Error::failed(
                    what,
                    format!("still being removed after {} s", REQUEST.as_secs()),
                ));
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Says which accelerators it was, which the engine does not.
    async fn without_accelerators(&self, id: &str, error: Error) -> Error {
        let details = self.details(id).await.ok().flatten();
        let devices = details.as_ref().and_then(|details| label(details, GPUS)).map_or("", String::as_str);
        let reason = format!(
            "accelerators {devices} cannot be handed over; install the vendor's container runtime: {error}"
        );
        Error::failed(format!("start container {id}"), reason)
    }
}

fn is_without_driver(error: &Error) -> bool {
    !error.is_unreachable() && error.to_string().contains("could not select device driver")
}
