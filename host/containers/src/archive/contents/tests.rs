//! What is found in an archive, and what is refused.

use std::io::Cursor;

use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use super::super::copy;
use super::super::documents::sha256;
use super::*;

type Files = Vec<(String, Vec<u8>)>;

/// An archive of those files, in that order.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, *content).expect("written");
    }
    tar.into_inner().expect("written")
}

fn json(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("written")
}

fn config(of: &str) -> Vec<u8> {
    json(
        &json!({"os": "linux", "author": of, "rootfs": {"type": "layers", "diff_ids": [sha256(of.as_bytes())]}}),
    )
}

fn hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").expect("a digest")
}

fn blob(content: &[u8]) -> (String, String) {
    let digest = sha256(content);
    (format!("blobs/sha256/{}", hex(&digest)), digest)
}

fn contents(bytes: &[u8]) -> Result<Contents, String> {
    Contents::of(bytes).map_err(|fault| fault.to_string())
}

/// What the engine gets.
fn nameless(bytes: &[u8]) -> Files {
    let contents = contents(bytes).expect("an image archive");
    let written = copy(bytes, &contents, Vec::new()).expect("written");
    let mut archive = tar::Archive::new(Cursor::new(written));
    let entries = archive.entries().expect("entries");
    let read = entries.map(|entry| {
        let mut entry = entry.expect("an entry");
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("read");
        (entry.path().expect("a path").display().to_string(), content)
    });
    read.collect()
}

fn value(files: &[(String, Vec<u8>)], name: &str) -> Value {
    let mut found = files.iter().filter(|(known, _)| known == name);
    let (_, content) = found.next().expect("there");
    assert!(found.next().is_none(), "{name} is there twice");
    serde_json::from_slice(content).expect("JSON")
}

fn image(id: &str) -> Image {
    Image { id: id.into(), layers: Vec::new(), is_manifest: false }
}

#[test]
fn what_docker_saves_loses_its_names_and_nothing_else() {
    let config = config("a");
    let id = sha256(&config);
    let name = format!("{}.json", hex(&id));
    let manifest = json!([{
        "Config": name, "RepoTags": ["stranger:1"], "repotags": ["stranger:2"],
        "Layers": ["x/layer.tar"], "Parent": "sha256:00", "Other": {"deep": [1]},
    }]);
    let repositories = br#"{"stranger":{"3":"x"}}"#;
    let bytes = tar(&[
        ("x/layer.tar", b"layer"),
        (&name, &config),
        ("manifest.json", &json(&manifest)),
        ("repositories", repositories),
    ]);
    let files = nameless(&bytes);
    assert_eq!(
        value(&files, "manifest.json"),
        json!([{"Config": name, "RepoTags": null, "Layers": ["x/layer.tar"]}])
    );
    assert!(!files.iter().any(|(name, _)| name == "repositories"));
    assert!(files.contains(&("x/layer.tar".into(), b"layer".to_vec())) && files.contains(&(name, config)));
    assert_eq!(files.len(), 3);

    let contents = contents(&bytes).expect("an image archive");
    assert_eq!(contents.check(&[image(&id)]), Ok(()));
    assert!(contents.check(&[]).is_err());
    let other = image(&sha256(b"another image"));
    assert!(contents.check(std::slice::from_ref(&other)).is_err());
    assert!(contents.check(&[image(&id), other]).is_err());
}

#[test]
fn an_engine_that_makes_manifests_itself_is_known_by_the_layers() {
    let config = config("a");
    let manifest = json(&json!([{"Config": "config.json", "RepoTags": null, "Layers": []}]));
    let contents = contents(&tar(&[("config.json", &config), ("manifest.json", &manifest)])).expect("one");
    let made = Image { id: sha256(b"made"), layers: vec![sha256(b"a")], is_manifest: true };
    assert_eq!(contents.check(std::slice::from_ref(&made)), Ok(()));
    assert!(contents.check(&[Image { is_manifest: false, ..made.clone() }]).is_err());
    assert!(contents.check(&[Image { layers: vec![sha256(b"b")], ..made.clone() }]).is_err());
    assert!(contents.check(&[Image { layers: Vec::new(), ..made }]).is_err());
}

