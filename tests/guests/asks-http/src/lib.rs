//! Asks one address over HTTP in every sample. What came of it is a fault: `answered: 200, 5 bytes: hello`, or the error.

use cardcage_sdk::http::{Client as _, Method, Network, Request};
use cardcage_sdk::{Error, Place, Probe, Sample, Sensor, Settings};
use serde::Deserialize;

/// The guest.
pub struct AsksHttp(AskSettings);

#[derive(Deserialize)]
struct AskSettings {
    url: String,
    send: String,
    most: usize,
    host: String,
}

impl AsksHttp {
    fn ask(&self) -> Result<String, Error> {
        let AskSettings { url, send, most, host } = &self.0;
        let mut request = Request::get(url)?;
        if !send.is_empty() {
            request = Request::new(Method::Post, url)?.json(send.as_bytes());
        }
        if !host.is_empty() {
            request = request.header("host", host);
        }
        let response = Network.send(&request.at_most(*most))?;
        let start: String = String::from_utf8_lossy(&response.body).chars().take(64).collect();
        let location = response.header("location").unwrap_or_default();
        Ok(format!("{}, {} bytes: {start}{location}", response.status, response.body.len()))
    }
}

impl Probe for AsksHttp {
    fn configure(settings: &Settings) -> Result<Self, Error> {
        Ok(Self(settings.parse()?))
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        let said = self.ask().unwrap_or_else(|error| format!("{}: {}", error.code, error.detail));
        let sensors = vec![Sensor::fan(Place::board(), "alive", 1000.0)];
        Ok(Sample { sensors, faults: vec![Error::new("answered", said)], ..Sample::default() })
    }
}

cardcage_sdk::export_probe!(AsksHttp);
