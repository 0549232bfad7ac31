//! Answers are found again, whatever is asked and whatever is in a file.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Fault, Header, Index, Outcome, Recording, Stage, Tape, Thing};
use crate::plugin::bindings::cardcage::types::errors::Error;

type Text = Result<String, Error>;

fn header() -> Header {
    Header {
        format: Recording::FORMAT,
        plugin: "probe".to_owned(),
        version: "1.0.0".to_owned(),
        digest: String::new(),
        agent: "0.1.0".to_owned(),
        architecture: "aarch64".to_owned(),
        every_ms: 1000,
        seed: Uuid::from_u128(7),
        settings: json!({}),
    }
}

/// What the board says for a path in each sample.
async fn recorded(samples: &[&[(&str, &str)]]) -> Arc<Index> {
    let tape = Tape::recording(header());
    tape.begin(Stage::Start);
    for answers in samples {
        tape.begin(Stage::Sample);
        for (path, said) in *answers {
            let live = async { Text::Ok((*said).to_owned()) };
            tape.call("files.read", tape.asked(path), live).await.unwrap();
        }
        tape.end(|| Outcome::Started);
    }
    Arc::new(Index::new(tape.take().unwrap()))
}

async fn read(tape: &Tape, path: &str) -> Text {
    let never = async { Text::Err(Error::new("live", "the board was asked")) };
    tape.call("files.read", tape.asked(path), never).await
}

