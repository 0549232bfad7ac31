//! Many probes, one board: how what they say becomes one snapshot.
//!
//! The more specific probe wins, field by field; among equals the one whose name sorts first. A sensor is taken whole,
//! since its value belongs to its unit and status. What a probe said too long ago is stale: its sensors stay, marked
//! and without a value, its other readings are unknown again. Who the board is does not grow old.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::fair::share;
use super::{
    Cpu, Disk, Extras, Gpu, Identity, Memory, Network, Place, PluginName, Readings, Sensor, Status, Support,
};

/// The latest sample of one probe.
#[derive(Debug, Clone)]
pub struct Contribution {
    pub plugin: PluginName,
    pub support: Support,
    pub taken: Instant,
    /// Older than this, it is stale.
    pub fresh_for: Duration,
    pub readings: Arc<Readings>,
}

/// A reading, when it was taken, and by whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Aged<T> {
    pub age: Duration,
    pub plugin: PluginName,
    pub reading: T,
}

/// An accelerator with the number that the board gives it.
#[derive(Debug, Clone, PartialEq)]
pub struct GpuReading {
    pub index: u32,
    pub gpu: Aged<Gpu>,
}

/// The most items of a snapshot, over all probes: as many as `wit/types/readings.wit` lets one have.
pub mod most {
    pub const NETWORKS: usize = 1024;
    pub const DISKS: usize = 1024;
    pub const GPUS: usize = 256;
    pub const SENSORS: usize = 4096;
}

/// The board at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub cpu: Option<Aged<Cpu>>,
    pub memory: Option<Aged<Memory>>,
    pub networks: Vec<Aged<Network>>,
    pub disks: Vec<Aged<Disk>>,
    pub gpus: Vec<GpuReading>,
    pub sensors: Vec<Aged<Sensor>>,
    pub identity: Identity,
}

impl Snapshot {
    /// Merges what the probes said last, as of `now`.
    pub fn merge(mut contributions: Vec<Contribution>, now: Instant) -> Self {
        contributions.sort_by(|a, b| (Reverse(a.support), &a.plugin).cmp(&(Reverse(b.support), &b.plugin)));
        let mut merge = Merge::default();
        for contribution in &contributions {
            merge.add(contribution, now);
        }
        merge.finish()
    }
}

/// A record whose absent fields another probe can fill.
trait Fill {
    /// Whether anything was taken.
    fn fill(&mut self, other: &Self) -> bool;
}

/// `self.field = self.field.or(other.field)` for each field, and the union of the extras.
macro_rules! fill {
    ($($record:ident { $($field:ident),* })*) => {$(
        impl Fill for $record {
            fn fill(&mut self, other: &Self) -> bool {
                let mut taken = fill_extras(&mut self.extra, &other.extra);
                $(if self.$field.is_none() && other.$field.is_some() {
                    self.$field.clone_from(&other.$field);
                    taken = true;
                })*
                taken
            }
        }
    )*};
}
fill! {
    Cpu { usage, load_1m, load_5m, load_15m, cores, model }
    Memory { total, used, free, swap_total, swap_free }
    Network { rx_bytes, tx_bytes, rx_packets, tx_packets, rx_errors, tx_errors, rx_dropped, tx_dropped, address, state, speed, mtu }
    Disk { device, file_system, total, used, free, read_only }
    Gpu { name, vendor, driver, compute_usage, memory_usage, memory_used, memory_total }
    Identity { hostname, box_id, slot_id, cpu_id, srio_id, box_type, board_type, resource_type, os, kernel, architecture,
               manufacturer, model, serial }
}

fn fill_extras(into: &mut Extras, from: &Extras) -> bool {
    let before = into.len();
    for (name, value) in from {
        into.entry(name.clone()).or_insert_with(|| value.clone());
    }
    into.len() > before
}

/// Fills a reading. It is then as old as the oldest part of it.
fn fill<T: Fill>(there: &mut Aged<T>, other: &T, age: Duration) {
    if there.reading.fill(other) {
        there.age = there.age.max(age);
    }
}

type SensorKey = (Place, String, String);

/// A merge under way. Contributions arrive best first, so what is there stands.
#[derive(Default)]
struct Merge {
    cpu: Option<Aged<Cpu>>,
    memory: Option<Aged<Memory>>,
    networks: BTreeMap<String, Aged<Network>>,
    disks: BTreeMap<String, Aged<Disk>>,
    gpus: BTreeMap<String, Aged<Gpu>>,
    sensors: BTreeMap<SensorKey, Aged<Sensor>>,
    identity: Identity,
}

