//! `check`: what is wrong with a configuration and with this machine, all of it at once, before anything is started.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;

use anyhow::{Result, bail};

use crate::config::Config;
use crate::discovery::would_join;
use crate::error::chain;
use crate::plugin::{self, Admitted, BUILT_IN, Kit};

/// Prints what it finds; fails if the agent would not start or a plugin would not run.
pub fn check(config: &Config) -> Result<()> {
    let mut findings = Findings::default();
    findings.state_dir(&config.state_dir);
    findings.engine(config);
    findings.service(config);
    findings.interfaces(config);
    findings.recordings(config);
    findings.plugins(config);
    if config.managers.allows_only_loopback() {
        findings.note("only managers on this machine are answered: name yours in managers.allow");
    }
    match findings.problems {
        0 => Ok(writeln!(std::io::stdout(), "The agent can start.")?),
        problems => bail!("{problems} to mend"),
    }
}

#[derive(Default)]
struct Findings {
    problems: usize,
}

impl Findings {
    fn problem(&mut self, text: impl std::fmt::Display) {
        self.problems += 1;
        let _ = writeln!(std::io::stdout(), "wrong: {text}");
    }

    fn note(&self, text: impl std::fmt::Display) {
        let _ = writeln!(std::io::stdout(), "note:  {text}");
    }

    fn state_dir(&mut self, folder: &Path) {
        let probe = folder.join(".check");
        let tried = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&probe, b""));
        let _ = std::fs::remove_file(&probe);
        if let Err(error) = tried {
            self.problem(format_args!("state_dir {} cannot be written: {error}", folder.display()));
        }
    }

    fn engine(&mut self, config: &Config) {
        if let Err(error) = Kit::new(config) {
            self.problem(chain(&error));
        }
        let compiler =
            std::env::current_exe().map(|agent| agent.with_file_name(cardcage_compile::EXECUTABLE));
        if let Ok(compiler) = compiler.as_ref().map_err(ToString::to_string)
            && !compiler.is_file()
        {
            self.problem(format_args!(
                "the compiler {} is not there: it is installed beside the agent",
                compiler.display()
            ));
        }
    }

    fn service(&mut self, config: &Config) {
        if let Err(error) = TcpListener::bind(config.service.listen) {
            self.problem(format_args!(
                "service.listen {}: {error}; is an agent running?",
                config.service.listen
            ));
        }
    }

    fn interfaces(&mut self, config: &Config) {
        match would_join(&config.discovery.interfaces) {
            Ok(joined) if joined.is_empty() => {
                self.problem(
                    "no interface to listen on: none is up and does multicast; see discovery.interfaces",
                );
            }
            Ok(joined) => {
                joined.iter().for_each(|interface| self.note(format_args!("listens on {interface}")))
            }
            Err(error) => self.problem(format_args!("the interfaces cannot be listed: {error}")),
        }
    }

    fn recordings(&mut self, config: &Config) {
        let kernel = &config.kernel;
        let recorded = [("kernel.proc", &kernel.proc), ("kernel.sys", &kernel.sys)];
        for (key, folder) in recorded {
            if let Some(folder) = folder.as_ref().filter(|folder| !folder.is_dir()) {
                self.problem(format_args!("{key} {} is no folder", folder.display()));
            }
        }
    }

    fn plugins(&mut self, config: &Config) {
        for found in plugin::find(BUILT_IN, &config.plugin_dir()) {
            if let Err(refused) = found.and_then(|package| Admitted::new(package, &config.plugins)) {
                self.problem(format_args!("plugin {} is refused: {}", refused.name, refused.reason));
            }
        }
    }
}