#[tokio::test]
async fn answers_belong_to_their_sample_in_whatever_order_they_are_asked_for() {
    let index = recorded(&[&[("a", "1"), ("b", "2"), ("a", "3")], &[("a", "4")], &[("b", "5")]]).await;
    let tape = Tape::playing(index, None);
    tape.begin(Stage::Start);
    tape.begin(Stage::Sample);
    let mut said = Vec::new();
    for path in ["b", "a", "a", "a"] {
        said.push(read(&tape, path).await.unwrap());
    }
    // What is asked for more often than it was is answered as the last time.
    assert_eq!(said, ["2", "1", "3", "3"]);
    tape.begin(Stage::Sample);
    // Not asked for in this sample: what was known before it.
    assert_eq!((read(&tape, "a").await.unwrap(), read(&tape, "b").await.unwrap()), ("4".into(), "2".into()));
    // The last sample comes again and again.
    for _ in 0..3 {
        tape.begin(Stage::Sample);
        assert_eq!(
            (read(&tape, "a").await.unwrap(), read(&tape, "b").await.unwrap()),
            ("4".into(), "5".into())
        );
    }
    // An instance that starts anew is at the beginning.
    tape.begin(Stage::Start);
    tape.begin(Stage::Sample);
    assert_eq!(read(&tape, "a").await.unwrap(), "1");
    assert_eq!(read(&tape, "c").await.unwrap_err().code, "absent");
    assert_eq!(tape.misses(), [r#"files.read "c""#]);
}

#[tokio::test]
async fn what_is_made_to_fail_does_and_nothing_else() {
    let index = recorded(&[&[("a", "1"), ("b", "2")]]).await;
    let play = |fault| {
        let tape = Tape::playing(Arc::clone(&index), Some(fault));
        tape.begin(Stage::Start);
        tape.begin(Stage::Sample);
        tape
    };
    let tape = play(Fault::Missing(Thing { capability: "files", name: "a".to_owned() }));
    assert_eq!(read(&tape, "a").await.unwrap_err().code, "absent");
    assert_eq!(read(&tape, "b").await.unwrap(), "2");
    let tape = play(Fault::Denied("files"));
    assert_eq!(read(&tape, "b").await.unwrap_err().code, "denied");
    let tape = play(Fault::Denied("kernel"));
    assert_eq!(read(&tape, "b").await.unwrap(), "2");
}

#[tokio::test]
async fn of_a_set_only_the_part_that_is_missing_fails() {
    let tape = Tape::recording(header());
    tape.begin(Stage::Sample);
    let live = async { vec![Text::Ok("1".to_owned()), Text::Ok("2".to_owned())] };
    tape.call("files.batch", tape.asked(["a", "b"]), live).await;
    let index = Arc::new(Index::new(tape.take().unwrap()));
    let missing = Thing { capability: "files", name: "b".to_owned() };
    let tape = Tape::playing(index, Some(Fault::Missing(missing)));
    tape.begin(Stage::Sample);
    let never = || async { Vec::<Text>::new() };
    let said = tape.call("files.batch", tape.asked(["a", "b"]), never()).await;
    assert_eq!((said[0].as_deref().unwrap(), said[1].as_ref().unwrap_err().code.as_str()), ("1", "absent"));
    // As many answers as there are questions, also where nobody knows any.
    let said = tape.call("files.batch", tape.asked(["a", "b", "c"]), never()).await;
    assert_eq!(said.iter().filter(|said| said.is_err()).count(), 3);
}

#[test]
fn a_clock_goes_on_where_the_recording_ends_and_never_back() {
    let tape = Tape::recording(header());
    for (stage, now) in [(Stage::Start, 5), (Stage::Sample, 10), (Stage::Sample, 20)] {
        tape.begin(stage);
        tape.time("time.wall", || Duration::from_secs(now));
    }
    let tape = Tape::playing(Arc::new(Index::new(tape.take().unwrap())), None);
    let never = || Duration::MAX;
    let mut said = Vec::new();
    for stage in [Stage::Start, Stage::Sample, Stage::Sample, Stage::Sample, Stage::Sample] {
        tape.begin(stage);
        said.push(tape.time("time.wall", never).as_secs());
    }
    assert_eq!(said, [5, 10, 20, 21, 22]);
    // Whatever a recording says of the time between samples.
    let endless = Recording::new(Header { every_ms: u64::MAX, ..header() });
    let forever = Tape::playing(Arc::new(Index::new(endless)), None);
    for _ in 0..2000 {
        forever.begin(Stage::Sample);
        forever.time("time.wall", never);
    }
    let (first, second) = (tape.time("time.wall", never), tape.time("time.wall", never));
    assert!(first < second && second < Duration::from_secs(23), "{first:?} {second:?}");
}

#[test]
fn floats_of_libraries_come_back_by_their_bits() {
    use cardcage_native::Value as Native;
    for bits in
        [0x7ff8_0000_0000_1234_u64, f64::NEG_INFINITY.to_bits(), (-0.0_f64).to_bits(), 0.1_f64.to_bits()]
    {
        let text = serde_json::to_string(&Native::F64(f64::from_bits(bits))).unwrap();
        let Native::F64(back) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        assert_eq!(back.to_bits(), bits, "{text}");
    }
    let text = serde_json::to_string(&Native::F32(f32::NAN)).unwrap();
    let Native::F32(back) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
    assert_eq!(back.to_bits(), f32::NAN.to_bits(), "{text}");
}

/// Any JSON that a call could bring.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::from))
}

proptest! {
    #[test]
    fn a_recording_is_read_as_it_was_written(
        calls in prop::collection::vec((any::<bool>(), "[a-z.]{1,9}", value(), value()), 0..12),
    ) {
        let mut recording = Recording::new(header());
        recording.begin(Stage::Start);
        for (begins, name, asked, answer) in calls {
            if begins {
                recording.end(Outcome::Sample(answer.clone()));
                recording.begin(Stage::Sample);
            }
            let answer = serde_json::value::to_raw_value(&answer).unwrap();
            recording.add(super::recording::Call { name, asked, answer });
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.recording");
        std::fs::write(&path, recording.to_bytes().unwrap()).unwrap();
        let back = Recording::read(&path).unwrap();
        prop_assert_eq!(format!("{:?}", back.sections), format!("{:?}", recording.sections));
        prop_assert_eq!(back.header, recording.header);
    }

    #[test]
    fn whatever_is_in_a_file_is_a_recording_or_an_error(lines in prop::collection::vec(".{0,40}", 0..6)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.recording");
        std::fs::write(&path, lines.join("\n")).unwrap();
        prop_assert!(Recording::read(&path).is_err());
    }
}