impl Merge {
    fn add(&mut self, from: &Contribution, now: Instant) {
        let readings = &*from.readings;
        if let Some(identity) = &readings.identity {
            // Who the board is has no age.
            let _taken = self.identity.fill(identity);
        }
        let age = now.saturating_duration_since(from.taken);
        let stale = age > from.fresh_for;
        for sensor in &readings.sensors {
            self.add_sensor(aged(from, age, sensor), stale);
        }
        if stale {
            return;
        }
        add_single(&mut self.cpu, readings.cpu.as_ref(), from, age);
        add_single(&mut self.memory, readings.memory.as_ref(), from, age);
        add_each(&mut self.networks, &readings.networks, |n| n.name.clone(), from, age);
        add_each(&mut self.disks, &readings.disks, |d| d.mount_point.clone(), from, age);
        add_each(&mut self.gpus, &readings.gpus, |g| g.device.clone(), from, age);
    }

    /// A stale sensor gives way to a less specific probe that still answers.
    fn add_sensor(&mut self, mut sensor: Aged<Sensor>, stale: bool) {
        if stale {
            sensor.reading.status = Status::Stale;
            sensor.reading.value = None;
        }
        let reading = &sensor.reading;
        let key = (reading.place.clone(), reading.kind.clone(), reading.name.clone());
        match self.sensors.get(&key) {
            Some(there) if there.reading.status != Status::Stale || stale => {}
            _ => {
                self.sensors.insert(key, sensor);
            }
        }
    }

    fn finish(self) -> Snapshot {
        let gpus = share(self.gpus.into_values().collect(), most::GPUS);
        Snapshot {
            cpu: self.cpu,
            memory: self.memory,
            networks: share(self.networks.into_values().collect(), most::NETWORKS),
            disks: share(self.disks.into_values().collect(), most::DISKS),
            gpus: (0..).zip(gpus).map(|(index, gpu)| GpuReading { index, gpu }).collect(),
            sensors: share(self.sensors.into_values().collect(), most::SENSORS),
            identity: self.identity,
        }
    }
}

fn aged<T: Clone>(from: &Contribution, age: Duration, reading: &T) -> Aged<T> {
    Aged { age, plugin: from.plugin.clone(), reading: reading.clone() }
}

fn add_single<T: Fill + Clone>(
    there: &mut Option<Aged<T>>,
    new: Option<&T>,
    from: &Contribution,
    age: Duration,
) {
    match (there, new) {
        (Some(there), Some(new)) => fill(there, new, age),
        (there @ None, Some(new)) => *there = Some(aged(from, age, new)),
        (_, None) => {}
    }
}

