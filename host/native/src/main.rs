//! `cardcage-native`: loads shared libraries and calls them, for one plugin, over the socket that is its standard input.
//!
//! It trusts the agent, which checks what the plugin asks for, and nothing that it loads. It is single-threaded and
//! blocks: whoever waits for it kills it.

use std::io::Write as _;
use std::process::ExitCode;

mod helper;

fn main() -> ExitCode {
    // The agent shows the last line of a helper that ended: it should be the reason.
    std::panic::set_hook(Box::new(|panic| {
        let _ = writeln!(std::io::stderr(), "cardcage-native: {panic}");
    }));
    let Err(error) = helper::run();
    // Nobody may be left to read it.
    let _ = writeln!(std::io::stderr(), "cardcage-native: {error}");
    ExitCode::from(2)
}
