//! Names and units of the kernel's sensor files (`Documentation/hwmon/sysfs-interface.rst`).
//!
//! A channel is a quantity with a number (`temp1`), its files are attributes of it (`temp1_input`, `temp1_max`, …). All
//! hold whole numbers: thousandths for temperature, voltage, current and humidity, millionths for power and energy.

use cardcage_sdk::{Limits, Quantity, units};

/// Nothing is colder than this, in thousandths of a degree. Drivers write it, or less, for "not set" or "not fitted".
pub(crate) const ABSOLUTE_ZERO: i64 = -273_150;

/// The name of a sensor file, taken apart.
#[derive(Debug, PartialEq)]
pub(crate) struct Attribute<'a> {
    /// `temp1`
    pub(crate) channel: &'a str,
    pub(crate) quantity: Quantity,
    pub(crate) number: u32,
    /// `input`
    pub(crate) name: &'a str,
}

/// Takes the name of a file apart; `None` for a file that is not of a sensor that we know.
pub(crate) fn parse(file: &str) -> Option<Attribute<'_>> {
    let (channel, name) = file.split_once('_')?;
    let (prefix, number) = channel.split_at_checked(channel.find(|c: char| c.is_ascii_digit())?)?;
    Some(Attribute { channel, quantity: quantity(prefix)?, number: number.parse().ok()?, name })
}

fn quantity(prefix: &str) -> Option<Quantity> {
    Some(match prefix {
        "temp" => Quantity::Temperature,
        "in" => Quantity::Voltage,
        "curr" => Quantity::Current,
        "power" => Quantity::Power,
        "energy" => Quantity::Energy,
        "fan" => Quantity::Fan,
        "humidity" => Quantity::Humidity,
        "freq" => Quantity::Frequency,
        _ => return None,
    })
}

/// The number of a file in the unit of the readings.
pub(crate) fn scaled(quantity: Quantity, raw: i64) -> f64 {
    match quantity {
        Quantity::Temperature | Quantity::Voltage | Quantity::Current | Quantity::Humidity => {
            units::milli(raw)
        }
        Quantity::Power | Quantity::Energy => units::micro(raw),
        Quantity::Fan | Quantity::Frequency => raw as f64,
    }
}

/// Which threshold an attribute is.
pub(crate) type Threshold = fn(&mut Limits) -> &mut Option<f64>;

/// The attributes that are thresholds. `crit` and `lcrit` ask for action, `min` and `max` for attention.
pub(crate) const THRESHOLDS: [(&str, Threshold); 5] = [
    ("min", |limits| &mut limits.lower_caution),
    ("lcrit", |limits| &mut limits.lower_critical),
    ("max", |limits| &mut limits.upper_caution),
    ("crit", |limits| &mut limits.upper_critical),
    ("emergency", |limits| &mut limits.upper_fatal),
];

/// The threshold in the unit of the readings, `None` where the number says that nobody set it: 0 (but water freezes at
/// 0 °C, and a temperature may fall to it), or a temperature that cannot be.
pub(crate) fn threshold(quantity: Quantity, attribute: &str, raw: i64) -> Option<f64> {
    let lower = attribute == "min" || attribute == "lcrit";
    let set = match quantity {
        Quantity::Temperature => raw > ABSOLUTE_ZERO && (raw != 0 || lower),
        Quantity::Humidity => raw != 0 || lower,
        _ => raw != 0,
    };
    set.then(|| scaled(quantity, raw))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_file_is_a_quantity_a_number_and_an_attribute() {
        let attribute =
            Attribute { channel: "temp12", quantity: Quantity::Temperature, number: 12, name: "crit_alarm" };
        assert_eq!(parse("temp12_crit_alarm"), Some(attribute));
        assert_eq!(parse("in0_input").map(|a| (a.quantity, a.number)), Some((Quantity::Voltage, 0)));
    }

    #[test]
    fn other_files_are_not_sensors() {
        for file in [
            "name",
            "uevent",
            "pwm1_enable",
            "temp_input",
            "temp1",
            "temp1x_input",
            "temp99999999999_input",
            "_",
            "1_input",
        ] {
            assert_eq!(parse(file), None, "{file}");
        }
    }

    #[test]
    fn numbers_become_units() {
        assert_eq!(scaled(Quantity::Temperature, -1_500), -1.5);
        assert_eq!(scaled(Quantity::Voltage, 12_096), 12.096);
        assert_eq!(scaled(Quantity::Power, 45_250_000), 45.25);
        assert_eq!(scaled(Quantity::Fan, 2_400), 2_400.0);
    }

    #[test]
    fn thresholds_that_nobody_set_are_absent() {
        assert_eq!(threshold(Quantity::Voltage, "max", 0), None);
        assert_eq!(threshold(Quantity::Fan, "min", 0), None);
        assert_eq!(threshold(Quantity::Temperature, "crit", 0), None);
        assert_eq!(threshold(Quantity::Temperature, "min", -273_150), None);
        assert_eq!(threshold(Quantity::Temperature, "min", 0), Some(0.0));
        assert_eq!(threshold(Quantity::Temperature, "max", 84_850), Some(84.85));
    }

    proptest! {
        #[test]
        fn any_name_is_taken_apart_or_refused(file in "\\PC{0,40}") {
            if let Some(attribute) = parse(&file) {
                prop_assert_eq!([attribute.channel, attribute.name].join("_"), file);
            }
        }
    }
}
