//! What is passed arrives, and what the function leaves comes back.

use cardcage_native::{Argument, Out, Outcome, Returned, Returns, Scalar, Value};

use crate::stub::{S32, Stub, s32, text, u32};

fn value(value: Value) -> Outcome {
    Outcome { returned: Returned::Value(value), outs: Vec::new() }
}

#[tokio::test]
async fn numbers_of_every_kind_are_passed_and_returned() {
    let stub = Stub::open().await;
    assert_eq!(stub.number("add", &[s32(2), s32(-5)]).await, Ok(-3));
    let unsigned = stub.call("add_unsigned", Returns::Value(Scalar::U32), &[u32(u32::MAX), u32(0)]).await;
    assert_eq!(unsigned, Ok(value(Value::U32(u32::MAX))));
    let long = |number| Argument::Value(Value::S64(number));
    let product = stub.call("multiply", Returns::Value(Scalar::S64), &[long(-3), long(1 << 40)]).await;
    assert_eq!(product, Ok(value(Value::S64(-3 << 40))));
    let most = stub.call("most", Returns::Value(Scalar::U64), &[]).await;
    assert_eq!(most, Ok(value(Value::U64(u64::MAX))));
    let mixed = [
        Argument::Value(Value::F64(1.5)),
        Argument::Value(Value::F32(0.25)),
        s32(8),
        Argument::Value(Value::F32(1.0)),
    ];
    assert_eq!(stub.call("mix", Returns::Value(Scalar::F64), &mixed).await, Ok(value(Value::F64(2.5))));
    let half = stub.call("halve", Returns::Value(Scalar::F32), &[Argument::Value(Value::F32(-0.5))]).await;
    assert_eq!(half, Ok(value(Value::F32(-0.25))));
    assert_eq!(stub.number("sum", &(1..=16).map(s32).collect::<Vec<_>>()).await, Ok(136));
}

