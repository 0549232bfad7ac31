//! A backend for one type of software: a kit is an archive with an executable in it, which runs on the board itself.
//!
//! The agent may be killed at any point, in the middle of `start` too, and calls again afterwards. So `start` and `stop`
//! look first at what is there, and go on from that.

use cardcage_sdk::deploy::{Backend, Instance, Order, State};
use cardcage_sdk::processes::{self, Info, Process, Program};
use cardcage_sdk::{Error, Settings, artifacts};

/// The backend, which is its settings: `[plugins.settings.acme-kit]`, with the defaults of `plugin.toml` filled in. Nothing
/// else is kept between two calls.
#[derive(serde::Deserialize)]
pub struct Kit {
    executable: String,
}

/// `options` of an order. An unknown one is refused, not ignored.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    args: Vec<String>,
    /// `exclusive` or `shared`: the agent's to read.
    #[serde(rename = "cpu")]
    _cpu: Option<String>,
}

impl Backend for Kit {
    fn configure(settings: &Settings) -> Result<Self, Error> {
        settings.parse()
    }

    fn check(&self, order: &Order) -> Result<(), Error> {
        address(order)?;
        self.program(order).map(|_| ())
    }

    fn start(&self, order: &Order) -> Result<Instance, Error> {
        let process = match processes::find()? {
            Some(process) if process.info()?.order == order.digest => process,
            Some(other) => {
                remove(&other)?;
                self.create(order)?
            }
            None => self.create(order)?,
        };
        // What ended by itself stays ended.
        if matches!(process.info()?.state.as_str(), "created" | "lost") {
            process.start()?;
        }
        Ok(instance(&process.info()?))
    }

    fn stop(&self, _: &Order) -> Result<(), Error> {
        processes::find()?.map_or(Ok(()), |process| remove(&process))
    }

    fn survey(&self) -> Result<Vec<Instance>, Error> {
        Ok(processes::survey()?.iter().map(instance).collect())
    }
}

impl Kit {
    fn create(&self, order: &Order) -> Result<Process, Error> {
        let archive = artifacts::fetch(&address(order)?, None)?;
        processes::create(&archive.unpack()?, &self.program(order)?)
    }

    // Everything that computes is below, and is tested natively; what asks the host is above.

    fn program(&self, order: &Order) -> Result<Program, Error> {
        let Options { args, _cpu } = order.options()?;
        let mut program = processes::program(&order.name, [format!("./{}", self.executable)]);
        program.command.extend(args);
        Ok(program)
    }
}

fn remove(process: &Process) -> Result<(), Error> {
    process.stop()?;
    process.remove()
}

fn address(order: &Order) -> Result<String, Error> {
    match order.url.starts_with("http://") || order.url.starts_with("https://") {
        true => Ok(format!("{}/{}", order.url.trim_end_matches('/'), order.file)),
        false => Err(Error::invalid(format!("url is {:?}; a kit is fetched over http or https", order.url))),
    }
}

fn instance(info: &Info) -> Instance {
    let state = match info.state.as_str() {
        "running" => State::Running,
        "waiting" => State::Pending,
        "frozen" => State::Sleeping,
        "created" | "stopped" => State::Stopped,
        _ if info.exit_code == Some(0) => State::Stopped,
        _ => State::Failed,
    };
    Instance::process(info, state, info.error.clone())
}

cardcage_sdk::export_backend!(Kit);

#[cfg(test)]
mod tests {
    use cardcage_sdk::fake;

    use super::*;

    fn kit() -> Kit {
        Kit { executable: "run".into() }
    }

    #[test]
    fn an_order_adds_arguments() {
        let order = Order { options: r#"{"args": ["--fast"], "cpu": "shared"}"#.into(), ..fake::order() };
        assert!(kit().check(&order).is_ok());
        assert_eq!(kit().program(&order).unwrap().command, ["./run", "--fast"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let order = Order { options: r#"{"agrs": []}"#.into(), ..fake::order() };
        assert!(kit().check(&order).unwrap_err().detail.contains("unknown field `agrs`"));
        let order = Order { url: "repo.example".into(), ..fake::order() };
        assert!(kit().check(&order).unwrap_err().detail.contains("over http or https"));
    }
}
