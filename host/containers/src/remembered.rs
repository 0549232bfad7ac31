//! Which archive became which images, in a small file, so that a board that starts an instance again does not read gigabytes
//! again.
//!
//! It is a shortcut only: the images are looked for in the engine before it is believed, so a file that is lost or damaged
//! costs one more load. It is replaced as a whole, and is read once.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::engine::lock;
use crate::reference::is_image_id;

/// Archives; the one that was used longest ago makes room.
const ENTRIES: usize = 512;
/// A longer file was not written here.
const FILE: u64 = 1 << 20;
/// Images of one archive.
pub(crate) const IMAGES: usize = 16;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Entries {
    archives: Vec<Entry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    digest: String,
    images: Vec<String>,
}

/// The file, and what is in it.
#[derive(Debug, Clone)]
pub(crate) struct Remembered {
    path: PathBuf,
    // Read at the first use. Held during the small read and write, which happen on a thread that may block.
    entries: Arc<Mutex<Option<Entries>>>,
}

impl Remembered {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, entries: Arc::default() }
    }

    /// The images that the archive became.
    pub(crate) async fn get(&self, digest: &str) -> Option<Vec<String>> {
        let (this, digest) = (self.clone(), digest.to_owned());
        let found = tokio::task::spawn_blocking(move || this.find(&digest)).await;
        found.ok().flatten()
    }

    /// Notes them. That they cannot be written down is said in the log and no failure.
    pub(crate) async fn put(&self, digest: &str, images: &[String]) {
        let (this, entry) = (self.clone(), Entry { digest: digest.to_owned(), images: images.to_vec() });
        let _ = tokio::task::spawn_blocking(move || this.note(entry)).await;
    }

    fn find(&self, digest: &str) -> Option<Vec<String>> {
        let mut guard = lock(&self.entries);
        let entries = guard.get_or_insert_with(|| read(&self.path));
        entries.archives.iter().find(|entry| entry.digest == digest).map(|entry| entry.images.clone())
    }

    fn note(&self, entry: Entry) {
        let mut guard = lock(&self.entries);
        let archives = &mut guard.get_or_insert_with(|| read(&self.path)).archives;
        archives.retain(|known| known.digest != entry.digest);
        archives.push(entry);
        let surplus = archives.len().saturating_sub(ENTRIES);
        archives.drain(..surplus);
        if let Err(error) = guard.as_ref().map_or(Ok(()), |entries| write(&self.path, entries)) {
            warn!(%error, path = %self.path.display(), "loaded images not noted; archives will be loaded again");
        }
    }
}

fn read(path: &Path) -> Entries {
    match try_read(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Entries::default(),
        Err(error) => {
            warn!(%error, path = %path.display(), "loaded images not known; archives will be loaded again");
            Entries::default()
        }
    }
}

fn try_read(path: &Path) -> io::Result<Entries> {
    let mut text = Vec::new();
    File::open(path)?.take(FILE).read_to_end(&mut text)?;
    let mut entries: Entries = serde_json::from_slice(&text)?;
    entries
        .archives
        .retain(|entry| !entry.images.is_empty() && entry.images.iter().all(|id| is_image_id(id)));
    Ok(entries)
}

fn write(path: &Path, entries: &Entries) -> io::Result<()> {
    let aside = path.with_extension("new");
    let mut file = File::create(&aside)?;
    file.write_all(&serde_json::to_vec(entries)?)?;
    file.sync_all()?;
    fs::rename(&aside, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(byte: char) -> String {
        format!("sha256:{}", byte.to_string().repeat(64))
    }

    #[tokio::test(flavor = "current_thread")]
    async fn what_is_noted_is_known_after_a_restart() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("loaded-images.json");
        let first = Remembered::new(path.clone());
        assert_eq!(first.get("a").await, None);
        first.put("a", &[image('1')]).await;
        first.put("b", &[image('2'), image('3')]).await;
        first.put("a", &[image('4')]).await;
        let second = Remembered::new(path);
        assert_eq!(second.get("a").await, Some(vec![image('4')]));
        assert_eq!(second.get("b").await, Some(vec![image('2'), image('3')]));
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_damaged_file_is_an_empty_one() {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("loaded-images.json");
        for damage in ["", "{", "[]", r#"{"archives":[{"digest":"a","images":["latest"]}]}"#] {
            fs::write(&path, damage).expect("written");
            assert_eq!(Remembered::new(path.clone()).get("a").await, None, "{damage}");
        }
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_oldest_makes_room() {
        let folder = tempfile::tempdir().expect("a directory");
        let remembered = Remembered::new(folder.path().join("loaded-images.json"));
        {
            let archives =
                (0..ENTRIES).map(|n| Entry { digest: n.to_string(), images: vec![image('1')] }).collect();
            *lock(&remembered.entries) = Some(Entries { archives });
        }
        remembered.put("new", &[image('2')]).await;
        assert_eq!(remembered.get("0").await, None);
        assert!(remembered.get("1").await.is_some());
        assert!(remembered.get("new").await.is_some());
    }
}
