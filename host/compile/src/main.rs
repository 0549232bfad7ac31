//! `cardcage-compile OUTPUT < PLUGIN`: compiles one plugin and ends.
//!
//! Compiling is where a hostile plugin can exhaust a machine, so the limits come first, before a byte of it is read.
//! The agent sets the wall-clock deadline, removes what is left of a failed run, and never runs this twice at once.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use cardcage_compile::{PLUGIN_LIMIT, REFUSED, engine_config};
use rustix::process::{Resource, Rlimit, Signal, nice, set_parent_process_death_signal, setrlimit};
use wasmtime::Engine;

/// Address space: a Python guest compiles in 0.4 GB.
const ADDRESS_SPACE: u64 = 4 << 30;
/// Processor time, in seconds: a Python guest takes 21 s.
const PROCESSOR_SECONDS: u64 = 120;
/// Compiled code is three to four times as long as the plugin.
const OUTPUT_BYTES: u64 = 8 * PLUGIN_LIMIT;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(output), None) = (arguments.next(), arguments.next()) else {
        let _ = writeln!(std::io::stderr(), "usage: cardcage-compile OUTPUT < PLUGIN.wasm");
        return ExitCode::from(2);
    };
    let (error, code) = match run(Path::new(&output)) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Failed::Plugin(error)) => (error, ExitCode::from(REFUSED)),
        Err(Failed::Machine(error)) => (error, ExitCode::FAILURE),
    };
    let _ = writeln!(std::io::stderr(), "{error:#}");
    code
}

/// Whose fault it is.
enum Failed {
    Plugin(anyhow::Error),
    Machine(anyhow::Error),
}

fn run(output: &Path) -> Result<(), Failed> {
    limit().map_err(Failed::Machine)?;
    let plugin = read().map_err(Failed::Machine)?;
    let code = compile(&plugin).map_err(Failed::Plugin)?;
    write(&code, output).map_err(Failed::Machine)
}

fn limit() -> Result<()> {
    for (resource, most) in [
        (Resource::As, ADDRESS_SPACE),
        (Resource::Cpu, PROCESSOR_SECONDS),
        (Resource::Fsize, OUTPUT_BYTES),
        (Resource::Core, 0),
    ] {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        setrlimit(resource, limit)
            .with_context(|| format!("the limit {resource:?} cannot be set to {most}"))?;
    }
    // An agent that is killed cannot end this process any more, and nobody waits for what it makes.
    set_parent_process_death_signal(Some(Signal::KILL)).context("the agent's end cannot be watched")?;
    // The readings of a running agent matter more than a new plugin.
    let _ = nice(5);
    Ok(())
}

fn read() -> Result<Vec<u8>> {
    let mut plugin = Vec::new();
    std::io::stdin().take(PLUGIN_LIMIT + 1).read_to_end(&mut plugin).context("the plugin cannot be read")?;
    Ok(plugin)
}

fn compile(plugin: &[u8]) -> Result<Vec<u8>> {
    ensure!(plugin.len() as u64 <= PLUGIN_LIMIT, "the plugin has more than {PLUGIN_LIMIT} bytes");
    if Engine::detect_precompiled(plugin).is_some() {
        bail!("this is compiled code, which is native code of unknown origin; give the .wasm");
    }
    let engine = Engine::new(&engine_config())
        .map_err(anyhow::Error::from)
        .context("the compiler cannot be set up")?;
    #[expect(clippy::disallowed_methods, reason = "this is the compiler")]
    let code = engine.precompile_component(plugin).map_err(anyhow::Error::from);
    code.context("the plugin does not compile")
}

fn write(code: &[u8], output: &Path) -> Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(output)
        .with_context(|| format!("{} cannot be made", output.display()))?;
    file.write_all(code).and_then(|()| file.sync_all()).context("the compiled code cannot be written")
}
