//! Images out of archives.
//!
//! ```text
//! reader ─(a thread that may block)─▶ chunks, at most 4 wait ─▶ the engine ─▶ "Loaded image: …" ─inspect─▶ ids
//! ```
//!
//! Nothing is kept in memory or on disk on the way, and the reader is read only as fast as the engine takes it. What comes
//! back are ids, since an archive can move any tag. The same archive is loaded once by whoever comes first; the others wait.

use std::io::{self, Read};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bollard::errors::Error as Answer;
use bollard::models::BuildInfo;
use bollard::query_parameters::ImportImageOptionsBuilder;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::engine::{REQUEST, lock};
use crate::error::clean;
use crate::reference::is_image_id;
use crate::remembered::IMAGES;
use crate::{Engine, Error};

const CHUNK: usize = 256 << 10;
const WAITING: usize = 4;
/// For all of it.
const LOAD: Duration = Duration::from_secs(15 * 60);
/// Without a chunk taken or a word said.
const IDLE: Duration = Duration::from_secs(60);
/// The same after the last chunk: some engines unpack everything before they say a word.
const UNPACKING: Duration = Duration::from_secs(5 * 60);
const DIGEST: usize = 160;

/// How far the upload is.
#[derive(Debug)]
struct Upload {
    last: Instant,
    is_complete: bool,
    failure: Option<String>,
}

type Shared = Arc<Mutex<Upload>>;

impl Engine {
    /// Takes the images of an archive into the engine and says their ids. `digest` is the archive's: if the engine still
    /// has what it became, the reader is not read.
    pub async fn load(&self, digest: &str, reader: Box<dyn Read + Send>) -> Result<Vec<String>, Error> {
        if digest.is_empty() || digest.len() > DIGEST || !digest.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid("load an archive", "its digest is not one"));
        }
        let turn = lock(&self.loading).entry(digest.to_owned()).or_default().clone();
        let result = {
            let _turn = turn.lock().await;
            self.load_in_turn(digest, reader).await
        };
        drop(turn);
        // Whoever is still waiting holds another clone. A caller that went away leaves its entry to the next one.
        lock(&self.loading).retain(|_, turn| Arc::strong_count(turn) > 1);
        result
    }

    async fn load_in_turn(&self, digest: &str, reader: Box<dyn Read + Send>) -> Result<Vec<String>, Error> {
        if let Some(images) = self.remembered.get(digest).await
            && self.has_all(&images).await?
        {
            return Ok(images);
        }
        let what = format!("load archive {digest}");
        let names = self.upload(&what, reader).await?;
        let mut images = Vec::new();
        for name in names {
            let id = self.image_id(&name).await?.ok_or_else(|| {
                Error::failed(&*what, format!("the engine loaded {name:?}, and does not have it"))
            })?;
            if !images.contains(&id) {
                images.push(id);
            }
        }
        if images.is_empty() {
            return Err(Error::invalid(what, "the archive has no image in it"));
        }
        self.remembered.put(digest, &images).await;
        Ok(images)
    }

    async fn upload(&self, what: &str, reader: Box<dyn Read + Send>) -> Result<Vec<String>, Error> {
        let docker = self.docker().await?;
        let upload = Arc::new(Mutex::new(Upload { last: Instant::now(), is_complete: false, failure: None }));
        let options = ImportImageOptionsBuilder::default().build();
        let answers = docker.import_image_stream(options, chunks(reader, Arc::clone(&upload)), None);
        self.listen(what, answers, &upload).await
    }

    /// What the engine says until it is done.
    async fn listen(
        &self,
        what: &str,
        mut answers: impl Stream<Item = Result<BuildInfo, Answer>> + Unpin,
        upload: &Shared,
    ) -> Result<Vec<String>, Error> {
        let end = Instant::now() + LOAD;
        let mut names = Vec::new();
        loop {
            let (last, idle) = {
                let upload = lock(upload);
                (upload.last, if upload.is_complete { UNPACKING } else { IDLE })
            };
            match timeout_at((last + idle).min(end), answers.next()).await {
                Err(_) if Instant::now() < end && lock(upload).last > last => {}
                Err(_) => {
                    return Err(self.connection.silent(what, if Instant::now() < end { idle } else { LOAD }));
                }
                Ok(None) => return Ok(names),
                Ok(Some(Ok(said))) => {
                    lock(upload).last = Instant::now();
                    loaded(&said, &mut names);
                }
                Ok(Some(Err(answer))) => {
                    // The engine saw an upload that broke off; why it did is known here.
                    return Err(match lock(upload).failure.take() {
                        Some(failure) => Error::failed(what, failure),
                        None => self.connection.explain(what, &answer),
                    });
                }
            }
        }
    }

    async fn has_all(&self, images: &[String]) -> Result<bool, Error> {
        for image in images {
            if self.image_id(image).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What the engine calls an image for good; `None` if it has no such image.
    pub(crate) async fn image_id(&self, name: &str) -> Result<Option<String>, Error> {
        let docker = self.docker().await?;
        let what = format!("inspect image {name}");
        let id = match self.connection.finish(&what, REQUEST, docker.inspect_image(name)).await {
            Ok(image) => image.id,
            Err(error) if error.is_absent() => return Ok(None),
            Err(error) => return Err(error),
        };
        let id = id.map(|id| if id.contains(':') { id } else { format!("sha256:{id}") });
        match id.filter(|id| is_image_id(id)) {
            Some(id) => Ok(Some(id)),
            None => Err(Error::failed(what, "the engine names no id for it")),
        }
    }
}

/// The archive, piece by piece. The thread that reads ends with the archive, or when nobody takes the pieces any more.
fn chunks(
    mut reader: Box<dyn Read + Send>,
    upload: Shared,
) -> impl Stream<Item = Result<Bytes, io::Error>> + Send + 'static {
    let (give, take) = mpsc::channel::<io::Result<Bytes>>(WAITING);
    tokio::task::spawn_blocking(move || {
        loop {
            let chunk = read_chunk(&mut *reader);
            let is_last = !matches!(&chunk, Ok(bytes) if !bytes.is_empty());
            if give.blocking_send(chunk).is_err() || is_last {
                return;
            }
        }
    });
    stream::unfold(Some((take, upload)), |state| async move {
        let (mut take, upload) = state?;
        let chunk = take.recv().await;
        let mut now = lock(&upload);
        now.last = Instant::now();
        match chunk {
            Some(Ok(bytes)) if bytes.is_empty() => {
                now.is_complete = true;
                None
            }
            Some(Ok(bytes)) => {
                drop(now);
                Some((Ok(bytes), Some((take, upload))))
            }
            failed => {
                let error = failed
                    .and_then(Result::err)
                    .unwrap_or_else(|| io::Error::other("its reader ended early"));
                now.failure = Some(format!("the archive could not be read: {}", clean(&error.to_string())));
                Some((Err(error), None))
            }
        }
    })
}

