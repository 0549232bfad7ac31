//! A list of paths that is built first and read at once, with tickets for the contents.

use alloc::string::String;
use alloc::vec::Vec;

use super::{Batch, Files, number};
use crate::Error;

/// Paths to read together. Each path that is added is a [`Slot`], by which its content is found afterwards.
///
/// ```
/// # use cardcage_sdk::{fake::Tree, files::Paths};
/// let chip = Tree::new().file("/chip/name", "lm75\n").file("/chip/temp1_max", "80000\n");
///
/// let mut paths = Paths::default();
/// let (name, max) = (paths.add("/chip/name"), paths.add("/chip/temp1_max"));
///
/// let contents = paths.read(&chip)?;
/// assert_eq!((contents.text(name), contents.number(max)), (Some("lm75"), Some(80_000)));
/// # Ok::<(), cardcage_sdk::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Paths(Vec<String>);

/// The place of one path among others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot(usize);

/// What was read, or why not, by [`Slot`].
#[derive(Debug, Clone, Default)]
pub struct Contents(Vec<Result<String, Error>>);

impl Paths {
    /// Adds a path.
    pub fn add(&mut self, path: impl Into<String>) -> Slot {
        self.0.push(path.into());
        Slot(self.0.len() - 1)
    }

    /// The slots of all, in the order in which they were added.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.0.len()).map(Slot)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads them once: for what does not change, such as labels and limits.
    pub fn read(&self, files: &impl Files) -> Result<Contents, Error> {
        files.read_all(&self.0).map(Contents)
    }

    /// Fixes them as a [`Batch`] that is read again and again; pass what it reads to [`Contents::from`].
    pub fn open(&self) -> Result<Batch, Error> {
        Batch::open(&self.0)
    }
}

impl Contents {
    /// What was read from that path, or why not. `None` for the slot of another list.
    pub fn get(&self, slot: Slot) -> Option<Result<&str, &Error>> {
        self.0.get(slot.0).map(|content| content.as_deref())
    }

    /// The text, where it could be read and is not empty.
    pub fn text(&self, slot: Slot) -> Option<&str> {
        self.get(slot)?.ok().filter(|text| !text.is_empty())
    }

    /// The whole number, where one could be read.
    pub fn number(&self, slot: Slot) -> Option<i64> {
        number(self.get(slot)?.ok()?)
    }
}

impl From<Vec<Result<String, Error>>> for Contents {
    fn from(contents: Vec<Result<String, Error>>) -> Self {
        Self(contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code;
    use crate::fake::Tree;

    #[test]
    fn a_slot_finds_its_content_or_its_error() {
        let tree = Tree::new().file("/a", "1").file("/b", "").failing("/c", code::IO);
        let mut paths = Paths::default();
        let [a, b, c] = ["/a", "/b", "/c"].map(|path| paths.add(path));
        let contents = paths.read(&tree).unwrap();
        assert_eq!((contents.text(a), contents.number(a)), (Some("1"), Some(1)));
        assert_eq!((contents.text(b), contents.number(b)), (None, None));
        assert!(contents.get(c).unwrap().is_err_and(|error| error.is(code::IO)));
    }
}
