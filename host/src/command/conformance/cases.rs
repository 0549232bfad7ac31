//! The checks, in the order in which they are told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::verdict::Check;
use crate::capability::tape::{Fault, Index, Outcome, Tape, Thing};
use crate::command::rehearsal::{Rehearsal, difference};
use crate::error::chain;
use crate::model::{Readings, Sensor, Status};

/// Things that are made to be missing, one after the other.
const THINGS: usize = 512;
/// Samples after which a probe has what it needs: caches are full, baselines are taken.
const SETTLED: u32 = 50;
/// What linear memory grows by, at least.
const PAGE: usize = 64 << 10;

/// One probe on one recorded board.
pub struct Suite<'a> {
    pub rehearsal: &'a Rehearsal<'a>,
    pub index: Arc<Index>,
    /// How many are taken to find a leak.
    pub samples: u32,
}

/// A run over the whole recording.
#[derive(Default)]
struct Played {
    outcomes: Vec<Outcome>,
    readings: Vec<Readings>,
    /// What the agent refused of the samples.
    refused: BTreeSet<String>,
    misses: Vec<String>,
    memory: usize,
    /// Processor time of the dearest sample.
    dearest: Duration,
    /// Why it ended early.
    ended: Option<String>,
}

impl Suite<'_> {
    pub async fn run(&self, progress: impl Fn(&str)) -> Vec<Check> {
        progress("the recorded samples");
        let played = self.play(None).await;
        let again = self.play(None).await;
        let mut checks =
            vec![self.readings(&played), self.limits(&played), self.determinism(&played, &again)];
        checks.push(units(&played));
        for (name, faults) in [("missing", self.missing()), ("refused", self.refused())] {
            checks.push(self.faults(name, faults, &progress).await);
        }
        progress("many samples");
        checks.push(self.leak(&progress).await);
        progress("");
        checks
    }

    /// Plays the recording once.
    async fn play(&self, fault: Option<Fault>) -> Played {
        let tape = Tape::playing(Arc::clone(&self.index), fault);
        let mut played = Played::default();
        let mut run = match self.rehearsal.start(tape.clone()).await {
            Ok(run) => run,
            Err(failure) => {
                played.ended = Some(chain(&failure));
                return played;
            }
        };
        played.outcomes.extend(tape.latest());
        for _ in 0..self.index.recording().samples() {
            let before = run.instance.cost().cpu;
            match run.sample().await {
                Ok(Ok(sampled)) => {
                    played.readings.push(sampled.readings);
                    played.refused.extend(sampled.faults.into_iter().take(sampled.refused));
                }
                Ok(Err(_)) => {}
                Err(error) => {
                    played.ended = Some(chain(&error));
                    break;
                }
            }
            played.outcomes.extend(tape.latest());
            played.dearest = played.dearest.max(run.instance.cost().cpu.saturating_sub(before));
            played.memory = run.instance.memory();
        }
        played.misses = tape.misses();
        played
    }

    /// A probe that says nothing on its own board is of no use.
    fn readings(&self, played: &Played) -> Check {
        let recorded = self.index.recording().samples();
        let counts = played.readings.iter().map(Readings::count);
        let most = counts.max().unwrap_or_default();
        let mut wrong: Vec<String> = played.ended.iter().cloned().collect();
        if most == 0 && wrong.is_empty() {
            wrong.push("no sample has a reading".to_owned());
        }
        let taken = played.readings.len();
        Check::of("readings", format!("{taken} of {recorded} samples, with up to {most} readings"), wrong)
    }

    fn limits(&self, played: &Played) -> Check {
        let manifest = &self.rehearsal.plugin.package().manifest;
        let (deadline, most) = (manifest.probe.deadline, manifest.limits.memory);
        let mut wrong = Vec::new();
        if played.dearest * 2 > deadline {
            wrong.push(format!(
                "a sample takes {:?} of processor time, over half of its deadline: slower boards will end it",
                played.dearest
            ));
        }
        if played.memory > most / 4 * 3 {
            wrong.push(
                "three quarters of its memory are in use: raise [limits] memory, or hold less".to_owned(),
            );
        }
        let said = format!(
            "{:?} of processor time a sample at most, deadline {deadline:?}; {} KiB of {} KiB memory",
            played.dearest,
            played.memory >> 10,
            most >> 10
        );
        Check::of("limits", said, wrong)
    }

    /// The same board twice.
    fn determinism(&self, played: &Played, again: &Played) -> Check {
        let as_json = |played: &Played| serde_json::to_value(&played.outcomes).unwrap_or_default();
        let mut wrong = Vec::new();
        if let Some(unlike) = difference(&as_json(played), &as_json(again)) {
            wrong.push(format!("played twice, it does not say the same: {unlike}"));
        }
        let header = &self.index.recording().header;
        let package = self.rehearsal.plugin.package();
        let digest = package.digest.to_string();
        let same = header.digest == digest;
        if same {
            let stages = self.index.recording().sections.iter().skip(1);
            let recorded: Vec<_> = stages.filter_map(|section| section.outcome.clone()).collect();
            let recorded = serde_json::to_value(recorded).unwrap_or_default();
            if let Some(unlike) = difference(&recorded, &as_json(played)) {
                wrong.push(format!("it does not say what it said when it was recorded: {unlike}"));
            }
            wrong.extend(
                played.misses.iter().map(|miss| format!("asks for what it did not ask for then: {miss}")),
            );
        }
        let said = match same {
            true => "the same as recorded, and the same again".to_owned(),
            // Of another version, or of the same and built again.
            false => format!(
                "the same again; another file was recorded, {} of version {}, and this is {} of version {}, so that is not compared",
                short(&header.digest),
                header.version,
                short(&digest),
                package.manifest.version
            ),
        };
        Check::of("determinism", if wrong.is_empty() { said } else { "not the same".to_owned() }, wrong)
    }

    /// Everything that it asked for.
    fn things(&self) -> BTreeSet<Thing> {
        let calls = self.index.recording().sections.iter().flat_map(|section| &section.calls);
        calls.flat_map(|call| Thing::of(&call.name, &call.asked)).collect()
    }

    fn missing(&self) -> Vec<(String, Fault)> {
        let things = self.things().into_iter().take(THINGS);
        things.map(|thing| (format!("{} {}", thing.capability, thing.name), Fault::Missing(thing))).collect()
    }

    fn refused(&self) -> Vec<(String, Fault)> {
        let capabilities: BTreeSet<_> = self.things().into_iter().map(|thing| thing.capability).collect();
        capabilities
            .into_iter()
            .map(|capability| (capability.to_owned(), Fault::Denied(capability)))
            .collect()
    }

    /// Whatever is missing or refused, the probe says so, or says less. It does not end.
    async fn faults(
        &self,
        name: &'static str,
        faults: Vec<(String, Fault)>,
        progress: &impl Fn(&str),
    ) -> Check {
        if faults.is_empty() {
            return Check::skipped(name, "it asks the host for nothing");
        }
        let (mut wrong, count) = (Vec::new(), faults.len());
        for (number, (what, fault)) in (1..).zip(faults) {
            progress(&format!("{name}: {number} of {count}"));
            let played = self.play(Some(fault)).await;
            // An answer of `configure` that says no is an answer.
            let ended = played.ended.filter(|ended| !ended.starts_with("declines: "));
            wrong.extend(ended.map(|ended| format!("{what}: {ended}")));
        }
        let said = match name {
            "missing" => format!("each of {count} things that it asks for was missing once"),
            _ => format!("each of {count} capabilities was refused once"),
        };
        Check::of(name, said, wrong)
    }

    /// Memory after many samples, beside that after some.
    async fn leak(&self, progress: &impl Fn(&str)) -> Check {
        const NAME: &str = "leak";
        let tape = Tape::playing(Arc::clone(&self.index), None);
        let mut run = match self.rehearsal.start(tape).await {
            Ok(run) => run,
            Err(failure) => return Check::of(NAME, "it does not start".to_owned(), vec![chain(&failure)]),
        };
        let (mut settled, mut wrong) = (0, Vec::new());
        for number in 1..=self.samples {
            if let Err(error) = run.sample().await {
                wrong.push(format!("sample {number}: {}", chain(&error)));
                break;
            }
            if number == SETTLED {
                settled = run.instance.memory();
            }
            if number % 100 == 0 {
                progress(&format!("{NAME}: {number} of {}", self.samples));
            }
        }
        let memory = run.instance.memory();
        if memory > settled + PAGE {
            wrong.push(format!("{} KiB more than after {SETTLED} samples", (memory - settled) >> 10));
        }
        Check::of(NAME, format!("{} KiB of memory after {} samples", memory >> 10, self.samples), wrong)
    }
}

