//! Python: componentize-py puts the interpreter, its library and the project's modules into the component.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::language::Language;
use crate::tool::Tool;

pub fn build(project: &Path, folder: &Path) -> Result<PathBuf> {
    let environment = project.join(".venv");
    let own = environment.join("bin/componentize-py");
    let is_own = own.is_file();
    let tool = Tool {
        program: if is_own { own } else { "componentize-py".into() },
        purpose: "makes a component of Python",
        remedy: format!("in {}, `{}`", project.display(), Language::Python.install()),
    };
    let component = folder.join("component.wasm");
    let mut command = tool.command(project);
    if is_own {
        // There it also looks for what app.py imports.
        command.env("VIRTUAL_ENV", environment);
    }
    command.args(["--wit-path", "wit", "componentize", "app", "--output"]).arg(&component);
    tool.run(&mut command)?;
    Ok(component)
}
