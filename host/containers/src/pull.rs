//! Images out of registries.
//!
//! The engine pulls; here its progress is watched, and what it pulled is named by digest, so that the tag can move meanwhile.
//! An image that is asked for by digest and is there already is not asked for again, so a board starts without its registry.

use std::time::Duration;

use bollard::errors::Error as Answer;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::stream::{Stream, StreamExt as _};
use tokio::time::{Instant, timeout_at};

use crate::connection::credentials;
use crate::error::clean;
use crate::reference::{Reference, is_digest};
use crate::{Engine, Error};

/// For all of it.
const PULL: Duration = Duration::from_secs(15 * 60);
/// Without a word of progress.
const IDLE: Duration = Duration::from_secs(60);

impl Engine {
    /// Pulls an image and says what it is called for good: `registry/path@digest`, or its id where the registry gave none.
    pub async fn pull(&self, reference: &str) -> Result<String, Error> {
        let reference = Reference::parse(reference)?;
        if let Some(digest) = &reference.digest {
            let pinned = reference.pinned(digest);
            if self.image_id(&pinned).await?.is_some() {
                return Ok(pinned);
            }
        }
        let digest = self.fetch(&reference).await?;
        let pinned = match reference.digest.clone().or(digest) {
            Some(digest) => reference.pinned(&digest),
            None => return self.present(&reference.full()).await,
        };
        match self.image_id(&pinned).await? {
            Some(_) => Ok(pinned),
            None => self.present(&reference.full()).await,
        }
    }

    /// Has the engine pull it, and says the digest that the engine reports.
    async fn fetch(&self, reference: &Reference) -> Result<Option<String>, Error> {
        let docker = self.docker().await?;
        let options = CreateImageOptionsBuilder::default()
            .from_image(&reference.name())
            .tag(reference.version())
            .build();
        let given = self.registries.get(&reference.host);
        let given = given.map(|given| credentials(&given.username, &given.password, &reference.host));
        let answers = docker.create_image(Some(options), None, given);
        self.watch(&format!("pull image {}", reference.full()), answers).await
    }

    async fn watch(
        &self,
        what: &str,
        mut answers: impl Stream<Item = Result<CreateImageInfo, Answer>> + Unpin,
    ) -> Result<Option<String>, Error> {
        let end = Instant::now() + PULL;
        let mut digest = None;
        loop {
            let idle = Instant::now() + IDLE;
            match timeout_at(idle.min(end), answers.next()).await {
                // The engine took the request; the one that is silent is the registry.
                Err(_) if idle < end => {
                    return Err(Error::failed(what, format!("no progress for {} s", IDLE.as_secs())));
                }
                Err(_) => return Err(Error::failed(what, format!("not done after {} s", PULL.as_secs()))),
                Ok(None) => return Ok(digest),
                Ok(Some(Ok(said))) => digest = found(&said).or(digest),
                Ok(Some(Err(answer))) => return Err(refused(what, self.connection.explain(what, &answer))),
            }
        }
    }

    async fn present(&self, name: &str) -> Result<String, Error> {
        let id = self.image_id(name).await?;
        id.ok_or_else(|| {
            Error::failed(format!("pull image {name}"), "the engine pulled it, and does not have it")
        })
    }
}

fn found(said: &CreateImageInfo) -> Option<String> {
    let digest = said.status.as_deref()?.strip_prefix("Digest: ")?.trim();
    is_digest(digest).then(|| digest.to_owned())
}

/// What a registry refuses comes as a sentence, under whatever status the engine chose.
fn refused(what: &str, error: Error) -> Error {
    let reason = match error {
        Error::Absent { reason, .. } | Error::Failed { reason, .. } | Error::Invalid { reason, .. } => reason,
        other => return other,
    };
    let lower = reason.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let what = what.to_owned();
    let reason = clean(&reason);
    if says(&["unauthorized", "denied", "no basic auth credentials", "authentication required", "forbidden"])
    {
        Error::Denied { what, reason }
    } else if says(&["manifest unknown", "name unknown", "not found", "no such image"]) {
        Error::Absent { what, reason }
    } else {
        Error::Failed { what, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_registries_have_a_word() {
        let code = |reason: &str| refused("pull image a", Error::failed("pull", reason)).code();
        assert_eq!(code("manifest for a:1 not found: manifest unknown"), "absent");
        assert_eq!(code("Head http://r/v2/: no basic auth credentials"), "denied");
        assert_eq!(code("pull access denied for a, repository does not exist"), "denied");
        assert_eq!(code("Get http://r/v2/: dial tcp: connection refused"), "failed");
    }

    #[test]
    fn digests_are_found_in_what_engines_say() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let said = |status: String| CreateImageInfo { status: Some(status), ..CreateImageInfo::default() };
        assert_eq!(found(&said(format!("Digest: {digest}"))), Some(digest));
        assert_eq!(found(&said("Digest: latest".into())), None);
        assert_eq!(found(&said("Pull complete".into())), None);
    }
}
