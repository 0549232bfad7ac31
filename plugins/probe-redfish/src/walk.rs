//! What the controller has, and whose turn it is to be read. A step is one request, so a sample takes as many steps as it
//! may, and the next one goes on.

use core::time::Duration;
use std::collections::VecDeque;

use cardcage_sdk::http::{Client, Fault, HttpError};
use cardcage_sdk::{Error, Identity, Reading, Sample, Sensor};
use serde_json::Value;

use crate::RedfishSettings;
use crate::bmc::{Bmc, is_of_all};
use crate::readings::{Kind, list, sensors, text};

const ROOT: &str = "/redfish/v1/";
/// Most chassis that are read.
const CHASSIS: usize = 16;
/// Most sensors that are shown, and most resources that are read.
const SENSORS: usize = 256;
/// A step that begins later than this into a sample would not end in time.
const LAST_STEP: Duration = Duration::from_millis(500);
/// Samples after which the controller is looked through again: an hour.
const LOOK_AGAIN: u32 = 360;

/// The probe's state.
pub(crate) struct Walk {
    bmc: Bmc,
    wanted: Vec<String>,
    requests: u32,
    /// Still to be looked at.
    pending: VecDeque<Step>,
    /// Whether several sensors come in one answer.
    expands: bool,
    found: Vec<Resource>,
    /// What is read, in turn.
    resources: Vec<Resource>,
    next: usize,
    identity: Option<Identity>,
    /// What could not be looked at, until it is looked at again.
    faults: Vec<Error>,
    /// Why the controller cannot be asked at all.
    down: Option<Error>,
    samples: u32,
}

enum Step {
    Root,
    AllChassis(String),
    Chassis(String),
    Sensors { chassis: String, path: String },
    Subsystem { chassis: String, path: String },
}

struct Resource {
    kind: Kind,
    chassis: String,
    path: String,
    sensors: Vec<Sensor>,
    fault: Option<Error>,
}

impl Walk {
    pub(crate) fn new(settings: RedfishSettings) -> Self {
        let RedfishSettings { url, user, password, chassis, requests } = settings;
        Self {
            bmc: Bmc { url, user, password },
            wanted: chassis,
            requests,
            pending: VecDeque::from([Step::Root]),
            expands: false,
            found: Vec::new(),
            resources: Vec::new(),
            next: 0,
            identity: None,
            faults: Vec::new(),
            down: None,
            samples: 0,
        }
    }

    /// Takes some steps and shows what is known.
    pub(crate) fn sample(&mut self, client: &impl Client, now: impl Fn() -> Duration) -> Sample {
        let began = now();
        self.samples += 1;
        if self.samples.is_multiple_of(LOOK_AGAIN) {
            self.look_again();
        }
        // Each resource once in a sample, however few there are.
        let mut unread = None;
        for step in 0..self.requests {
            if step > 0 && now().saturating_sub(began) > LAST_STEP {
                break;
            }
            let taken = match self.pending.pop_front() {
                Some(step) => self.look(client, step),
                None if *unread.get_or_insert(self.resources.len()) == 0 => break,
                None => {
                    unread = unread.map(|unread| unread - 1);
                    self.read(client)
                }
            };
            self.down = taken.err().map(Error::from);
            if self.down.is_some() {
                self.resources.iter_mut().for_each(Resource::failed);
                break;
            }
        }
        self.shown()
    }

    fn shown(&self) -> Sample {
        let sensors = self.resources.iter().flat_map(|resource| &resource.sensors).take(SENSORS).cloned();
        let of_resources = self.resources.iter().filter_map(|resource| resource.fault.as_ref());
        let faults = self.down.iter().chain(&self.faults).chain(of_resources).cloned();
        Sample {
            identity: self.identity.clone(),
            sensors: sensors.collect(),
            faults: faults.collect(),
            ..Sample::default()
        }
    }

    fn look_again(&mut self) {
        if self.pending.is_empty() {
            self.pending.push_back(Step::Root);
            self.found.clear();
            self.faults.clear();
        }
    }

