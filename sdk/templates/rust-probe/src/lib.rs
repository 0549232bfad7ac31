//! A probe for one type of board: Acme's X1 has a CPLD that knows the slot, the inlet's temperature and the 12 V rail.

use cardcage_sdk::files::{self, Batch, Contents, Paths, Slot};
use cardcage_sdk::{Error, Identity, Place, Probe, Reading, Sample, Sensor, Settings, Support, code, units};

const CPLD: &str = "/sys/devices/platform/acme-cpld";

/// The probe. One instance lives as long as the agent, unless it traps.
pub struct AcmeCpld {
    support: Support,
    registers: Registers,
    batch: Batch,
}

/// `[plugins.settings.acme-cpld]`, with the defaults of `plugin.toml` filled in.
#[derive(serde::Deserialize)]
struct CpldSettings {
    inlet: String,
}

impl Probe for AcmeCpld {
    fn configure(settings: &Settings) -> Result<Self, Error> {
        let CpldSettings { inlet } = settings.parse()?;
        let support = match files::read(&format!("{CPLD}/model")) {
            Ok(model) if model == "X1" => Support::Board,
            Ok(_) => Support::Nothing,
            Err(error) if error.is(code::ABSENT) => Support::Nothing,
            // Such as `denied`: the operator reads it in `cardcage-agent plugin list`.
            Err(error) => return Err(error),
        };
        let (registers, paths) = Registers::new(inlet);
        Ok(Self { support, registers, batch: paths.open()? })
    }

    fn support(&self) -> Support {
        self.support
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        Ok(self.registers.readings(&self.batch.read().into()))
    }
}

/// Where the contents of the CPLD's files are, once they are read. Everything that computes is here, and is tested
/// natively; what asks the board is above.
struct Registers {
    slot: Slot,
    inlet_temp: Slot,
    rail_12v: Slot,
    inlet: String,
}

impl Registers {
    fn new(inlet: String) -> (Self, Paths) {
        let mut paths = Paths::default();
        let mut add = |name: &str| paths.add(format!("{CPLD}/{name}"));
        let (slot, inlet_temp, rail_12v) = (add("slot"), add("inlet_temp"), add("rail_12v"));
        (Self { slot, inlet_temp, rail_12v, inlet }, paths)
    }

    fn readings(&self, contents: &Contents) -> Sample {
        let slot = contents.number(self.slot).and_then(|slot| u32::try_from(slot).ok());
        let celsius = milli(contents, self.inlet_temp);
        let volts = milli(contents, self.rail_12v);
        Sample {
            identity: Some(Identity { slot_id: slot, board_type: Some("X1".into()), ..Identity::default() }),
            sensors: vec![
                Sensor::temperature(Place::board(), &self.inlet, celsius),
                Sensor::voltage(Place::new("rail", "12V"), "cpld", volts),
            ],
            ..Sample::default()
        }
    }
}

/// A register in thousandths. Without a number there is no value: a 0 would be a measured zero.
fn milli(contents: &Contents, slot: Slot) -> Reading {
    match contents.get(slot) {
        Some(Ok(text)) => match files::number(text) {
            Some(thousandths) => Reading::Value(units::milli(thousandths)),
            None => Reading::Failed,
        },
        Some(Err(error)) if error.is(code::UNAVAILABLE) => Reading::Unavailable,
        _ => Reading::Failed,
    }
}

cardcage_sdk::export_probe!(AcmeCpld);

#[cfg(test)]
mod tests {
    use cardcage_sdk::fake::Tree;

    use super::*;

    fn sample(board: &Tree) -> Sample {
        let (registers, paths) = Registers::new("front".into());
        registers.readings(&paths.read(board).unwrap())
    }

    #[test]
    fn the_registers_become_readings() {
        let board = Tree::new()
            .file("/sys/devices/platform/acme-cpld/slot", "3")
            .file("/sys/devices/platform/acme-cpld/inlet_temp", "24500")
            .file("/sys/devices/platform/acme-cpld/rail_12v", "12060");
        let sample = sample(&board);
        assert_eq!(sample.identity.unwrap().slot_id, Some(3));
        let values: Vec<_> = sample.sensors.iter().map(|sensor| sensor.value).collect();
        assert_eq!(values, [Some(24.5), Some(12.06)]);
    }

    #[test]
    fn what_is_not_measured_is_absent() {
        let board = Tree::new()
            .file("/sys/devices/platform/acme-cpld/inlet_temp", "N/A")
            .failing("/sys/devices/platform/acme-cpld/rail_12v", code::UNAVAILABLE);
        let sample = sample(&board);
        assert_eq!(sample.identity.unwrap().slot_id, None);
        let statuses: Vec<_> = sample.sensors.iter().map(|s| (s.status.as_str(), s.value)).collect();
        assert_eq!(statuses, [("failed", None), ("unavailable", None)]);
    }
}
