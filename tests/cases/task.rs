//! Tasks: what can be asked of a board by whoever may order its deploys, how long that may take, and how it ends.

use std::fs;
use std::process::Command;

use cardcage_tests::{
    Agent, Answer, EXAMPLE_TASK, HOSTILE_TASK, World, delete, get_from, post, skip, typed_as, until,
};
use serde_json::{Value, json};

use crate::siege::Siege;

#[track_caller]
fn ask(agent: &Agent, task: &str, arguments: &str) -> Answer {
    post(agent.service(), &format!("/tasks/{task}"), arguments.as_bytes()).unwrap()
}

/// Waits until a run is in a state.
#[track_caller]
fn until_run(agent: &Agent, id: &str, state: &str) -> Value {
    until(&format!("run {id} is {state}"), || {
        let run = agent.get(&format!("/tasks/runs/{id}")).json();
        (run["state"] == state).then_some(run)
    })
}

/// Starts what takes long, and waits until it says how far it is.
#[track_caller]
fn started(agent: &Agent, task: &str, arguments: &str) -> String {
    let answer = ask(agent, task, arguments);
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

/// Asserts that a query fails for this reason.
#[track_caller]
fn check_fails(agent: &Agent, task: &str, code: &str, detail: &str) {
    let run = ask(agent, &format!("hostile-task/{task}"), "").json();
    let error = &run["error"];
    assert_eq!((run["state"].as_str(), error["code"].as_str()), (Some("failed"), Some(code)), "{run}");
    assert!(error["detail"].as_str().unwrap().contains(detail), "{run}");
}

const FILES: &str = "[plugins.grants.example-task]\nfiles = [\"/usr/lib/os-release\"]";

#[test]
fn a_file_in_the_folder_can_be_asked() {
    let world = World::new();
    let agent = world.agent().config(FILES).start();
    let file = agent.folder().join("plugins/example-task.wasm");
    fs::write(&file, EXAMPLE_TASK.packed()).unwrap();
    let plugin = agent.until_plugin("example-task", "ready");
    assert_eq!(plugin.kind.as_deref(), Some("task"));
    let list = String::from_utf8(agent.output(&["plugin", "list"]).stdout).unwrap();
    let shown = |line: &str| {
        ["example-task", " task ", "ready", "kernel files"].iter().all(|word| line.contains(word))
    };
    assert!(list.lines().any(shown), "{list}");

    let tasks = agent.get("/tasks").json();
    let names: Vec<_> = tasks.as_array().unwrap().iter().map(|task| task["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["inventory", "verify"]);
    assert_eq!(tasks[1]["arguments"]["properties"]["passes"]["default"], 10);

    let answer = ask(&agent, "example-task/inventory", "");
    let run = answer.json();
    assert_eq!(
        (answer.status, run["state"].as_str(), run["long"].as_bool()),
        (200, Some("done"), Some(false))
    );
    assert!(run["result"]["cores"].as_u64().unwrap() > 0, "{run}");

    for (task, arguments, status, reason) in [
        ("example-task/verify", "{}", 400, "the argument files is required"),
        ("example-task/verify", r#"{"files": [], "passes": 1}"#, 400, "the argument files is"),
        ("example-task/inventory", "[1]", 400, "the arguments are no JSON object"),
        ("example-task/inventory", r#"{"a": 1}"#, 400, "known are: none"),
        ("example-task/erase", "{}", 404, "it has: inventory, verify"),
        ("cpu/verify", "{}", 404, "no plugin cpu offers tasks here"),
        ("runs/none", "{}", 404, "no plugin runs offers tasks here"),
    ] {
        let answer = ask(&agent, task, arguments);
        assert!(answer.status == status && answer.body.contains(reason), "{answer:?}");
    }
    assert_eq!(agent.get("/tasks/example-task/inventory").status, 405);
    assert_eq!(agent.get("/tasks/runs/none").status, 404);

    let run = started(
        &agent,
        "example-task/verify",
        r#"{"files": ["/usr/lib/os-release", "/proc/kmsg"], "passes": 3}"#,
    );
    let done = until_run(&agent, &run, "done");
    assert_eq!(
        done["result"]["files"]["/usr/lib/os-release"],
        json!({"changed": 0, "failed": 0, "error": null}),
        "{done}"
    );
    assert_eq!(done["result"]["files"]["/proc/kmsg"]["failed"], 3, "{done}");

    let long = r#"{"files": ["/usr/lib/os-release"], "passes": 1000000}"#;
    let run = started(&agent, "example-task/verify", long);
    let watched = until("it says how far it is", || {
        let run = agent.get(&format!("/tasks/runs/{run}")).json();
        run["percent"].is_u64().then_some(run)
    });
    assert!(watched["message"].as_str().unwrap().ends_with("of 1000000"), "{watched}");
    // One of each kind at a time.
    let second = ask(&agent, "example-task/verify", long);
    assert!(second.status == 409 && second.body.contains(&run), "{second:?}");
    assert_eq!(ask(&agent, "example-task/inventory", "").status, 200);
    assert_eq!(delete(agent.service(), &format!("/tasks/runs/{run}"), None).unwrap().status, 202);
    assert_eq!(until_run(&agent, &run, "cancelled")["reason"], "it was cancelled");
    assert_eq!(agent.get("/tasks/runs").json().as_array().unwrap().len(), 4);
}

#[test]
fn only_who_may_deploy_may_ask() {
    let world = World::new();
    let (manager, stranger) = (world.address(1), world.address(66));
    let allowed = format!("[managers]\nallow = [\"{manager}\"]");
    let agent = world.agent().config(&allowed).start();
    let status = |from| get_from(from, agent.service(), "/tasks").unwrap().status;
    assert_eq!((status(manager), status(stranger)), (200, 403));
}

#[test]
fn hostile_tasks_end_and_the_rest_of_the_board_is_reported() {
    let siege = Siege::with(|plan| plan.plugin("hostile-task.wasm", HOSTILE_TASK.packed()));
    let agent = &siege.agent;
    agent.until_plugin("hostile-task", "ready");
    let computes = started(agent, "hostile-task/computes", "");
    siege.answers();
    check_fails(agent, "loops", "failed", "did not answer within 300ms");
    check_fails(agent, "panics", "failed", "trapped");
    check_fails(agent, "exits", "failed", "trapped");
    check_fails(agent, "floods", "too-large", "at most 65536 are taken");
    check_fails(agent, "declines", "busy", "the bus is on fire");
    // It does not hear that it was cancelled, and is ended.
    assert_eq!(delete(agent.service(), &format!("/tasks/runs/{computes}"), None).unwrap().status, 202);
    until_run(agent, &computes, "cancelled");
    siege.answers();
    assert_eq!(agent.plugin("hostile-task").state, "ready");
}

#[test]
fn a_run_goes_on_when_its_plugin_is_replaced_and_ends_when_it_is_removed() {
    let world = World::new();
    let agent = world.agent().plugin("hostile-task.wasm", HOSTILE_TASK.packed()).start();
    agent.until_plugin("hostile-task", "ready");
    let run = started(&agent, "hostile-task/waits", "");
    let file = agent.folder().join("plugins/hostile-task.wasm");
    let incoming = agent.folder().join("plugins/.incoming");
    fs::write(&incoming, HOSTILE_TASK.packed_with(&HOSTILE_TASK.manifest.replace("6.6.6", "7"))).unwrap();
    fs::rename(&incoming, &file).unwrap();
    until("version 7 can be asked", || (agent.get("/tasks").json()[0]["version"] == "7").then_some(()));
    until("version 7 has its place", || (agent.plugin("hostile-task").version == "7").then_some(()));
    let old = agent.get(&format!("/tasks/runs/{run}")).json();
    assert_eq!((&old["state"], &old["version"]), (&json!("running"), &json!("6.6.6")));
    fs::remove_file(&file).unwrap();
    assert_eq!(until_run(&agent, &run, "cancelled")["reason"], "its plugin was removed");
    assert_eq!(ask(&agent, "hostile-task/waits", "").status, 404);
}

#[test]
fn a_vendor_tries_a_task_without_an_agent() {
    let world = World::new();
    let file = world.folder().join("example-task.wasm");
    fs::write(&file, EXAMPLE_TASK.packed()).unwrap();
    let run = |task: &str, arguments: &str| {
        let command = ["plugin", "run", file.to_str().unwrap(), task, "--arguments", arguments];
        world.agent().config(FILES).output(&command)
    };
    let done = run("verify", r#"{"files": ["/usr/lib/os-release"], "passes": 4}"#);
    let answer: Value =
        serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    assert_eq!(answer["passes"], 4);
    assert!(String::from_utf8_lossy(&done.stderr).contains("% pass "), "{done:?}");
    let refused = run("verify", "{}");
    assert!(!refused.status.success());
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("the argument files is required"),
        "{refused:?}"
    );
}

/// What the guide says about asking, typed.
#[test]
fn the_guides_question_can_be_typed() {
    let world = World::new();
    let test = "the guide's question to a task";
    if Command::new("curl").arg("--version").output().is_err() && !skip(test, "curl") {
        return;
    }
    let agent = world.agent().plugin("example-task.wasm", EXAMPLE_TASK.packed()).config(FILES).start();
    agent.until_plugin("example-task", "ready");
    let asked = typed_as("sdk/guide/write-a-task.md", "curl ");
    let line = asked.command.replace("192.168.10.13:23980", &agent.service().to_string());
    let done = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert!(done.status.success(), "{line}: {done:?}");
    let said = String::from_utf8(done.stdout).unwrap();
    let run: Value = serde_json::from_str(&said).unwrap();
    // The id is another.
    let (before, after) = asked.says.split_once("7f0c…").unwrap();
    assert!(said.starts_with(before) && said.contains(after.split_once('…').unwrap().0), "{said}");
    until_run(&agent, run["id"].as_str().unwrap(), "done");
}
