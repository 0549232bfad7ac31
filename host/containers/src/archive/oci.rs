//! The index of an OCI layout: `index.json`, a list of manifests and of lists of manifests for several platforms.
//!
//! Only the outermost list gives names, and only it is made anew: what it leads to is called by its digest, and could not
//! be changed. Engines call an image by one of the digests on the way: of what the outermost list leads to, of the manifest
//! for their platform, of its configuration.

use serde::{Deserialize, Serialize};

use super::contents::Group;
use super::docker::Item;
use super::documents::{Documents, INDEX, parse, sha256};
use super::{Fault, wrong};
use crate::reference::is_image_id;
use crate::remembered::IMAGES;

/// Lists within lists.
const DEPTH: usize = 3;
/// Manifests and lists that are looked at, of one image.
const BLOBS: usize = 128;

/// Without what is not understood, and without annotations: there the names are.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Index {
    #[serde(rename = "schemaVersion", skip_deserializing, default = "version")]
    version: u32,
    manifests: Vec<Descriptor>,
}

fn version() -> u32 {
    2
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Descriptor {
    #[serde(rename = "mediaType", skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    digest: String,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<Platform>,
    #[serde(rename = "artifactType", skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
struct Platform {
    architecture: String,
    os: String,
    #[serde(rename = "os.version", skip_serializing_if = "Option::is_none")]
    os_version: Option<String>,
    #[serde(rename = "os.features", skip_serializing_if = "Option::is_none")]
    os_features: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<String>,
}

/// A list has `manifests`, a manifest has the others.
#[derive(Debug, Deserialize)]
struct Blob {
    manifests: Option<Vec<Named>>,
    config: Option<Named>,
    #[serde(default)]
    layers: Vec<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    digest: String,
}

pub(super) fn read(documents: &Documents) -> Result<Option<Index>, Fault> {
    let Some(document) = documents.get(INDEX) else { return Ok(None) };
    let index: Index = parse("its index.json", document)?;
    if index.manifests.len() > IMAGES {
        let count = index.manifests.len();
        return wrong(format!("its index.json has {count} images, and {IMAGES} are taken at most"));
    }
    Ok(Some(index))
}

/// What an engine is expected to make of it.
pub(super) fn groups(index: &Index, documents: &Documents) -> Result<Vec<Group>, Fault> {
    let mut groups: Vec<Group> = Vec::new();
    for descriptor in &index.manifests {
        let group = group(&descriptor.digest, documents)?;
        if !groups.iter().any(|known| known.ids == group.ids) {
            groups.push(group);
        }
    }
    Ok(groups)
}

fn group(digest: &str, documents: &Documents) -> Result<Group, Fault> {
    if blob(digest, documents)?.is_none() {
        return wrong(format!("the manifest {digest} is not in it, or is no JSON of at most 4 MiB"));
    }
    let mut group = Group::default();
    let mut next = vec![(digest.to_owned(), 0)];
    let mut seen = 0;
    while let Some((digest, depth)) = next.pop() {
        seen += 1;
        if depth > DEPTH || seen > BLOBS {
            return wrong("its lists of manifests are too deep or too long");
        }
        // Lists may name platforms that are not in the archive.
        let Some(blob) = blob(&digest, documents)? else { continue };
        group.ids.insert(digest);
        let listed = blob.manifests.into_iter().flatten();
        next.extend(listed.map(|named| (named.digest, depth + 1)));
        group.ids.extend(blob.config.map(|config| config.digest));
    }
    Ok(group)
}

fn blob(digest: &str, documents: &Documents) -> Result<Option<Blob>, Fault> {
    let Some(document) = documents.get(&place(digest)?) else { return Ok(None) };
    if sha256(document) != digest {
        return wrong(format!("{digest} is another file than its name says"));
    }
    let blob: Blob = parse(digest, document)?;
    if blob.manifests.is_some() && blob.config.is_some() {
        return wrong(format!("{digest} is a manifest and a list of them at once"));
    }
    Ok(Some(blob))
}

fn place(digest: &str) -> Result<String, Fault> {
    match digest.strip_prefix("sha256:") {
        Some(hex) if is_image_id(digest) => Ok(format!("blobs/sha256/{hex}")),
        _ => wrong(format!("{digest:?} is no digest; only sha256 is understood")),
    }
}

/// The same images as `docker save` would list them, for engines that read nothing else; `None` where a list of platforms
/// would leave a choice.
pub(super) fn items(index: &Index, documents: &Documents) -> Result<Option<Vec<Item>>, Fault> {
    let mut items = Vec::new();
    for descriptor in &index.manifests {
        let Some(Blob { manifests: None, config: Some(config), layers }) =
            blob(&descriptor.digest, documents)?
        else {
            return Ok(None);
        };
        let config = place(&config.digest)?;
        if documents.get(&config).is_none() {
            return Ok(None);
        }
        let layers = layers.iter().map(|layer| place(&layer.digest)).collect::<Result<_, _>>()?;
        items.push(Item { config, names: (), layers: Some(layers) });
    }
    Ok(Some(items))
}
