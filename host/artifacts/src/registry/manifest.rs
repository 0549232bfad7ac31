//! What a registry keeps under a reference: a manifest, which lists layers, or an index, which lists manifests.
//!
//! A component is one layer. Tools differ in what else they write (`wkg` a configuration that describes the component,
//! `oras` an empty one), so nothing but the layer's type is asked about.

use std::str::FromStr as _;

use serde::Deserialize;

use crate::Digest;

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The type of a component, and the one that came before it.
const COMPONENT: [&str; 2] = ["application/wasm", "application/vnd.wasm.content.layer.v1+wasm"];
/// Most layers that a refusal names.
const NAMED: usize = 4;
/// Longest media type that is shown, in bytes.
const SHOWN: usize = 80;

/// Something in the registry, by content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) kind: String,
    pub(super) digest: Digest,
    pub(super) size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Document {
    /// Its layers.
    Manifest(Vec<Descriptor>),
    /// Its manifests.
    Index(Vec<Descriptor>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    schema_version: u32,
    media_type: Option<String>,
    layers: Option<Vec<WrittenDescriptor>>,
    manifests: Option<Vec<WrittenDescriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenDescriptor {
    media_type: String,
    digest: String,
    size: u64,
}

impl Document {
    /// What is both, or says that it is the other, is neither: two readers would take it for two things.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let written: Written =
            serde_json::from_slice(bytes).map_err(|error| format!("it is no manifest ({error})"))?;
        let kind = written.media_type.as_deref();
        if written.schema_version != 2 {
            return Err(format!("it has schemaVersion {}, and only 2 is known", written.schema_version));
        }
        match (written.layers, written.manifests) {
            (Some(layers), None) if kind.is_none_or(|kind| kind == MANIFEST) => {
                Ok(Self::Manifest(read_all(layers)?))
            }
            (None, Some(manifests)) if kind.is_none_or(|kind| kind == INDEX) => {
                Ok(Self::Index(read_all(manifests)?))
            }
            (Some(_), Some(_)) => Err("it has both layers and manifests".to_owned()),
            (None, None) => Err("it has neither layers nor manifests".to_owned()),
            _ => {
                Err(format!("its mediaType {} is not that of what it holds", shown(kind.unwrap_or_default())))
            }
        }
    }
}

fn read_all(written: Vec<WrittenDescriptor>) -> Result<Vec<Descriptor>, String> {
    let read = |WrittenDescriptor { media_type, digest, size }| {
        let known = digest.strip_prefix("sha256:").and_then(|digits| Digest::from_str(digits).ok());
        let digest = known.ok_or_else(|| format!("{} is no SHA-256", shown(&digest)))?;
        Ok(Descriptor { kind: media_type, digest, size })
    };
    written.into_iter().map(read).collect()
}

pub(super) fn is_component(layer: &Descriptor) -> bool {
    COMPONENT.contains(&layer.kind.as_str())
}

/// The layer that is a component, if it is one.
pub(super) fn component(layers: &[Descriptor]) -> Result<&Descriptor, String> {
    let found: Vec<_> = layers.iter().filter(|layer| is_component(layer)).collect();
    match found.as_slice() {
        [layer] => Ok(layer),
        [] => Err(format!(
            "no layer of it is a component, which has the type {}; it has {}",
            COMPONENT[0],
            kinds(layers)
        )),
        several => Err(format!("{} layers of it are components, and a plugin is one", several.len())),
    }
}

fn kinds(layers: &[Descriptor]) -> String {
    let named: Vec<_> = layers.iter().take(NAMED).map(|layer| shown(&layer.kind)).collect();
    match layers.len().checked_sub(NAMED).filter(|more| *more > 0) {
        Some(more) => format!("{} and {more} more", named.join(", ")),
        None if named.is_empty() => "none".to_owned(),
        None => named.join(", "),
    }
}

/// What a stranger wrote, for a terminal.
fn shown(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn layer(kind: &str) -> serde_json::Value {
        json!({"mediaType": kind, "digest": format!("sha256:{}", Digest::of(kind.as_bytes())), "size": 7})
    }

    fn chosen(document: &serde_json::Value) -> Result<String, String> {
        match Document::read(document.to_string().as_bytes())? {
            Document::Manifest(layers) => component(&layers).map(|layer| layer.kind.clone()),
            Document::Index(manifests) => Ok(format!("index of {}", manifests.len())),
        }
    }

    #[test]
    fn the_layer_is_found_in_what_the_tools_write() {
        // wkg; an older tool; oras, with a file that is something else.
        let wkg = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": "application/vnd.wasm.config.v0+json", "digest": "sha256:0", "size": 1},
            "layers": [layer("application/wasm")],
        });
        assert_eq!(chosen(&wkg).unwrap(), "application/wasm");
        let old = json!({"schemaVersion": 2, "layers": [layer(COMPONENT[1])]});
        assert_eq!(chosen(&old).unwrap(), COMPONENT[1]);
        let oras = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": "application/vnd.unknown.artifact.v1",
            "layers": [layer("text/markdown"), layer("application/wasm")], "annotations": {"a": "b"},
        });
        assert_eq!(chosen(&oras).unwrap(), "application/wasm");
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [layer(MANIFEST)]});
        assert_eq!(chosen(&index).unwrap(), "index of 1");
    }

    #[test]
    fn what_is_no_component_says_what_it_is() {
        let of = |layers: Vec<serde_json::Value>| json!({"schemaVersion": 2, "layers": layers});
        let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
        for (document, part) in [
            (of(vec![layer(tar)]), tar),
            (of(vec![layer("x\u{1b}[31m"); 6]), "x[31m, x[31m, x[31m, x[31m and 2 more"),
            (of(vec![]), "it has none"),
            (of(vec![layer(COMPONENT[0]), layer(COMPONENT[1])]), "2 layers"),
            (
                of(vec![json!({"mediaType": "a", "digest": "sha512:00", "size": 1})]),
                "sha512:00 is no SHA-256",
            ),
            (of(vec![json!({"mediaType": "a", "digest": "sha256:00", "size": -1})]), "no manifest"),
            (json!({"schemaVersion": 1, "layers": []}), "schemaVersion 1"),
            (json!({"schemaVersion": 2}), "neither"),
            (json!({"schemaVersion": 2, "layers": [], "manifests": []}), "both"),
            (json!({"schemaVersion": 2, "mediaType": INDEX, "layers": []}), "is not that of what it holds"),
            (json!([]), "no manifest"),
        ] {
            let reason = chosen(&document).unwrap_err();
            assert!(reason.contains(part), "{document}: {reason}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in "[\\[\\]{}\":,a-z0-9]{0,60}", kinds in prop::collection::vec("\\PC{0,9}", 0..9)) {
            let _ = Document::read(bytes.as_bytes());
            let layers: Vec<_> = kinds.iter().map(|kind| layer(kind)).collect();
            let _ = chosen(&json!({"schemaVersion": 2, "layers": layers}));
        }
    }
}