    /// Looks at one more thing. An error is the controller's.
    fn look(&mut self, client: &impl Client, step: Step) -> Result<(), HttpError> {
        match self.bmc.get(client, &self.path(&step)) {
            Ok(resource) => self.learn(&step, &resource),
            Err(error) if is_of_all(&error) || matches!(step, Step::Root) => {
                self.pending.push_front(step);
                return Err(error);
            }
            Err(error) => self.faults.push(error.into()),
        }
        if self.pending.is_empty() {
            let mut known = std::mem::replace(&mut self.resources, std::mem::take(&mut self.found));
            for resource in &mut self.resources {
                if let Some(known) = known.iter_mut().find(|known| known.path == resource.path) {
                    resource.sensors = std::mem::take(&mut known.sensors);
                }
            }
            self.next = 0;
        }
        Ok(())
    }

    fn path(&self, step: &Step) -> String {
        match step {
            Step::Root => ROOT.to_owned(),
            Step::AllChassis(path) | Step::Chassis(path) | Step::Subsystem { path, .. } => path.clone(),
            Step::Sensors { path, .. } if self.expands => expanded(path),
            Step::Sensors { path, .. } => path.clone(),
        }
    }

    fn learn(&mut self, step: &Step, resource: &Value) {
        match step {
            Step::Root => {
                let expands = resource.pointer("/ProtocolFeaturesSupported/ExpandQuery/NoLinks");
                self.expands = expands.and_then(Value::as_bool).unwrap_or_default();
                match link(resource, "Chassis") {
                    Some(path) => self.pending.push_back(Step::AllChassis(path)),
                    None => self.faults.push(Error::absent("the controller has no Chassis")),
                }
            }
            Step::AllChassis(_) => self.learn_all_chassis(resource),
            Step::Chassis(path) => self.learn_chassis(path, resource),
            Step::Sensors { chassis, .. } => {
                let whole = list(resource, "Members").any(|member| member.get("ReadingType").is_some());
                if whole {
                    self.add(Kind::Sensors, chassis, self.path(step));
                    return;
                }
                for member in list(resource, "Members").filter_map(id) {
                    self.add(Kind::Sensor, chassis, member);
                }
            }
            Step::Subsystem { chassis, .. } => {
                if let Some(path) = link(resource, "ThermalMetrics") {
                    self.add(Kind::Metrics, chassis, path);
                }
            }
        }
    }

    /// Those that are wanted, in that order.
    fn learn_all_chassis(&mut self, collection: &Value) {
        let mut members: Vec<_> = list(collection, "Members").filter_map(id).collect();
        if !self.wanted.is_empty() {
            let named = |name: &String| members.iter().find(|path| last(path) == name).cloned();
            let (found, missing): (Vec<_>, Vec<_>) =
                self.wanted.iter().map(|name| (name, named(name))).partition(|(_, path)| path.is_some());
            let missing =
                missing.iter().map(|(name, _)| Error::absent(format!("there is no chassis {name}")));
            self.faults.extend(missing);
            members = found.into_iter().filter_map(|(_, path)| path).collect();
        }
        if members.len() > CHASSIS {
            self.faults.push(Error::new(
                "too-large",
                format!("only {CHASSIS} of {} chassis are read", members.len()),
            ));
        }
        self.pending.extend(members.into_iter().take(CHASSIS).map(Step::Chassis));
    }

    fn learn_chassis(&mut self, path: &str, chassis: &Value) {
        let name = last(path).to_owned();
        if self.identity.is_none() {
            let said = |key| text(chassis, key).map(str::to_owned);
            let (manufacturer, model, serial) = (said("Manufacturer"), said("Model"), said("SerialNumber"));
            if manufacturer.is_some() || model.is_some() || serial.is_some() {
                self.identity = Some(Identity { manufacturer, model, serial, ..Identity::default() });
            }
        }
        // The same sensors are in all of them; the older ones have many in one answer.
        let older = [(Kind::Thermal, "Thermal"), (Kind::Power, "Power")];
        let older: Vec<_> =
            older.iter().filter_map(|(kind, key)| Some((*kind, link(chassis, key)?))).collect();
        if !older.is_empty() {
            older.into_iter().for_each(|(kind, path)| self.add(kind, &name, path));
        } else if let Some(path) = link(chassis, "Sensors") {
            self.pending.push_back(Step::Sensors { chassis: name, path });
        } else if let Some(path) = link(chassis, "ThermalSubsystem") {
            self.pending.push_back(Step::Subsystem { chassis: name, path });
        }
    }

