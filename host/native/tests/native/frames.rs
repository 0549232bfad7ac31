//! Frames that neither side would send, and requests that an agent would not.

use std::borrow::Cow;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use cardcage_native::protocol::{Answer, Reply, Request, VERSION, decode, encode, length};
use cardcage_native::{Code, Error, Native, Returns, Signature, limits};

use crate::stub::{AT_ONCE, HELPER, grant, library, soon};

/// A helper without a client.
struct Bare {
    child: std::process::Child,
    socket: UnixStream,
}

impl Bare {
    fn start() -> Self {
        let (socket, theirs) = UnixStream::pair().unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut command = Command::new(HELPER);
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stderr(Stdio::piped());
        Self { child: command.spawn().unwrap(), socket }
    }

    fn greeted() -> Self {
        let mut bare = Self::start();
        let hello = Request::Hello { version: VERSION, generation: 1, grant: Cow::Owned(grant()) };
        assert_eq!(bare.ask(&hello), Ok(Answer::Ready { version: VERSION }));
        bare
    }

    fn ask(&mut self, request: &Request<'_>) -> Reply {
        let mut frame = Vec::new();
        encode(request, 77, &mut frame);
        // In two parts.
        let (first, rest) = frame.split_at(frame.len() / 2);
        self.socket.write_all(first).unwrap();
        self.socket.write_all(rest).unwrap();
        let mut answer = vec![0; 4];
        self.socket.read_exact(&mut answer).unwrap();
        answer.resize(length(&answer).unwrap().unwrap(), 0);
        self.socket.read_exact(answer.get_mut(4..).unwrap()).unwrap();
        let (number, reply) = decode(&answer).unwrap();
        assert_eq!(number, 77);
        reply
    }

    /// What it says when it gives up.
    fn gives_up(self) -> String {
        drop(self.socket);
        let output = self.child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        said
    }
}

#[test]
fn the_helper_keeps_the_grant_itself() {
    let mut bare = Bare::greeted();
    let open = |name| Request::Open { name: Cow::Borrowed(name) };
    assert_eq!(bare.ask(&open("libc.so.6")).unwrap_err().code, Code::Denied);
    assert_eq!(bare.ask(&open(library())), Ok(Answer::Number(0)));
    // Again is the same.
    assert_eq!(bare.ask(&open(library())), Ok(Answer::Number(0)));
    let function = |library, symbol, parameters| Request::Function {
        library,
        symbol: Cow::Borrowed(symbol),
        signature: Cow::Owned(Signature { parameters, returns: Returns::Nothing }),
    };
    assert_eq!(bare.ask(&function(0, "secret", Vec::new())).unwrap_err().code, Code::Denied);
    assert_eq!(bare.ask(&function(1, "add", Vec::new())).unwrap_err().code, Code::Invalid);
    assert_eq!(bare.ask(&function(0, "add", Vec::new())), Ok(Answer::Number(0)));
    let arguments = vec![cardcage_native::Argument::Output(1)];
    let call = |function| Request::Call { function, arguments: Cow::Borrowed(&arguments) };
    assert_eq!(bare.ask(&call(0)).unwrap_err().code, Code::Invalid);
    assert_eq!(bare.ask(&call(1)).unwrap_err().code, Code::Invalid);
    assert_eq!(bare.ask(&Request::Forget { handle: 1 }).unwrap_err().code, Code::Invalid);
}

#[test]
fn the_helper_gives_up_on_what_is_no_frame() {
    let mut long = Bare::greeted();
    long.socket.write_all(&u32::try_from(limits::FRAME + 1).unwrap().to_le_bytes()).unwrap();
    assert!(long.gives_up().contains("is too long"));
    let mut unknown = Bare::greeted();
    unknown.socket.write_all(&[5, 0, 0, 0, 1, 0, 0, 0, 99]).unwrap();
    assert!(unknown.gives_up().contains("99 is nothing known"));
    let mut two = Bare::greeted();
    let mut frame = Vec::new();
    encode(&Request::Forget { handle: 1 }, 1, &mut frame);
    two.socket.write_all(&frame.repeat(2)).unwrap();
    assert!(two.gives_up().contains("goes on after its end"));
    let mut early = Bare::start();
    early.socket.write_all(&frame).unwrap();
    assert!(early.gives_up().contains("begins with a greeting"));
    let mut twice = Bare::greeted();
    encode(&Request::Hello { version: VERSION, generation: 2, grant: Cow::Owned(grant()) }, 2, &mut frame);
    twice.socket.write_all(&frame).unwrap();
    assert!(twice.gives_up().contains("begins with a greeting"));
}

#[test]
fn the_helper_ends_when_the_agent_closes_its_end() {
    let mut bare = Bare::greeted();
    drop(bare.socket);
    assert!(bare.child.wait().unwrap().code().is_none());
}

/// An executable that answers its first request with these bytes, and then does something.
fn impostor(answer: &[u8], then: &str) -> PathBuf {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
    std::fs::write(folder.join("answer"), answer).unwrap();
    let script = format!("#!/bin/sh\ncat {}/answer >&0\n{then}\n", folder.display());
    // Another process writes it: while any process has it open for that, it cannot be run, and others fork here.
    let make = format!("printf '%s' \"$SCRIPT\" > {0}/run && chmod +x {0}/run", folder.display());
    let made = Command::new("sh").args(["-c", &make]).env("SCRIPT", script).status().unwrap();
    assert!(made.success());
    folder.join("run")
}

fn frame(reply: &Reply, number: u32) -> Vec<u8> {
    let mut frame = Vec::new();
    encode(reply, number, &mut frame);
    frame
}

async fn against(answer: &[u8], then: &str) -> Error {
    let native = Native::new(impostor(answer, then), grant()).backoff(AT_ONCE);
    let error = native.open(library(), soon()).await.unwrap_err();
    assert_eq!(native.process().await, None);
    error
}

#[tokio::test]
async fn the_agent_gives_up_on_what_is_no_answer() {
    const READ: &str = "exec cat > /dev/null";
    let ready = || frame(&Ok(Answer::Ready { version: VERSION }), 1);
    let nonsense = [
        (vec![0xff; 4], "is too long"),
        (vec![5, 0, 0, 0, 1, 0, 0, 0, 99], "99 is nothing known"),
        ([ready(), vec![0]].concat(), "goes on after its end"),
        (frame(&Ok(Answer::Ready { version: VERSION }), 2), "something else"),
        (frame(&Ok(Answer::Ready { version: VERSION + 1 }), 1), "something else"),
        (frame(&Ok(Answer::Forgotten), 1), "something else"),
    ];
    for (answer, why) in nonsense {
        let error = against(&answer, READ).await;
        assert!(error.code == Code::Io && error.detail.contains(why), "{error:?}");
        assert!(error.detail.starts_with("starting /"), "{error}");
    }
    let error = against(&[5, 0, 0], "echo no GPU here >&2; exit 7").await;
    assert_eq!(error.code, Code::Crashed);
    assert!(error.detail.ends_with("the helper exited with status 7; it said last: no GPU here"), "{error}");
    // It goes on in silence.
    let native = Native::new(impostor(&[9, 0], READ), grant()).backoff(AT_ONCE);
    let deadline = tokio::time::Instant::now() + Duration::from_millis(50);
    assert_eq!(native.open(library(), deadline).await.unwrap_err().code, Code::Late);
}
