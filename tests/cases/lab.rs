//! Exclusive cores never overlap, and nothing outlives its stop, on a kernel with version 2 of control groups: the tests of
//! `host/processes`, and deploys of packages by the real agent, on a board in QEMU.
//!
//! What is not run there: deploys of containers, since the board has no engine; and crashes at random times
//! (`any_time`), which take too long where everything is emulated. Those at every named point are run.

use std::path::{Path, PathBuf};
use std::process::Command;

use cardcage_tests::LabBoard;
use serde_json::Value;

mod inside; // what runs on the board

const STATIC: &str = "x86_64-unknown-linux-musl";

/// The case that is run there with the real agent.
const CASE: &str = "lab::inside::exclusive_cores_never_overlap_and_nothing_is_left";

/// The tests of `host/processes`, linked so that they run where nothing else is.
#[derive(Debug)]
struct Executables {
    unit: PathBuf,
    programs: PathBuf,
    shim: PathBuf,
}

impl Executables {
    #[track_caller]
    fn build() -> Self {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.current_dir(workspace).args(["test", "--locked", "--no-run", "--message-format", "json"]);
        cargo.args(["--package", "cardcage-processes", "--target", STATIC]);
        // As in `cargo xtask`: what the outer cargo said about this package is not about that one.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
                cargo.env_remove(&name);
            }
        }
        let built = cargo.output().unwrap();
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(
            built.status.success(),
            "the static tests do not build (rustup target add {STATIC}?)\n{said}"
        );
        let artifacts: Vec<Value> = built
            .stdout
            .split(|byte| *byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .filter(|message: &Value| message["executable"].is_string())
            .collect();
        let find = |name: &str, test: bool| {
            let is =
                |artifact: &&Value| artifact["target"]["name"] == name && artifact["profile"]["test"] == test;
            let found = artifacts.iter().find(is).and_then(|artifact| artifact["executable"].as_str());
            assert!(found.is_some(), "cargo built no {name}: {artifacts:?}");
            PathBuf::from(found.unwrap())
        };
        Self {
            unit: find("cardcage_processes", true),
            programs: find("programs", true),
            shim: find("cardcage-shim", false),
        }
    }
}

#[test]
fn programs_are_held_on_a_kernel_with_version_2_of_control_groups() {
    let Some(mut board) = LabBoard::new("programs on version 2 of control groups") else { return };
    let built = Executables::build();
    board.carry(&built.unit, "/lab/static/deps/unit");
    board.carry(&built.programs, "/lab/static/deps/programs");
    board.carry(&built.shim, "/lab/static/cardcage-shim");
    board.carry_these_tests();
    // Each begins where a unit of systemd begins, and settles by itself; skipping is failing there.
    let settings = "env CARDCAGE_CI=1 CARDCAGE_SHIM=/lab/static/cardcage-shim";
    board.run("unit", "unit", &format!("{settings} /lab/static/deps/unit --skip any_time"));
    board.run("programs", "programs", &format!("{settings} /lab/static/deps/programs --test-threads 8"));
    // As with `DelegateSubgroup=agent`.
    board.run("case", "case/agent", &format!("/lab/debug/deps/cases --ignored --exact {CASE}"));

    let console = board.boot();
    console.suite("unit").passed(&[
        "cgroup::kill::tests::version_2_is_frozen_and_killed_at_once",
        "cgroup::kill::tests::version_2_of_older_kernels_is_killed_one_by_one",
        "crash_tests::at_every_point",
    ]);
    let programs = console.suite("programs").passed(&[
        "limits::exclusive_cores_do_not_overlap",
        "limits::cores_that_were_taken_from_the_agent_are_unavailable",
        "limits::who_uses_too_much_memory_is_ended_and_told",
        "limits::frozen_is_seen_and_so_is_thawed",
        "stop::a_fork_bomb_is_bounded_and_ends",
    ]);
    assert!(programs >= 44, "only {programs} were run");
    console.suite("case").passed(&[CASE]);
}
