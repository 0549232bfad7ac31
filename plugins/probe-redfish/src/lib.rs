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

use cardcage_sdk::http::{Network, Request};
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
        let settings: RedfishSettings = settings.parse()?;
        // What the manifest's schema cannot say. The operator reads the text in `cardcage-agent plugin list`.
        let whole = Request::get(&settings.url).is_ok_and(|request| request.path() == "/");
        if !whole {
            let url = &settings.url;
            return Err(Error::invalid(format!("url is {url:?}; it must be such as https://10.0.0.5")));
        }
        Ok(Self(Walk::new(settings)))
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        Ok(self.0.sample(&Network, clock::now))
    }
}

cardcage_sdk::export_probe!(Redfish);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_refused() {
        for url in ["10.0.0.5", "https://10.0.0.5/redfish/v1", "https://user@bmc"] {
            let settings = format!(r#"{{"url":"{url}","user":"","password":"","chassis":[],"requests":6}}"#);
            let refusal = Redfish::configure(&Settings::from_json(settings)).err().unwrap();
            assert!(refusal.detail.contains(url), "{refusal:?}");
        }
    }
}
