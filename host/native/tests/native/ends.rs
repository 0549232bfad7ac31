//! However the helper ends, the agent says so, and goes on.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cardcage_native::{Argument, Backoff, Code, Error, Native, Out, Returns, Signature, Value};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tokio::time::Instant;

use crate::stub::{HELPER, S32, Stub, grant, library, native, s32, soon, text, u32};

/// Makes the stub's helper end, and opens it again.
async fn ends(stub: &mut Stub, symbol: &str, arguments: &[Argument], how: &str) {
    let error = stub.call(symbol, Returns::Nothing, arguments).await.unwrap_err();
    assert_eq!(error.code, Code::Crashed, "{error}");
    assert!(error.detail.starts_with(symbol) && error.detail.contains(how), "{error}");
    assert_eq!(stub.native.process().await, None);
    assert_eq!(stub.number("add", &[s32(1), s32(2)]).await.unwrap_err().code, Code::Closed);
    stub.again().await;
    assert_eq!(stub.number("add", &[s32(1), s32(2)]).await, Ok(3));
}

#[tokio::test]
async fn a_crash_names_its_signal_and_the_next_open_starts_anew() {
    let mut stub = Stub::open().await;
    ends(&mut stub, "segfault", &[], "SIGSEGV").await;
    ends(&mut stub, "abort_now", &[], "SIGABRT; it said last: assertion failed: stub").await;
    ends(&mut stub, "exit_now", &[s32(0)], "exited with status 0").await;
    ends(&mut stub, "exit_now", &[s32(9)], "exited with status 9").await;
    // As an agent sees a wrong signature.
    ends(&mut stub, "counter_next", &[s32(8)], "SIGSEGV").await;
}

#[tokio::test]
async fn writing_behind_a_buffer_ruins_the_helper_only() {
    let mut stub = Stub::open().await;
    let ruined = "SIGABRT; it said last: the function wrote behind the end of argument 1";
    ends(&mut stub, "write_past", &[Argument::Output(16), u32(17)], ruined).await;
    ends(&mut stub, "write_past", &[Argument::Both(vec![0; 24]), u32(60_000)], ruined).await;
    ends(&mut stub, "write_past", &[Argument::Output(16), u32(16 << 20)], "SIGSEGV").await;
}

#[tokio::test]
async fn a_hang_is_killed_by_the_deadline_with_what_it_started() {
    let mut stub = Stub::open().await;
    let child = stub.number("fork_sleeper", &[]).await.unwrap();
    let (helper, child) = (gone(stub.native.process().await.unwrap()), gone(child.cast_unsigned()));
    let hang = stub.function("hang", &[], Returns::Nothing).await.unwrap();
    let deadline = Instant::now() + Duration::from_millis(50);
    let error = stub.native.call(&hang, &[], deadline).await.unwrap_err();
    assert_eq!(error.code, Code::Late, "{error}");
    assert!(error.detail.starts_with("hang of ") && Instant::now() >= deadline, "{error}");
    assert!(helper() && child());
    assert_eq!(stub.native.call(&hang, &[], soon()).await.unwrap_err().code, Code::Closed);
    stub.again().await;
    assert_eq!(stub.number("add", &[s32(1), s32(2)]).await, Ok(3));
}

#[tokio::test]
async fn a_helper_that_left_its_group_is_killed_too() {
    let stub = Stub::open().await;
    let helper = gone(stub.native.process().await.unwrap());
    let hang = stub.function("hang_elsewhere", &[], Returns::Nothing).await.unwrap();
    let deadline = Instant::now() + Duration::from_millis(50);
    assert_eq!(stub.native.call(&hang, &[], deadline).await.unwrap_err().code, Code::Late);
    assert!(helper());
}

