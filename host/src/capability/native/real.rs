//! The helper of one plugin: where its executable lies, what it is told of the agent's environment, who hears what the
//! libraries print.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use cardcage_native::{EXECUTABLE, Native};

use super::Grant;
use crate::capability::log::{Level, Lines};

/// Where the operator says that libraries are looked for, beside the system's folders. The helper gets nothing else of the
/// agent's environment: what a library must not know cannot leak from it.
const PASSED_ON: &str = "LD_LIBRARY_PATH";

/// It is installed beside the agent.
///
/// # Errors
/// The agent does not know where it lies itself.
pub fn executable() -> io::Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name(EXECUTABLE))
}

/// A client whose process starts when a library is opened, and ends when this is dropped.
pub fn helper(executable: PathBuf, grant: &Grant, lines: Lines) -> Arc<Native> {
    let environment = std::env::var(PASSED_ON).map(|folders| (PASSED_ON.to_owned(), folders));
    let native = Native::new(executable, grant.inner().clone())
        .environment(environment.into_iter().collect())
        .said(move |line| lines.write(Level::Warn, &format!("a native library says: {line}")));
    Arc::new(native)
}
