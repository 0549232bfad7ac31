//! The section of the `.wasm` that carries the manifest, and what else of a component can be read without running it.

use wasm_encoder::Encode as _;
use wasmparser::{Encoding, Parser, Payload};

use crate::{LIMIT, Manifest, ManifestError};

/// Most interfaces that a component imports or exports; one for every interface that there is has some dozens.
const INTERFACES_LIMIT: usize = 256;
/// Longest name of an interface, in bytes.
const NAME_LIMIT: usize = 256;

/// Name of the custom section.
pub const SECTION: &str = "cardcage:manifest";

/// What a plugin's file says about itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Plugin {
    /// Its manifest.
    pub manifest: Manifest,
    /// The interfaces that it imports, with their versions: its request.
    pub imports: Vec<String>,
    /// The interfaces that it exports: what kind of plugin it is.
    pub exports: Vec<String>,
}

/// Why a file is not a plugin.
#[derive(Debug, thiserror::Error)]
pub enum SectionError {
    /// Something else.
    #[error("not a WebAssembly file")]
    NotWasm,
    /// Damaged, or of a version that is not known.
    #[error("not a WebAssembly file, or a damaged one")]
    Wasm(#[source] wasmparser::BinaryReaderError),
    /// A core module.
    #[error(
        "a core module, not a component: build it for wasm32-wasip2, without RUSTFLAGS that change the linker"
    )]
    Module,
    /// More, or longer, than anything that is made to run.
    #[error(
        "a component with more than {INTERFACES_LIMIT} imports or exports, or with names longer than {NAME_LIMIT} bytes"
    )]
    TooMany,
    /// No manifest.
    #[error("a component without a manifest: pack it with `cardcage-agent plugin pack`")]
    NoManifest,
    /// More than one manifest.
    #[error("a component with several manifests: pack the component as its compiler made it")]
    SeveralManifests,
    /// The manifest is refused.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The manifest is not text.
    #[error("the manifest is not UTF-8")]
    Text,
}

/// What the top level of a component holds, without its nested modules and components.
#[derive(Default)]
struct Outline {
    manifests: Vec<Vec<u8>>,
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Outline {
    fn read(wasm: &[u8]) -> Result<Self, SectionError> {
        // What the parser says of such a file is of no use to anybody.
        if !wasm.starts_with(b"\0asm") {
            return Err(SectionError::NotWasm);
        }
        let mut outline = Self::default();
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(SectionError::Wasm)? {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err(SectionError::Module);
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                payload if depth == 0 => outline.add(payload)?,
                _ => {}
            }
        }
        Ok(outline)
    }

