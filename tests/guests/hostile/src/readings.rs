//! What no board has.

use std::hash::{BuildHasher as _, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cardcage_sdk::{Cpu, Gpu, Identity, Limits, Place, Sample, Sensor, Value};

/// One sensor that nobody can object to.
pub(crate) fn fine() -> Sample {
    Sample { sensors: vec![sensor("fine", 1.0)], ..Sample::default() }
}

pub(crate) fn sensors(count: u32) -> Sample {
    let sensors = (0..count).map(|number| sensor(&number.to_string(), f64::from(number)));
    Sample { sensors: sensors.collect(), ..Sample::default() }
}

pub(crate) fn fields(count: u32) -> Sample {
    let extra = (0..count).map(|number| (String::new(), Value::Whole(number.into()))).collect();
    Sample { identity: Some(Identity { extra, ..Identity::default() }), ..Sample::default() }
}

/// Quotation marks, which take two bytes each in a report.
pub(crate) fn long_names() -> Sample {
    let names = (0..3_500).map(|number| format!("{number:04}{}", "\"".repeat(700)));
    Sample { sensors: names.map(|name| sensor(&name, 1.0)).collect(), ..Sample::default() }
}

/// Each kind of number that is none, in each kind of place, and one good sensor among them.
pub(crate) fn not_finite() -> Sample {
    let limit = Limits { upper_critical: Some(f64::NAN), ..Limits::default() };
    let mut sample = fine();
    sample.sensors.extend([
        sensor("nan", f64::NAN),
        sensor("infinite", f64::INFINITY),
        sensor("minus-infinite", f64::NEG_INFINITY),
        sensor("limit", 1.0).with_limits(limit),
    ]);
    sample.cpu = Some(Cpu { usage: Some(f64::NAN), cores: Some(4096), ..Cpu::default() });
    sample.gpus.push(Gpu {
        device: "0000:66:00.0".into(),
        compute_usage: Some(f64::INFINITY),
        ..Gpu::default()
    });
    let extra = vec![("nan".into(), Value::Real(f64::NAN)), ("fine".into(), Value::Real(1.0))];
    sample.identity = Some(Identity { extra, ..Identity::default() });
    sample
}

/// Clears a screen, moves its cursor, and writes a line of its own; the last is too long for a name.
pub(crate) fn terminal_codes() -> Sample {
    let names = ["\x1b[2J\x1b[H", "line\nERROR forged", &"长".repeat(1000)];
    Sample { sensors: names.map(|name| sensor(name, 1.0)).into(), ..Sample::default() }
}

/// What is another number at each look.
pub(crate) fn time() -> Sample {
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let random = RandomState::new().hash_one("a key of its own in each run") % 1_000_000;
    let waited = Instant::now();
    std::thread::sleep(Duration::from_millis(1));
    #[expect(clippy::cast_precision_loss, reason = "it is less than a million")]
    let sensors = [
        sensor("wall", wall / 1e7),
        sensor("random", random as f64 / 1e4),
        sensor("waited", waited.elapsed().as_secs_f64()),
    ];
    Sample { sensors: sensors.into(), ..Sample::default() }
}

/// Each sensor breaks another rule.
pub(crate) fn wrong_units() -> Sample {
    let mut sample = fine();
    sample.sensors.extend([
        Sensor { unit: "F".into(), ..sensor("fahrenheit", 90.0) },
        sensor("colder than nothing", -300.0),
        Sensor { status: "failed".into(), ..sensor("failed with a value", 1.0) },
        sensor("falling", 1.0).with_limits(Limits {
            upper_caution: Some(90.0),
            upper_critical: Some(80.0),
            ..Limits::default()
        }),
        sensor("twice", 1.0),
        sensor("twice", 2.0),
    ]);
    sample.cpu = Some(Cpu { usage: Some(101.0), ..Cpu::default() });
    sample
}

/// [`Sensor::temperature`] would mend the number.
fn sensor(name: &str, value: f64) -> Sensor {
    Sensor { value: Some(value), status: "ok".into(), ..Sensor::temperature(Place::board(), name, 0.0) }
}
