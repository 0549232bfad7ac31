//! The agent as a process: the pid file, the last word.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use nix::libc::O_NOFOLLOW;

/// Prints an error with its causes.
pub fn complain(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "cardcage-agent: {}", crate::error::chain(error.as_ref()));
}

/// A file with the process id, for as long as this lives.
#[derive(Debug)]
pub struct PidFile(PathBuf);

impl PidFile {
    /// A link that somebody put there is not followed.
    pub fn write(path: PathBuf) -> Result<Self> {
        let mut open = OpenOptions::new();
        let open = open.write(true).create(true).truncate(true).mode(0o644).custom_flags(O_NOFOLLOW);
        open.open(&path)
            .and_then(|mut file| file.write_all(text().as_bytes()))
            .with_context(|| format!("the pid file {} cannot be written", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // By now it may be that of another agent.
        if std::fs::read_to_string(&self.0).is_ok_and(|written| written == text()) {
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

fn text() -> String {
    format!("{}\n", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_follows_no_link_and_is_removed_by_its_own_process() {
        let folder = tempfile::tempdir().unwrap();
        let (pid, victim) = (folder.path().join("pid"), folder.path().join("victim"));
        std::fs::write(&victim, "precious").unwrap();
        std::os::unix::fs::symlink(&victim, &pid).unwrap();
        assert!(PidFile::write(pid.clone()).is_err());
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious");
        std::fs::remove_file(&pid).unwrap();
        drop(PidFile::write(pid.clone()).unwrap());
        assert!(!pid.exists());
        let written = PidFile::write(pid.clone()).unwrap();
        std::fs::write(&pid, "1\n").unwrap();
        drop(written);
        assert!(pid.exists());
    }
}
