//! `cardcage:host/files`: a read-only view of the files that the manifest requests and the operator grants.

mod grant;
pub mod guest;
mod real;

pub use grant::Grant;
pub use guest::Files;
