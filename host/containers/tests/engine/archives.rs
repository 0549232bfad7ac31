//! Archives that name their images after somebody else's, or are not what they look like.

use std::io::{Cursor, Read as _};

use serde_json::{Value, json};
use tar::{Builder, Header};

use crate::support::{Board, feed, limits, opened, rootfs, run, skip, succeeds, text, unique};

/// Files by their names.
type Files = Vec<(String, Vec<u8>)>;

fn packed(files: &Files) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_slice()).expect("written");
    }
    tar.into_inner().expect("written")
}

fn unpacked(archive: &[u8]) -> Files {
    let mut files = Files::new();
    for entry in tar::Archive::new(Cursor::new(archive)).entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        if entry.header().entry_type().is_file() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("read");
            files.push((entry.path().expect("a path").display().to_string(), content));
        }
    }
    files
}

/// The smallest one: a configuration and no layers.
pub fn small() -> Vec<u8> {
    let config = br#"{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}"#;
    let manifest = br#"[{"Config":"c.json","RepoTags":null,"Layers":[]}]"#;
    packed(&vec![("c.json".into(), config.to_vec()), ("manifest.json".into(), manifest.to_vec())])
}

/// Images of their own with one name each after the other; their ids and archives. None is left in the engine.
fn named_alike(board: &Board, name: &str, count: usize) -> Vec<(String, Vec<u8>)> {
    let rootfs = rootfs().expect("there was one for the board");
    let client = board.words();
    let words: Vec<&str> = client.iter().map(String::as_str).collect();
    let file = board.folder.path().join("alike.tar").display().to_string();
    let made = (0..count).map(|number| {
        let message = format!("{name} {number}");
        let label = format!("LABEL test={}", board.agent);
        let import = [&words[..], &["import", "-m", &message, "-c", &label, "-", name]].concat();
        let id = text(&feed(&import, &rootfs));
        let id = if id.contains(':') { id } else { format!("sha256:{id}") };
        board.does(&["save", "-o", &file, name]);
        board.does(&["rmi", "-f", &id]);
        let archive = std::fs::read(&file).expect("saved");
        std::fs::remove_file(&file).expect("removed");
        (id, archive)
    });
    made.collect()
}

