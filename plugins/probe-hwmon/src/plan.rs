//! What is read at every sample, and what the sensors make of it.

use alloc::vec::Vec;
use core::time::Duration;

use cardcage_sdk::files::{self, Contents, MOST_PATHS, Paths, Slot};
use cardcage_sdk::{Error, Quantity, Reading, Sensor, code};

use crate::attribute::{self, ABSOLUTE_ZERO};
use crate::channel::Channel;
use crate::meter::Meter;

/// A sample carries at most this many sensors.
const MOST_SENSORS: usize = 4096;

/// The sensors of the board with the files to read for them, all at once.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) paths: Paths,
    sensors: Vec<Planned>,
    faults: Vec<Error>,
}

#[derive(Debug)]
struct Planned {
    channel: Channel,
    value: Slot,
    fault: Option<Slot>,
    enable: Option<Slot>,
}

/// What the files of one sensor say.
enum Outcome {
    Value(i64),
    Unavailable,
    Failed,
    /// It is not there any more.
    Gone,
}

/// One sample of all sensors.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    pub(crate) sensors: Vec<Sensor>,
    pub(crate) faults: Vec<Error>,
    /// Whether a sensor is gone that the search had found.
    pub(crate) missing: bool,
}

impl Plan {
    /// Plans to read these. What is over the limits of a batch is left out, which is a fault.
    pub(crate) fn new(channels: Vec<Channel>, mut faults: Vec<Error>) -> Self {
        let mut paths = Paths::default();
        let mut sensors = Vec::with_capacity(channels.len());
        for channel in channels {
            let wanted = 1 + usize::from(channel.fault.is_some()) + usize::from(channel.enable.is_some());
            if paths.len() + wanted > MOST_PATHS {
                faults
                    .push(Error::new(code::TOO_LARGE, "the board has more sensors than one sample can read"));
                break;
            }
            let value = paths.add(&channel.value);
            let [fault, enable] =
                [&channel.fault, &channel.enable].map(|path| path.as_ref().map(|path| paths.add(path)));
            sensors.push(Planned { channel, value, fault, enable });
        }
        Self { paths, sensors, faults }
    }

    /// Takes over what an earlier plan has counted and learned, so that a search interrupts neither the power that is told
    /// by energy nor a threshold that takes long to read.
    pub(crate) fn continue_from(&mut self, earlier: Self) {
        for planned in &mut self.sensors {
            let same = earlier.sensors.iter().find(|other| other.channel.value == planned.channel.value);
            if let Some(same) = same.filter(|_| !planned.channel.thresholds.is_empty()) {
                planned.channel.sensor.limits = same.channel.sensor.limits;
            }
            if let (Some((meter, power)), Some((earlier, other))) =
                (&mut planned.channel.power, same.and_then(|same| same.channel.power.as_ref()))
                && power.name == other.name
            {
                meter.clone_from(earlier);
            }
        }
    }

    /// The files of a sample, and after them the thresholds that are not known yet; `None` once all are known. They are read
    /// together: what is slow is read in turn, so that neither a slow value nor a slow threshold keeps the others from
    /// being read.
    pub(crate) fn with_thresholds(&self) -> Option<Paths> {
        let mut paths = self.paths.clone();
        let unread = self.sensors.iter().flat_map(|planned| &planned.channel.thresholds);
        for unread in unread.take(MOST_PATHS.saturating_sub(paths.len())) {
            paths.add(&*unread.path);
        }
        (paths.len() > self.paths.len()).then_some(paths)
    }

    /// Notes what the thresholds say that were read with [`Self::with_thresholds`].
    pub(crate) fn learn(&mut self, paths: &Paths, contents: &Contents) {
        let mut slots = paths.slots().skip(self.paths.len());
        for planned in &mut self.sensors {
            for unread in core::mem::take(&mut planned.channel.thresholds) {
                match slots.next().and_then(|slot| contents.get(slot)) {
                    Some(Ok(text)) => planned.channel.learn(&unread, files::number(text)),
                    Some(Err(error)) if !error.is(code::LATE) => planned.channel.learn(&unread, None),
                    _ => planned.channel.thresholds.push(unread),
                }
            }
        }
    }

