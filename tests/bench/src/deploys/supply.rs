//! An image of busybox alone, and a repository on the loopback that has it.
//!
//! Every run makes another image, so that its first load finds none of its layers in the engine.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// What the repository calls the archive.
pub const FILE: &str = "serve.tar";

const BUSYBOX: &str = "/bin/busybox";
/// Runs until it is asked to end, and ends at once then.
const SERVE: &str = "trap 'exit 0' TERM; while :; do /bin/busybox sleep 1000000 & wait $!; done";

/// The repository. It serves until the process ends.
pub struct Supply {
    address: SocketAddr,
    /// What the engine knows the image by.
    pub image: String,
}

impl Supply {
    pub fn open() -> Result<Self> {
        let (image, archive) = image()?;
        let archive: Arc<[u8]> = archive.into();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let tag = format!("\"{}\"", sha256(&archive));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (archive, tag) = (Arc::clone(&archive), tag.clone());
                // Whoever asks may go away at any time.
                thread::spawn(move || drop(serve(&stream, &archive, &tag)));
            }
        });
        Ok(Self { address, image })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// One answer a connection, as a web server gives it: what the client has already is not sent again.
fn serve(mut stream: &TcpStream, archive: &[u8], tag: &str) -> Result<()> {
    let (mut path, mut known) = (String::new(), false);
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if path.is_empty() {
            line.split(' ').nth(1).unwrap_or_default().clone_into(&mut path);
        }
        known |= line.to_ascii_lowercase().starts_with("if-none-match:") && line.contains(tag);
    }
    let (status, body) = match () {
        () if path != format!("/{FILE}") => ("404 Not Found", &[][..]),
        () if known => ("304 Not Modified", &[][..]),
        () => ("200 OK", archive),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nETag: {tag}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )?;
    Ok(stream.write_all(body)?)
}

/// Its id, and the archive as `docker save` writes it.
fn image() -> Result<(String, Vec<u8>)> {
    let program = std::fs::read(BUSYBOX).with_context(|| format!("{BUSYBOX} (Debian: busybox-static)"))?;
    let made = format!("{:?} {}", SystemTime::now(), std::process::id());
    let layer = tar(&[("bin/busybox", &program), ("made", made.as_bytes())])?;
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Cmd": [BUSYBOX, "sh", "-c", SERVE]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", sha256(&layer))]},
    })
    .to_string();
    let id = sha256(config.as_bytes());
    let config_file = format!("{id}.json");
    let manifest = json!([{"Config": config_file, "RepoTags": null, "Layers": ["1/layer.tar"]}]).to_string();
    let files = [
        ("1/layer.tar", layer.as_slice()),
        (&config_file, config.as_bytes()),
        ("manifest.json", manifest.as_bytes()),
    ];
    Ok((format!("sha256:{id}"), tar(&files)?))
}

fn tar(files: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    for (path, bytes) in files {
        ensure!(Path::new(path).is_relative(), "{path} is no path in an archive");
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o755);
        header.set_size(bytes.len().try_into()?);
        tar.append_data(&mut header, path, *bytes)?;
    }
    Ok(tar.into_inner()?)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
