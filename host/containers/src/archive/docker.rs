//! The index of `docker save`: `manifest.json`, a list of images.
//!
//! An image's id is the digest of its configuration, which is taken from the bytes. Most writers call that file by its
//! digest as well; where the two differ, somebody wants it to be taken for another image.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::contents::Group;
use super::documents::{Documents, MANIFEST, parse, sha256};
use super::names::normal;
use super::{Fault, wrong};
use crate::reference::is_hex;
use crate::remembered::IMAGES;

/// An image, and nothing else that one may say of it: not its names, not its parent.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Item {
    #[serde(rename = "Config")]
    pub(super) config: String,
    /// Names. Written as null, whatever is read.
    #[serde(rename = "RepoTags", skip_deserializing)]
    pub(super) names: (),
    #[serde(rename = "Layers", default)]
    pub(super) layers: Option<Vec<String>>,
}

/// As much of a configuration as is needed.
#[derive(Debug, Deserialize)]
struct Config {
    rootfs: Option<RootFs>,
}

#[derive(Debug, Deserialize)]
struct RootFs {
    diff_ids: Option<Vec<String>>,
}

pub(super) fn read(documents: &Documents) -> Result<Option<Vec<Item>>, Fault> {
    let Some(document) = documents.get(MANIFEST) else { return Ok(None) };
    let mut items: Vec<Item> = parse("its manifest.json", document)?;
    if items.len() > IMAGES {
        return wrong(format!(
            "its manifest.json has {} images, and {IMAGES} are taken at most",
            items.len()
        ));
    }
    for item in &mut items {
        inside(&mut item.config)?;
        item.layers.iter_mut().flatten().try_for_each(inside)?;
    }
    Ok(Some(items))
}

fn inside(path: &mut String) -> Result<(), Fault> {
    match normal(path.as_bytes()) {
        Ok(normal) if !normal.is_empty() => *path = normal,
        Ok(_) => return wrong("its manifest.json names a file that has no name"),
        Err(reason) => return wrong(format!("its manifest.json names {path:?}: {reason}")),
    }
    Ok(())
}

/// What the engine is expected to make of them.
pub(super) fn groups(items: &[Item], documents: &Documents) -> Result<Vec<Group>, Fault> {
    let mut groups: Vec<Group> = Vec::new();
    for item in items {
        let group = group(&item.config, documents)?;
        if !groups.iter().any(|known| known.ids == group.ids) {
            groups.push(group);
        }
    }
    Ok(groups)
}

fn group(name: &str, documents: &Documents) -> Result<Group, Fault> {
    let Some(document) = documents.get(name) else {
        return wrong(format!("the configuration {name:?} is not in it, or is no JSON of at most 4 MiB"));
    };
    let id = sha256(document);
    let stated = name.rsplit('/').next().unwrap_or(name);
    let stated = stated.strip_suffix(".json").unwrap_or(stated);
    let stated = stated.strip_prefix("sha256:").unwrap_or(stated);
    if is_hex(&stated.to_ascii_lowercase(), 64) && id != format!("sha256:{stated}") {
        return wrong(format!("the configuration {name:?} is another one, {id}"));
    }
    let config: Config = parse(&format!("the configuration {name:?}"), document)?;
    let layers = config.rootfs.and_then(|rootfs| rootfs.diff_ids).unwrap_or_default();
    Ok(Group { ids: BTreeSet::from([id]), layers })
}