    /// Makes a sample of the contents of [`Self::paths`], read at this time.
    pub(crate) fn readings(&mut self, contents: &Contents, at: Duration) -> Readings {
        let mut readings = Readings { faults: self.faults.clone(), ..Readings::default() };
        readings.sensors.reserve(self.sensors.len());
        for planned in &mut self.sensors {
            match planned.outcome(contents) {
                Outcome::Gone => readings.missing = true,
                Outcome::Value(raw) => planned.channel.measured(raw, at, &mut readings.sensors),
                Outcome::Unavailable => planned.channel.silent(Reading::Unavailable, &mut readings.sensors),
                Outcome::Failed => planned.channel.silent(Reading::Failed, &mut readings.sensors),
            }
        }
        readings.sensors.truncate(MOST_SENSORS);
        // Not to read what was listed is the operator's choice; one line says so, not one for each sensor.
        let denied = self.sensors.iter().filter_map(|planned| contents.get(planned.value)?.err());
        readings.faults.extend(denied.filter(|error| error.is(code::DENIED)).take(1).cloned());
        readings
    }
}

impl Planned {
    fn outcome(&self, contents: &Contents) -> Outcome {
        let number = |slot: Option<Slot>| contents.number(slot?);
        if number(self.fault).is_some_and(|fault| fault != 0) {
            return Outcome::Failed;
        }
        if number(self.enable) == Some(0) {
            return Outcome::Unavailable;
        }
        match contents.get(self.value) {
            Some(Ok(text)) => self.channel.value(text),
            Some(Err(error)) if error.is(code::UNAVAILABLE) || error.is(code::LATE) => Outcome::Unavailable,
            Some(Err(error)) if error.is(code::ABSENT) || error.is(code::DENIED) => Outcome::Gone,
            Some(Err(_)) => Outcome::Failed,
            None => Outcome::Gone,
        }
    }
}

impl Channel {
    fn value(&self, text: &str) -> Outcome {
        match files::number(text) {
            Some(raw) if self.quantity == Quantity::Temperature && raw <= ABSOLUTE_ZERO => {
                Outcome::Unavailable
            }
            Some(raw) => Outcome::Value(raw),
            None => Outcome::Failed,
        }
    }

    fn measured(&mut self, raw: i64, at: Duration, sensors: &mut Vec<Sensor>) {
        sensors.push(self.sensor.reading(attribute::scaled(self.quantity, raw)));
        if let Some((meter, power)) = &mut self.power {
            sensors.extend(meter.update(raw, at).map(|watts| power.reading(watts)));
        }
    }

