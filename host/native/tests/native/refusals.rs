//! What is refused: by the agent, by the helper, by the board.

use std::path::Path;

use cardcage_native::{
    Argument, Code, Error, Handle, Native, Out, Parameter, Returned, Returns, Scalar, Value, limits,
};

use crate::stub::{AT_ONCE, S32, Stub, grant, library, native, s32, soon, text, u32};

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, Error>, code: Code, detail: &str) {
    let error = result.unwrap_err();
    assert!(error.code == code && error.detail.contains(detail), "{error:?}");
}

#[tokio::test]
async fn what_is_not_granted_is_denied_before_a_helper_runs() {
    let native = native();
    for name in ["libc.so.6", "libstub.so", "", "/etc/passwd"] {
        refused(native.open(name, soon()).await, Code::Denied, "is not granted");
    }
    assert_eq!(native.process().await, None);
    let stub = Stub::with(native).await;
    refused(stub.function("secret", &[], S32).await, Code::Denied, "secret of ");
    refused(stub.function("", &[], S32).await, Code::Denied, "");
    let add = stub.function("add", &[], S32).await.unwrap();
    stub.native.stop().await;
    refused(stub.function("secret", &[], S32).await, Code::Denied, "secret of ");
    refused(stub.native.call(&add, &[s32(1)], soon()).await, Code::Invalid, "0 arguments");
}

#[tokio::test]
async fn what_is_not_there_is_absent() {
    let stub = Stub::open().await;
    let nowhere = Path::new(library()).with_file_name("libnowhere.so");
    refused(stub.native.open(nowhere.to_str().unwrap(), soon()).await, Code::Absent, "libnowhere.so");
    refused(stub.function("missing", &[], S32).await, Code::Absent, "has no missing");
    let text = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    refused(stub.native.open(text.to_str().unwrap(), soon()).await, Code::Io, "cannot be loaded");
    assert_eq!(stub.number("add", &[s32(1), s32(2)]).await, Ok(3));
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_invalid() {
    let stub = Stub::open().await;
    let int = Parameter::Value(Scalar::S32);
    let add = stub.function("add", &[int, int], S32).await.unwrap();
    for arguments in [&[s32(1)][..], &[s32(1), u32(1)], &[s32(1), Argument::Place(Value::S32(1))]] {
        refused(stub.native.call(&add, arguments, soon()).await, Code::Invalid, "argument");
    }
    refused(
        stub.call("greet", Returns::Text, &[text("a\0b")]).await,
        Code::Invalid,
        "argument 1 holds a NUL",
    );
    let room = Argument::Output(u32::try_from(limits::BUFFERS).unwrap());
    refused(stub.call("fill", S32, &[room, Argument::Input(vec![1])]).await, Code::TooLarge, "65536 bytes");
    let process = stub.native.process().await;
    assert_eq!(stub.number("add", &[s32(1), s32(2)]).await, Ok(3));
    assert!(process.is_some() && process == stub.native.process().await);
}

#[tokio::test]
async fn handles_cannot_be_forged() {
    let stub = Stub::open().await;
    let given = stub.call("numbered", Returns::Value(Scalar::Handle), &[u32(1)]).await.unwrap().returned;
    let Returned::Value(Value::Handle(Some(given))) = given else { panic!("{given:?}") };
    let numbers =
        [0, 1, 16, u64::MAX, given.number() + 1, given.number() ^ (1 << 32), given.number() + (1 << 32)];
    for number in numbers {
        let forged = Handle::from_number(number);
        for argument in
            [Argument::Value(Value::Handle(Some(forged))), Argument::Place(Value::Handle(Some(forged)))]
        {
            refused(stub.number("is_null", &[argument]).await, Code::Invalid, "handle");
        }
        refused(stub.native.forget(forged, soon()).await, Code::Invalid, "handle");
    }
}

#[tokio::test]
async fn the_limits_are_kept() {
    let stub = Stub::open().await;
    let int = Parameter::Value(Scalar::S32);
    refused(stub.function("sum", &[int; 17], S32).await, Code::TooLarge, "16 parameters");
    refused(stub.call("long_text", Returns::Text, &[u32(4097)]).await, Code::TooLarge, "4096 bytes");
    // The text before was of a function, and so are these.
    let kinds = [Scalar::S32, Scalar::U32, Scalar::S64, Scalar::U64];
    let signature =
        |number: usize| (0..4).map(|place| Parameter::Value(kinds[number >> (2 * place) & 3])).collect();
    for number in 0..limits::FUNCTIONS - 1 {
        let parameters: Vec<_> = signature(number);
        stub.function("add", &parameters, S32).await.unwrap();
    }
    refused(stub.function("add", &[int], S32).await, Code::TooLarge, "256 functions");
    // One that is known needs no place.
    let known: Vec<_> = signature(7);
    assert!(stub.function("add", &known, S32).await.is_ok());
}

#[tokio::test]
async fn a_full_table_of_handles_refuses_before_the_call() {
    let stub = Stub::open().await;
    let returns = Returns::Value(Scalar::Handle);
    let numbered = stub.function("numbered", &[Parameter::Value(Scalar::U32)], returns).await.unwrap();
    let mut last = None;
    for number in 1..=u32::try_from(limits::HANDLES).unwrap() {
        last = Some(stub.native.call(&numbered, &[u32(number)], soon()).await.unwrap().returned);
    }
    refused(stub.native.call(&numbered, &[u32(5_000)], soon()).await, Code::TooLarge, "1024 handles");
    let Some(Returned::Value(Value::Handle(Some(last)))) = last else { panic!("{last:?}") };
    stub.native.forget(last, soon()).await.unwrap();
    assert!(stub.native.call(&numbered, &[u32(5_000)], soon()).await.is_ok());
}

#[tokio::test]
async fn an_executable_that_cannot_be_started_is_named() {
    for (path, why) in [
        ("/nowhere/cardcage-native", "No such file"),
        ("/etc/passwd", "Permission denied"),
        ("/", "Permission denied"),
        ("cardcage-native", "not absolute"),
    ] {
        let native = Native::new(path, grant()).backoff(AT_ONCE);
        let error = native.open(library(), soon()).await.unwrap_err();
        assert_eq!(error.code, Code::Io);
        assert!(error.detail.starts_with(&format!("{path} cannot be started: ")), "{error}");
        assert!(error.detail.contains(why), "{error}");
    }
}

#[tokio::test]
async fn outs_come_in_the_order_of_the_parameters() {
    let stub = Stub::open().await;
    let arguments =
        [Argument::Both(vec![1, 2, 3]), u32(3), Argument::Output(2), Argument::Place(Value::U32(9))];
    let outcome = stub.call("reverse", Returns::Nothing, &arguments).await.unwrap();
    assert_eq!(
        outcome.outs,
        [Out::Buffer(vec![3, 2, 1]), Out::Buffer(vec![0, 0]), Out::Value(Value::U32(9))]
    );
}
