//! `check`: what is wrong with a configuration and with this machine, all of it at once, before anything is started.
//! Nothing is made or changed, and it may be asked while an agent runs.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write as _};
use std::net::TcpListener;
use std::path::Path;

use anyhow::{Result, bail};
use cardcage_containers::{Config as EngineConfig, Engine};
use cardcage_daemon::state_dir::{Looked, look};
use cardcage_daemon::tls::Tls;
use cardcage_daemon::token::Token;
use cardcage_daemon::trusted::{self, Readers};

use crate::capability::mechanisms::shim;
use crate::capability::native;
use crate::config::Config;
use crate::discovery::would_join;
use crate::error::chain;
use crate::plugin::{self, Admitted, BUILT_IN, Cache, Runtime};

/// Prints what it finds; fails if the agent would not start or a plugin would not run.
pub fn check(config: &Config) -> Result<()> {
    let mut findings = Findings::default();
    findings.state_dir(&config.state_dir);
    findings.engine(config);
    findings.native();
    findings.service(config);
    findings.deploys(config);
    findings.interfaces(config);
    findings.recordings(config);
    findings.plugins(config);
    if config.managers.allows_only_loopback() {
        findings.note("only managers on this machine are answered: name yours in managers.allow");
    }
    match findings.problems {
        0 if findings.agent_runs => Ok(writeln!(
            std::io::stdout(),
            "Nothing is wrong; the agent that runs must stop before another can start."
        )?),
        0 => Ok(writeln!(std::io::stdout(), "The agent can start.")?),
        problems => bail!("{problems} to mend"),
    }
}

#[derive(Default)]
struct Findings {
    problems: usize,
    /// With this state directory.
    agent_runs: bool,
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
        match look(folder) {
            Ok(Looked::There { taken: false }) => {}
            Ok(Looked::There { taken: true }) => {
                self.agent_runs = true;
                self.note(format_args!("an agent runs with state_dir {}", folder.display()));
            }
            Ok(Looked::ToBeMade) => self.note(format_args!("state_dir {} will be made", folder.display())),
            Err(error) => self.problem(chain(&error)),
        }
    }

    fn engine(&mut self, config: &Config) {
        if let Err(error) = Runtime::new() {
            self.problem(format_args!("the WebAssembly engine cannot be set up: {error:#}"));
        }
        if let Err(error) = Cache::check(&config.state_dir) {
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

    /// An agent starts without it, and most boards have no library that a plugin calls.
    fn native(&self) {
        if let Ok(helper) = native::executable()
            && !helper.is_file()
        {
            self.note(format_args!(
                "{} is not there: plugins that call vendors' libraries have no readings; it is installed beside the agent",
                helper.display()
            ));
        }
    }

    fn service(&mut self, config: &Config) {
        match TcpListener::bind(config.service.listen) {
            Ok(_) => {}
            // By that agent, most likely; it gives it back when it stops.
            Err(error) if error.kind() == ErrorKind::AddrInUse && self.agent_runs => {
                self.note(format_args!("service.listen {} is in use", config.service.listen));
            }
            Err(error) => self.problem(format_args!("service.listen {}: {error}", config.service.listen)),
        }
    }

    fn deploys(&mut self, config: &Config) {
        let service = &config.service;
        if let Some(Err(error)) = service.token_file.as_deref().map(Token::load) {
            self.problem(format_args!("service.token_file: {}", chain(&error)));
        }
        if let (Some(cert), Some(key)) = (&service.tls_cert, &service.tls_key)
            && let Err(error) = Tls::load(cert, key, service.client_ca.as_deref())
        {
            self.problem(format_args!("service.tls_cert, tls_key, client_ca: {}", chain(&error)));
        }
        for (registry, credentials) in &config.deploy.registries {
            if let Err(error) = trusted::read(&credentials.password_file, Readers::Ourselves, 4096) {
                self.problem(format_args!("deploy.registries.{registry:?}.password_file: {}", chain(&error)));
            }
        }
        if let Some(ca) = config.deploy.ca.as_deref().filter(|ca| !ca.is_file()) {
            self.problem(format_args!("deploy.ca {} is no file", ca.display()));
        }
        if let Err(reason) = shim() {
            self.problem(reason);
        }
        if !nix::unistd::geteuid().is_root() {
            self.note("not root: programs of .bar packages cannot be given their limits, so none is started");
        }
        self.container_engine(config);
    }

    /// A board without one is in order: it deploys no containers.
    fn container_engine(&self, config: &Config) {
        let asked = tokio::runtime::Builder::new_current_thread().enable_all().build().map(|runtime| {
            let engine = Engine::new(EngineConfig {
                address: config.deploy.engine.clone(),
                agent: "check".to_owned(),
                registries: BTreeMap::new(),
                state_dir: config.state_dir.clone(),
            });
            runtime.block_on(engine.survey("check"))
        });
        match asked {
            Ok(Ok(_)) => self.note("a container engine answers"),
            Ok(Err(error)) => self.note(format_args!("containers cannot be deployed now: {error}")),
            Err(error) => self.note(format_args!("the container engine cannot be asked: {error}")),
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
        let folder = config.plugin_dir();
        if folder.exists() && !folder.is_dir() {
            self.problem(format_args!("plugins.dir {} is no folder", folder.display()));
        }
        let found = plugin::find(BUILT_IN, &config.plugin_dir(), &config.plugins.keys());
        let is_there = |name: &str| found.iter().any(|plugin| plugin::name(plugin).as_str() == name);
        for name in plugin::strays(&config.plugins, is_there) {
            self.note(format_args!("the configuration names a plugin that is not there: {name}"));
        }
        for found in found {
            if let Err(refused) = found.and_then(|package| Admitted::new(package, &config.plugins)) {
                self.problem(format_args!("plugin {} is refused: {}", refused.name, refused.reason));
            }
        }
    }
}
