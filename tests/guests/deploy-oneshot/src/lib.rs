//! A vendor's backend for a type of software that the agent has never heard of: an archive with a program in it, which is
//! started once and never again. It counts how often it was asked, to show that the host remembers for it.

use cardcage_sdk::deploy::{Backend, Instance, Order, State};
use cardcage_sdk::{Error, Settings, artifacts, processes, state};

/// The backend, and its settings.
#[derive(serde::Deserialize)]
pub struct OneShot {
    program: String,
}

#[derive(serde::Deserialize)]
struct Options {
    #[serde(default)]
    env: std::collections::BTreeMap<String, String>,
}

impl Backend for OneShot {
    fn configure(settings: &Settings) -> Result<Self, Error> {
        settings.parse()
    }

    fn start(&self, order: &Order) -> Result<Instance, Error> {
        let asked = state::get("asked")?.and_then(|count| count.parse().ok()).unwrap_or(0_u32) + 1;
        state::set("asked", &asked.to_string())?;
        let process = match processes::find()? {
            Some(process) => process,
            None => {
                let archive = artifacts::fetch(&format!("{}/{}", order.url, order.file), None)?;
                let mut program = processes::program(&order.name, [format!("./{}", self.program)]);
                program.environment = order.options::<Options>()?.env.into_iter().collect();
                processes::create(&archive.unpack()?, &program)?
            }
        };
        if process.info()?.state == "created" {
            process.start()?; // what ended is not started again
        }
        Ok(Instance { name: format!("{}, asked {asked} times", order.name), ..instance(&process.info()?) })
    }

    fn stop(&self, _: &Order) -> Result<(), Error> {
        processes::find()?.map_or(Ok(()), |process| process.stop().and_then(|()| process.remove()))
    }

    fn survey(&self) -> Result<Vec<Instance>, Error> {
        Ok(processes::survey()?.iter().map(instance).collect())
    }
}

fn instance(info: &processes::Info) -> Instance {
    let state = match info.state.as_str() {
        "running" => State::Running,
        _ if info.exit_code == Some(0) => State::Stopped,
        _ => State::Failed,
    };
    Instance::process(info, state, info.error.clone())
}

cardcage_sdk::export_backend!(OneShot);
