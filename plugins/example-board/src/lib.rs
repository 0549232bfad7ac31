//! An example for vendors: a probe of one type of board, whose rails are a table of settings, since the same chips sit
//! behind other dividers on each board.
//!
//! ```text
//! settings -> rails -> search, now and then: which chip is which -> one batch -> every sample: sensors and faults
//! ```
//!
//! A rail that cannot be read is a sensor that failed and a fault that says why, never a 0. Limits go along with a value:
//! whoever shows it judges it, and its status stays `ok`, since any other says that there is no value.

use std::collections::BTreeMap;

use cardcage_sdk::files::{self, Batch, Board, Contents, Files, Paths, Slot};
use cardcage_sdk::{Error, Limits, Place, Probe, Quantity, Reading, Sample, Search, Sensor, Settings};
use cardcage_sdk::{Step, Support, code, device, units};

const HWMON: &str = "/sys/class/hwmon";

/// The probe.
pub struct ExampleBoard {
    rails: BTreeMap<String, Rail>,
    search: Search,
    /// Where each rail is read, or why nowhere.
    slots: Vec<Result<Slot, Error>>,
    batch: Option<Batch>,
}

/// `[plugins.settings.example-board]`. The agent has checked it against `plugin.toml` and filled in the defaults.
#[derive(serde::Deserialize)]
struct BoardSettings {
    rails: BTreeMap<String, Rail>,
}

#[derive(serde::Deserialize)]
struct Rail {
    chip: String,
    device: Option<String>,
    channel: String,
    name: Option<String>,
    role: Option<String>,
    scale: f64,
    offset: f64,
    limits: RailLimits,
}

#[derive(serde::Deserialize)]
struct RailLimits {
    low: Option<f64>,
    high: Option<f64>,
    critical: Option<f64>,
}

impl Probe for ExampleBoard {
    fn configure(settings: &Settings) -> Result<Self, Error> {
        let BoardSettings { rails } = settings.parse()?;
        // What the manifest's schema cannot say. The operator reads the text in `cardcage-agent plugin list`.
        if let Some((key, rail)) = rails.iter().find(|(_, rail)| quantity(&rail.channel).is_none()) {
            let channel = &rail.channel;
            return Err(Error::invalid(format!(
                "rails.{key}.channel is {channel:?}; it must be such as in1 or curr2"
            )));
        }
        Ok(Self { rails, search: Search::default(), slots: Vec::new(), batch: None })
    }

    /// The agent has compared the board with `[[boards]]` before this runs.
    fn support(&self) -> Support {
        if self.rails.is_empty() { Support::Nothing } else { Support::Board }
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        // Drivers come and go, and the number of `hwmon3` is dealt out anew each time.
        if self.search.next_sample() != Step::Keep {
            let (paths, slots) = find(&self.rails, &Board)?;
            (self.batch, self.slots) = (Some(paths.open()?), slots);
            self.search.searched();
        }
        let contents = self.batch.as_ref().map(|batch| Contents::from(batch.read())).unwrap_or_default();
        Ok(readings(&self.rails, &self.slots, &contents))
    }
}

/// What a file counts in, in the unit of the readings.
type Unit = fn(i64) -> f64;

/// What a channel measures, and what its file counts in.
fn quantity(channel: &str) -> Option<(Quantity, Unit)> {
    let number = channel.find(|c: char| c.is_ascii_digit())?;
    let (prefix, number) = channel.split_at_checked(number)?;
    let _: u32 = number.parse().ok()?;
    Some(match prefix {
        "in" => (Quantity::Voltage, units::milli),
        "curr" => (Quantity::Current, units::milli),
        "power" => (Quantity::Power, units::micro),
        "temp" => (Quantity::Temperature, units::milli),
        _ => return None,
    })
}

/// The file of each rail.
fn find(
    rails: &BTreeMap<String, Rail>,
    board: &impl Files,
) -> Result<(Paths, Vec<Result<Slot, Error>>), Error> {
    let (entries, mut names) = (board.entries(HWMON)?, Paths::default());
    let chips: Vec<_> =
        entries.iter().map(|chip| (chip, names.add(format!("{HWMON}/{chip}/name")))).collect();
    let contents = names.read(board)?;
    let mut paths = Paths::default();
    let slots = rails.iter().map(|(key, rail)| {
        let is_it = |chip: &str| {
            let at = |ending: &String| {
                let place = board.resolve(&format!("{HWMON}/{chip}/device"));
                place.is_ok_and(|place| device::stable_name(&place).ends_with(ending.as_str()))
            };
            rail.device.as_ref().is_none_or(at)
        };
        let named = chips.iter().filter(|(_, name)| contents.text(*name) == Some(&rail.chip));
        let found: Vec<_> = named.filter(|(chip, _)| is_it(chip)).collect();
        match found.as_slice() {
            [(chip, _)] => Ok(paths.add(format!("{HWMON}/{chip}/{}_input", rail.channel))),
            [] => Err(Error::absent(format!("rails.{key}: this board has no such chip as {}", rail.chip))),
            _ => Err(Error::invalid(format!("rails.{key}: several chips are {}; set device", rail.chip))),
        }
    });
    let slots = slots.collect();
    Ok((paths, slots))
}