    fn add(&mut self, payload: Payload<'_>) -> Result<(), SectionError> {
        match payload {
            Payload::CustomSection(section) if section.name() == SECTION => {
                self.manifests.push(section.data().to_vec());
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    name(&mut self.imports, import.map_err(SectionError::Wasm)?.name.name)?;
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    name(&mut self.exports, export.map_err(SectionError::Wasm)?.name.name)?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn name(names: &mut Vec<String>, name: &str) -> Result<(), SectionError> {
    if names.len() >= INTERFACES_LIMIT || name.len() > NAME_LIMIT {
        return Err(SectionError::TooMany);
    }
    names.push(name.to_owned());
    Ok(())
}

impl Plugin {
    /// Reads a packed plugin.
    pub fn read(wasm: &[u8]) -> Result<Self, SectionError> {
        let Outline { manifests, imports, exports } = Outline::read(wasm)?;
        let manifest = match manifests.as_slice() {
            [] => return Err(SectionError::NoManifest),
            [manifest] if manifest.len() > LIMIT => {
                return Err(ManifestError::TooLarge(manifest.len()).into());
            }
            [manifest] => std::str::from_utf8(manifest).map_err(|_| SectionError::Text)?,
            _ => return Err(SectionError::SeveralManifests),
        };
        Ok(Self { manifest: Manifest::parse(manifest)?, imports, exports })
    }
}

/// Puts a `plugin.toml` into a component that has none. The manifest is checked first.
pub fn pack(component: &[u8], manifest: &str) -> Result<Vec<u8>, SectionError> {
    Manifest::parse(manifest)?;
    if !Outline::read(component)?.manifests.is_empty() {
        return Err(SectionError::SeveralManifests);
    }
    let mut packed = component.to_vec();
    // A section is its id, its length, its content; a custom section (id 0) may stand anywhere at the top level.
    packed.push(0);
    wasm_encoder::CustomSection { name: SECTION.into(), data: manifest.as_bytes().into() }
        .encode(&mut packed);
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MANIFEST: &str = "name = \"a\"\nversion = \"1\"\n";
    const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
    const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0";

    #[test]
    fn what_is_packed_can_be_read() {
        let packed = pack(EMPTY_COMPONENT, MANIFEST).unwrap();
        let plugin = Plugin::read(&packed).unwrap();
        assert_eq!(plugin.manifest.name, "a");
        assert_eq!(plugin.imports, Vec::<String>::new());
    }

    #[test]
    fn a_manifest_inside_a_nested_module_does_not_count() {
        let inner = wasm_encoder::CustomSection { name: SECTION.into(), data: MANIFEST.as_bytes().into() };
        let mut module = wasm_encoder::Module::new();
        module.section(&inner);
        let mut component = wasm_encoder::Component::new();
        component.section(&wasm_encoder::ModuleSection(&module));
        assert!(matches!(Plugin::read(&component.finish()), Err(SectionError::NoManifest)));
    }

    #[test]
    fn what_is_not_a_plugin_is_refused_with_the_reason() {
        assert!(matches!(Plugin::read(EMPTY_MODULE), Err(SectionError::Module)));
        assert!(matches!(Plugin::read(EMPTY_COMPONENT), Err(SectionError::NoManifest)));
        for other in [&b"\x7fELF"[..], b"", b"(component)"] {
            assert!(matches!(Plugin::read(other), Err(SectionError::NotWasm)));
            assert!(matches!(pack(other, MANIFEST), Err(SectionError::NotWasm)));
        }
        let packed = pack(EMPTY_COMPONENT, MANIFEST).unwrap();
        assert!(matches!(pack(&packed, MANIFEST), Err(SectionError::SeveralManifests)));
        assert!(matches!(Plugin::read(&packed[..packed.len() - 3]), Err(SectionError::Wasm(_))));
    }

    #[test]
    fn the_request_of_a_plugin_has_an_end() {
        let importing = |names: &mut dyn Iterator<Item = String>| {
            let mut types = wasm_encoder::ComponentTypeSection::new();
            types.instance(&wasm_encoder::InstanceType::new());
            let mut imports = wasm_encoder::ComponentImportSection::new();
            for name in names {
                imports.import(&*name, wasm_encoder::ComponentTypeRef::Instance(0));
            }
            let mut component = wasm_encoder::Component::new();
            component.section(&types).section(&imports);
            pack_unchecked(&component.finish())
        };
        let numbered = |count: usize| (0..count).map(|number| format!("a:b/i{number}"));
        assert_eq!(Plugin::read(&importing(&mut numbered(256))).unwrap().imports.len(), 256);
        assert!(matches!(Plugin::read(&importing(&mut numbered(257))), Err(SectionError::TooMany)));
        let long = importing(&mut [format!("a:b/{}", "i".repeat(300))].into_iter());
        assert!(matches!(Plugin::read(&long), Err(SectionError::TooMany)));
    }

    fn pack_unchecked(component: &[u8]) -> Vec<u8> {
        let mut packed = component.to_vec();
        packed.push(0);
        wasm_encoder::CustomSection { name: SECTION.into(), data: MANIFEST.as_bytes().into() }
            .encode(&mut packed);
        packed
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Plugin::read(&tail);
            let _ = Plugin::read(&[EMPTY_COMPONENT, &tail].concat());
        }
    }
}
