//! `cardcage-agent bar pack DIR`: a folder with a `bar.toml` becomes a `.bar`, the same bytes each time.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use cardcage_bar::{FILE, Manifest};
use clap::Subcommand;
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// Deepest folder that is packed.
const DEEPEST: usize = 64;
/// Most entries, as many as an agent unpacks.
const ENTRIES: usize = 100_000;

/// Packages of programs.
#[derive(Debug, Subcommand)]
pub enum BarCommand {
    /// Checks the bar.toml of a folder and packs the folder into a .bar, the package that deploys of type bar take.
    ///
    /// Equal folders give equal packages. The path and the SHA-256 of the package are printed.
    Pack {
        /// The folder, with bar.toml in it.
        folder: PathBuf,
        /// Where the package goes; default: NAME-VERSION.bar, here.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

impl BarCommand {
    pub fn run(self) -> Result<()> {
        let Self::Pack { folder, output } = self;
        let packed = pack(&folder, output)?;
        let Packed { path, sha256, entries, bytes } = packed;
        writeln!(io::stdout(), "{}  sha256 {sha256}  {entries} files, {bytes} bytes", path.display())?;
        Ok(())
    }
}

#[derive(Debug)]
struct Packed {
    path: PathBuf,
    sha256: String,
    entries: usize,
    bytes: u64,
}

fn pack(folder: &Path, output: Option<PathBuf>) -> Result<Packed> {
    let file = folder.join(FILE);
    let text = fs::read_to_string(&file).with_context(|| {
        format!("{} cannot be read; a package has one, see the guide to .bar packages", file.display())
    })?;
    let manifest =
        Manifest::parse(&text).map_err(|why| anyhow::anyhow!("{} is not right: {why}", file.display()))?;
    check_command(folder, &manifest)?;
    let mut paths = Vec::new();
    list(folder, Path::new(""), &mut paths)?;
    // The manifest first, so that it is found without reading the rest.
    paths.sort_by_key(|path| (path != Path::new(FILE), path.clone()));
    let path = output.unwrap_or_else(|| file_name(&manifest).into());
    let new = path.with_extension("bar.new");
    let written = write(folder, &paths, &new).and_then(|sha256| {
        fs::rename(&new, &path)?;
        let bytes = fs::metadata(&path)?.len();
        Ok(Packed { path: path.clone(), sha256, entries: paths.len(), bytes })
    });
    if written.is_err() {
        // It may never have been made.
        let _not_there = fs::remove_file(&new).is_err();
    }
    written.with_context(|| format!("{} cannot be written", path.display()))
}

/// A program of the package must be in it, and be one.
fn check_command(folder: &Path, manifest: &Manifest) -> Result<()> {
    let Some(program) = manifest.command.first() else { return Ok(()) };
    // What is not absolute is the package's own; the board's path is not searched.
    if program.starts_with('/') {
        return Ok(());
    }
    let path = folder.join(program);
    let about = fs::metadata(&path)
        .with_context(|| format!("command names {program:?}, and {} is not there", path.display()))?;
    ensure!(
        about.is_file() && about.permissions().mode() & 0o111 != 0,
        "command names {program:?}, but {} cannot be executed; chmod +x it",
        path.display()
    );
    Ok(())
}

fn list(root: &Path, below: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    ensure!(below.components().count() < DEEPEST, "{} is deeper than {DEEPEST} folders", below.display());
    let folder = root.join(below);
    let entries = fs::read_dir(&folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let kind = entry.file_type()?;
        ensure!(path.to_str().is_some(), "{} is no UTF-8", path.display());
        if kind.is_symlink() {
            check_link(root, &path)?;
        } else if !kind.is_dir() && !kind.is_file() {
            bail!(
                "{} is neither a file, a folder nor a link; an agent would refuse the package",
                path.display()
            );
        }
        paths.push(path.clone());
        ensure!(paths.len() <= ENTRIES, "more than {ENTRIES} files; an agent would refuse the package");
        if kind.is_dir() {
            list(root, &path, paths)?;
        }
    }
    Ok(())
}

fn check_link(root: &Path, path: &Path) -> Result<()> {
    let target = fs::read_link(root.join(path))?;
    let mut depth = path.components().count().saturating_sub(1);
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            _ => bail!(
                "the link {} leads out of the package, to {}; an agent would refuse it",
                path.display(),
                target.display()
            ),
        }
    }
    Ok(())
}

