//! The guest's side of `cardcage:host/files`: asks the grant, then the readers.

use std::sync::Arc;

use wasmtime::component::{Resource, ResourceTable};

use super::grant::{Grant, Granted, Refusal};
use super::real::{self, FileError, Finder, Found};
use crate::capability::{ReadError, Readers, Roots};
use crate::plugin::bindings::cardcage::host::files as wit;
use crate::plugin::bindings::cardcage::types::errors::Error;

/// One more than the longest file that is read alone.
const FILE_ROOM: usize = (64 << 10) + 1;
/// One more than the longest file of a batch.
const BATCH_FILE_ROOM: usize = (4 << 10) + 1;
/// Most files of a batch.
const BATCH_LIMIT: usize = 4096;
/// Most batches that a plugin holds open.
const BATCHES: usize = 64;
/// Most paths in all of them, and most bytes of their texts: they are the agent's memory, not the plugin's.
const OPEN_PATHS: usize = 4 * BATCH_LIMIT;
const OPEN_BYTES: usize = 1 << 20;

/// The files, for one plugin.
#[derive(Debug)]
pub struct Files {
    grant: Grant,
    roots: Arc<Roots>,
    readers: Readers,
    batches: ResourceTable,
    open: Size,
}

/// How much batches hold.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    paths: usize,
    bytes: usize,
}

impl Size {
    fn of(paths: &[String]) -> Self {
        Self { paths: paths.len(), bytes: paths.iter().map(String::len).sum() }
    }

    fn with(self, other: Self) -> Self {
        Self { paths: self.paths + other.paths, bytes: self.bytes + other.bytes }
    }

    fn fits(self) -> bool {
        self.paths <= OPEN_PATHS && self.bytes <= OPEN_BYTES
    }

    fn without(self, other: Self) -> Self {
        Self { paths: self.paths.saturating_sub(other.paths), bytes: self.bytes.saturating_sub(other.bytes) }
    }
}

/// A set of files whose paths were checked once.
#[derive(Debug)]
pub struct Batch {
    /// For each path, that it is the next of the places, or why it is none.
    paths: Vec<Result<(), Error>>,
    places: Arc<[Found]>,
    size: Size,
}

impl Files {
    /// The readers outlive the instance, so that a plugin that restarts does not get new threads to block.
    pub fn new(grant: Grant, roots: Arc<Roots>, readers: Readers) -> Self {
        let mut batches = ResourceTable::new();
        batches.set_max_capacity(BATCHES);
        Self { grant, roots, readers, batches, open: Size::default() }
    }

    /// Does something with one granted path.
    async fn with<T: Send + 'static>(
        &mut self,
        path: &str,
        work: impl Fn(&Finder, &Granted) -> Result<T, FileError> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let granted = self.grant.ask(path)?;
        let finder = Finder::new(Arc::clone(&self.roots));
        let named = granted.path().to_owned();
        Ok(self.readers.once(&named, move |_| work(&finder, &granted)).await??)
    }
}

impl wit::Host for Files {
    async fn entries(&mut self, folder: String) -> Result<Vec<String>, Error> {
        self.with(&folder, |finder, granted| real::names(&finder.find(granted)?)).await
    }

    async fn resolve(&mut self, path: String) -> Result<String, Error> {
        let roots = Arc::clone(&self.roots);
        let place = self.with(&path, move |_, granted| real::resolve(&roots, granted)).await?;
        place
            .into_os_string()
            .into_string()
            .map_err(|_| Error::new("invalid", format!("{path} leads to a name that is not UTF-8")))
    }

    async fn read(&mut self, path: String) -> Result<String, Error> {
        let read = |finder: &Finder, granted: &Granted| {
            real::read::<FILE_ROOM>(&real::ordinary(finder.find(granted)?)?)
        };
        self.with(&path, read).await
    }
}

