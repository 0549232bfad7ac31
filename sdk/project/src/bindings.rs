//! The C side of a project's interfaces, made here so that nobody needs `wit-bindgen` on the command line; its
//! `wit-bindgen c wit --out-dir bindings` writes the same files.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

/// Writes them anew, into `bindings`. What comes back are the files that were written.
pub fn write(project: &Path) -> Result<Vec<PathBuf>> {
    let files = generate(&project.join("wit"))?;
    let folder = project.join("bindings");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let write = |(name, contents): (&str, &[u8])| {
        let path = folder.join(name);
        fs::write(&path, contents).with_context(|| path.display().to_string())?;
        Ok(path)
    };
    files.iter().map(write).collect()
}

fn generate(interfaces: &Path) -> Result<Files> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(interfaces)?;
    let world = resolve.select_world(&[package], None)?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    Ok(files)
}
