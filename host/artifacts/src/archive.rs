//! Archives: how they are packed, what stands in them, and which paths are taken.

pub(crate) mod entries;
pub(crate) mod path;
mod pax;
pub(crate) mod stream;
