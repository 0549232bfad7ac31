//! What the container is given, seen from inside.

use cardcage_containers::{Gpu, Limits, Mount};

use crate::support::{Board, limits};

#[tokio::test(flavor = "current_thread")]
async fn cores_and_memory_hold_inside() {
    let Some(board) = Board::docker() else { return };
    let script = "grep Cpus_allowed_list /proc/self/status; \
        cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; \
        grep -E '^(NoNewPrivs|CapEff)' /proc/self/status";
    let limits = Limits { cores: vec![1], shares: None, ..limits() };
    let id = board
        .engine
        .create(&board.owner("u1"), &board.spec(&["sh", "-c", script]), &limits)
        .await
        .expect("created");
    board.engine.start(&id).await.expect("started");
    board.ended(&id).await;
    let said = board.output("u1").await;
    let words: Vec<&str> = said.split_whitespace().collect();
    assert_eq!(words[..4], ["Cpus_allowed_list:", "1", "67108864", "CapEff:"], "{said}");
    assert!(said.contains("NoNewPrivs:\t1"), "{said}");
    assert!(!said.contains("ffffffff"), "{said}");
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_uses_too_much_memory_is_ended_and_says_so() {
    let Some(board) = Board::docker() else { return };
    let limits = Limits { memory: 16 << 20, ..limits() };
    // Before its version 2, containerd watches the memory of a container only once it has started it; and an engine that hears
    // of the end before it hears of the reason never says it. So the program is told when to take the memory, and when to end.
    let script = "until [ -e /told/take ]; do sleep 0.1; done; \
        dd if=/dev/zero of=/dev/null bs=64M count=1000; code=$?; \
        until [ -e /told/end ]; do sleep 0.1; done; exit $code";
    let told = board.folder.path().join("told");
    std::fs::create_dir(&told).expect("made");
    let mut spec = board.spec(&["sh", "-c", script]);
    spec.mounts = vec![Mount { source: told.display().to_string(), target: "/told".into(), read_only: true }];
    let id = board.engine.create(&board.owner("u1"), &spec, &limits).await.expect("created");
    board.engine.start(&id).await.expect("started");
    std::fs::write(told.join("take"), "").expect("written");
    board.wait_for_event(&id, "oom").await;
    std::fs::write(told.join("end"), "").expect("written");
    let ended = board.ended(&id).await;
    assert!(ended.out_of_memory, "{ended:?}");
    assert_eq!(ended.exit_code, Some(137));
}

#[tokio::test(flavor = "current_thread")]
async fn folders_and_variables_are_inside() {
    let Some(board) = Board::docker() else { return };
    let folder = board.folder.path().join("given");
    std::fs::create_dir(&folder).expect("made");
    std::fs::write(folder.join("file"), "content\n").expect("written");
    let mut spec = board.spec(&["sh", "-c", "cat /in/file; echo $WORD; echo x > /in/file || echo refused"]);
    spec.environment = vec![("WORD".into(), "a=b c".into())];
    spec.mounts = vec![Mount { source: folder.display().to_string(), target: "/in".into(), read_only: true }];
    let id = board.create_with("u1", &spec).await;
    board.engine.start(&id).await.expect("started");
    board.ended(&id).await;
    let said = board.output("u1").await;
    // The shell's complaint is on the other stream, and may come anywhere.
    assert!(["content\n", "a=b c\n", "refused\n"].iter().all(|line| said.contains(line)), "{said}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_folder_that_is_not_there_is_not_made() {
    let Some(board) = Board::docker() else { return };
    let folder = board.folder.path().join("missing");
    let mut spec = board.spec(&["true"]);
    spec.mounts =
        vec![Mount { source: folder.display().to_string(), target: "/in".into(), read_only: false }];
    let error = board.engine.create(&board.owner("u1"), &spec, &limits()).await.expect_err("missing");
    assert_eq!(error.code(), "invalid", "{error}");
    assert!(!folder.exists());
}

#[tokio::test(flavor = "current_thread")]
async fn an_accelerator_that_cannot_be_had_is_named() {
    let Some(board) = Board::docker() else { return };
    let gpu = Gpu { index: 3, device: "ffff:fe:1f.7".into(), vendor: Some("NVIDIA".into()) };
    let limits = Limits { gpus: vec![gpu], ..limits() };
    let error = board
        .engine
        .create(&board.owner("u1"), &board.spec(&["true"]), &limits)
        .await
        .expect_err("no such card");
    assert_eq!(error.code(), "failed");
    assert!(error.to_string().contains("ffff:fe:1f.7"), "{error}");
}

#[tokio::test(flavor = "current_thread")]
async fn an_accelerator_that_the_engine_has_no_runtime_for_is_named() {
    let Some(board) = Board::docker() else { return };
    let agent = format!("cardcage.agent={}", board.agent);
    let gpu = "cardcage.gpus=ffff:fe:1f.7";
    // As `create` makes it on a board with such a card.
    let words = ["create", "--gpus", "device=0", "--label", &agent, "--label", gpu, &board.image, "true"];
    let id = board.does(&words);
    let error = board.engine.start(&id).await.expect_err("no runtime");
    assert_eq!(error.code(), "failed", "{error}");
    assert!(error.to_string().contains("ffff:fe:1f.7"), "{error}");
}
