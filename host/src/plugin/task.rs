//! One call of a task plugin: an instance of its own, `configure`, the function, the end.
//!
//! Unlike a backend it may compute for as long as its deadline lets it: it gives way at every tick of the clock, and what
//! runs it is a thread of its own.

use std::time::{Duration, Instant};

use cardcage_manifest::Arguments;
use serde_json::Value;
use tokio::time::timeout;
use wasmtime::UpdateDeadline;
use wasmtime::component::Component;

use super::bindings::cardcage::types::errors::Error;
use super::bindings::task::exports::cardcage::task::runner as wit;
use super::bindings::task::{Task, TaskPre};
use super::instance::{CallError, Capabilities, Declined, State, ended, store};
use super::runtime::Runtime;
use super::{contract, convert};
use crate::error::chain;

/// What `configure` and `describe` have together.
const DESCRIBE: Duration = Duration::from_secs(2);
/// A run that does not compute (a host call is slow) is given this much more.
const GRACE: Duration = Duration::from_millis(100);
/// Bounds of `wit/task/runner.wit`.
const DESCRIPTIONS: usize = 64;
const NAME: usize = 64;
const SUMMARY: usize = 256;
const SCHEMAS: usize = 64 << 10;
const ANSWER: usize = 64 << 10;

/// A task plugin whose imports were matched with what the agent has.
#[derive(Clone)]
pub struct LinkedTask(TaskPre<State>);

/// One thing that can be asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    pub name: String,
    pub summary: String,
    pub arguments: Arguments,
    pub long: bool,
}

/// What is asked of an instance.
enum Question<'a> {
    Describe,
    Run { name: &'a str, arguments: &'a str },
}

/// What it answers.
enum Answer {
    Described(Vec<wit::Description>),
    Ran(String),
}

impl LinkedTask {
    pub(super) fn new(runtime: &Runtime, component: &Component, imports: &[String]) -> Result<Self, String> {
        let linked = runtime.link(component, imports);
        let linked = linked.and_then(|linked| TaskPre::new(linked).map_err(|error| format!("{error:#}")));
        linked.map(Self).map_err(|reason| contract::does_not_fit(imports, &reason))
    }

    /// What can be asked for; why the plugin cannot be used, if not.
    pub(super) async fn describe(
        &self,
        runtime: &Runtime,
        capabilities: Capabilities,
        settings: &str,
    ) -> Result<Vec<Description>, Declined> {
        match self.ask(runtime, capabilities, settings, Question::Describe, DESCRIBE).await? {
            Answer::Described(said) => descriptions(said).map_err(|detail| failed("invalid", detail)),
            Answer::Ran(_) => Err(failed("failed", "it answered something else".to_owned())),
        }
    }

    /// Does what is asked for. The answer is JSON of bounded length.
    pub(super) async fn run(
        &self,
        runtime: &Runtime,
        capabilities: Capabilities,
        settings: &str,
        (name, arguments): (&str, &str),
        deadline: Duration,
    ) -> Result<Value, Declined> {
        let question = Question::Run { name, arguments };
        match self.ask(runtime, capabilities, settings, question, deadline).await? {
            Answer::Ran(answer) => json(&answer),
            Answer::Described(_) => Err(failed("failed", "it answered something else".to_owned())),
        }
    }

    async fn ask(
        &self,
        runtime: &Runtime,
        capabilities: Capabilities,
        settings: &str,
        question: Question<'_>,
        deadline: Duration,
    ) -> Result<Answer, Declined> {
        let patience = capabilities.patience.clone();
        let mut store = store(runtime, capabilities, deadline);
        // A probe is left time to make something of what it read; each read of a run has a deadline of its own.
        patience.begin(deadline.saturating_mul(2));
        let until = Instant::now() + deadline;
        store.epoch_deadline_callback(move |_| match Instant::now() < until {
            true => Ok(UpdateDeadline::Yield(1)),
            false => Ok(UpdateDeadline::Interrupt),
        });
        let _running = runtime.running();
        let call = async {
            let task = self.0.instantiate_async(&mut store).await?;
            if let Err(error) = task.cardcage_task_runner().call_configure(&mut store, settings).await? {
                return Ok(Err(error));
            }
            answer(&task, &mut store, question).await
        };
        match timeout(deadline + GRACE, call).await {
            Ok(Ok(answer)) => answer.map_err(|error| Declined {
                code: convert::text(error.code, 64),
                detail: convert::text(error.detail, 1024),
            }),
            Ok(Err(error)) => Err(failed("failed", chain(&ended(&store, &error, deadline)))),
            Err(_) => Err(failed("failed", chain(&CallError::Deadline(deadline)))),
        }
    }
}