/// Letters, digits, dots, hyphens and underscores; the rest becomes an underscore.
fn file_name(manifest: &Manifest) -> String {
    let plain = |c: char| if c.is_alphanumeric() || ".-_".contains(c) { c } else { '_' };
    let name: String = format!("{}-{}", manifest.name, manifest.version).chars().map(plain).collect();
    format!("{name}.bar")
}

/// Counts what is written into a digest on its way.
struct Digesting<W> {
    to: W,
    sha256: Sha256,
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.sha256.update(bytes.get(..written).unwrap_or(bytes));
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn write(folder: &Path, paths: &[PathBuf], to: &Path) -> Result<String> {
    let file = Digesting { to: File::create(to)?, sha256: Sha256::new() };
    let mut archive = Builder::new(GzEncoder::new(file, Compression::best()));
    for path in paths {
        append(&mut archive, folder, path).with_context(|| path.display().to_string())?;
    }
    let Digesting { to, sha256 } = archive.into_inner()?.finish()?;
    to.sync_all()?;
    Ok(sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Nothing of this machine is in it: no owner, no time.
fn append<W: Write>(archive: &mut Builder<W>, folder: &Path, path: &Path) -> Result<()> {
    let source = folder.join(path);
    let about = fs::symlink_metadata(&source)?;
    let mut header = Header::new_gnu();
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    let executable = about.is_dir() || about.permissions().mode() & 0o111 != 0;
    header.set_mode(if executable { 0o755 } else { 0o644 });
    if about.is_symlink() {
        header.set_entry_type(EntryType::Symlink);
        archive.append_link(&mut header, path, fs::read_link(&source)?)?;
    } else if about.is_dir() {
        header.set_entry_type(EntryType::Directory);
        archive.append_data(&mut header, path, io::empty())?;
    } else {
        header.set_entry_type(EntryType::Regular);
        header.set_size(about.len());
        archive.append_data(&mut header, path, File::open(&source)?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn package() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let text = "name = \"radar\"\nversion = \"1.2\"\ncommand = [\"bin/radar\"]\n";
        fs::write(dir.path().join(FILE), text).unwrap();
        fs::create_dir(dir.path().join("bin")).unwrap();
        let program = dir.path().join("bin/radar");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        symlink("bin/radar", dir.path().join("radar")).unwrap();
        dir
    }

    #[test]
    fn equal_folders_give_equal_packages() {
        let out = tempfile::tempdir().unwrap();
        let one = pack(package().path(), Some(out.path().join("one.bar"))).unwrap();
        let two = pack(package().path(), Some(out.path().join("two.bar"))).unwrap();
        assert_eq!((&one.sha256, one.entries), (&two.sha256, 4));
        let bytes = fs::read(&one.path).unwrap();
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, one.sha256);
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_an_agent_would_refuse_is_not_packed() {
        let refusal = |change: &dyn Fn(&Path)| {
            let (dir, out) = (package(), tempfile::tempdir().unwrap());
            change(dir.path());
            let refused = pack(dir.path(), Some(out.path().join("x.bar"))).unwrap_err();
            assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
            crate::error::chain(refused.as_ref())
        };
        assert!(refusal(&|dir| fs::remove_file(dir.join(FILE)).unwrap()).contains("bar.toml cannot be read"));
        assert!(refusal(&|dir| fs::write(dir.join(FILE), "name = 1").unwrap()).contains("is not right"));
        assert!(refusal(&|dir| fs::remove_file(dir.join("bin/radar")).unwrap()).contains("is not there"));
        let plain = fs::Permissions::from_mode(0o644);
        assert!(
            refusal(&|dir| fs::set_permissions(dir.join("bin/radar"), plain.clone()).unwrap())
                .contains("chmod +x")
        );
        assert!(
            refusal(&|dir| symlink("../../etc/passwd", dir.join("bin/out")).unwrap()).contains("leads out")
        );
        assert!(refusal(&|dir| symlink("/etc/passwd", dir.join("out")).unwrap()).contains("leads out"));
        let pipe = |dir: &Path| {
            nix::unistd::mkfifo(&dir.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        };
        assert!(refusal(&pipe).contains("neither a file"));
    }

    #[test]
    fn a_package_is_called_after_what_is_in_it() {
        let text = "name = \"雷达 unit\"\nversion = \"1/2\"\ncommand = [\"sh\"]\n";
        assert_eq!(file_name(&Manifest::parse(text).unwrap()), "雷达_unit-1_2.bar");
    }
}