/// As much of a digest as tells two files apart.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// The units of each kind of sensor, and what is possible in them. The contract has no other units.
const KINDS: [(&str, &str, f64, f64); 9] = [
    ("temperature", "Cel", -273.15, 1000.0),
    ("voltage", "V", -100_000.0, 100_000.0),
    ("current", "A", -100_000.0, 100_000.0),
    ("power", "W", -1_000_000.0, 1_000_000.0),
    ("energy", "J", 0.0, f64::MAX),
    ("fan", "RPM", 0.0, 1_000_000.0),
    // What Redfish says of those that count no revolutions.
    ("fan", "%", 0.0, 1_000.0),
    ("humidity", "%", 0.0, 100.0),
    ("frequency", "Hz", 0.0, 1e15),
];

fn units(played: &Played) -> Check {
    let mut wrong: BTreeSet<String> = BTreeSet::new();
    let mut count = 0;
    for readings in &played.readings {
        count += readings.sensors.len();
        let mut names: BTreeMap<_, u32> = BTreeMap::new();
        for sensor in &readings.sensors {
            *names
                .entry((&sensor.place.part, &sensor.place.name, &sensor.kind, &sensor.name))
                .or_default() += 1;
            wrong.extend(broken(sensor).into_iter().map(|rule| format!("sensor {}: {rule}", sensor.name)));
        }
        for ((part, place, kind, name), times) in names {
            if times > 1 {
                wrong.insert(format!("sensor {name}: {times} times a {kind} of this name at {part} {place}"));
            }
        }
        wrong.extend(shares(readings));
    }
    wrong.extend(played.refused.iter().cloned());
    Check::of("units", format!("{count} values of sensors"), wrong.into_iter().collect())
}

