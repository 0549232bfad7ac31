//! A probe as it was built for the contract 0.1: against that text as it was released, with nothing of today's SDK. It
//! calls each capability that every probe had then, and fills of the readings what each kind of field is made of.

wit_bindgen::generate!({
    path: [
        "../../../wit/released/0.1.0/types",
        "../../../wit/released/0.1.0/host",
        "../../../wit/released/0.1.0/probe",
    ],
    world: "cardcage:probe/probe",
    generate_all,
    pub_export_macro: true,
});

use cardcage::host::{files, kernel, log};
use cardcage::types::errors::Error;
use cardcage::types::readings::{Limits, Memory, Place, Sample, Sensor, Value};

/// The probe.
pub struct Probe01;

impl exports::cardcage::probe::sampler::Guest for Probe01 {
    fn configure(_: String) -> Result<u8, Error> {
        log::write(log::Level::Info, "a probe of the contract 0.1 is configured");
        Ok(2)
    }

    fn sample() -> Result<Sample, Error> {
        let memory = kernel::memory()?;
        let batch = files::Batch::open(&["/sys/class/hwmon/hwmon9999/name".to_owned()]);
        let contents = batch?.read();
        let limits = Limits {
            lower_caution: None,
            lower_critical: None,
            upper_caution: Some(80.0),
            upper_critical: None,
            upper_fatal: None,
        };
        let sensor = Sensor {
            place: Place { part: "board".into(), name: String::new() },
            kind: "temperature".into(),
            name: "as-in-0-1".into(),
            role: Some("primary".into()),
            value: Some(41.5),
            unit: "Cel".into(),
            status: "ok".into(),
            limits,
        };
        Ok(Sample {
            cpu: None,
            memory: Some(Memory {
                total: Some(memory.total),
                used: None,
                free: None,
                swap_total: None,
                swap_free: None,
                extra: vec![("spoken".into(), Value::Text("0.1".into()))],
            }),
            networks: Vec::new(),
            disks: Vec::new(),
            gpus: Vec::new(),
            sensors: vec![sensor],
            identity: None,
            faults: contents.into_iter().filter_map(Result::err).collect(),
        })
    }
}

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, reason = "the exported names of the canonical ABI")]
const _: () = {
    export!(Probe01);
};