impl wit::HostBatch for Files {
    async fn open(&mut self, paths: Vec<String>) -> Result<Resource<Batch>, Error> {
        if paths.len() > BATCH_LIMIT {
            return Err(Error::new(
                "too-large",
                format!("a batch takes at most {BATCH_LIMIT} paths, not {}", paths.len()),
            ));
        }
        let size = Size::of(&paths);
        let open = self.open.with(size);
        if !open.fits() {
            return Err(Error::new(
                "too-large",
                format!(
                    "the open batches take at most {OPEN_PATHS} paths and {OPEN_BYTES} bytes of them in all"
                ),
            ));
        }
        let asked: Vec<_> = paths.iter().map(|path| self.grant.ask(path)).collect();
        let granted: Arc<[Granted]> = asked.iter().filter_map(|asked| asked.as_ref().ok().cloned()).collect();
        let finder = Finder::new(Arc::clone(&self.roots));
        let find = move |granted: &Granted| finder.find(granted).and_then(real::ordinary);
        let mut found = self.readers.each(granted, find).await.into_iter();
        let mut places = Vec::new();
        let mut place = |asked: Result<Granted, Refusal>| -> Result<(), Error> {
            asked?;
            places.push(found.next().unwrap_or(Err(ReadError::NoReader))??);
            Ok(())
        };
        let paths = asked.into_iter().map(&mut place).collect();
        let batch = Batch { paths, places: places.into(), size };
        let handle = self
            .batches
            .push(batch)
            .map_err(|_| Error::new("too-large", format!("at most {BATCHES} batches are held open")))?;
        self.open = open;
        Ok(handle)
    }

    async fn read(&mut self, batch: Resource<Batch>) -> Vec<Result<String, Error>> {
        // A handle that is not in the table cannot come from a guest: the runtime checks handles.
        let Ok(batch) = self.batches.get(&batch) else { return Vec::new() };
        let read = |place: &Found| real::read::<BATCH_FILE_ROOM>(place);
        let contents = self.readers.each(Arc::clone(&batch.places), read).await;
        let mut contents = contents.into_iter().map(|content| Ok(content??));
        // The places are in the order of the paths that have one.
        let mut next = || contents.next().unwrap_or_else(|| Err(ReadError::NoReader.into()));
        batch.paths.iter().map(|place| place.as_ref().map_err(Clone::clone).and_then(|_| next())).collect()
    }

    async fn drop(&mut self, batch: Resource<Batch>) -> wasmtime::Result<()> {
        let Batch { size, .. } = self.batches.delete(batch)?;
        self.open = self.open.without(size);
        Ok(())
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Malformed(_) => "invalid",
            Refusal::NotGranted(_) => "denied",
        };
        Self::new(code, refusal.to_string())
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        let code = match error {
            FileError::Absent(_) => "absent",
            FileError::Unavailable(_) => "unavailable",
            FileError::LeadsOut(_) | FileError::NotAFile(..) => "denied",
            FileError::TooLarge(..) | FileError::TooMany(_) => "too-large",
            FileError::NotText(_) => "invalid",
            FileError::Io { .. } => "io",
        };
        Self::new(code, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use wit::HostBatch as _;

    use super::*;
    use crate::capability::{Neighbours, Patience, Turns};
    use crate::config::Kernel;

    fn files() -> Files {
        let readers = Readers::new(&Turns::new(1), &Patience::default(), 1, Neighbours::Together);
        Files::new(Grant::default(), Arc::new(Roots::new(&Kernel::default())), readers)
    }

    #[tokio::test]
    async fn what_open_batches_hold_has_an_end_and_is_given_back() {
        let mut files = files();
        // Each byte of it takes six where it is quoted.
        let hostile = vec!["\u{7f}".repeat(255); 4096];
        let first = files.open(hostile.clone()).await.unwrap();
        let texts = |batch: &Batch| {
            batch
                .paths
                .iter()
                .filter_map(|path| path.as_ref().err())
                .map(|error| error.detail.len())
                .sum::<usize>()
        };
        assert!(texts(files.batches.get(&first).unwrap()) < 4 << 20);
        let refusal = files.open(hostile.clone()).await.unwrap_err();
        assert_eq!(refusal.code, "too-large");
        files.drop(first).await.unwrap();
        files.open(hostile).await.unwrap();
        // Empty paths have no bytes, and are counted all the same.
        let mut files = self::files();
        let mut taken = 0;
        for _ in 0..6 {
            taken += u32::from(files.open(vec![String::new(); 4096]).await.is_ok());
        }
        assert_eq!(taken, 4);
    }
}
