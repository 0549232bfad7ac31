//! One plugin's file: its bytes by digest, and what they say about themselves.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use cardcage_compile::PLUGIN_LIMIT;
use cardcage_manifest::{Kind, Manifest, Plugin, SectionError};
use cardcage_signature::{Encoding, PublicKey, verify};

use super::built_in::BuiltIn;
use crate::error::brief;
use crate::model::{Digest, PluginName, Support};

/// Where a plugin comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Embedded in the agent.
    BuiltIn(&'static BuiltIn),
    /// Dropped into the folder.
    File {
        /// Where the operator put it.
        path: PathBuf,
        /// Where its bytes are read: the file itself, or a copy that no longer changes.
        content: PathBuf,
    },
}

/// What a plugin is called for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// It says how the board is.
    Probe,
    /// It starts and stops software of this type.
    Backend { kind: String },
    /// It answers questions and carries out what takes long.
    Task,
}

impl Role {
    /// As in a manifest.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Probe => Kind::Probe.as_str(),
            Self::Backend { .. } => Kind::Backend.as_str(),
            Self::Task => Kind::Task.as_str(),
        }
    }
}

/// A file that is a plugin. Nothing of it has run or been compiled.
#[derive(Debug, Clone)]
pub struct Package {
    pub name: PluginName,
    pub digest: Digest,
    pub manifest: Manifest,
    pub role: Role,
    /// Its request: the interfaces that it imports.
    pub imports: Vec<String>,
    /// What it can be called for; of a built-in one that is known.
    pub(super) exports: Vec<String>,
    /// Which of the keys that were asked about signed all of it, or why none did.
    pub signed: Result<Vec<PublicKey>, String>,
    pub source: Source,
}

/// A file that is not taken as a plugin, and why.
#[derive(Debug, Clone)]
pub struct Refused {
    pub name: PluginName,
    pub version: String,
    pub digest: Digest,
    pub built_in: bool,
    pub source: Box<Source>,
    pub reason: String,
}

/// Why a file is not a plugin.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    #[error("cannot be read")]
    Read(#[source] std::io::Error),
    #[error("cannot be copied into the agent's state_dir")]
    Keep(#[source] std::io::Error),
    #[error("is empty, as a full disk leaves a file")]
    Empty,
    #[error("has more than {PLUGIN_LIMIT} bytes")]
    TooLarge,
    #[error("is compiled code, which is native code of unknown origin: drop the .wasm")]
    Compiled,
    #[error(transparent)]
    Section(#[from] SectionError),
    #[error(
        "exports no interface that this agent calls, such as cardcage:probe/sampler{}",
        unknown.as_ref().map(|unknown| format!(", but {unknown}: a newer agent may call that")).unwrap_or_default()
    )]
    NoRole { unknown: Option<String> },
    #[error(
        "exports cardcage:deploy/deployer, but its manifest does not say what it deploys: [deploy] type = \"…\""
    )]
    NoType,
    #[error("exports both {} and {}; make two plugins of it", .0.interface(), .1.interface())]
    TwoRoles(Kind, Kind),
}

impl std::fmt::Display for Source {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BuiltIn(_) => formatter.write_str("built-in"),
            Self::File { path, .. } => path.display().fmt(formatter),
        }
    }
}

impl Source {
    /// A file as it lies there.
    pub fn file(path: PathBuf) -> Self {
        Self::File { content: path.clone(), path }
    }