/// Several at once, all with the same name, and each becomes its own image.
pub async fn each_archive_is_its_own(board: &Board) {
    let name = format!("{}:alike", board.agent);
    let alike = named_alike(board, &name, 6);
    let load =
        |at: usize| board.engine.load(["d0", "d1", "d2", "d3", "d4", "d5"][at], opened(alike[at].1.clone()));
    let loaded = tokio::join!(load(0), load(1), load(2), load(3), load(4), load(5));
    let again = tokio::join!(load(5), load(4), load(3), load(2), load(1), load(0));
    let loaded = [loaded.0, loaded.1, loaded.2, loaded.3, loaded.4, loaded.5];
    let again = [again.5, again.4, again.3, again.2, again.1, again.0];
    for (at, (loaded, again)) in loaded.into_iter().zip(again).enumerate() {
        assert_eq!(loaded.expect("loaded"), [alike[at].0.as_str()]);
        assert_eq!(again.expect("known"), [alike[at].0.as_str()]);
    }
    assert!(!board.client(&["image", "inspect", &name]).status.success(), "{name} was made");
    for (id, _) in &alike {
        board.does(&["rmi", id]);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn archives_with_one_name_become_their_own_images() {
    let Some(board) = Board::docker() else { return };
    each_archive_is_its_own(&board).await;
}

#[tokio::test(flavor = "current_thread")]
async fn a_tag_of_somebody_else_stays_where_it_is() {
    let Some(board) = Board::docker() else { return };
    let tag = format!("{}:1", board.agent);
    let mut alike = named_alike(&board, &format!("{}:other", board.agent), 1);
    let (id, archive) = alike.pop().expect("one");
    // The archive says that it is the board's, in each of the places where one can.
    let mut files = unpacked(&archive);
    for (name, content) in &mut files {
        if name == "manifest.json" {
            let mut manifest: Value = serde_json::from_slice(content).expect("JSON");
            manifest[0]["RepoTags"] = json!([tag]);
            manifest[0]["repotags"] = json!([tag]);
            *content = manifest.to_string().into_bytes();
        }
    }
    files.retain(|(name, _)| name != "repositories");
    let repositories = json!({(board.agent.clone()): {"1": files[0].0.split('/').next()}});
    files.push(("repositories".into(), repositories.to_string().into_bytes()));
    assert_eq!(board.engine.load("evil", opened(packed(&files))).await.expect("loaded"), [id.as_str()]);
    assert_eq!(board.does(&["image", "inspect", "-f", "{{.Id}}", &tag]), board.image);

    // Loaded again while its image is there already, and the tag is there too.
    board.does(&["tag", &id, &format!("{}:mine", board.agent)]);
    assert_eq!(
        board.engine.load("other-digest", opened(packed(&files))).await.expect("loaded"),
        [id.as_str()]
    );
    assert_eq!(board.does(&["image", "inspect", "-f", "{{.Id}}", &format!("{}:mine", board.agent)]), id);
    board.does(&["rmi", "-f", &id]);
}

#[tokio::test(flavor = "current_thread")]
async fn an_image_without_a_name_stays_while_a_container_is_made_of_it() {
    let Some(board) = Board::docker() else { return };
    let (id, archive) = named_alike(&board, &unique(), 1).pop().expect("one");
    board.engine.load("one", opened(archive.clone())).await.expect("loaded");
    let mut spec = board.spec(&["true"]);
    spec.image = id.clone();
    let container = board.create_with("u1", &spec).await;
    let label = format!("label=test={}", board.agent);
    let prune = ["image", "prune", "-f", "--filter", &label];
    board.does(&prune);
    board.does(&["image", "inspect", &id]);
    board.engine.remove(&container).await.expect("removed");
    board.does(&prune);
    assert!(!board.client(&["image", "inspect", &id]).status.success(), "it was not pruned");
    // What is remembered of it is not believed.
    assert_eq!(board.engine.load("one", opened(archive)).await.expect("loaded again"), [id.as_str()]);
    board.engine.create(&board.owner("u1"), &spec, &limits()).await.expect("created");
    board.does(&prune);
}

#[tokio::test(flavor = "current_thread")]
async fn an_archive_can_have_several_images() {
    let Some(board) = Board::docker() else { return };
    let alike = named_alike(&board, &format!("{}:several", board.agent), 2);
    let (mut files, mut manifest) = (Files::new(), Vec::new());
    for (_, archive) in &alike {
        for (name, content) in unpacked(archive) {
            if name == "manifest.json" {
                manifest.extend(serde_json::from_slice::<Vec<Value>>(&content).expect("JSON"));
            } else if !files.iter().any(|(known, _)| *known == name) {
                files.push((name, content));
            }
        }
    }
    files.push(("manifest.json".into(), Value::Array(manifest).to_string().into_bytes()));
    let mut loaded = board.engine.load("several", opened(packed(&files))).await.expect("loaded");
    let mut expected: Vec<String> = alike.into_iter().map(|(id, _)| id).collect();
    loaded.sort();
    expected.sort();
    assert_eq!(loaded, expected);
    for id in &expected {
        board.does(&["rmi", id]);
    }
}

/// What skopeo writes, in both formats, with the board's own tag on it.
pub async fn layouts_are_loaded(board: &Board) {
    if !succeeds(&["skopeo", "--version"]) {
        return skip("no skopeo").unwrap_or_default();
    }
    let tag = format!("{}:1", board.agent);
    let (_, archive) = named_alike(board, &format!("{}:layout", board.agent), 1).pop().expect("one");
    let at = |name: &str| board.folder.path().join(name).display().to_string();
    std::fs::write(at("from.tar"), archive).expect("written");
    for (kind, file) in [("oci-archive", at("oci.tar")), ("docker-archive", at("docker.tar"))] {
        let (from, to) = (format!("docker-archive:{}", at("from.tar")), format!("{kind}:{file}:{tag}"));
        let copied = run(&["skopeo", "copy", &from, &to]);
        assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        let config = run(&["skopeo", "inspect", "--config", "--raw", &format!("{kind}:{file}")]);
        let config: Value = serde_json::from_slice(&config.stdout).expect("a configuration");
        let archive = std::fs::read(&file).expect("written");
        let images = board.engine.load(kind, opened(archive)).await.expect(kind);
        assert!(images.len() == 1 && images[0] != board.image, "{kind}: {images:?}");
        let image = &images[0];
        let layers = board.does(&["image", "inspect", "-f", "{{json .RootFS.Layers}}", image]);
        assert_eq!(serde_json::from_str::<Value>(&layers).expect("JSON"), config["rootfs"]["diff_ids"]);
        assert_eq!(
            board.does(&["image", "inspect", "-f", "{{.Id}}", &tag]).trim_start_matches("sha256:"),
            &board.image[7..]
        );
        board.does(&["rmi", "-f", image]);
    }
}

#[tokio::test(flavor = "current_thread")]
async fn a_layout_is_loaded_by_an_engine_that_knows_only_lists() {
    let Some(board) = Board::docker() else { return };
    layouts_are_loaded(&board).await;
}

#[tokio::test(flavor = "current_thread")]
async fn an_archive_that_says_it_is_another_image_is_refused() {
    let Some(board) = Board::docker() else { return };
    let (_, archive) = named_alike(&board, &unique(), 1).pop().expect("one");
    let mut files = unpacked(&archive);
    let claimed = format!("{}.json", &board.image[7..]);
    for (name, content) in &mut files {
        if name == "manifest.json" {
            let mut manifest: Value = serde_json::from_slice(content).expect("JSON");
            manifest[0]["Config"] = json!(claimed);
            *content = manifest.to_string().into_bytes();
        } else if name.ends_with(".json") && !name.contains('/') {
            *name = claimed.clone();
        }
    }
    let error = board.engine.load("claims", opened(packed(&files))).await.expect_err("another image");
    assert_eq!(error.code(), "invalid", "{error}");
    assert!(error.to_string().contains("is another one"), "{error}");
    for bytes in [packed(&Files::new()), packed(&vec![("repositories".into(), b"{}".to_vec())])] {
        let error = board.engine.load("none", opened(bytes)).await.expect_err("no image");
        assert!(error.code() == "invalid" && error.to_string().contains("is no image archive"), "{error}");
    }
}
