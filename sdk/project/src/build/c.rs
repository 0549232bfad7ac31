//! C: clang makes a core module, of which a component is made here.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::ComponentEncoder;

use crate::bindings;
use crate::language::{Language, c_sources};
use crate::tool::{Tool, ToolError};

/// The names of what is compiled for; the second is that of older C libraries, such as Debian's.
const TARGETS: [&str; 2] = ["--target=wasm32-wasip1", "--target=wasm32-wasi"];
/// What a module begins with that is called again and again.
const START: &str = "-print-file-name=crt1-reactor.o";
/// What clang must find beside the C library, the question, and what it is for.
const PARTS: [(&str, &[&str], &str); 2] = [
    ("wasm-ld", &["-print-prog-name=wasm-ld"], "links the plugin"),
    (
        "compiler-rt for wasm32",
        &["--rtlib=compiler-rt", "-print-libgcc-file-name"],
        "is what compiled code calls",
    ),
];

pub fn build(project: &Path, folder: &Path) -> Result<PathBuf> {
    let sdk = std::env::var_os("WASI_SDK_PATH").map(PathBuf::from);
    let clang = Tool {
        program: sdk.as_deref().map_or("clang".into(), |sdk| sdk.join("bin/clang")),
        purpose: "compiles the plugin",
        remedy: format!("`{}`, or set WASI_SDK_PATH to a wasi-sdk", Language::C.install()),
    };
    let finds = |target: &str, question: &[&str]| -> Result<bool, ToolError> {
        let answer = clang.output(clang.command(project).arg(target).args(question))?;
        // What it doesn't find it says back.
        Ok(Path::new(String::from_utf8_lossy(&answer.stdout).trim_end()).is_file())
    };
    let [mut target, older] = TARGETS;
    if !finds(target, &[START])? {
        target = older;
        if !finds(target, &[START])? {
            return Err(clang.lacks("wasi-libc", "is C's library").into());
        }
    }
    for (part, question, purpose) in PARTS {
        if !finds(target, question)? {
            return Err(clang.lacks(part, purpose).into());
        }
    }
    let bindings = bindings::write(project).context("cannot make the bindings")?;
    let module = folder.join("module.wasm");
    let mut command = clang.command(project);
    command.args([target, "-mexec-model=reactor", "-Oz", "-Wall", "-I."]);
    // Their object holds the types of the interfaces: no code refers to it, but the component is made by it.
    command.args(c_sources(project)).args(bindings.iter().filter(|path| is_input(path)));
    command.args(["-Wl,--strip-debug", "-o"]).arg(&module);
    clang.run(&mut command)?;
    Ok(module)
}

fn is_input(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "c" || extension == "o")
}

/// What a board runs of what clang made.
pub fn componentize(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true);
    let adapter = (WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER);
    encoder
        .module(module)?
        .adapter(adapter.0, adapter.1)?
        .encode()
        .context("no component comes of what clang made")
}
