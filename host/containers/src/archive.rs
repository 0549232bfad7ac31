//! Archives of images, made harmless.
//!
//! An archive says what its images are to be called, and an engine obeys: whoever writes one could move any tag of the board.
//! So an archive reaches the engine without names, and what the engine made of it is told by ids that are known beforehand.
//!
//! ```text
//! first time   entries ─▶ documents ─▶ docker, oci ─▶ Contents: an index without names, the ids to expect
//! second time  entries ─▶ copy: that index first, then everything else
//! ```
//!
//! What an archive is must not depend on who reads it. So it is written anew: every header is made here, of nothing but a
//! name, a size and where a link leads; what other readers of tar could take for something else is refused (two entries of
//! one name, a path through a link, `..`). The index, too, is made of the fields that are understood and of no others,
//! since engines read them whatever the case of their letters.

mod contents; // what is in an archive, and whether the engine took it
mod copy; // the archive without names
mod docker; // the index of `docker save`
mod documents; // small files of the archive
mod entries; // the entries of a tar
mod names; // paths, and that no two of them are in each other's way
mod oci; // the index of an OCI layout
mod pax; // extended headers

use std::io;

pub(crate) use contents::{Contents, Image};
pub(crate) use copy::copy;

use crate::error::clean;

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Its bytes did not come.
    #[error("the archive could not be read: {}", clean(&.0.to_string()))]
    Read(#[source] io::Error),
    /// It is another kind of thing.
    #[error("it is no image archive: {}", clean(.0))]
    Wrong(String),
    /// What is written could not be handed on.
    #[error("the archive could not be sent: {}", clean(&.0.to_string()))]
    Sent(#[source] io::Error),
}

fn wrong<T>(reason: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Wrong(reason.into()))
}