/// The rules that a sensor breaks.
fn broken(sensor: &Sensor) -> Vec<String> {
    let mut wrong = Vec::new();
    let limits = sensor.limits;
    // A kind is a word that others may not know yet: the set of kinds is open, that of units is not.
    let is_known = KINDS.iter().any(|(kind, ..)| *kind == sensor.kind);
    let of_its_kind = KINDS.iter().filter(|(kind, ..)| !is_known || *kind == sensor.kind);
    match of_its_kind.clone().find(|(_, unit, ..)| *unit == sensor.unit) {
        None => {
            let units: BTreeSet<&str> = of_its_kind.map(|(_, unit, ..)| *unit).collect();
            let units = units.into_iter().collect::<Vec<_>>().join(" or ");
            wrong.push(format!("the unit of a {} is {units}, not {:?}", sensor.kind, sensor.unit));
        }
        Some((kind, unit, least, most)) if is_known => {
            let values = [sensor.value, limits.lower_critical, limits.upper_critical].into_iter().flatten();
            let beyond = values.filter(|value| !(least..=most).contains(&value));
            wrong.extend(beyond.map(|value| format!("no {kind} is {value} {unit}")));
        }
        Some(_) => {}
    }
    if sensor.value.is_some() != (sensor.status == Status::Ok) {
        wrong.push(format!("it has a value if and only if it is ok, and it is {}", sensor.status.as_str()));
    }
    let rising = [
        limits.lower_critical,
        limits.lower_caution,
        limits.upper_caution,
        limits.upper_critical,
        limits.upper_fatal,
    ];
    let rising: Vec<f64> = rising.into_iter().flatten().collect();
    if !rising.is_sorted() {
        wrong.push("its limits do not rise from lower-critical to upper-fatal".to_owned());
    }
    if sensor.name.is_empty() {
        wrong.push("it has no name".to_owned());
    }
    wrong
}

/// What is a part of something is not more than it.
fn shares(readings: &Readings) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut percent = |what: &str, value: Option<f64>| {
        if let Some(value) = value.filter(|value| !(0.0..=100.0).contains(value)) {
            wrong.push(format!("{what} is {value} percent"));
        }
    };
    percent("the usage of the cpu", readings.cpu.as_ref().and_then(|cpu| cpu.usage));
    for gpu in &readings.gpus {
        percent(&format!("the compute usage of {}", gpu.device), gpu.compute_usage);
        percent(&format!("the memory usage of {}", gpu.device), gpu.memory_usage);
    }
    let mut part = |what: String, used: Option<u64>, total: Option<u64>| {
        if let (Some(used), Some(total)) = (used, total)
            && used > total
        {
            wrong.push(format!("{what}: {used} of {total} bytes are used"));
        }
    };
    if let Some(memory) = &readings.memory {
        part("memory".to_owned(), memory.used, memory.total);
    }
    for disk in &readings.disks {
        part(format!("file system {}", disk.mount_point), disk.used, disk.total);
    }
    for gpu in &readings.gpus {
        part(format!("memory of {}", gpu.device), gpu.memory_used, gpu.memory_total);
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Limits, Place};

    #[test]
    fn a_sensor_of_any_kind_has_a_unit_of_the_contract() {
        let rules = |kind: &str, unit: &str| {
            broken(&Sensor {
                place: Place::default(),
                kind: kind.to_owned(),
                name: "a".to_owned(),
                role: None,
                value: Some(1.0),
                unit: unit.to_owned(),
                status: Status::Ok,
                limits: Limits::default(),
            })
        };
        for (kind, unit) in KINDS.map(|(kind, unit, ..)| (kind, unit)).into_iter().chain([("memory", "%")]) {
            assert_eq!(rules(kind, unit), Vec::<String>::new(), "{kind} in {unit:?}");
        }
        for (kind, unit) in [("memory", "parsec"), ("memory", ""), ("memory", "cel"), ("power", "")] {
            assert_eq!(rules(kind, unit).len(), 1, "{kind} in {unit:?}");
        }
    }
}