    /// The bytes, read afresh: they are needed to know a plugin and to compile it, not to run it.
    pub fn bytes(&self) -> Result<Cow<'static, [u8]>, PackageError> {
        match self {
            Self::BuiltIn(plugin) => Ok(Cow::Borrowed(plugin.wasm)),
            Self::File { content, .. } => read(content).map(Cow::Owned),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, PackageError> {
    read_from(&std::fs::File::open(path).map_err(PackageError::Read)?)
}

/// All of a plugin's file, if it is not too large for one.
pub(super) fn read_from(file: &std::fs::File) -> Result<Vec<u8>, PackageError> {
    use std::io::Read as _;

    let mut bytes = Vec::new();
    file.take(PLUGIN_LIMIT + 1).read_to_end(&mut bytes).map_err(PackageError::Read)?;
    match bytes.len() as u64 > PLUGIN_LIMIT {
        true => Err(PackageError::TooLarge),
        false => Ok(bytes),
    }
}

/// What a file says, if it is a plugin.
fn examine(bytes: &[u8]) -> Result<(Digest, Plugin, Role), PackageError> {
    if wasmtime::Engine::detect_precompiled(bytes).is_some() {
        return Err(PackageError::Compiled);
    }
    let plugin = Plugin::read(bytes)?;
    let Plugin { manifest, exports, .. } = &plugin;
    let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|kind| kind.is_exported(exports)).collect();
    let (kind, role) = match kinds.as_slice() {
        [kind @ Kind::Probe] => (*kind, Role::Probe),
        [kind @ Kind::Backend] => (*kind, backend(manifest)?),
        [kind @ Kind::Task] => (*kind, Role::Task),
        [] => {
            let unknown = exports.iter().find(|export| export.starts_with("cardcage:")).cloned();
            return Err(PackageError::NoRole { unknown });
        }
        [one, other, ..] => return Err(PackageError::TwoRoles(*one, *other)),
    };
    manifest.agrees(kind).map_err(SectionError::Manifest)?;
    Ok((Digest::of(bytes), plugin, role))
}

fn backend(manifest: &Manifest) -> Result<Role, PackageError> {
    let deploy = manifest.deploy.as_ref().ok_or(PackageError::NoType)?;
    Ok(Role::Backend { kind: deploy.kind.clone() })
}

impl Package {
    /// Reads what a plugin says about itself.
    pub fn open(source: Source, keys: &[PublicKey]) -> Result<Self, PackageError> {
        match &source {
            Source::BuiltIn(plugin) => {
                let manifest = Manifest::parse(plugin.manifest).map_err(SectionError::Manifest)?;
                // A built-in one exports what its manifest speaks of: a test sees to it.
                let role = backend(&manifest).unwrap_or(Role::Probe);
                let imports = plugin.imports.iter().map(ToString::to_string).collect();
                let name = manifest.name.as_str().into();
                let (digest, exports, signed) = (Digest(plugin.digest), Vec::new(), Ok(Vec::new()));
                Ok(Self { name, digest, manifest, role, imports, exports, signed, source })
            }
            Source::File { content, .. } => Self::of(&read(content)?, source.clone(), keys),
        }
    }

    /// What these bytes, which come from there, say about themselves.
    pub fn of(bytes: &[u8], source: Source, keys: &[PublicKey]) -> Result<Self, PackageError> {
        let (digest, Plugin { manifest, imports, exports }, role) = examine(bytes)?;
        let signed = match keys {
            [] => Err("no key is asked about".to_owned()),
            keys => verify(bytes, Encoding::Component, keys).map_err(|error| brief(&error.to_string())),
        };
        let name = manifest.name.as_str().into();
        Ok(Self { name, digest, manifest, role, imports, exports, signed, source })
    }

    pub const fn built_in(&self) -> bool {
        matches!(self.source, Source::BuiltIn(_))
    }

    /// How well it knows a board, of what it says and what its manifest claims the less.
    pub fn at_most(&self, support: Support) -> Support {
        let claimed = self.manifest.probe.support.map(|claimed| match claimed {
            cardcage_manifest::Support::Generic => Support::Generic,
            cardcage_manifest::Support::Family => Support::Family,
            cardcage_manifest::Support::Board => Support::Board,
        });
        claimed.map_or(support, |claimed| support.min(claimed))
    }

    /// The same plugin, set aside.
    pub fn refused(&self, reason: &str) -> Refused {
        Refused {
            name: self.name.clone(),
            version: self.manifest.version.clone(),
            digest: self.digest,
            built_in: self.built_in(),
            source: Box::new(self.source.clone()),
            reason: brief(reason),
        }
    }
}
