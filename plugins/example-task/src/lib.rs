//! What can be asked of a board, in two examples: an inventory, which is answered at once, and a verification of files,
//! which takes long, says how far it is, and can be cancelled.

use std::collections::BTreeMap;

use cardcage_sdk::task::{Arguments, Description, Json, Task, json, progress};
use cardcage_sdk::{Error, Settings, files, kernel};
use serde::Deserialize;

/// The plugin. It has nothing to keep: every run has an instance of its own.
pub struct ExampleTask;

/// What `verify` takes.
#[derive(Debug, Deserialize)]
struct Verify {
    files: Vec<String>,
    passes: u32,
}

/// What became of one file over all passes.
#[derive(Debug, Default, PartialEq)]
struct Held {
    first: Option<String>,
    changed: u32,
    failed: u32,
    error: Option<Error>,
}

impl Task for ExampleTask {
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self)
    }

    fn describe(&self) -> Vec<Description> {
        let paths = json!({ "type": "array", "items": { "type": "string" }, "minItems": 1, "maxItems": 64, "required": true });
        let passes = json!({ "type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 10 });
        vec![
            Description::query("inventory", "What the board and its system say about themselves"),
            Description::long(
                "verify",
                "Reads files again and again, and says which changed or failed meanwhile",
            )
            .argument("files", paths)
            .argument("passes", passes),
        ]
    }

    fn run(&self, name: &str, arguments: &Arguments) -> Result<Json, Error> {
        match name {
            "inventory" => inventory(),
            _ => verify(&arguments.parse()?),
        }
    }
}

fn inventory() -> Result<Json, Error> {
    let (system, memory) = (kernel::system()?, kernel::memory()?);
    let interfaces = kernel::networks()?;
    let interfaces: BTreeMap<_, _> = interfaces.into_iter().map(|one| (one.name, one.address)).collect();
    Ok(json!({
        "hostname": system.hostname,
        "kernel": system.kernel,
        "architecture": system.architecture,
        "cpu": system.cpu_model,
        "cores": kernel::times()?.cores,
        "memory_bytes": memory.total,
        "firmware": BTreeMap::from_iter(system.dmi),
        "interfaces": interfaces,
    }))
}

fn verify(asked: &Verify) -> Result<Json, Error> {
    let mut held: BTreeMap<&str, Held> =
        asked.files.iter().map(|file| (file.as_str(), Held::default())).collect();
    for pass in 0..asked.passes {
        // Whoever cancelled it is obeyed by the question mark.
        let percent = u64::from(pass) * 100 / u64::from(asked.passes);
        progress(u32::try_from(percent).ok(), &format!("pass {} of {}", pass + 1, asked.passes))?;
        for (file, held) in &mut held {
            held.add(files::read(file));
        }
    }
    let files = held.into_iter().map(|(file, held)| (file, held.told()));
    Ok(json!({ "passes": asked.passes, "files": BTreeMap::from_iter(files) }))
}

impl Held {
    fn add(&mut self, read: Result<String, Error>) {
        match (read, &self.first) {
            (Ok(text), None) => self.first = Some(text),
            (Ok(text), Some(first)) => self.changed += u32::from(text != *first),
            (Err(error), _) => {
                self.failed += 1;
                self.error.get_or_insert(error);
            }
        }
    }

    fn told(self) -> Json {
        let error = self.error.map(|error| format!("{}: {}", error.code, error.detail));
        json!({ "changed": self.changed, "failed": self.failed, "error": error })
    }
}

cardcage_sdk::export_task!(ExampleTask);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changes_or_fails_is_told() {
        let mut held = Held::default();
        let reads = [Ok("a"), Ok("a"), Ok("b"), Err(Error::absent("it is gone")), Ok("a")];
        reads.into_iter().for_each(|read| held.add(read.map(str::to_owned)));
        assert_eq!(held.told(), json!({ "changed": 1, "failed": 1, "error": "absent: it is gone" }));
        assert_eq!(Held::default().told(), json!({ "changed": 0, "failed": 0, "error": null }));
    }

    #[test]
    fn what_is_described_takes_what_verify_reads() {
        let verify = &ExampleTask.describe()[1];
        assert!(verify.long && verify.arguments.contains("\"required\":[\"files\"]"), "{}", verify.arguments);
        let arguments = Arguments::from_json(r#"{ "files": ["/usr/lib/os-release"], "passes": 3 }"#).unwrap();
        assert_eq!(arguments.parse::<Verify>().unwrap().passes, 3);
    }
}