#[tokio::test]
async fn buffers_go_in_come_out_and_both() {
    let stub = Stub::open().await;
    let filled = stub.call("fill", S32, &[Argument::Output(32), u32(32)]).await.unwrap();
    let mut expected = [7, 0, 0, 0, 1, 0, 0, 0x80].to_vec();
    expected.extend(0.5_f64.to_le_bytes());
    expected.extend(b"stub\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(filled.outs, [Out::Buffer(expected)]);
    let reversed = stub.call("reverse", Returns::Nothing, &[Argument::Both(b"abcde".to_vec()), u32(5)]).await;
    let outs = vec![Out::Buffer(b"edcba".to_vec())];
    assert_eq!(reversed, Ok(Outcome { returned: Returned::Nothing, outs }));
    let bytes = vec![255; cardcage_native::limits::BUFFERS];
    let length = u32(u32::try_from(bytes.len()).unwrap());
    let most = [Argument::Input(bytes.clone()), length.clone()];
    let total = stub.call("total", Returns::Value(Scalar::U64), &most).await;
    assert_eq!(total, Ok(value(Value::U64(255 * 65_536))));
    let most = stub.call("reverse", Returns::Nothing, &[Argument::Both(bytes.clone()), length]).await;
    assert_eq!(most.unwrap().outs, [Out::Buffer(bytes)]);
}

#[tokio::test]
async fn an_output_is_zero_before_the_function_writes() {
    let stub = Stub::open().await;
    stub.call("write_past", Returns::Nothing, &[Argument::Output(64), u32(64)]).await.unwrap();
    let untouched = stub.call("write_past", Returns::Nothing, &[Argument::Output(64), u32(1)]).await.unwrap();
    let mut expected = vec![0; 64];
    expected[0] = 0xee;
    assert_eq!(untouched.outs, [Out::Buffer(expected)]);
}

#[tokio::test]
async fn places_are_read_and_written() {
    let stub = Stub::open().await;
    let with = |factor: i8| {
        [
            Value::S32(-4 * i32::from(factor)),
            Value::U32(5 * u32::try_from(factor).unwrap()),
            Value::S64((-1 << 40) * i64::from(factor)),
            Value::U64((1 << 62) * u64::try_from(factor).unwrap()),
            Value::F32(0.5 * f32::from(factor)),
            Value::F64(-0.5 * f64::from(factor)),
        ]
    };
    let outcome = stub.call("places", S32, &with(1).map(Argument::Place)).await.unwrap();
    assert_eq!(outcome.outs, with(2).map(Out::Value));
}

#[tokio::test]
async fn texts_are_copied_and_may_be_null() {
    let stub = Stub::open().await;
    let returned = async |symbol, arguments: &[Argument]| {
        stub.call(symbol, Returns::Text, arguments).await.unwrap().returned
    };
    assert_eq!(returned("greet", &[text("wörld")]).await, Returned::Text(Some("hello, wörld".into())));
    assert_eq!(returned("greet", &[text("")]).await, Returned::Text(Some("hello, ".into())));
    assert_eq!(returned("no_text", &[]).await, Returned::Text(None));
    assert_eq!(returned("latin", &[]).await, Returned::Text(Some("caf\u{fffd}".into())));
    assert_eq!(returned("long_text", &[u32(4096)]).await, Returned::Text(Some("x".repeat(4096))));
    assert_eq!(stub.number("text_is_null", &[Argument::Text(None)]).await, Ok(1));
    assert_eq!(stub.number("text_is_null", &[text("")]).await, Ok(0));
}

#[tokio::test]
async fn what_is_empty_is_null() {
    let stub = Stub::open().await;
    for empty in [
        Argument::Input(Vec::new()),
        Argument::Output(0),
        Argument::Both(Vec::new()),
        Argument::Value(Value::Handle(None)),
    ] {
        assert_eq!(stub.number("is_null", std::slice::from_ref(&empty)).await, Ok(1), "{empty:?}");
    }
    assert_eq!(stub.number("is_null", &[Argument::Place(Value::Handle(None))]).await, Ok(0));
    let outcome = stub.call("is_null", S32, &[Argument::Output(0)]).await.unwrap();
    assert_eq!(outcome.outs, [Out::Buffer(Vec::new())]);
}

#[tokio::test]
async fn handles_are_given_used_and_forgotten() {
    let stub = Stub::open().await;
    let new = async |first| {
        let outcome =
            stub.call("counter_new", S32, &[s32(first), Argument::Place(Value::Handle(None))]).await;
        match outcome.unwrap().outs[..] {
            [Out::Value(Value::Handle(handle))] => handle,
            ref other => panic!("{other:?}"),
        }
    };
    let (ten, twenty) = (new(10).await, new(20).await);
    assert_eq!(new(-1).await, None);
    for (counter, next) in [(ten, 10), (twenty, 20), (ten, 11), (twenty, 21)] {
        assert_eq!(stub.number("counter_next", &[Argument::Value(Value::Handle(counter))]).await, Ok(next));
    }
    stub.native.forget(ten.unwrap(), crate::stub::soon()).await.unwrap();
    let error = stub.number("counter_next", &[Argument::Value(Value::Handle(ten))]).await.unwrap_err();
    assert_eq!(error.code.word(), "invalid");
    assert_eq!(stub.number("counter_next", &[Argument::Value(Value::Handle(twenty))]).await, Ok(22));
}

#[tokio::test]
async fn a_pointer_has_one_handle() {
    let stub = Stub::open().await;
    let numbered = async |number| {
        stub.call("numbered", Returns::Value(Scalar::Handle), &[u32(number)]).await.unwrap().returned
    };
    assert_eq!(numbered(0).await, Returned::Value(Value::Handle(None)));
    assert_eq!(numbered(1).await, numbered(1).await);
    assert_ne!(numbered(1).await, numbered(2).await);
}

#[tokio::test]
async fn a_library_may_start_threads_and_print() {
    let stub = Stub::open().await;
    assert_eq!(stub.number("in_a_thread", &[s32(41)]).await, Ok(42));
    assert_eq!(stub.number("print_much", &[]).await, Ok(1));
    assert_eq!(stub.number("add", &[s32(1), s32(1)]).await, Ok(2));
}

#[tokio::test]
async fn the_process_has_nothing_that_it_does_not_need() {
    let stub = Stub::open().await;
    // The standard ones and the socket.
    assert_eq!(stub.number("descriptors", &[]).await, Ok(4));
    assert_eq!(stub.number("environment", &[]).await, Ok(0));
    assert_eq!(stub.number("confined", &[]).await, Ok(1));
    let folder = stub.call("folder", Returns::Text, &[]).await.unwrap().returned;
    assert_eq!(folder, Returned::Text(Some("/".into())));
    let environment = vec![("VENDOR_DEBUG".to_owned(), "3".to_owned())];
    let stub = Stub::with(crate::stub::native().environment(environment)).await;
    assert_eq!(stub.number("environment", &[]).await, Ok(1));
    let variable = stub.call("variable", Returns::Text, &[text("VENDOR_DEBUG")]).await.unwrap();
    assert_eq!(variable.returned, Returned::Text(Some("3".into())));
}

#[tokio::test]
async fn a_library_gets_so_much_memory_and_no_more() {
    let stub = Stub::open().await;
    for (mebibytes, given) in [(128, 1), (600, 0), (128, 1)] {
        assert_eq!(stub.number("takes", &[s32(mebibytes)]).await, Ok(given), "{mebibytes} MiB");
    }
    assert_eq!(stub.number("dies_first", &[]).await, Ok(1000));
}

#[tokio::test]
async fn descriptors_that_the_agent_inherited_are_not_the_librarys() {
    // Not closed on exec, like those of a service manager.
    let (read, _write) = rustix::pipe::pipe().unwrap();
    rustix::io::fcntl_setfd(&read, rustix::io::FdFlags::empty()).unwrap();
    let stub = Stub::open().await;
    assert_eq!(stub.number("descriptors", &[]).await, Ok(4));
}
