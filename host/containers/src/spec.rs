//! What may be asked for, and whether it is well formed.
//!
//! Whether it may be had (which folders, networks, ports) was asked before, of the grant. Here only shapes are checked, so
//! that no text means something else to the engine than to whoever granted it.

use std::collections::HashSet;

use crate::Error;
use crate::reference::{Reference, is_image_id};

/// All arguments, or all variables, of a program; the kernel takes no more.
const TEXTS: usize = 128 << 10;
const NAME: usize = 128;
const PATH: usize = 4096;
/// Ports, mounts.
const ITEMS: usize = 256;
/// A label; the record is the longest: 64 KiB of options, quoted, and what is around them.
const LABEL: usize = 192 << 10;
/// What engines take at least.
const MEMORY: u64 = 6 << 20;
/// Beyond every board.
const CORES: u32 = 8192;

/// Whose a container is. Kept in its labels.
#[derive(Debug, Clone)]
pub struct Owner {
    /// The deployment.
    pub uuid: String,
    /// The business instance that it belongs to.
    pub instance_id: String,
    /// The plugin that makes it.
    pub backend: String,
    /// Digest of the order that it is made for.
    pub order: String,
    /// What the agent needs to know of the deployment if its own record is lost.
    pub record: String,
}

/// A port of the container that is reached through one of the board's.
#[derive(Debug, Clone)]
pub struct Port {
    /// The board's port.
    pub host: u16,
    /// The container's.
    pub container: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// A folder of the board, or a volume of the engine, inside the container.
#[derive(Debug, Clone)]
pub struct Mount {
    /// An absolute path on the board, or the name of a volume.
    pub source: String,
    /// An absolute path in the container.
    pub target: String,
    /// Not to be written.
    pub read_only: bool,
}

/// What to make.
#[derive(Debug, Clone, Default)]
pub struct Spec {
    /// The image, as `load` or `pull` named it.
    pub image: String,
    /// The container's name.
    pub name: String,
    /// What to run instead of the image's command; empty for the image's.
    pub command: Vec<String>,
    /// Variables, beside the image's.
    pub environment: Vec<(String, String)>,
    /// Ports that are reached from outside.
    pub ports: Vec<Port>,
    /// Folders and volumes.
    pub mounts: Vec<Mount>,
    /// The network to attach to, absent for the engine's default.
    pub network: Option<String>,
    /// `no`, `on-failure`, `always`.
    pub restart: String,
    /// Whether a small init process of the engine is process 1, for programs that never thought of being it: it hands on
    /// signals and reaps. A command that is not there then ends the container instead of failing its start.
    pub init: bool,
}

/// An accelerator that the container is to have.
#[derive(Debug, Clone)]
pub struct Gpu {
    /// Its number on the board.
    pub index: u32,
    /// Its PCI address.
    pub device: String,
    /// Who made it, as the probes say.
    pub vendor: Option<String>,
}

/// What the deployment was admitted with.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// The cores that it runs on; empty for any.
    pub cores: Vec<u32>,
    /// Where it shares these cores with others: how many cores' worth of their time is meant for it.
    pub shares: Option<u32>,
    /// Bytes.
    pub memory: u64,
    /// Accelerators.
    pub gpus: Vec<Gpu>,
}

impl Spec {
    pub(crate) fn check(&self) -> Result<(), Error> {
        self.problem().map_or(Ok(()), |reason| {
            let shown: String = self.name.chars().take(NAME).collect();
            Err(Error::invalid(format!("container {shown:?}"), reason))
        })
    }

    fn problem(&self) -> Option<String> {
        if !is_name(&self.name) {
            return Some(
                "the name has to be 1 to 128 letters, digits, '_', '.', '-', not beginning with a sign"
                    .into(),
            );
        }
        if !is_image_id(&self.image)
            && let Err(error) = Reference::parse(&self.image)
        {
            return Some(error.to_string());
        }
        if let Some(network) = self.network.as_ref().filter(|network| !is_name(network)) {
            return Some(format!("network {network:?} is not a name"));
        }
        if !matches!(self.restart.as_str(), "no" | "on-failure" | "always") {
            return Some(format!("restart {:?} is none of no, on-failure, always", self.restart));
        }
        self.texts_problem().or_else(|| self.ports_problem()).or_else(|| self.mounts_problem())
    }

    fn texts_problem(&self) -> Option<String> {
        let command: usize = self.command.iter().map(|word| word.len() + 1).sum();
        let environment: usize =
            self.environment.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        if command > TEXTS || environment > TEXTS {
            return Some(format!("the command, or the environment, has more than {TEXTS} bytes"));
        }
        if self.command.iter().any(|word| word.contains('\0')) {
            return Some("the command contains a zero byte".into());
        }
        let fits = |(name, value): &(String, String)| {
            !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0')
        };
        self.environment
            .iter()
            .find(|pair| !fits(pair))
            .map(|(name, _)| format!("{name:?} is not a variable"))
    }

