//! An example for vendors: a probe that reads a management controller over Redfish.
//!
//! ```text
//! root -> Chassis -> each: Thermal, Power, or else Sensors, or else ThermalMetrics   the walk: what there is
//!                            `-> one after the other, round and round                the readings
//! ```
//! A controller takes its time, and a call has two seconds: so a sample asks for a few resources, in turn, and shows what
//! it knows of all. A resource that cannot be read is a fault, and its sensors failed, until its turn comes again; when
//! the controller itself does not answer, so are all.

mod bmc; // asks
mod readings; // JSON to sensors
mod walk; // what there is, and whose turn it is

use cardcage_sdk::http::Network;
use cardcage_sdk::{Error, Probe, Sample, Settings, clock};

use walk::Walk;

/// The probe.
pub struct Redfish(Walk);

/// `[plugins.settings.redfish]`. The agent has checked it against `plugin.toml` and filled in the defaults.
#[derive(serde::Deserialize)]
struct RedfishSettings {
    url: String,
    user: String,
    password: String,
    chassis: Vec<String>,
    requests: u32,
}

impl Probe for Redfish {
    fn configure(settings: &Settings) -> Result<Self, Error> {
        Ok(Self(Walk::new(settings.parse()?)))
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        Ok(self.0.sample(&Network, clock::now))
    }
}

cardcage_sdk::export_probe!(Redfish);
