//! `cardcage:host/native`: functions of vendors' shared libraries, for probes. The real side is the crate of that name
//! (`host/native`): a helper process for each plugin, which may crash.
//!
//! One client a plugin, over all its instances, so that no two helpers of one plugin run side by side; one instance's
//! helper ends with it, and the last with the plugin's driver.

mod convert;
mod grant;
pub mod guest;
mod real;

pub use grant::{Grant, is_given};
pub use guest::Native;
pub use real::{executable, helper};
