//! What is written is read, and nothing that is read makes the reader panic.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::model::{Handle, Out, Parameter, Returned, Returns, Scalar, Value};

fn scalar() -> impl Strategy<Value = Scalar> {
    prop_oneof![
        Just(Scalar::S32),
        Just(Scalar::U32),
        Just(Scalar::S64),
        Just(Scalar::U64),
        Just(Scalar::F32),
        Just(Scalar::F64),
        Just(Scalar::Handle),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i32>().prop_map(Value::S32),
        any::<u32>().prop_map(Value::U32),
        any::<i64>().prop_map(Value::S64),
        any::<u64>().prop_map(Value::U64),
        any::<f32>().prop_map(Value::F32),
        any::<f64>().prop_map(Value::F64),
        any::<Option<u64>>().prop_map(|number| Value::Handle(number.map(Handle::from_number))),
    ]
}

fn parameter() -> impl Strategy<Value = Parameter> {
    prop_oneof![
        scalar().prop_map(Parameter::Value),
        scalar().prop_map(Parameter::Place),
        Just(Parameter::Text),
        Just(Parameter::Input),
        Just(Parameter::Output),
        Just(Parameter::Both),
    ]
}

fn argument() -> impl Strategy<Value = Argument> {
    prop_oneof![
        value().prop_map(Argument::Value),
        value().prop_map(Argument::Place),
        any::<Option<String>>().prop_map(Argument::Text),
        vec(any::<u8>(), 0..300).prop_map(Argument::Input),
        any::<u32>().prop_map(Argument::Output),
        vec(any::<u8>(), 0..300).prop_map(Argument::Both),
    ]
}

fn signature() -> impl Strategy<Value = Signature> {
    let returns = prop_oneof![Just(Returns::Nothing), scalar().prop_map(Returns::Value), Just(Returns::Text)];
    (vec(parameter(), 0..=limits::PARAMETERS), returns)
        .prop_map(|(parameters, returns)| Signature { parameters, returns })
}

fn request() -> impl Strategy<Value = Request<'static>> {
    let symbols = proptest::collection::btree_set("[a-z]{1,9}", 0..9);
    let libraries = proptest::collection::btree_map("lib[a-z]{1,9}", symbols, 0..9);
    let grant = libraries.prop_map(|libraries| Grant::new(libraries).unwrap());
    prop_oneof![
        (any::<u32>(), any::<u32>(), grant).prop_map(|(version, generation, grant)| Request::Hello {
            version,
            generation,
            grant: Cow::Owned(grant)
        }),
        any::<String>().prop_map(|name| Request::Open { name: Cow::Owned(name) }),
        (any::<u32>(), any::<String>(), signature()).prop_map(|(library, symbol, signature)| {
            Request::Function { library, symbol: Cow::Owned(symbol), signature: Cow::Owned(signature) }
        }),
        (any::<u32>(), vec(argument(), 0..=limits::PARAMETERS))
            .prop_map(|(function, arguments)| Request::Call { function, arguments: Cow::Owned(arguments) }),
        any::<u64>().prop_map(|handle| Request::Forget { handle }),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let out = prop_oneof![value().prop_map(Out::Value), vec(any::<u8>(), 0..300).prop_map(Out::Buffer)];
    let returned = prop_oneof![
        Just(Returned::Nothing),
        value().prop_map(Returned::Value),
        any::<Option<String>>().prop_map(Returned::Text),
    ];
    let outcome = (returned, vec(out, 0..=limits::PARAMETERS))
        .prop_map(|(returned, outs)| Ok(Answer::Outcome(Outcome { returned, outs })));
    prop_oneof![
        any::<u32>().prop_map(|version| Ok(Answer::Ready { version })),
        any::<u32>().prop_map(|number| Ok(Answer::Number(number))),
        outcome,
        Just(Ok(Answer::Forgotten)),
        (proptest::sample::select(&Code::ALL[..]), any::<String>())
            .prop_map(|(code, detail)| Err(Error::new(code, detail))),
    ]
}

/// Compared as bytes: a NaN is not itself.
fn round_trips<M: Message + std::fmt::Debug>(message: &M, number: u32) {
    let (mut frame, mut again) = (b"rest of before".to_vec(), Vec::new());
    encode(message, number, &mut frame);
    assert_eq!(length(&frame), Ok(Some(frame.len())));
    let (read, message) = decode::<M>(&frame).unwrap();
    encode(&message, read, &mut again);
    assert_eq!((read, again), (number, frame.clone()));
    for end in 0..frame.len() {
        assert!(decode::<M>(&frame[..end]).is_err());
    }
}

proptest! {
    #[test]
    fn requests_round_trip(request in request(), number: u32) {
        round_trips(&request, number);
    }

    #[test]
    fn replies_round_trip(reply in reply(), number: u32) {
        round_trips(&reply, number);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(body in vec(any::<u8>(), 0..400)) {
        let mut frame = u32::try_from(body.len()).unwrap().to_le_bytes().to_vec();
        frame.extend_from_slice(&body);
        let _ = (decode::<Request<'_>>(&frame), decode::<Reply>(&frame), length(&body));
    }

    #[test]
    fn no_damage_makes_the_reader_panic(request in request(), reply in reply(), at: usize, with: u8) {
        let mut frame = Vec::new();
        encode(&request, 1, &mut frame);
        let place = at % frame.len();
        frame[place] = with;
        let _ = decode::<Request<'_>>(&frame);
        encode(&reply, 1, &mut frame);
        let place = at % frame.len();
        frame[place] = with;
        let _ = decode::<Reply>(&frame);
    }
}

#[test]
fn a_long_frame_is_refused_before_it_is_read() {
    let most = u32::try_from(limits::FRAME).unwrap();
    assert_eq!(length(&most.to_le_bytes()), Ok(Some(limits::FRAME + 4)));
    assert_eq!(length(&(most + 1).to_le_bytes()), Err(Malformed::TooLong(limits::FRAME + 1)));
    assert_eq!(length(&[0; 3]), Ok(None));
}

#[test]
fn the_longest_messages_fit_a_frame() {
    let replaced = "\u{fffd}".repeat(limits::TEXT);
    let outs = vec![Out::Buffer(vec![0; limits::BUFFERS / limits::PARAMETERS]); limits::PARAMETERS];
    let outcome = Outcome { returned: Returned::Text(Some(replaced)), outs };
    let mut frame = Vec::new();
    encode::<Reply>(&Ok(Answer::Outcome(outcome)), 1, &mut frame);
    assert!(length(&frame).is_ok());
    // Many short names: their lengths count.
    let symbols = (0..limits::GRANT / 10 - 10).map(|number| format!("{number:06}")).collect::<Vec<_>>();
    let grant = Grant::new([("lib.so".to_owned(), symbols)]).unwrap();
    let hello = Request::Hello { version: VERSION, generation: 1, grant: Cow::Borrowed(&grant) };
    encode(&hello, 1, &mut frame);
    assert!(length(&frame).is_ok());
}
