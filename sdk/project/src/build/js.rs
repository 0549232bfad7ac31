//! JavaScript: jco puts QuickJS and the project's module into the component. Its other engine, SpiderMonkey, is ten times
//! as large, which every board would compile and keep.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::language::Language;
use crate::tool::Tool;

pub fn build(project: &Path, folder: &Path) -> Result<PathBuf> {
    let node = Tool {
        program: "node".into(),
        purpose: "runs jco",
        remedy: "install Node.js 20 or later, with npm".into(),
    };
    node.output(node.command(project).arg("--version"))?;
    let jco = Tool {
        program: project.join("node_modules/.bin/jco"),
        purpose: "makes a component of JavaScript",
        remedy: format!("in {}, `{}`", project.display(), Language::Js.install()),
    };
    let component = folder.join("component.wasm");
    let mut command = jco.command(project);
    command.args(["componentize", "app.js", "--wit", "wit", "--world-name", "plugin"]);
    // The agent calls plugins without the component model's async.
    command.args(["--backend", "quickjs", "--backend-qjs-disable-async", "--out"]).arg(&component);
    jco.run(&mut command)?;
    Ok(component)
}
