//! Cores, memory, the user, the freezer: as the order says, seen from inside.

use std::fs;

use cardcage_processes::State;

use crate::support::{World, limits, runs, sh, skipped, wait, world};

/// Freezes the program of a world, as an operator would.
pub fn freeze(world: &World, freeze: bool) {
    let files = [("freezer.state", "FROZEN", "THAWED"), ("cgroup.freeze", "1", "0")];
    let mut frozen = 0;
    for group in world.groups() {
        let deployments = fs::read_dir(group).unwrap().flatten().filter(|entry| entry.path().is_dir());
        for program in deployments.map(|entry| entry.path().join("program")) {
            for (file, yes, no) in files {
                let path = program.join(file);
                if path.exists() {
                    fs::write(path, if freeze { yes } else { no }).unwrap();
                    frozen += 1;
                }
            }
        }
    }
    assert!(frozen > 0);
}

#[test]
fn cores_and_memory_are_those_of_the_order() {
    let Some(world) = world() else { return };
    let script = "grep Cpus_allowed_list /proc/self/status; while :; do :; done";
    let usage = world.run("one", sh(script)).usage;
    let said = world.until_said("one", "Cpus_allowed_list");
    assert_eq!(said.trim(), "Cpus_allowed_list:\t0");
    assert_eq!(
        (usage.memory_limit, usage.cpu_load),
        (Some(256 << 20), None),
        "the first measurement has no before"
    );
    assert!(usage.memory_used.unwrap() > 0);
    let load = wait("it spins", || world.info("one").usage.cpu_load.filter(|&load| load > 10.0));
    assert!(load < 150.0, "{load}");
}

#[test]
fn who_uses_too_much_memory_is_ended_and_told() {
    let Some(world) = world() else { return };
    let mut small = limits();
    small.memory = 32 << 20;
    world.create_within("one", sh("exec busybox dd if=/dev/zero of=/dev/null bs=100M count=1"), small);
    world.processes.start("one").unwrap();
    let info = world.until_state("one", "exited");
    assert_eq!(info.signal.as_deref(), Some("SIGKILL"));
    assert_eq!(info.error.unwrap(), "a process of it was killed: it used more than its 32 MiB of memory");
}

#[test]
fn cores_that_the_board_lacks_are_unavailable() {
    let Some(world) = world() else { return };
    let mut many = limits();
    many.cores = vec![4000];
    world.create_within("one", sh("exit 0"), many);
    let error = world.processes.start("one").unwrap_err();
    assert_eq!(error.code(), "unavailable");
    assert_eq!(world.info("one").state, State::Exited);
}

#[test]
fn cores_that_were_taken_from_the_agent_are_unavailable() {
    let Some(world) = world() else { return };
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        return skipped("there is one core only");
    }
    let groups = world.groups();
    let only = groups.iter().find(|group| group.join("cpuset.cpus").exists()).unwrap();
    fs::write(only.join("cpuset.cpus"), "0").unwrap();
    let mut other = limits();
    other.cores = vec![1];
    world.create_within("one", sh("grep Cpus_allowed_list /proc/self/status; exec sleep 1000"), other);
    let started = world.processes.start("one");
    if only.join("cgroup.controllers").exists() {
        // Version 2 would run it on core 0, which is somebody else's.
        assert_eq!(started.unwrap_err().code(), "unavailable");
        assert!(world.processes_left().is_empty());
    } else {
        // Version 1 gives the agent's group again what the groups above have.
        started.unwrap();
        assert_eq!(world.until_said("one", "Cpus_allowed_list").trim(), "Cpus_allowed_list:\t1");
    }
}

#[test]
fn exclusive_cores_do_not_overlap() {
    let Some(world) = world() else { return };
    let cores = u32::try_from(std::thread::available_parallelism().map_or(1, usize::from)).unwrap();
    // As a program sees it, and as one of its threads or children that asks for more gets it.
    let script = "grep Cpus_allowed_list /proc/$$/status; busybox taskset -p ffff $$ >/dev/null 2>&1; \
        sh -c 'grep Cpus_allowed_list /proc/$$/status; echo done'; exec sleep 1000";
    for core in 0..cores {
        let mut own = limits();
        own.cores = vec![core];
        let uuid = format!("on-{core}");
        world.create_within(&uuid, sh(script), own);
        world.processes.start(&uuid).unwrap();
    }
    for core in 0..cores {
        let said = world.until_said(&format!("on-{core}"), "done");
        let seen: Vec<&str> =
            said.lines().filter_map(|line| line.strip_prefix("Cpus_allowed_list:\t")).collect();
        assert_eq!(seen, [core.to_string(), core.to_string()], "{said}");
    }
}

#[test]
fn it_runs_as_the_user_of_the_order() {
    let Some(world) = world() else { return };
    if nix::unistd::User::from_name("nobody").unwrap().is_none() {
        return skipped("there is no user nobody");
    }
    let mut program = sh(
        "id -u; id -un; id -G; echo mine > file && cat file; cat ../program.json; echo $USER; echo done; exec sleep 1000",
    );
    program.user = Some("nobody".to_owned());
    world.run("one", program.clone());
    let said = world.until_said("one", "\ndone\n");
    let uid = nix::unistd::User::from_name("nobody").unwrap().unwrap().uid.to_string();
    assert_eq!(said.lines().next(), Some(uid.as_str()));
    assert!(said.contains("\nmine\n") && said.contains("\nnobody\n"), "{said}");
    assert!(!said.contains("\"owner\""), "the order is not for it: {said}");
    // It is tied to its supervisor although its user changed.
    let pid =
        crate::support::wait("its pid", || world.processes_left().into_iter().find(|&pid| is_sleep(pid)));
    assert!(runs(pid));
    program.user = Some("no-such-user".to_owned());
    let refused =
        world.processes.create(&crate::support::owner("two"), &program, &limits(), &world.package("two"));
    assert_eq!(refused.unwrap_err().code(), "absent");
}

fn is_sleep(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sleep")
}

#[test]
fn frozen_is_seen_and_so_is_thawed() {
    let Some(world) = world() else { return };
    world.run("one", sh("exec sleep 1000"));
    freeze(&world, true);
    world.until_state("one", "frozen");
    freeze(&world, false);
    world.until_state("one", "running");
}
