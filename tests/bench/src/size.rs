//! Sizes of the executables that a board has.

use anyhow::{Context as _, Result};

use crate::figures::{Figures, MEBIBYTE};
use crate::process::Programs;

pub fn measure(programs: &Programs, figures: &mut Figures) -> Result<()> {
    let executables = [
        ("size of cardcage-agent", &programs.agent),
        ("size of cardcage-compile", &programs.compiler),
        ("size of cardcage-shim", &programs.supervisor),
        ("size of cardcage-native", &programs.helper),
    ];
    for (name, path) in executables {
        let metadata = std::fs::metadata(path).with_context(|| path.display().to_string())?;
        #[expect(clippy::cast_precision_loss, reason = "a size for people")]
        figures.alone(name, metadata.len() as f64 / MEBIBYTE, "MiB");
    }
    Ok(())
}