#[tokio::test]
async fn a_call_without_time_ends_no_helper() {
    let stub = Stub::open().await;
    let most = stub.function("most", &[], S32).await.unwrap();
    assert_eq!(stub.native.call(&most, &[], Instant::now()).await.unwrap_err().code, Code::Late);
    assert_eq!(stub.number("add", &[s32(1), s32(2)]).await, Ok(3));
}

#[tokio::test]
async fn the_futures_can_go_to_another_thread() {
    let native = Arc::new(native());
    let opener = Arc::clone(&native);
    let open = async move { opener.open(library(), soon()).await };
    let library = tokio::spawn(open).await.unwrap().unwrap();
    let call = async move {
        let signature = Signature { parameters: Vec::new(), returns: S32 };
        let function = native.function(&library, "most", signature, soon()).await?;
        native.call(&function, &[], soon()).await
    };
    assert!(tokio::spawn(call).await.unwrap().is_ok());
}

/// Whether a process that lives now is gone, or goes within some seconds.
fn gone(process: u32) -> impl FnOnce() -> bool {
    let pid = Pid::from_raw(process.cast_signed()).unwrap();
    let process = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    move || {
        let patience = Timespec { tv_sec: 30, tv_nsec: 0 };
        // The end of a child is a signal to this process too.
        let poll = || poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&patience));
        rustix::io::retry_on_intr(poll).unwrap() == 1
    }
}

#[tokio::test]
async fn what_was_given_before_a_restart_is_closed() {
    let mut stub = Stub::open().await;
    let (old, place) = (stub.library.clone(), Argument::Place(Value::Handle(None)));
    let add = stub.call("counter_new", S32, &[s32(1), place]).await.unwrap();
    let [Out::Value(Value::Handle(Some(handle)))] = add.outs[..] else { panic!("{add:?}") };
    let function = stub.function("most", &[], S32).await.unwrap();
    stub.call("exit_now", Returns::Nothing, &[s32(1)]).await.unwrap_err();
    let code = |result: Result<_, Error>| result.map(|_: ()| ()).unwrap_err().code;
    for again in [false, true] {
        if again {
            stub.again().await;
        }
        assert_eq!(code(stub.native.call(&function, &[], soon()).await.map(drop)), Code::Closed);
        assert_eq!(code(stub.native.forget(handle, soon()).await), Code::Closed);
    }
    let used = stub.number("counter_next", &[Argument::Value(Value::Handle(Some(handle)))]).await;
    assert_eq!(code(used.map(drop)), Code::Closed);
    let new = std::mem::replace(&mut stub.library, old);
    assert_eq!(code(stub.function("add", &[], S32).await.map(drop)), Code::Closed);
    stub.library = new;
    assert_eq!(stub.number("add", &[s32(1), s32(2)]).await, Ok(3));
}

#[tokio::test]
async fn a_call_that_is_given_up_takes_the_helper_with_it() {
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let native = native().said(move |line| heard.send(line.to_owned()).unwrap_or_default());
    let mut stub = Stub::with(native).await;
    let helper = gone(stub.native.process().await.unwrap());
    let hang = stub.function("hang", &[], Returns::Nothing).await.unwrap();
    tokio::select! {
        result = stub.native.call(&hang, &[], soon()) => panic!("{result:?}"),
        line = hears.recv() => assert_eq!(line.as_deref(), Some("hanging")),
    }
    assert!(helper());
    assert_eq!(stub.native.call(&hang, &[], soon()).await.unwrap_err().code, Code::Closed);
    stub.again().await;
    assert_eq!(stub.number("add", &[s32(1), s32(2)]).await, Ok(3));
}

#[tokio::test]
async fn a_helper_that_died_between_calls_is_followed_by_another_at_the_next_open() {
    let mut stub = Stub::open().await;
    let process = stub.native.process().await.unwrap();
    let helper = gone(process);
    kill_process(Pid::from_raw(process.cast_signed()).unwrap(), Signal::KILL).unwrap();
    assert!(helper());
    stub.again().await;
    assert_eq!(stub.number("add", &[s32(1), s32(2)]).await, Ok(3));
}

