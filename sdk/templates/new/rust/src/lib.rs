//! What the plugin reads: the share of the board's memory that a new program could get.

use cardcage_sdk::{Error, Limits, Place, Probe, Sample, Sensor, Settings, kernel};

struct Plugin;

impl Probe for Plugin {
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self)
    }

    // What cannot be read becomes a fault, never a 0; the rest is still a sample.
    fn sample(&mut self) -> Result<Sample, Error> {
        let (sensors, faults) = match available() {
            Ok(sensor) => (vec![sensor], vec![]),
            Err(error) => (vec![], vec![error]),
        };
        Ok(Sample { sensors, faults, ..Sample::default() })
    }
}

fn available() -> Result<Sensor, Error> {
    let memory = kernel::memory()?;
    let Some(bytes) = memory.available else {
        return Err(Error::absent("this kernel does not say what is available"));
    };
    Ok(Sensor {
        place: Place::board(),
        kind: "memory".into(),
        name: "available".into(),
        role: None,
        value: Some(100.0 * bytes as f64 / memory.total as f64),
        unit: "%".into(),
        status: "ok".into(),
        limits: Limits::default(),
    })
}

cardcage_sdk::export_probe!(Plugin);
