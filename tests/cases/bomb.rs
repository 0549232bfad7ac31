//! A component that takes long to compile: as large as the agent takes, and nothing in it is of use.

use wasm_encoder::{
    CodeSection, Component, ComponentExportKind, ComponentExportSection, ComponentInstanceSection, Function,
    FunctionSection, InstructionSink, Module, ModuleSection, TypeSection, ValType,
};

/// Functions of the module.
const FUNCTIONS: u32 = 2_000;
/// Rounds of arithmetic in each of them.
const ROUNDS: u32 = 500;

/// The bomb, as a plugin.
pub(crate) fn packed(name: &str) -> Vec<u8> {
    let mut component = Component::new();
    component.section(&ModuleSection(&module()));
    // It claims to be a probe, which is all that is looked at before it is compiled.
    let mut instances = ComponentInstanceSection::new();
    instances.export_items([] as [(&str, ComponentExportKind, u32); 0]);
    component.section(&instances);
    let mut exports = ComponentExportSection::new();
    exports.export("cardcage:probe/sampler@0.2.0", ComponentExportKind::Instance, 0, None);
    component.section(&exports);
    let manifest = format!("name = {name:?}\nversion = \"6.6.6\"");
    cardcage_manifest::pack(&component.finish(), &manifest).unwrap()
}

fn module() -> Module {
    let (mut types, mut functions, mut code) =
        (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    types.ty().function([ValType::I64], [ValType::I64]);
    for _ in 0..FUNCTIONS {
        functions.function(0);
        code.function(&function());
    }
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&code);
    module
}

/// Branches that depend on each other, which no compiler can leave out.
fn function() -> Function {
    let mut function = Function::new([]);
    let mut write: InstructionSink<'_> = function.instructions();
    for round in 0..ROUNDS {
        write.local_get(0).i64_const(i64::from(round)).i64_mul().i64_const(7).i64_rem_u().i64_eqz();
        write.if_(wasm_encoder::BlockType::Empty);
        write.local_get(0).i64_popcnt().local_get(0).i64_rotl().local_set(0);
        write.end();
    }
    write.local_get(0).end();
    function
}
