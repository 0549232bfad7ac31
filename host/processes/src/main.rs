//! The supervisor of one program. Started by the agent, see `shim`.

use std::process::ExitCode;

fn main() -> ExitCode {
    cardcage_processes::shim::main(std::env::args_os().skip(1))
}
