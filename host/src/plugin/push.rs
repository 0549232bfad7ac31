//! Plugins that a manager brings: `PUT /plugins/FILE` puts a file into the plugin folder, where [`super::watch`] finds it as
//! it finds one that an operator copied there. Off unless `[plugins] push` is on, and then only what a trusted key signed.
//!
//! ```text
//! put        pieces ─▶ .pushed/.new ─▶ signed? granted? ─▶ the intent is on the disk ─▶ .pushed/FILE keeps what was there
//!                                                                                    ─▶ renamed to FILE
//! take back  is FILE what was pushed last? ─▶ .pushed/FILE is renamed to FILE, or FILE removed where there was none
//! ```
//! Each of these is a thread, and there is one at a time: the folder may lie on a file system that hangs, which costs that
//! thread and nothing else. `folder.rs` is what it does.

mod folder;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use cardcage_compile::PLUGIN_LIMIT;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::package::{PackageError, Refused};
use crate::config::{self, Config};
use crate::model::Digest;
use folder::Folder;

/// Pieces that wait to be written.
const PIECES: usize = 16;
/// Longest time for the disk to take what is whole.
const WRITTEN: Duration = Duration::from_secs(60);
/// Longest name of a file.
const NAME: usize = 255;

/// The name that a pushed plugin has in the folder: nothing that means another place, and none that is hidden.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileName(String);

impl FileName {
    pub fn parse(text: &str) -> Option<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let stem = text.strip_suffix(".wasm")?;
        let good =
            !stem.is_empty() && text.len() <= NAME && !text.starts_with('.') && text.bytes().all(plain);
        good.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// What was put into the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The name in its manifest.
    pub name: String,
    pub version: String,
    pub digest: Digest,
    /// What the file held before.
    pub before: Option<Digest>,
}

/// What a file of the folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub now: Option<Digest>,
    /// What was pushed into it last.
    pub pushed: Option<Digest>,
}

/// Why a push, or its taking back, did not happen.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error("another plugin is being pushed to this board; try again")]
    Busy,
    #[error("has more than {PLUGIN_LIMIT} bytes")]
    TooLarge,
    /// It did not come to its end.
    #[error("the body broke off")]
    Broken,
    #[error("{}", .0.reason)]
    Refused(Box<Refused>),
    #[error(transparent)]
    Package(PackageError),
    #[error("the plugin folder has {0} files, and no more are looked at; remove some")]
    Full(usize),
    #[error("{0} is not what was pushed here last, so it is not taken back")]
    NotPushed(Digest),
    #[error("the file has changed since it was pushed; somebody else put something there")]
    Changed,
    #[error("what the file held before is lost, so that stays which was pushed")]
    Lost,
    #[error("cannot {action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the plugin folder's file system does not answer")]
    Stuck,
}

/// Looks at once.
const LOOKS: usize = 4;

/// What takes them. A clone is the same.
#[derive(Debug, Clone)]
pub struct Pushes {
    folder: Arc<Folder>,
    /// One at a time.
    turn: Arc<Semaphore>,
    /// Looks at what is there, which wait for nobody's push.
    looks: Arc<Semaphore>,
}

/// A file that is coming in. It is thrown away unless [`Push::end`] is called.
#[derive(Debug)]
pub struct Push {
    pieces: mpsc::Sender<Piece>,
    done: oneshot::Receiver<Result<Pushed, PushError>>,
}

/// What comes to the thread.
#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    End,
}

impl Pushes {
    /// None where the operator did not switch it on.
    pub fn new(config: &Config) -> Option<Self> {
        // The second is what `Config::check` sees to; nobody gets in if it does not.
        let on = config.plugins.push && config.plugins.policy() == config::Policy::Require;
        let folder = Folder::new(config.plugin_dir(), &config.state_dir, config.plugins.clone());
        on.then(|| Self {
            folder: Arc::new(folder),
            turn: Arc::new(Semaphore::new(1)),
            looks: Arc::new(Semaphore::new(LOOKS)),
        })
    }

    /// Begins to take a file.
    pub fn begin(&self, file: FileName) -> Result<Push, PushError> {
        let (pieces, coming) = mpsc::channel(PIECES);
        let done = self.aside(&self.turn, move |folder| folder.put(&file, coming))?;
        Ok(Push { pieces, done })
    }

    /// What lies there.
    pub async fn held(&self, file: FileName) -> Result<Held, PushError> {
        wait(self.aside(&self.looks, move |folder| folder.held(&file))?).await
    }

    /// Puts back what the file held before this was pushed, or removes it where there was none. What it holds then.
    pub async fn take_back(&self, file: FileName, pushed: Digest) -> Result<Option<Digest>, PushError> {
        wait(self.aside(&self.turn, move |folder| folder.take_back(&file, pushed))?).await
    }

    /// Does it on a thread of its own, which nobody waits for when the agent stops.
    fn aside<T: Send + 'static>(
        &self,
        turns: &Arc<Semaphore>,
        work: impl FnOnce(&Folder) -> Result<T, PushError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, PushError>>, PushError> {
        let turn: OwnedSemaphorePermit =
            Arc::clone(turns).try_acquire_owned().map_err(|_| PushError::Busy)?;
        let (reply, done) = oneshot::channel();
        let folder = Arc::clone(&self.folder);
        let run = move || {
            let outcome = work(&folder);
            // Given back first: whoever has the answer may ask again at once.
            drop(turn);
            let _ = reply.send(outcome);
        };
        let failed = |source| PushError::Io { action: "start a thread for", path: "the push".into(), source };
        thread::Builder::new().name("push".into()).spawn(run).map_err(failed)?;
        Ok(done)
    }
}

impl Push {
    /// Takes a piece. An error if there is no use in further ones; [`Push::end`] says why.
    pub async fn piece(&self, bytes: Bytes) -> Result<(), Unwanted> {
        self.pieces.send(Piece::Bytes(bytes)).await.map_err(|_| Unwanted)
    }

    /// That was all: it is checked, and put into its place.
    pub async fn end(self) -> Result<Pushed, PushError> {
        // A thread that has ended says why.
        let _ = self.pieces.send(Piece::End).await;
        wait(self.done).await
    }
}

/// The file is not wanted any more.
#[derive(Debug)]
pub struct Unwanted;

async fn wait<T>(done: oneshot::Receiver<Result<T, PushError>>) -> Result<T, PushError> {
    match timeout(WRITTEN, done).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) | Err(_) => Err(PushError::Stuck),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain_or_none() {
        let longest = format!("{}.wasm", "n".repeat(NAME - 5));
        for good in ["acme-psu.wasm", "a.wasm", "Acme_2.0-b.wasm", &longest] {
            assert!(FileName::parse(good).is_some(), "{good}");
        }
        let too_long = format!("n{longest}");
        for wrong in [
            "",
            ".wasm",
            ".hidden.wasm",
            "..wasm",
            "a.cwasm",
            "a.wasm.new",
            "../a.wasm",
            "a/b.wasm",
            "a\\b.wasm",
            "a%2fb.wasm",
            "a b.wasm",
            "a+b.wasm",
            "a\n.wasm",
            "a\0.wasm",
            "节点.wasm",
            &too_long,
        ] {
            assert_eq!(FileName::parse(wrong), None, "{wrong:?}");
        }
    }
}
