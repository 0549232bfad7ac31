//! A vendor's plugin for a board that the agent has never heard of: dropped into the folder, it alone teaches the agent
//! which board this is and what its sensors say. The readings are made up; a real one would read them.

use cardcage_sdk::{
    Error, Gpu, Identity, Limits, Place, Probe, Reading, Sample, Sensor, Settings, Support, Value,
};

/// The accelerator of the board.
const ACCELERATOR: &str = "0000:41:00.0";

/// The ACME C2.
pub struct AcmeBoard {
    samples: i64,
}

impl Probe for AcmeBoard {
    fn configure(_: &Settings) -> Result<Self, Error> {
        cardcage_sdk::info!("ACME C2 found");
        Ok(Self { samples: 0 })
    }

    fn support(&self) -> Support {
        Support::Board
    }

    fn note(&self) -> Option<String> {
        Some("an ACME C2 with firmware 4.1".into())
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        self.samples += 1;
        Ok(Sample {
            identity: Some(self.identity()),
            gpus: vec![accelerator()],
            sensors: sensors(),
            ..Sample::default()
        })
    }
}

impl AcmeBoard {
    fn identity(&self) -> Identity {
        Identity {
            box_id: Some(7),
            slot_id: Some(12),
            cpu_id: Some(2),
            srio_id: Some(5),
            box_type: Some("计算II型".into()),
            board_type: Some("ACME".into()),
            resource_type: Some("ACME I".into()),
            manufacturer: Some("ACME 公司".into()),
            model: Some("C2".into()),
            serial: Some("C2-000417".into()),
            extra: vec![
                ("firmware".into(), Value::Text("4.1".into())),
                ("samples".into(), Value::Whole(self.samples)),
            ],
            ..Identity::default()
        }
    }
}

fn accelerator() -> Gpu {
    Gpu {
        device: ACCELERATOR.into(),
        name: Some("ACME 加速卡 X1".into()),
        vendor: Some("ACME".into()),
        compute_usage: Some(37.5),
        memory_used: Some(6 << 30),
        memory_total: Some(24 << 30),
        ..Gpu::default()
    }
}

fn sensors() -> Vec<Sensor> {
    let rail_12v = Limits { lower_critical: Some(10.8), upper_critical: Some(13.2), ..Limits::default() };
    vec![
        Sensor::temperature(Place::cpu(0), "die", 61.5),
        Sensor::temperature(Place::cpu(0), "package", 58.0),
        Sensor::power(Place::cpu(0), "core", 20.25),
        Sensor::power(Place::cpu(0), "uncore", 10.5),
        Sensor::voltage(Place::cpu(0), "core", 0.875).primary(),
        Sensor::voltage(Place::cpu(0), "io", 1.75),
        Sensor::current(Place::cpu(0), "core", 23.0).primary(),
        Sensor::temperature(Place::gpu(ACCELERATOR), "edge", 71.25),
        Sensor::power(Place::gpu(ACCELERATOR), "board", 140.5),
        Sensor::voltage(Place::new("rail", "12V"), "input", 12.0625).with_limits(rail_12v),
        Sensor::fan(Place::new("fan", "1"), "front", Reading::Unavailable),
        Sensor::temperature(Place::board(), "inlet", Reading::Failed),
    ]
}

cardcage_sdk::export_probe!(AcmeBoard);
