//! Images out of archives.
//!
//! What an archive calls its images is the archive's business: the engine gets it without names (`archive`), so it takes no
//! tag from anybody, and two archives with the same names are not in each other's way. What comes back are ids: the engine
//! says which, they have to be among those that the archive can have, and the engine has to have exactly these.
//!
//! An image without a name goes with the next `docker image prune` while no container is made of it, as one with a name goes
//! with `docker image prune --all`. That is meant: nobody else would ever remove it. A container, running or not, keeps its
//! image. So what can happen is that a deploy of the same archive loads it again, or, between the load and the create, fails
//! as absent and is ordered again; nothing else relies on the image. An image that is there already, with names or without,
//! stays as it is.
//!
//! The same archive is loaded once by whoever comes first; the others wait.

use std::io::{self, Read};

use bollard::models::ImageInspect;
use tokio::time::Instant;

use crate::archive::{Contents, Image};
use crate::engine::{REQUEST, lock};
use crate::error::clean;
use crate::reference::{is_hex, is_image_id};
use crate::remembered::IMAGES;
use crate::upload::LOAD;
use crate::{Engine, Error};

const DIGEST: usize = 160;

impl Engine {
    /// Takes the images of an archive into the engine and says their ids. `digest` is the archive's: if the engine still
    /// has what it became, it is not opened. Otherwise it is opened twice, on a thread that may block, and has to be the
    /// same both times.
    pub async fn load<F>(&self, digest: &str, open: F) -> Result<Vec<String>, Error>
    where
        F: Fn() -> io::Result<Box<dyn Read + Send>> + Send + 'static,
    {
        if digest.is_empty() || digest.len() > DIGEST || !digest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid("load an archive", "its digest is not one"));
        }
        let turn = lock(&self.loading).entry(digest.to_owned()).or_default().clone();
        let result = {
            let _turn = turn.lock().await;
            self.load_in_turn(digest, open).await
        };
        drop(turn);
        // Whoever is still waiting holds another clone. A caller that went away leaves its entry to the next one.
        lock(&self.loading).retain(|_, turn| std::sync::Arc::strong_count(turn) > 1);
        result
    }

    async fn load_in_turn<F>(&self, digest: &str, open: F) -> Result<Vec<String>, Error>
    where
        F: Fn() -> io::Result<Box<dyn Read + Send>> + Send + 'static,
    {
        if let Some(images) = self.remembered.get(digest).await
            && self.has_all(&images).await?
        {
            return Ok(images);
        }
        let what = format!("load archive {digest}");
        let end = Instant::now() + LOAD;
        let docker = self.docker().await?;
        let (contents, pieces) = self.understand(&what, open, end).await?;
        let names = self.upload(&what, &docker, pieces, end).await?;
        let images = self.believe(&what, &contents, &names).await?;
        self.remembered.put(digest, &images).await;
        Ok(images)
    }

    /// The ids that the engine said, if they are what the archive has.
    async fn believe(&self, what: &str, contents: &Contents, names: &[String]) -> Result<Vec<String>, Error> {
        let mut images: Vec<Image> = Vec::new();
        for name in names.iter().take(IMAGES + 1) {
            let named = || format!("the engine calls an image {:?}, and was given no names", clean(name));
            let id = id(name).ok_or_else(|| Error::failed(what, named()))?;
            let image = self.image(&id).await?.filter(|image| image.id == id);
            let gone = || Error::failed(what, format!("the engine loaded {id}, and does not have it"));
            let image = image.ok_or_else(gone)?;
            if !images.iter().any(|known| known.id == image.id) {
                images.push(image);
            }
        }
        contents.check(&images).map_err(|reason| Error::failed(what, reason))?;
        Ok(images.into_iter().map(|image| image.id).collect())
    }

    async fn has_all(&self, images: &[String]) -> Result<bool, Error> {
        for image in images {
            if self.image_id(image).await?.as_ref() != Some(image) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the engine calls an image for good; `None` if it has no such image.
    pub(crate) async fn image_id(&self, name: &str) -> Result<Option<String>, Error> {
        Ok(self.image(name).await?.map(|image| image.id))
    }

    async fn image(&self, name: &str) -> Result<Option<Image>, Error> {
        let docker = self.docker().await?;
        let what = format!("inspect image {name}");
        let image = match self.connection.finish(&what, REQUEST, docker.inspect_image(name)).await {
            Ok(image) => image,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error),
        };
        match image.id.as_deref().and_then(id) {
            Some(id) => Ok(Some(of_inspect(id, image))),
            None => Err(Error::failed(what, "the engine names no id for it")),
        }
    }
}

fn of_inspect(id: String, image: ImageInspect) -> Image {
    let target = image.descriptor.and_then(|descriptor| descriptor.digest);
    Image {
        is_manifest: target.as_ref() == Some(&id),
        layers: image.root_fs.and_then(|root| root.layers).unwrap_or_default(),
        id,
    }
}

/// Engines write one and the same id with its algorithm and without, and with an `@` before it.
fn id(name: &str) -> Option<String> {
    let name = name.strip_prefix('@').unwrap_or(name);
    if is_hex(name, 64) {
        return Some(format!("sha256:{name}"));
    }
    is_image_id(name).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_told_from_a_name() {
        let hex = "0a".repeat(32);
        let whole = format!("sha256:{hex}");
        for said in [hex.clone(), whole.clone(), format!("@{hex}"), format!("@{whole}")] {
            assert_eq!(id(&said), Some(whole.clone()), "{said}");
        }
        for said in ["busybox:1", "sha256:0a", "", &hex[1..], &format!("team/app@{whole}")] {
            assert_eq!(id(said), None, "{said}");
        }
    }
}