/// Files of a layout, and what its index says of each image.
fn layout(of: &[&str]) -> (Files, Vec<Value>, Vec<String>) {
    let (mut files, mut descriptors, mut configs) = (Vec::new(), Vec::new(), Vec::new());
    for of in of {
        let config = config(of);
        let (place, digest) = blob(&config);
        let (layer, layer_digest) = blob(of.as_bytes());
        let manifest = json(&json!({
            "schemaVersion": 2, "config": {"digest": digest, "size": config.len()},
            "layers": [{"digest": layer_digest, "size": of.len()}],
        }));
        configs.push(digest);
        files.extend([(place, config), (layer, of.as_bytes().to_vec())]);
        let (place, digest) = blob(&manifest);
        descriptors.push(json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": manifest.len(),
            "annotations": {
                "org.opencontainers.image.ref.name": "stranger:1", "io.containerd.image.name": "stranger:2",
            },
            "platform": {"architecture": "amd64", "os": "linux"},
        }));
        files.push((place, manifest));
    }
    (files, descriptors, configs)
}

fn archive(files: &[(String, Vec<u8>)], last: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let files = files.iter().map(|(name, content)| (name.as_str(), content.as_slice()));
    tar(&files.chain(last.iter().map(|(name, content)| (*name, content.as_slice()))).collect::<Vec<_>>())
}

#[test]
fn a_layout_loses_its_names_and_is_listed_for_older_engines() {
    let (files, descriptors, configs) = layout(&["a", "b"]);
    let index = json(&json!({
        "schemaVersion": 2, "manifests": descriptors, "annotations": {"x": "y"}, "Manifests": [],
    }));
    let bytes = archive(&files, &[("index.json", index)]);
    let written = nameless(&bytes);
    let index = value(&written, "index.json");
    assert!(!index.to_string().contains("stranger") && !index.to_string().contains("annotations"), "{index}");
    for (at, descriptor) in descriptors.iter().enumerate() {
        for field in ["digest", "size", "mediaType", "platform"] {
            assert_eq!(index["manifests"][at][field], descriptor[field]);
        }
    }
    let manifest = value(&written, "manifest.json");
    assert_eq!(manifest[1]["RepoTags"], Value::Null);
    assert_eq!(manifest[1]["Config"], format!("blobs/sha256/{}", hex(&configs[1])));
    assert_eq!(manifest[1]["Layers"][0], blob(b"b").0);
    assert_eq!(written.len(), files.len() + 2);

    // Both engines' ids are known, and no third one's.
    let contents = contents(&bytes).expect("images");
    let manifests: Vec<Image> =
        descriptors.iter().map(|known| image(known["digest"].as_str().expect("a digest"))).collect();
    let configs: Vec<Image> = configs.iter().map(|id| image(id)).collect();
    assert_eq!((contents.check(&manifests), contents.check(&configs)), (Ok(()), Ok(())));
    assert!(contents.check(&manifests[..1]).is_err() && contents.check(&configs[1..]).is_err());
    let made = Image { id: sha256(b"made"), layers: vec![sha256(b"a")], is_manifest: true };
    assert!(contents.check(&[made]).is_err());
}

#[test]
fn a_list_of_platforms_is_one_image() {
    let (mut files, descriptors, configs) = layout(&["a", "b"]);
    let missing = json!({"digest": sha256(b"of a platform that is not here"), "size": 3});
    let list = json(&json!({"manifests": [descriptors[0], descriptors[1], missing]}));
    let (place, digest) = blob(&list);
    files.push((place, list));
    let index = json(&json!({"manifests": [{"digest": digest, "size": 1, "annotations": {"a": "b"}}]}));
    let bytes = archive(&files, &[("index.json", index)]);
    let contents = contents(&bytes).expect("an image");
    for id in [&digest, &configs[0], &configs[1]] {
        assert_eq!(contents.check(&[image(id)]), Ok(()));
    }
    assert!(!nameless(&bytes).iter().any(|(name, _)| name == "manifest.json"));
}

fn refused(files: &[(&str, Vec<u8>)], why: &str) {
    let error = contents(&archive(&[], files)).expect_err(why);
    assert!(error.contains("no image archive") && error.contains(why), "{error}, not {why}");
}

fn manifest(config: &str) -> Vec<u8> {
    json(&json!([{"Config": config, "RepoTags": ["a:1"], "Layers": []}]))
}

