//! A cache in a folder of its own, and one way to ask it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use cardcage_artifacts::{Artifact, Digest, Error, Limits, Progress, Request, Store};
use sha2::Digest as _;

/// Deadlines that a test can wait for.
pub fn limits() -> Limits {
    Limits {
        artifact: 8 << 20,
        unpacked: 8 << 20,
        quota: 64 << 20,
        entries: 1000,
        total: Duration::from_secs(20),
        idle: Duration::from_secs(5),
        connect: Duration::from_secs(5),
        tries: 3,
        backoff: Duration::from_millis(5),
    }
}

pub struct Bench {
    pub folder: tempfile::TempDir,
    pub store: Store,
}

impl Bench {
    pub fn new(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), limits, None).unwrap();
        Self { folder, store }
    }

    /// With that content in the cache.
    pub fn with(limits: Limits, content: &[u8]) -> (Self, Artifact) {
        let folder = tempfile::tempdir().unwrap();
        let digest: Digest = sha256(content).parse().unwrap();
        std::fs::create_dir(folder.path().join("sha256")).unwrap();
        std::fs::write(folder.path().join("sha256").join(digest.to_string()), content).unwrap();
        // Held before the quota is looked at again.
        let store = Store::open(folder.path(), limits, None).unwrap();
        let artifact = store.hold(digest).unwrap();
        (Self { folder, store }, artifact)
    }

    pub fn fetch(&self, url: &str) -> Result<Artifact, Error> {
        fetch(&self.store, url, None)
    }

    pub fn fetch_exactly(&self, url: &str, sha256: &str) -> Result<Artifact, Error> {
        fetch(&self.store, url, Some(sha256))
    }

    /// Names of files of the cache's folder of that name.
    pub fn files(&self, folder: &str) -> Vec<String> {
        files(&self.folder.path().join(folder))
    }
}

pub fn files(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub fn fetch(store: &Store, url: &str, sha256: Option<&str>) -> Result<Artifact, Error> {
    fetch_with(store, url, sha256, &Arc::default(), &mut |_| {})
}

pub fn fetch_with(
    store: &Store,
    url: &str,
    sha256: Option<&str>,
    cancelled: &Arc<AtomicBool>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Artifact, Error> {
    store.fetch(&Request { url, sha256, allowed: &|_, _| true, cancelled }, progress)
}

pub fn content(artifact: &Artifact) -> Vec<u8> {
    std::fs::read(artifact.path()).unwrap()
}

pub fn sha256(content: &[u8]) -> String {
    sha2::Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that no packer makes smaller, the same each time.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Waits for a state, at most ten seconds.
pub fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !reached() {
        assert!(Instant::now() < deadline, "not within ten seconds: {what}");
        std::thread::yield_now();
    }
}

/// A test that this machine cannot run: said, and in the pipeline an error.
#[expect(clippy::print_stdout, reason = "for whoever reads the tests' output")]
pub fn skip(why: &str) {
    assert!(
        std::env::var_os("CARDCAGE_CI").is_none_or(|set| set.is_empty()),
        "cannot be skipped here: {why}"
    );
    println!("skipped: {why}");
}