fn readings(rails: &BTreeMap<String, Rail>, slots: &[Result<Slot, Error>], contents: &Contents) -> Sample {
    let mut sample = Sample::default();
    for ((key, rail), slot) in rails.iter().zip(slots) {
        let Some((quantity, unit)) = quantity(&rail.channel) else { continue };
        let place = Place::new("rail", rail.name.as_ref().unwrap_or(key));
        let raw = slot.as_ref().map_err(Error::clone).and_then(|slot| number(key, contents, *slot));
        let reading = match raw {
            Ok(raw) => Reading::Value(unit(raw) * rail.scale + rail.offset),
            // Switched off: nothing is wrong.
            Err(error) if error.is(code::UNAVAILABLE) => Reading::Unavailable,
            Err(error) => {
                sample.faults.push(error);
                Reading::Failed
            }
        };
        let RailLimits { low, high, critical } = rail.limits;
        let limits =
            Limits { lower_caution: low, upper_caution: high, upper_critical: critical, ..Limits::default() };
        let sensor = Sensor::new(quantity, place, key, reading).with_limits(limits);
        sample.sensors.push(Sensor { role: rail.role.clone(), ..sensor });
    }
    sample
}

fn number(key: &str, contents: &Contents, slot: Slot) -> Result<i64, Error> {
    match contents.get(slot) {
        Some(Ok(text)) => {
            files::number(text).ok_or_else(|| Error::invalid(format!("rails.{key}: {text:?} is no number")))
        }
        Some(Err(error)) => Err(Error::new(&error.code, format!("rails.{key}: {}", error.detail))),
        None => Err(Error::absent(format!("rails.{key} was not read"))),
    }
}

cardcage_sdk::export_probe!(ExampleBoard);

#[cfg(test)]
mod tests {
    use cardcage_sdk::fake::Tree;

    use super::*;

    const RAIL: &str = r#""channel":"in1","scale":4,"offset":0,"limits":{"low":11.4}"#;

    fn board() -> Tree {
        let chip = |tree: Tree, number: u32, address: &str, volts: &str| {
            let device = format!("/sys/devices/platform/fe804000.i2c/i2c-1/1-{address}");
            let folder = format!("{device}/hwmon/hwmon{number}");
            tree.link(&format!("{HWMON}/hwmon{number}"), &folder)
                .link(&format!("{folder}/device"), &device)
                .file(&format!("{folder}/name"), "ina226")
                .file(&format!("{folder}/in1_input"), volts)
        };
        let tree = chip(Tree::new(), 0, "0040", "3015");
        chip(tree, 1, "0041", "garbage")
    }

    fn sample(rails: &str) -> Sample {
        let settings: BoardSettings = Settings::from_json(format!("{{\"rails\":{rails}}}")).parse().unwrap();
        let board = board();
        let (paths, slots) = find(&settings.rails, &board).unwrap();
        readings(&settings.rails, &slots, &paths.read(&board).unwrap())
    }

    #[test]
    fn a_rail_is_what_the_chip_measures_times_its_divider() {
        let sample =
            sample(&format!(r#"{{"p12v":{{"chip":"ina226","device":"0040","name":"12V",{RAIL}}}}}"#));
        let sensor = &sample.sensors[0];
        assert_eq!((&sensor.place, sensor.value), (&Place::new("rail", "12V"), Some(12.06)));
        assert_eq!((sensor.limits.lower_caution, sensor.limits.upper_critical), (Some(11.4), None));
        assert_eq!(sample.faults, []);
    }

    #[test]
    fn a_rail_that_cannot_be_read_is_a_fault_in_its_place() {
        for (chip, says) in [
            (r#""chip":"lm75""#, "rails.a: this board has no such chip as lm75"),
            (r#""chip":"ina226""#, "rails.a: several chips are ina226; set device"),
            (r#""chip":"ina226","device":"0041""#, "rails.a: \"garbage\" is no number"),
        ] {
            let sample = sample(&format!(r#"{{"a":{{{chip},{RAIL}}}}}"#));
            assert_eq!((sample.sensors[0].status.as_str(), sample.sensors[0].value), ("failed", None));
            assert_eq!(sample.faults[0].detail, says);
        }
    }

    #[test]
    fn a_channel_that_is_none_is_refused() {
        let rails = format!(r#"{{"rails":{{"a":{{"chip":"c",{}}}}}}}"#, RAIL.replace("in1", "pwm1"));
        let refusal = ExampleBoard::configure(&Settings::from_json(rails)).err().unwrap();
        assert_eq!(refusal.detail, "rails.a.channel is \"pwm1\"; it must be such as in1 or curr2");
    }
}