fn add_each<T: Fill + Clone>(
    there: &mut BTreeMap<String, Aged<T>>,
    new: &[T],
    key: impl Fn(&T) -> String,
    from: &Contribution,
    age: Duration,
) {
    for item in new {
        let entry = there.entry(key(item)).and_modify(|there| fill(there, item, age));
        entry.or_insert_with(|| aged(from, age, item));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Limits;

    fn says(plugin: &str, support: Support, age: u64, readings: Readings) -> (Contribution, Instant) {
        let taken = Instant::now();
        let contribution = Contribution {
            plugin: plugin.into(),
            support,
            taken,
            fresh_for: Duration::from_secs(10),
            readings: Arc::new(readings),
        };
        (contribution, taken + Duration::from_secs(age))
    }

    fn merge(all: impl IntoIterator<Item = (Contribution, Instant)>) -> Snapshot {
        let all: Vec<_> = all.into_iter().collect();
        let now = all.iter().map(|(_, now)| *now).max().unwrap_or_else(Instant::now);
        Snapshot::merge(all.into_iter().map(|(contribution, _)| contribution).collect(), now)
    }

    fn cpu(usage: Option<f64>, cores: Option<u32>) -> Readings {
        Readings { cpu: Some(Cpu { usage, cores, ..Cpu::default() }), ..Readings::default() }
    }

    fn sensor(value: f64) -> Readings {
        let sensor = Sensor {
            place: Place { part: "board".into(), name: String::new() },
            kind: "temperature".into(),
            name: "inlet".into(),
            role: None,
            value: Some(value),
            unit: "Cel".into(),
            status: Status::Ok,
            limits: Limits::default(),
        };
        Readings { sensors: vec![sensor], ..Readings::default() }
    }

    #[test]
    fn the_more_specific_probe_wins_field_by_field() {
        let snapshot = merge([
            says("generic", Support::Generic, 0, cpu(Some(10.0), Some(8))),
            says("zz-exact", Support::Board, 0, cpu(Some(20.0), None)),
        ]);
        let cpu = snapshot.cpu.unwrap();
        assert_eq!((cpu.reading.usage, cpu.reading.cores), (Some(20.0), Some(8)));
        assert_eq!(cpu.plugin.as_str(), "zz-exact");
    }

    #[test]
    fn what_is_filled_in_is_as_old_as_its_oldest_part() {
        let old = says("generic", Support::Generic, 9, cpu(Some(10.0), Some(8)));
        let new = |readings| {
            let (mut contribution, now) = says("exact", Support::Board, 9, readings);
            contribution.taken = now;
            (contribution, now)
        };
        let whole = merge([old.clone(), new(cpu(Some(20.0), Some(4)))]).cpu.unwrap();
        assert!(whole.age < Duration::from_secs(1), "nothing was taken from the old one: {:?}", whole.age);
        let filled = merge([old, new(cpu(Some(20.0), None))]).cpu.unwrap();
        assert_eq!((filled.reading.cores, filled.plugin.as_str()), (Some(8), "exact"));
        assert!(filled.age >= Duration::from_secs(9), "{:?}", filled.age);
    }

    #[test]
    fn among_equals_the_first_name_wins() {
        let snapshot =
            merge([says("b", Support::Generic, 0, sensor(2.0)), says("a", Support::Generic, 0, sensor(1.0))]);
        assert_eq!(snapshot.sensors.len(), 1);
        assert_eq!(snapshot.sensors[0].reading.value, Some(1.0));
    }

    #[test]
    fn a_stale_probe_leaves_unknown_readings_and_marked_sensors() {
        let mut readings = sensor(1.0);
        readings.cpu = cpu(Some(1.0), None).cpu;
        readings.identity = Some(Identity { slot_id: Some(3), ..Identity::default() });
        let snapshot = merge([says("gone", Support::Generic, 11, readings)]);
        assert_eq!(snapshot.cpu, None);
        assert_eq!(snapshot.sensors[0].reading.status, Status::Stale);
        assert_eq!(snapshot.sensors[0].reading.value, None);
        assert_eq!(snapshot.identity.slot_id, Some(3));
    }

    #[test]
    fn a_stale_sensor_gives_way_to_a_generic_one_that_answers() {
        let (mut exact, _) = says("exact", Support::Board, 0, sensor(1.0));
        exact.fresh_for = Duration::ZERO;
        let snapshot = merge([
            (exact, Instant::now() + Duration::from_secs(1)),
            says("generic", Support::Generic, 0, sensor(2.0)),
        ]);
        assert_eq!(snapshot.sensors[0].reading.value, Some(2.0));
    }

    #[test]
    fn accelerators_are_numbered_in_the_order_of_their_devices() {
        let gpu = |device: &str| Readings {
            gpus: vec![Gpu { device: device.into(), ..Gpu::default() }],
            ..Readings::default()
        };
        let snapshot = merge([
            says("amd", Support::Generic, 0, gpu("0000:0b:00.0")),
            says("intel", Support::Generic, 0, gpu("0000:03:00.0")),
        ]);
        let numbered: Vec<_> =
            snapshot.gpus.iter().map(|g| (g.index, g.gpu.reading.device.as_str())).collect();
        assert_eq!(numbered, [(0, "0000:03:00.0"), (1, "0000:0b:00.0")]);
    }
    #[test]
    fn a_plugin_with_more_than_a_snapshot_holds_pushes_no_other_out() {
        let flood = (0..5000).map(|number| {
            let mut one = sensor(1.0).sensors.remove(0);
            one.name = format!("a{number}");
            one
        });
        let flood = Readings { sensors: flood.collect(), ..Readings::default() };
        let snapshot =
            merge([says("flood", Support::Board, 0, flood), says("quiet", Support::Generic, 0, sensor(2.0))]);
        assert_eq!(snapshot.sensors.len(), most::SENSORS);
        assert!(snapshot.sensors.iter().any(|sensor| sensor.plugin.as_str() == "quiet"));
    }
}