#[test]
fn what_is_no_image_archive_is_refused() {
    refused(&[], "no manifest.json");
    refused(&[("repositories", b"{}".to_vec()), ("x/json", b"{}".to_vec())], "no manifest.json");
    refused(&[("manifest.json", b"[]".to_vec())], "names an image");
    refused(&[("index.json", br#"{"manifests":[]}"#.to_vec())], "names an image");
    refused(&[("manifest.json", b"{".to_vec())], "malformed");
    refused(&[("manifest.json", b"nonsense".to_vec())], "malformed");
    refused(&[("manifest.json", vec![b' '; (4 << 20) + 1])], "4 MiB");
    refused(&[("index.json/x", b"{}".to_vec())], "no file");
    let deep = [b"[{\"Config\":".to_vec(), vec![b'['; 1 << 20]].concat();
    refused(&[("manifest.json", deep)], "malformed");
    let many: Vec<Value> = (0..17).map(|n| json!({"Config": n.to_string()})).collect();
    refused(&[("manifest.json", json(&Value::Array(many)))], "17 images");
    let twice = br#"[{"Config":"a","Config":"b"}]"#.to_vec();
    refused(&[("manifest.json", twice)], "duplicate");
}

#[test]
fn a_configuration_is_what_it_is_called_and_where_it_may_be() {
    let config = config("a");
    let other = format!("{}.json", hex(&sha256(b"a stranger's image")));
    refused(&[(&other, config.clone()), ("manifest.json", manifest(&other))], "is another one");
    let upper = other.to_uppercase().replace("JSON", "json");
    refused(&[(&upper, config.clone()), ("manifest.json", manifest(&upper))], "is another one");
    for path in ["../../etc/passwd", "/etc/passwd", "a/../b", "", "."] {
        refused(&[("a", config.clone()), ("manifest.json", manifest(path))], "its manifest.json names");
    }
    refused(&[("manifest.json", manifest("c.json"))], "is not in it");
    refused(&[("c.json", vec![b'{'; (4 << 20) + 1]), ("manifest.json", manifest("c.json"))], "is not in it");
    refused(&[("c.json", b"{".to_vec()), ("manifest.json", manifest("c.json"))], "malformed");
}

#[test]
fn an_index_that_is_a_link_is_refused() {
    for name in ["manifest.json", "index.json", "repositories"] {
        let mut tar = Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        tar.append_link(&mut header, name, "other.json").expect("written");
        let error = contents(&tar.into_inner().expect("written")).expect_err("a link");
        assert!(error.contains("no file"), "{error}");
    }
}

#[test]
fn a_blob_is_what_it_is_called() {
    let (place, digest) = (format!("blobs/sha256/{}", "0".repeat(64)), format!("sha256:{}", "0".repeat(64)));
    let index = |digest: &str| json(&json!({"manifests": [{"digest": digest, "size": 2}]}));
    refused(&[(&place, b"{}".to_vec()), ("index.json", index(&digest))], "is another file");
    refused(&[("index.json", index(&digest))], "is not in it");
    refused(&[("index.json", index("sha256:../../x"))], "is no digest");
    let both = br#"{"manifests":[],"config":{"digest":"x"}}"#;
    let (place, digest) = blob(both);
    refused(&[(&place, both.to_vec()), ("index.json", index(&digest))], "at once");
}

#[test]
fn lists_in_lists_end() {
    let mut files = Vec::new();
    let mut next = sha256(b"none");
    for _ in 0..6 {
        let list = json(&json!({"manifests": [{"digest": next, "size": 1}]}));
        let (place, digest) = blob(&list);
        files.push((place, list));
        next = digest;
    }
    let index = json(&json!({"manifests": [{"digest": next, "size": 1}]}));
    let error = contents(&archive(&files, &[("index.json", index)])).expect_err("deep");
    assert!(error.contains("too deep"), "{error}");
}

#[test]
fn much_json_is_not_kept() {
    // The first four fill what is kept; the configuration comes too late.
    let fill = [b"{".to_vec(), vec![b' '; (4 << 20) - 1]].concat();
    let names = ["a", "b", "c", "d"];
    let mut files: Vec<(&str, Vec<u8>)> = names.iter().map(|name| (*name, fill.clone())).collect();
    files.push(("c.json", config("a")));
    files.push(("manifest.json", manifest("c.json")));
    refused(&files, "is not in it");
    files.swap(0, 4);
    assert!(contents(&archive(&[], &files)).is_ok());
}