#[tokio::test]
async fn what_the_library_complains_of_is_heard() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&lines);
    let stub = Stub::with(native().said(move |line| heard.lock().unwrap().push(line.to_owned()))).await;
    stub.call("complain", Returns::Nothing, &[text("driver\x1b mismatch\nsecond")]).await.unwrap();
    assert_eq!(stub.number("print_much", &[]).await, Ok(1));
    stub.call("exit_now", Returns::Nothing, &[s32(1)]).await.unwrap_err();
    let lines = lines.lock().unwrap();
    assert_eq!(lines[..3], ["driver  mismatch", "second", "line 0 on standard error"]);
    assert_eq!(lines.len(), 50);
}

#[tokio::test]
async fn failures_in_a_row_are_not_followed_by_a_start_at_once() {
    let patient =
        Backoff { first: Duration::from_secs(3_600), most: Duration::MAX, well_after: Duration::MAX };
    let stub = Stub::with(Native::new(HELPER, grant()).backoff(patient)).await;
    stub.call("segfault", Returns::Nothing, &[]).await.unwrap_err();
    let error = stub.native.open(library(), soon()).await.unwrap_err();
    assert_eq!(error.code, Code::Crashed);
    assert!(error.detail.starts_with("failure 1 in a row, no start for "), "{error}");
    assert!(error.detail.contains("SIGSEGV") && stub.native.process().await.is_none(), "{error}");
}

#[tokio::test]
async fn stopping_is_no_failure() {
    let patient =
        Backoff { first: Duration::from_secs(3_600), most: Duration::MAX, well_after: Duration::MAX };
    let mut stub = Stub::with(Native::new(HELPER, grant()).backoff(patient)).await;
    let helper = gone(stub.native.process().await.unwrap());
    stub.native.stop().await;
    assert!(helper());
    assert_eq!(stub.number("add", &[s32(1), s32(2)]).await.unwrap_err().code, Code::Closed);
    stub.again().await;
    assert_eq!(stub.number("add", &[s32(1), s32(2)]).await, Ok(3));
}

#[tokio::test]
async fn calls_wait_for_each_other_no_longer_than_their_deadline() {
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let native = native().said(move |line| heard.send(line.to_owned()).unwrap_or_default());
    let stub = Stub::with(native).await;
    let hang = stub.function("hang", &[], Returns::Nothing).await.unwrap();
    let first = stub.native.call(&hang, &[], soon());
    let second = async {
        hears.recv().await;
        stub.native.open(library(), Instant::now() + Duration::from_millis(20)).await
    };
    tokio::select! {
        result = first => panic!("{result:?}"),
        result = second => assert_eq!(result.unwrap_err().code, Code::Late),
    }
}

/// Plays the agent in the test below.
#[tokio::test]
#[ignore = "is run by another test"]
async fn agent_that_is_killed() {
    #[expect(clippy::print_stdout, reason = "the other test reads it")]
    let native = native().said(|line| println!("\nsaid {line}"));
    let stub = Stub::with(native).await;
    #[expect(clippy::print_stdout, reason = "the other test reads it")]
    {
        println!("\nhelper {}", stub.native.process().await.unwrap());
    }
    stub.call("hang", Returns::Nothing, &[]).await.unwrap_err();
}

#[test]
fn the_helper_ends_with_the_agent_even_inside_the_library() {
    let mut agent = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "ends::agent_that_is_killed"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(agent.stdout.take().unwrap()).lines();
    let mut helper = None;
    for line in lines.map(Result::unwrap) {
        if let Some(process) = line.strip_prefix("helper ") {
            helper = Some(gone(process.parse().unwrap()));
        }
        if line == "said hanging" {
            break;
        }
    }
    agent.kill().unwrap();
    agent.wait().unwrap();
    assert!(helper.unwrap()());
}