    fn silent(&self, reading: Reading, sensors: &mut Vec<Sensor>) {
        sensors.push(self.sensor.reading(reading));
        sensors.extend(self.power.iter().map(|(_, power): &(Meter, Sensor)| power.reading(reading)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Unread;
    use cardcage_sdk::fake::Tree;
    use cardcage_sdk::{Limits, Place};
    use proptest::prelude::*;

    fn channel(quantity: Quantity) -> Channel {
        Channel::new(quantity, Place::board(), "it".into(), "/it".into())
    }

    fn watched() -> Channel {
        Channel { fault: Some("/fault".into()), enable: Some("/enable".into()), ..channel(Quantity::Fan) }
    }

    fn contents(contents: &[Result<&str, &str>]) -> Contents {
        let owned = |content: &Result<&str, &str>| match content {
            Ok(text) => Ok((*text).to_owned()),
            Err(code) => Err(Error::new(code, "/it")),
        };
        Contents::from(contents.iter().map(owned).collect::<Vec<_>>())
    }

    fn sample(channel: Channel, read: &[Result<&str, &str>]) -> Readings {
        Plan::new(vec![channel], Vec::new()).readings(&contents(read), Duration::ZERO)
    }

    fn check(channel: Channel, read: &[Result<&str, &str>], status: &str, value: Option<f64>) {
        let readings = sample(channel, read);
        let said: Vec<_> =
            readings.sensors.iter().map(|sensor| (sensor.status.as_str(), sensor.value)).collect();
        assert_eq!(said, [(status, value)], "{read:?}");
    }

    #[test]
    fn a_value_is_scaled() {
        check(channel(Quantity::Temperature), &[Ok("41500")], "ok", Some(41.5));
        check(channel(Quantity::Fan), &[Ok("0")], "ok", Some(0.0));
    }

    #[test]
    fn a_value_that_cannot_be_read_is_not_a_zero() {
        check(channel(Quantity::Fan), &[Err("io")], "failed", None);
        check(channel(Quantity::Fan), &[Err("blocked")], "failed", None);
        check(channel(Quantity::Fan), &[Ok("N/A")], "failed", None);
        check(channel(Quantity::Fan), &[Err("unavailable")], "unavailable", None);
        check(channel(Quantity::Fan), &[Err("late")], "unavailable", None);
        check(channel(Quantity::Temperature), &[Ok("-274000")], "unavailable", None);
    }

    #[test]
    fn a_fault_and_a_switch_go_before_the_value() {
        check(watched(), &[Ok("900"), Ok("1"), Ok("1")], "failed", None);
        check(watched(), &[Ok("900"), Ok("0"), Ok("0")], "unavailable", None);
        check(watched(), &[Ok("900"), Ok("0"), Ok("1")], "ok", Some(900.0));
        check(watched(), &[Ok("900"), Err("io"), Err("io")], "ok", Some(900.0));
    }

    #[test]
    fn a_sensor_that_is_gone_is_left_out_and_looked_for() {
        let readings = sample(channel(Quantity::Fan), &[Err("absent")]);
        assert!(readings.sensors.is_empty() && readings.missing && readings.faults.is_empty());
    }

    #[test]
    fn what_was_not_granted_is_one_fault() {
        let mut plan = Plan::new(vec![channel(Quantity::Fan), channel(Quantity::Fan)], Vec::new());
        let readings = plan.readings(&contents(&[Err("denied"), Err("denied")]), Duration::ZERO);
        assert!(readings.sensors.is_empty());
        assert_eq!(readings.faults.len(), 1);
    }

    #[test]
    fn energy_tells_power_from_the_second_sample_on_and_through_a_search() {
        let metered = || channel(Quantity::Energy).metered(None);
        let mut plan = Plan::new(vec![metered()], Vec::new());
        assert_eq!(plan.readings(&contents(&[Ok("1000000")]), Duration::from_secs(1)).sensors.len(), 1);
        let mut next = Plan::new(vec![metered()], Vec::new());
        next.continue_from(plan);
        let sensors = next.readings(&contents(&[Ok("5000000")]), Duration::from_secs(3)).sensors;
        let said: Vec<_> = sensors.iter().map(|sensor| (sensor.kind.as_str(), sensor.value)).collect();
        assert_eq!(said, [("energy", Some(5.0)), ("power", Some(2.0))]);
    }

    fn bounded(names: [&'static str; 2]) -> Channel {
        let unread = names.map(|name| {
            let (_, limit) = attribute::THRESHOLDS.into_iter().find(|(other, _)| *other == name).unwrap();
            Unread { name, limit, path: ["/temp1_", name].concat() }
        });
        Channel { thresholds: unread.into(), ..channel(Quantity::Temperature) }
    }

    /// A sample of one sensor: its value is the first file, the thresholds follow.
    fn learn(plan: &mut Plan, chip: &Tree) {
        let Some(paths) = plan.with_thresholds() else { return };
        let contents = paths.read(&chip.clone().file("/it", "50000")).unwrap();
        plan.learn(&paths, &contents);
        assert_eq!(plan.readings(&contents, Duration::ZERO).sensors[0].value, Some(50.0));
    }

    #[test]
    fn thresholds_get_the_names_of_redfish_and_those_that_are_late_come_later() {
        let limits = |plan: &Plan| plan.sensors[0].channel.sensor.limits;
        let chip = || Tree::new().file("/temp1_max", "84000");
        let mut plan = Plan::new(vec![bounded(["max", "crit"])], Vec::new());
        learn(&mut plan, &chip().failing("/temp1_crit", code::LATE));
        assert_eq!(limits(&plan), Limits { upper_caution: Some(84.0), ..Limits::default() });
        // A search does not forget what it took so long to learn.
        let mut next = Plan::new(vec![bounded(["max", "crit"])], Vec::new());
        next.continue_from(plan);
        assert_eq!(limits(&next).upper_caution, Some(84.0));
        learn(&mut next, &chip().file("/temp1_crit", "100000"));
        let expected = Limits { upper_caution: Some(84.0), upper_critical: Some(100.0), ..Limits::default() };
        assert_eq!(limits(&next), expected);
        assert!(next.with_thresholds().is_none(), "all is known");
    }

    #[test]
    fn a_threshold_that_cannot_be_read_is_none() {
        let mut plan = Plan::new(vec![bounded(["max", "crit"])], Vec::new());
        learn(&mut plan, &Tree::new().failing("/temp1_max", code::IO).file("/temp1_crit", "high"));
        assert_eq!(plan.sensors[0].channel.sensor.limits, Limits::default());
        assert!(plan.with_thresholds().is_none());
    }

    #[test]
    fn more_sensors_than_a_batch_holds_are_a_fault() {
        let mut plan = Plan::new(vec![watched(); 2000], Vec::new());
        assert!(plan.paths.len() <= MOST_PATHS);
        assert!(plan.readings(&Contents::default(), Duration::ZERO).faults[0].is(code::TOO_LARGE));
    }

    proptest! {
        #[test]
        fn whatever_a_file_says_a_value_comes_with_the_status_ok_alone(text in "\\PC{0,24}|-?[0-9]{1,22}") {
            for sensor in sample(channel(Quantity::Temperature), &[Ok(&text)]).sensors {
                prop_assert_eq!(sensor.value.is_some(), sensor.status == "ok");
            }
        }
    }
}
