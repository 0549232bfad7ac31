//! The plugins that come with the agent, packed by the build script.

/// One of them. What its bytes say is written beside them, so that a start that finds it compiled does not touch them:
/// they would be a good part of the agent's memory.
#[derive(Debug, PartialEq, Eq)]
pub struct BuiltIn {
    pub wasm: &'static [u8],
    /// SHA-256 of `wasm`.
    pub digest: [u8; 32],
    /// The manifest in `wasm`.
    pub manifest: &'static str,
    /// What `wasm` imports.
    pub imports: &'static [&'static str],
}

/// All of them.
pub static BUILT_IN: &[BuiltIn] = include!(concat!(env!("OUT_DIR"), "/built_in.rs"));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Digest;

    #[test]
    fn what_is_written_beside_the_bytes_is_what_they_say() {
        for plugin in BUILT_IN {
            let read = cardcage_manifest::Plugin::read(plugin.wasm).unwrap();
            assert_eq!(Digest::of(plugin.wasm).0, plugin.digest);
            assert_eq!(cardcage_manifest::Manifest::parse(plugin.manifest).unwrap(), read.manifest);
            assert_eq!(plugin.imports, read.imports);
            let backend = read.exports.iter().any(|export| export.starts_with("cardcage:deploy/deployer@"));
            assert_eq!(read.manifest.deploy.is_some(), backend);
        }
    }
}
