//! A read-only view of the files that the manifest requests and the operator grants.
//!
//! A path is absolute, as on the board, without `.` and `..`, at most 1,024 bytes. A grant of a class folder such as
//! `/sys/class/hwmon` covers the devices that its entries link to. Never granted: `/proc`, devices, pipes and sockets.
//!
//! What is read at every sample belongs in a [`Batch`]: paths are checked once, one call brings all contents, and a file
//! that blocks does not hold up the others.
//!
//! ```no_run
//! # use cardcage_sdk::{Error, files::{self, Batch}};
//! # fn main() -> Result<(), Error> {
//! let batch = Batch::open(&["/sys/class/hwmon/hwmon0/fan1_input".into()])?; // in `configure`
//! for content in batch.read() {                                             // in `sample`
//!     let rpm = files::number(&content?);
//! }
//! # Ok(())
//! # }
//! ```

pub use crate::bindings::cardcage::host::files::{Batch, entries, read, resolve};
pub use paths::{Contents, Paths, Slot};

use alloc::string::String;
use alloc::vec::Vec;

use crate::Error;

mod paths;

/// A batch holds at most this many paths.
pub const MOST_PATHS: usize = 4096;

/// The whole number that a file of the kernel holds, `None` if it holds something else.
///
/// ```
/// # use cardcage_sdk::files;
/// assert_eq!(files::number("-1250"), Some(-1250));
/// assert_eq!(files::number("N/A"), None);
/// ```
pub fn number(content: &str) -> Option<i64> {
    content.trim_ascii().parse().ok()
}

/// Where a probe looks for what the board has: [`Board`], or a `fake::Tree` in a test.
///
/// Code that searches a board (which channels does this chip have, where does this link lead) takes `&impl Files` and
/// is tested natively, against the recorded tree of a board that is not here.
pub trait Files {
    /// The names in a folder, sorted: [`entries`].
    fn entries(&self, folder: &str) -> Result<Vec<String>, Error>;

    /// Where a path leads once every link in it is followed: [`resolve`].
    fn resolve(&self, path: &str) -> Result<String, Error>;

    /// The contents of many files, in the order given: a [`Batch`] that is read once (or several, of
    /// [`MOST_PATHS`] each).
    fn read_all(&self, paths: &[String]) -> Result<Vec<Result<String, Error>>, Error>;
}

/// The board that the component runs on, through the capability.
#[derive(Debug, Clone, Copy, Default)]
pub struct Board;

impl Files for Board {
    fn entries(&self, folder: &str) -> Result<Vec<String>, Error> {
        entries(folder)
    }

    fn resolve(&self, path: &str) -> Result<String, Error> {
        resolve(path)
    }

    fn read_all(&self, paths: &[String]) -> Result<Vec<Result<String, Error>>, Error> {
        let mut contents = Vec::with_capacity(paths.len());
        for paths in paths.chunks(MOST_PATHS) {
            contents.append(&mut Batch::open(paths)?.read());
        }
        Ok(contents)
    }
}