    fn ports_problem(&self) -> Option<String> {
        if self.ports.len() > ITEMS {
            return Some(format!("more than {ITEMS} ports"));
        }
        let mut taken = HashSet::new();
        for port in &self.ports {
            if port.host == 0 || port.container == 0 || !matches!(port.protocol.as_str(), "tcp" | "udp") {
                return Some(format!("port {}:{}/{} is none", port.host, port.container, port.protocol));
            }
            if !taken.insert((port.host, port.protocol.as_str())) {
                return Some(format!("port {}/{} is asked for twice", port.host, port.protocol));
            }
        }
        None
    }

    fn mounts_problem(&self) -> Option<String> {
        if self.mounts.len() > ITEMS {
            return Some(format!("more than {ITEMS} mounts"));
        }
        let fits = |mount: &Mount| {
            is_path(&mount.target)
                && mount.target != "/"
                && (is_path(&mount.source) || is_name(&mount.source))
        };
        self.mounts.iter().find(|mount| !fits(mount)).map(|mount| {
            format!(
                "mount of {:?} on {:?}: both have to be absolute and without '..'",
                mount.source, mount.target
            )
        })
    }
}

impl Owner {
    pub(crate) fn check(&self) -> Result<(), Error> {
        let texts = [&self.uuid, &self.instance_id, &self.backend, &self.order, &self.record];
        let fits = !self.uuid.is_empty()
            && !self.backend.is_empty()
            && texts.iter().all(|text| text.len() <= LABEL && !text.contains('\0'));
        if fits {
            Ok(())
        } else {
            Err(Error::invalid("owner of a container", "a label is empty or over 64 KiB"))
        }
    }
}

impl Limits {
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.memory < MEMORY || i64::try_from(self.memory).is_err() {
            let reason = format!("{} bytes of memory; engines take {MEMORY} at least", self.memory);
            return Err(Error::invalid("limits of a container", reason));
        }
        if self.cores.iter().any(|core| *core >= CORES) {
            return Err(Error::invalid("limits of a container", "a core that no board has"));
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= NAME
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= PATH
        && !path.contains('\0')
        && !path.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> Spec {
        Spec { image: "busybox".into(), name: "a".into(), restart: "no".into(), ..Spec::default() }
    }

    fn refuses(change: impl FnOnce(&mut Spec), about: &str) {
        let mut spec = spec();
        change(&mut spec);
        let error = spec.check().expect_err(about);
        assert_eq!(error.code(), "invalid");
        assert!(error.to_string().contains(about), "{error}");
    }

    #[test]
    fn what_is_well_formed_is_taken() {
        let mut spec = spec();
        spec.mounts.push(Mount { source: "/a".into(), target: "/b".into(), read_only: true });
        spec.mounts.push(Mount { source: "volume.1".into(), target: "/c".into(), read_only: false });
        spec.environment.push(("A".into(), "b=c".into()));
        spec.ports.push(Port { host: 1, container: 1, protocol: "udp".into() });
        spec.network = Some("host".into());
        spec.check().expect("well formed");
    }

    #[test]
    fn what_is_malformed_is_refused_by_name() {
        refuses(|spec| spec.name = "-a".into(), "name");
        refuses(|spec| spec.name = "a".repeat(129), "name");
        refuses(|spec| spec.image = "A B".into(), "image reference");
        refuses(|spec| spec.network = Some("container:x".into()), "network");
        refuses(|spec| spec.restart = "unless".into(), "restart");
        refuses(|spec| spec.command = vec!["a\0".into()], "zero byte");
        refuses(|spec| spec.command = vec!["a".repeat(200_000)], "bytes");
        refuses(|spec| spec.environment = vec![("A=B".into(), String::new())], "variable");
        let port = |host, protocol: &str| Port { host, container: 80, protocol: protocol.into() };
        refuses(|spec| spec.ports = vec![port(0, "tcp")], "port");
        refuses(|spec| spec.ports = vec![port(1, "sctp")], "port");
        refuses(|spec| spec.ports = vec![port(1, "tcp"), port(1, "tcp")], "twice");
        let mount = |source: &str, target: &str| Mount {
            source: source.into(),
            target: target.into(),
            read_only: false,
        };
        for (source, target) in [("a/b", "/b"), ("/a/../b", "/b"), ("/a", "b"), ("/a", "/"), ("/a\0", "/b")] {
            refuses(|spec| spec.mounts = vec![mount(source, target)], "mount");
        }
    }

    #[test]
    fn limits_that_no_engine_takes_are_refused() {
        assert!(Limits { memory: 1, ..Limits::default() }.check().is_err());
        assert!(Limits { memory: u64::MAX, ..Limits::default() }.check().is_err());
        assert!(Limits { memory: MEMORY, cores: vec![9000], ..Limits::default() }.check().is_err());
        assert!(Limits { memory: MEMORY, cores: vec![0, 3], ..Limits::default() }.check().is_ok());
    }
}
