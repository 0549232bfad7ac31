//! Vendors' shared libraries, called for one plugin by a helper process that may crash.
//!
//! ```text
//! plugin -> Native (agent, async) --frames over a socketpair--> cardcage-native (blocking) -> dlopen, libffi -> library
//! ```
//!
//! The process is the border. A signature that does not fit the function, a bug of the library, or a lie of the guest
//! ruins the helper, and the agent sees a process that ended. What the border does not hold back is what the helper's
//! user may do on the board: a grant of a library trusts the plugin with that.

pub use client::{Backoff, Function, Library, Native};
pub use error::{Code, Error};
pub use grant::Grant;
pub use model::{Argument, Handle, Out, Outcome, Parameter, Returned, Returns, Scalar, Signature, Value};

mod client;
mod error;
#[cfg(feature = "serde")]
mod exact;
mod grant;
pub mod limits;
mod model;
pub mod protocol;

/// Name of the helper's executable; it lies beside the agent's.
pub const EXECUTABLE: &str = "cardcage-native";
