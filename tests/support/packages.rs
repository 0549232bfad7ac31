//! Software as repositories have it: image archives and `.bar` packages, made of busybox and of nothing else. And the
//! archives that attackers make.

use std::io::Write as _;
use std::process::Command;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use sha2::{Digest as _, Sha256};
pub use tar::EntryType;
use tar::{Builder, Header};

use crate::namespace::skip;

/// The program that everything is made of.
const BUSYBOX: &str = "/bin/busybox";

/// Whether there is a busybox that runs where nothing else is.
#[track_caller]
pub fn busybox_is_static(test: &str) -> bool {
    match busybox() {
        Some(_) => true,
        None => skip(test, "a static /bin/busybox (Debian: busybox-static)"),
    }
}

fn busybox() -> Option<&'static [u8]> {
    static PROGRAM: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let read = || std::fs::read(BUSYBOX).ok().filter(|program| !has_interpreter(program));
    PROGRAM.get_or_init(read).as_deref()
}

/// Whether a 64-bit program of this machine asks for a dynamic linker (`PT_INTERP`).
fn has_interpreter(program: &[u8]) -> bool {
    let number = |at: usize| usize::from(u16::from_ne_bytes([program[at], program[at + 1]]));
    let (first, size, count) = (number(0x20), number(0x36), number(0x38));
    (0..count).any(|header| program[first + header * size..].starts_with(&3_u32.to_ne_bytes()))
}

/// SHA-256, as it is written.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

fn header(kind: EntryType, mode: u32, length: usize) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(u64::try_from(length).unwrap());
    header
}

/// A tar with these files, each of which may be run.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (path, bytes) in files {
        tar.append_data(&mut header(EntryType::Regular, 0o755, bytes.len()), path, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

/// A tar with one entry whose path is written as it is, however wrong it is.
pub fn tar_entry(path: &str, kind: EntryType, link: &str, bytes: &[u8]) -> Vec<u8> {
    let mut header = header(kind, 0o755, bytes.len());
    let fields = header.as_gnu_mut().unwrap();
    fields.name[..path.len()].copy_from_slice(path.as_bytes());
    fields.linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    let mut tar = Builder::new(Vec::new());
    tar.append(&header, bytes).unwrap();
    tar.into_inner().unwrap()
}

/// The root of an image: busybox under all its names.
fn layer() -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for folder in ["bin/", "tmp/", "proc/", "sys/", "dev/", "etc/"] {
        tar.append_data(&mut header(EntryType::Directory, 0o755, 0), folder, std::io::empty()).unwrap();
    }
    let program = busybox().unwrap();
    tar.append_data(&mut header(EntryType::Regular, 0o755, program.len()), "bin/busybox", program).unwrap();
    let names = Command::new(BUSYBOX).arg("--list").output().unwrap().stdout;
    for name in String::from_utf8(names).unwrap().lines().filter(|name| *name != "busybox") {
        tar.append_link(&mut header(EntryType::Symlink, 0o777, 0), format!("bin/{name}"), "busybox").unwrap();
    }
    tar.into_inner().unwrap()
}

/// An image archive as `docker save` writes it. An image is what it holds, so those of different tests are one.
pub fn image(name: &str, command: &[&str]) -> Vec<u8> {
    static LAYER: OnceLock<Vec<u8>> = OnceLock::new();
    let layer = LAYER.get_or_init(layer);
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Cmd": command, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(layer))]},
    });
    let config = config.to_string();
    let config_file = format!("{}.json", sha256(config.as_bytes()));
    let manifest =
        json!([{"Config": config_file, "RepoTags": [name], "Layers": ["1/layer.tar"]}]).to_string();
    tar(&[("1/layer.tar", layer), (&config_file, config.as_bytes()), ("manifest.json", manifest.as_bytes())])
}

/// Runs until it is asked to end. It says that it began; `MARK` in its environment is for [`crate::census`].
pub const SERVE: &str = "trap 'exit 0' TERM; echo began $MARK; while :; do sleep 1000000 & wait $!; done";

/// A package: its `bar.toml`, and files beside it.
pub fn bar(manifest: &str, files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut all = vec![("bar.toml", manifest.as_bytes())];
    all.extend(files);
    gzip(&tar(&all))
}

/// A package that runs a line of shell, with further lines of `bar.toml`.
pub fn script(name: &str, line: &str, more: &str) -> Vec<u8> {
    let line = json!(line);
    let manifest = format!(
        "name = \"{name}\"\nversion = \"1\"\ncommand = [\"./busybox\", \"sh\", \"-c\", {line}]\n{more}\n"
    );
    bar(&manifest, &[("busybox", busybox().unwrap())])
}
