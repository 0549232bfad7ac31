//! What is in an archive: an index without names, and the ids that its images can have.
//!
//! | engine                              | id of an image                                                            |
//! |-------------------------------------|---------------------------------------------------------------------------|
//! | podman, docker with classic storage | digest of the configuration                                               |
//! | docker with containerd's storage    | digest of the manifest or of the list of them                             |
//! | the same, of an archive without any | digest of a manifest that the engine made; its layers are compared instead |

use std::collections::BTreeSet;
use std::io::Read;

use super::documents::{Documents, INDEX, MANIFEST};
use super::entries::Entries;
use super::{Fault, docker, oci, wrong};

/// One image, whatever the engine calls it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) ids: BTreeSet<String>,
    /// Digests of its unpacked layers; none where every id is known.
    pub(super) layers: Vec<String>,
}

/// What an engine has.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) id: String,
    pub(crate) layers: Vec<String>,
    /// The id is not the configuration's, but the manifest's.
    pub(crate) is_manifest: bool,
}

#[derive(Debug)]
pub(crate) struct Contents {
    /// Files to write instead of what the archive has of these names.
    pub(super) indexes: Vec<(&'static str, Vec<u8>)>,
    docker: Vec<Group>,
    oci: Vec<Group>,
}

impl Contents {
    /// Reads the whole archive once.
    pub(crate) fn of(reader: impl Read) -> Result<Self, Fault> {
        let mut entries = Entries::new(reader);
        let mut documents = Documents::default();
        while let Some(entry) = entries.next()? {
            documents.consider(&entry, &mut entries)?;
        }
        Self::understand(&documents)
    }

    fn understand(documents: &Documents) -> Result<Self, Fault> {
        let index = oci::read(documents)?;
        let items = match (docker::read(documents)?, &index) {
            (None, Some(index)) => oci::items(index, documents)?,
            (items, _) => items,
        };
        let mut contents = Self { indexes: Vec::new(), docker: Vec::new(), oci: Vec::new() };
        if let Some(items) = &items {
            contents.docker = docker::groups(items, documents)?;
            contents.indexes.push((MANIFEST, written(items)?));
        }
        if let Some(index) = &index {
            contents.oci = oci::groups(index, documents)?;
            contents.indexes.push((INDEX, written(index)?));
        }
        if contents.docker.is_empty() && contents.oci.is_empty() {
            return wrong("there is no manifest.json and no index.json in it that names an image");
        }
        Ok(contents)
    }

    /// Whether these are the images of the archive, and all of them; else a sentence.
    pub(crate) fn check(&self, images: &[Image]) -> Result<(), String> {
        let mut known = self.docker.iter().chain(&self.oci);
        for image in images {
            if !known.clone().any(|group| self.is(group, image)) {
                return Err(format!("the engine made {} of it, which is none of its images", image.id));
            }
        }
        let has_all = |groups: &[Group]| {
            !groups.is_empty() && groups.iter().all(|group| images.iter().any(|image| self.is(group, image)))
        };
        if has_all(&self.docker) || has_all(&self.oci) {
            return Ok(());
        }
        let expected = known.next().and_then(|group| group.ids.first()).map_or("", String::as_str);
        Err(format!("the engine made {} of its images, {expected} or others are missing", images.len()))
    }

    fn is(&self, group: &Group, image: &Image) -> bool {
        let made_here = image.is_manifest && self.oci.is_empty() && !group.layers.is_empty();
        group.ids.contains(&image.id) || (made_here && group.layers == image.layers)
    }
}

fn written(index: &impl serde::Serialize) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(index).map_err(|error| Fault::Wrong(error.to_string()))
}

#[cfg(test)]
pub(super) mod tests;