/// As much as fits, so that small reads do not become small writes. Empty at the end.
fn read_chunk(reader: &mut (dyn Read + Send)) -> io::Result<Bytes> {
    let mut chunk = Vec::with_capacity(CHUNK);
    reader.take(CHUNK as u64).read_to_end(&mut chunk)?;
    Ok(chunk.into())
}

/// `Loaded image: a:1`, `Loaded image ID: sha256:…`, and podman's `Loaded image: a:1,b:2`.
fn loaded(said: &BuildInfo, names: &mut Vec<String>) {
    let Some(line) = said.stream.as_deref().map(str::trim) else { return };
    let Some((_, found)) = line.split_once(": ").filter(|(before, _)| before.starts_with("Loaded image"))
    else {
        return;
    };
    for name in found.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        if names.len() < IMAGES && !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_in_what_engines_say() {
        let mut names = Vec::new();
        for line in [
            "Loaded image: a:1\n",
            "Loading layer",
            "Loaded image: a:1\n",
            "Loaded image ID: sha256:12\n",
            "Loaded image: localhost/b:1,localhost/c:2",
            "The image a:1 already exists, renaming the old one with ID sha256:34 to empty string",
        ] {
            loaded(&BuildInfo { stream: Some(line.into()), ..BuildInfo::default() }, &mut names);
        }
        assert_eq!(names, ["a:1", "sha256:12", "localhost/b:1", "localhost/c:2"]);
    }

    #[tokio::test(flavor = "current_thread")]
    async fn chunks_are_the_archive_and_a_broken_one_breaks_off() {
        let upload =
            || Arc::new(Mutex::new(Upload { last: Instant::now(), is_complete: false, failure: None }));
        let archive = vec![7; CHUNK * 2 + 5];
        let whole = upload();
        let read: Vec<_> =
            chunks(Box::new(io::Cursor::new(archive.clone())), Arc::clone(&whole)).collect().await;
        let read: Vec<u8> = read.into_iter().flat_map(|chunk| chunk.expect("read")).collect();
        assert!(read == archive && lock(&whole).is_complete);

        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("bad block"))
            }
        }
        let broken = upload();
        let read: Vec<_> = chunks(Box::new(Broken), Arc::clone(&broken)).collect().await;
        assert!(read.len() == 1 && read[0].is_err());
        assert!(lock(&broken).failure.as_ref().is_some_and(|failure| failure.contains("bad block")));
    }
}