    fn add(&mut self, kind: Kind, chassis: &str, path: String) {
        if self.found.len() < SENSORS {
            let chassis = chassis.to_owned();
            self.found.push(Resource { kind, chassis, path, sensors: Vec::new(), fault: None });
        }
    }

    /// Reads the next resource. An error is the controller's.
    fn read(&mut self, client: &impl Client) -> Result<(), HttpError> {
        let count = self.resources.len().max(1);
        let Some(resource) = self.resources.get_mut(self.next % count) else { return Ok(()) };
        self.next = (self.next + 1) % count;
        match self.bmc.get(client, &resource.path) {
            Ok(value) => {
                resource.sensors = sensors(resource.kind, &resource.chassis, &value);
                resource.fault = None;
            }
            Err(error) if is_of_all(&error) => return Err(error),
            Err(error) => {
                let gone = error.fault == Fault::Status(404);
                resource.failed();
                resource.fault = Some(error.into());
                if gone {
                    self.look_again();
                }
            }
        }
        Ok(())
    }
}

impl Resource {
    /// What was read before is not what is now.
    fn failed(&mut self) {
        self.sensors.iter_mut().for_each(|sensor| *sensor = sensor.reading(Reading::Failed));
    }
}

fn expanded(path: &str) -> String {
    format!("{path}?$expand=.($levels=1)")
}

fn id(resource: &Value) -> Option<String> {
    text(resource, "@odata.id").map(str::to_owned)
}

fn link(resource: &Value, key: &str) -> Option<String> {
    resource.get(key).and_then(id)
}

