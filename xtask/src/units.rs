//! The systemd units, as systemd understands them.

use std::process::Command;

use anyhow::{Result, bail};

use crate::build::Profile;
use crate::command::{root, run, succeeds, target_dir};

/// Has systemd read the units. Where it is not installed there is nobody to ask.
pub fn verify() -> Result<()> {
    if !succeeds(Command::new("systemd-analyze").arg("--version")) {
        println!("Skipped, since systemd-analyze is not installed: the units.");
        return Ok(());
    }
    let drafts = target_dir().join("units");
    std::fs::create_dir_all(&drafts)?;
    let executables = format!("{}/", Profile::Debug.folder().display());
    let mut verify = Command::new("systemd-analyze");
    verify.arg("verify");
    for unit in std::fs::read_dir(root().join("packaging/systemd"))? {
        let unit = unit?;
        let text = std::fs::read_to_string(unit.path())?;
        // Those that were built, since it looks whether the executables are there.
        let draft = drafts.join(unit.file_name());
        std::fs::write(&draft, text.replace("/usr/bin/", &executables))?;
        verify.arg(draft);
    }
    match verify.get_args().len() {
        0 | 1 => bail!("there are no units in packaging/systemd"),
        _ => run(&mut verify),
    }
}
