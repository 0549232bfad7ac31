//! Tasks that misbehave, and one that waits to be cancelled.

#![expect(clippy::panic, reason = "hostility")]

use std::time::Duration;

use cardcage_sdk::task::{Arguments, Description, Json, Task, json, progress};
use cardcage_sdk::{Error, Settings};

/// The plugin.
pub struct HostileTask;

impl Task for HostileTask {
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self)
    }

    fn describe(&self) -> Vec<Description> {
        let queries = ["loops", "panics", "exits", "floods", "declines"];
        let long = ["waits", "computes"];
        let queries = queries.map(|name| Description::query(name, "It is hostile"));
        queries.into_iter().chain(long.map(|name| Description::long(name, "It takes long"))).collect()
    }

    fn run(&self, name: &str, _: &Arguments) -> Result<Json, Error> {
        match name {
            "panics" => panic!("panics in a run"),
            "exits" => std::process::exit(0),
            "floods" => Ok(Json::String("x".repeat(1 << 20))),
            "declines" => Err(Error::new("busy", "the bus is on fire")),
            "waits" => wait(),
            _ => forever(),
        }
    }
}

/// Until it is cancelled, which it obeys.
fn wait() -> Result<Json, Error> {
    for round in 0_u32.. {
        progress(round.min(100), &format!("round {round}"))?;
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(json!(null))
}

fn forever() -> ! {
    loop {
        std::hint::black_box(());
    }
}

cardcage_sdk::export_task!(HostileTask);