/// `1U` of `/redfish/v1/Chassis/1U`.
fn last(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use cardcage_sdk::Settings;
    use cardcage_sdk::http::{Request, Response};

    use super::*;

    /// A controller in memory, which knows what it was asked.
    #[derive(Default)]
    struct Fake {
        resources: RefCell<BTreeMap<String, String>>,
        asked: RefCell<Vec<String>>,
        down: RefCell<bool>,
    }

    impl Client for Fake {
        fn send(&self, request: &Request) -> Result<Response, HttpError> {
            self.asked.borrow_mut().push(request.path().to_owned());
            if *self.down.borrow() {
                return Err(HttpError::new(Fault::Late, "no answer in time"));
            }
            match self.resources.borrow().get(request.path()) {
                Some(json) => Ok(Response { body: json.clone().into_bytes(), ..Response::new(200) }),
                None => Ok(Response::new(404)),
            }
        }
    }

    impl Fake {
        fn with(resources: &[(&str, &str)]) -> Self {
            let fake = Self::default();
            for (path, json) in resources {
                fake.say(path, json);
            }
            fake
        }

        fn say(&self, path: &str, json: &str) {
            self.resources.borrow_mut().insert((*path).to_owned(), (*json).to_owned());
        }
    }

    fn walk(requests: u32, chassis: &str) -> Walk {
        let json = format!(
            r#"{{"url":"https://bmc","user":"u","password":"p","chassis":{chassis},"requests":{requests}}}"#
        );
        Walk::new(Settings::from_json(json).parse().unwrap())
    }

    fn sample(walk: &mut Walk, fake: &Fake) -> Sample {
        walk.sample(fake, || Duration::ZERO)
    }

    const COLLECTION: &str =
        r#"{"Members":[{"@odata.id":"/redfish/v1/Chassis/1U"},{"@odata.id":"/redfish/v1/Chassis/2U"}]}"#;

    fn server() -> Fake {
        Fake::with(&[
            ("/redfish/v1/", r#"{"Chassis":{"@odata.id":"/redfish/v1/Chassis"}}"#),
            ("/redfish/v1/Chassis", COLLECTION),
            (
                "/redfish/v1/Chassis/1U",
                r#"{"Manufacturer":"Contoso","Model":"3500RX","SerialNumber":"437XR1138R2","Thermal":{"@odata.id":"/t"},"Power":{"@odata.id":"/p"}}"#,
            ),
            ("/redfish/v1/Chassis/2U", r#"{"Sensors":{"@odata.id":"/s"}}"#),
            ("/t", r#"{"Temperatures":[{"Name":"CPU","ReadingCelsius":41}]}"#),
            ("/p", r#"{"PowerControl":[{"Name":"System","PowerConsumedWatts":344}]}"#),
            ("/s", r#"{"Members":[{"@odata.id":"/s/1"}]}"#),
            ("/s/1", r#"{"Name":"Inlet","ReadingType":"Temperature","Reading":24.5}"#),
        ])
    }

    fn values(sample: &Sample) -> Vec<(&str, Option<f64>)> {
        sample.sensors.iter().map(|sensor| (sensor.name.as_str(), sensor.value)).collect()
    }

    #[test]
    fn all_of_it_is_read_in_turn_few_requests_at_a_time() {
        let (mut walk, fake) = (walk(2, "[]"), server());
        for _ in 0..5 {
            sample(&mut walk, &fake);
            assert!(std::mem::take(&mut *fake.asked.borrow_mut()).len() <= 2);
        }
        let shown = sample(&mut walk, &fake);
        assert_eq!(values(&shown), [("CPU", Some(41.0)), ("System", Some(344.0)), ("Inlet", Some(24.5))]);
        assert_eq!(shown.identity.unwrap().serial.as_deref(), Some("437XR1138R2"));
        assert_eq!(shown.faults, []);
    }

    #[test]
    fn a_resource_that_fails_is_a_fault_in_its_place() {
        let (mut walk, fake) = (walk(64, "[]"), server());
        sample(&mut walk, &fake);
        fake.say("/p", "<html>");
        let shown = sample(&mut walk, &fake);
        assert_eq!(values(&shown), [("CPU", Some(41.0)), ("System", None), ("Inlet", Some(24.5))]);
        assert_eq!(shown.faults.len(), 1);
        fake.say("/p", r#"{"PowerControl":[{"Name":"System","PowerConsumedWatts":300}]}"#);
        assert_eq!(values(&sample(&mut walk, &fake))[1], ("System", Some(300.0)));
    }

    #[test]
    fn a_controller_that_does_not_answer_is_asked_once_and_nothing_old_is_shown() {
        let (mut walk, fake) = (walk(64, "[]"), server());
        sample(&mut walk, &fake);
        fake.asked.borrow_mut().clear();
        *fake.down.borrow_mut() = true;
        let shown = sample(&mut walk, &fake);
        assert_eq!(values(&shown), [("CPU", None), ("System", None), ("Inlet", None)]);
        assert_eq!((shown.faults.len(), fake.asked.borrow().len()), (1, 1));
        *fake.down.borrow_mut() = false;
        let shown = sample(&mut walk, &fake);
        assert_eq!((values(&shown)[0], shown.faults.len()), (("CPU", Some(41.0)), 0));
    }

    #[test]
    fn only_the_chassis_that_are_wanted_are_read() {
        let (mut walk, fake) = (walk(64, r#"["2U","3U"]"#), server());
        let shown = sample(&mut walk, &fake);
        assert_eq!(values(&shown), [("Inlet", Some(24.5))]);
        assert_eq!(shown.faults[0].detail, "there is no chassis 3U");
    }

    #[test]
    fn sensors_that_come_together_are_one_request() {
        let (mut walk, fake) = (walk(64, r#"["2U"]"#), server());
        fake.say(
            "/redfish/v1/",
            r#"{"Chassis":{"@odata.id":"/redfish/v1/Chassis"},"ProtocolFeaturesSupported":{"ExpandQuery":{"NoLinks":true}}}"#,
        );
        let member = r#"{"Name":"Outlet","ReadingType":"Temperature","Reading":31}"#;
        fake.say("/s?$expand=.($levels=1)", &format!(r#"{{"Members":[{member},{member}]}}"#));
        assert_eq!(values(&sample(&mut walk, &fake)), [("Outlet", Some(31.0)), ("Outlet #1", Some(31.0))]);
    }

    #[test]
    fn a_controller_without_end_is_read_up_to_a_bound() {
        let (mut walk, fake) = (walk(64, r#"["2U"]"#), server());
        let members: Vec<_> = (0..1000).map(|n| format!(r#"{{"@odata.id":"/s/{n}"}}"#)).collect();
        fake.say("/s", &format!(r#"{{"Members":[{}]}}"#, members.join(",")));
        sample(&mut walk, &fake);
        assert_eq!(walk.resources.len(), SENSORS);
        assert!(fake.asked.borrow().len() <= 64);
    }
}