async fn answer(
    task: &Task,
    store: &mut wasmtime::Store<State>,
    question: Question<'_>,
) -> wasmtime::Result<Result<Answer, Error>> {
    let runner = task.cardcage_task_runner();
    Ok(match question {
        Question::Describe => runner.call_describe(store).await?.map(Answer::Described),
        Question::Run { name, arguments } => runner.call_run(store, name, arguments).await?.map(Answer::Ran),
    })
}

fn json(answer: &str) -> Result<Value, Declined> {
    if answer.len() > ANSWER {
        let detail = format!("it answered {} bytes, at most {ANSWER} are taken", answer.len());
        return Err(failed("too-large", detail));
    }
    serde_json::from_str(answer).map_err(|error| failed("invalid", format!("it answered no JSON: {error}")))
}

fn failed(code: &str, detail: String) -> Declined {
    Declined { code: code.to_owned(), detail }
}

/// What a plugin says can be asked of it, checked; what is wrong with it, if not.
fn descriptions(said: Vec<wit::Description>) -> Result<Vec<Description>, String> {
    if said.len() > DESCRIPTIONS {
        return Err(format!("it describes {} tasks, at most {DESCRIPTIONS} are taken", said.len()));
    }
    let schemas: usize = said.iter().map(|description| description.arguments.len()).sum();
    if schemas > SCHEMAS {
        return Err(format!("it describes arguments in {schemas} bytes, at most {SCHEMAS} are taken"));
    }
    let mut descriptions: Vec<Description> = Vec::new();
    for wit::Description { name, summary, arguments, long } in said {
        let shown = convert::text(name.clone(), NAME);
        if name.len() > NAME || !is_name(&name) {
            return Err(format!(
                "it describes a task {shown:?}, and a name has lower-case letters, digits and hyphens"
            ));
        }
        if descriptions.iter().any(|other| other.name == name) {
            return Err(format!("it describes the task {shown} twice"));
        }
        let arguments = Arguments::parse(&arguments)
            .map_err(|error| format!("it describes the task {shown} with {error}"))?;
        descriptions.push(Description { name, summary: convert::text(summary, SUMMARY), arguments, long });
    }
    Ok(descriptions)
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.starts_with(|first: char| first.is_ascii_lowercase()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str, arguments: &str) -> wit::Description {
        wit::Description {
            name: name.into(),
            summary: "s\n".repeat(500),
            arguments: arguments.into(),
            long: true,
        }
    }

    const NOTHING: &str = r#"{ "type": "object" }"#;

    #[test]
    fn descriptions_are_checked_and_bounded() {
        let fine = descriptions(vec![said("burn-in", NOTHING), said("b2", NOTHING)]).unwrap();
        assert_eq!((fine[0].name.as_str(), fine[0].summary.len()), ("burn-in", SUMMARY));
        let refused = |said| descriptions(said).unwrap_err();
        for wrong in ["", "Burn", "../x", "2b", "a/b", &"x".repeat(65)] {
            assert!(refused(vec![said(wrong, NOTHING)]).contains("a name has"), "{wrong}");
        }
        assert!(refused(vec![said("a", NOTHING), said("a", NOTHING)]).contains("twice"));
        assert!(refused(vec![said("a", "{}")]).contains("not of the type \"object\""));
        let many = (0..65).map(|number| said(&format!("t{number}"), NOTHING)).collect();
        assert!(refused(many).contains("65 tasks"));
        let long = format!("{{ \"type\": \"object\", \"description\": \"{}\" }}", "x".repeat(2000));
        let much = (0..40).map(|number| said(&format!("t{number}"), &long)).collect();
        assert!(refused(much).contains("at most 65536 are taken"));
    }
}
