//! `plugins/probe-redfish` against management controllers: the emulator of OpenStack's `sushy-tools`, whose answers are
//! compared with what the board reports, and one of this test, which has what the emulator has not.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use cardcage_tests::{Agent, Listener, REDFISH, World, get, skip, until};
use serde_json::{Value, json};

use super::servers::{Certificate, Server};

/// The emulator, and the version that this test was written against.
const EMULATOR: &str = "sushy-tools==2.2.0";
const PORT: u16 = 8000;

/// An agent that asks this controller, some times a second.
fn agent(world: &World, url: &str, settings: &str, trust: &str) -> Agent {
    let manifest = REDFISH.manifest.replace("every = \"10s\"", "every = \"300ms\"");
    let config = format!(
        "[plugins.settings.redfish]\nurl = \"{url}\"\n{settings}\n\
         [plugins.grants.redfish]\nhttp = [\"{url}\"]\n{trust}\n"
    );
    world.agent().plugin("redfish.wasm", REDFISH.packed_with(&manifest)).config(&config).start()
}

/// The sensors of a report, once it has any, without what only the agent knows.
#[track_caller]
fn sensors(manager: &Listener) -> Vec<Value> {
    until("the controller's sensors are reported", || {
        let report = manager.answer("/resource");
        let all = report.readings()["sensors"].as_array().cloned().unwrap_or_default();
        let mut ours: Vec<_> = all.into_iter().filter(|sensor| sensor["plugin"] == "redfish").collect();
        for sensor in &mut ours {
            let sensor = sensor.as_object_mut().unwrap();
            sensor.remove("age_ms");
            sensor.remove("plugin");
        }
        (!ours.is_empty()).then_some(ours)
    })
}

/// Where the emulator is, installed if it is not there yet.
fn emulator() -> Result<PathBuf, String> {
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sushy-tools");
    std::fs::create_dir_all(&environment).unwrap();
    // Tests run side by side.
    let lock = File::create(environment.join("lock")).unwrap();
    lock.lock().unwrap();
    let (bin, done) = (environment.join("bin"), environment.join(EMULATOR));
    if !done.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
        run(Command::new(bin.join("pip")).args(["install", "--quiet", EMULATOR]))?;
        File::create(done).unwrap();
    }
    Ok(bin)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("the emulator {EMULATOR} of PyPI: {command:?}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("the emulator {EMULATOR} of PyPI: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

/// The emulator; it ends with this handle.
struct Emulator {
    process: Child,
    service: SocketAddrV4,
}

impl Emulator {
    /// `None` where it cannot be had.
    #[track_caller]
    fn start(test: &str, world: &World, host: Ipv4Addr, config: &str) -> Option<Self> {
        let bin = match emulator() {
            Ok(bin) => bin,
            Err(missing) => {
                skip(test, &missing);
                return None;
            }
        };
        let folder = world.place("emulator");
        std::fs::write(folder.join("config"), config).unwrap();
        let process = Command::new(bin.join("sushy-emulator"))
            .args(["--fake", "--interface", &host.to_string(), "--port", &PORT.to_string(), "--config"])
            .arg(folder.join("config"))
            // What it remembers.
            .env("TMPDIR", &folder)
            .stdout(File::create(folder.join("log")).unwrap())
            .stderr(File::create(folder.join("errors")).unwrap())
            .spawn()
            .unwrap();
        let emulator = Self { process, service: SocketAddrV4::new(host, PORT) };
        until("the emulator listens", || std::net::TcpStream::connect(emulator.service).ok());
        Some(emulator)
    }

    #[track_caller]
    fn get(&self, path: &str) -> Value {
        get(self.service, path).unwrap().json()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn the_readings_are_those_of_the_emulator() {
    let world = World::new();
    let host = world.address(70);
    let Some(emulator) = Emulator::start("the_readings_are_those_of_the_emulator", &world, host, "") else {
        return;
    };
    let manager = world.listener();
    let agent = agent(&world, &format!("http://{host}:{PORT}"), "", "");
    agent.until_plugin("redfish", "ready");
    let sensors = sensors(&manager);

    let chassis = emulator.get("/redfish/v1/Chassis")["Members"][0]["@odata.id"].clone();
    let chassis = emulator.get(chassis.as_str().unwrap());
    let id = chassis["Id"].as_str().unwrap();
    let thermal = emulator.get(chassis["Thermal"]["@odata.id"].as_str().unwrap());
    let temperatures = thermal["Temperatures"].as_array().unwrap();
    let fans = thermal["Fans"].as_array().unwrap();
    assert!(temperatures.len() >= 2 && fans.len() == 2, "{thermal}");
    assert_eq!(sensors.len(), temperatures.len() + fans.len());
    for said in temperatures {
        let told = sensors.iter().find(|sensor| sensor["name"] == said["Name"]).unwrap();
        assert_eq!(told["place"], json!({"part": "chassis", "name": id}));
        assert_eq!((told["kind"].as_str(), told["unit"].as_str()), (Some("temperature"), Some("Cel")));
        for (ours, theirs) in [
            (&told["value"], "ReadingCelsius"),
            (&told["limits"]["upper_caution"], "UpperThresholdNonCritical"),
            (&told["limits"]["upper_critical"], "UpperThresholdCritical"),
            (&told["limits"]["upper_fatal"], "UpperThresholdFatal"),
            (&told["limits"]["lower_caution"], "LowerThresholdNonCritical"),
            (&told["limits"]["lower_critical"], "LowerThresholdCritical"),
        ] {
            assert_eq!(ours.as_f64(), said[theirs].as_f64(), "{theirs}: {told} {said}");
        }
    }
    for said in fans {
        let place = json!({"part": "fan", "name": format!("{id}/{}", said["Name"].as_str().unwrap())});
        let told = sensors.iter().find(|sensor| sensor["place"] == place).unwrap();
        assert_eq!((told["value"].as_f64(), told["unit"].as_str()), (said["Reading"].as_f64(), Some("RPM")));
    }
    let identity = manager.answer("/heartbeat").data()["cardcage"]["identity"].clone();
    for (ours, theirs) in [("manufacturer", "Manufacturer"), ("model", "Model"), ("serial", "SerialNumber")] {
        assert_eq!(identity[ours], chassis[theirs], "{identity}");
    }
}

#[test]
fn an_emulator_with_tls_and_accounts_is_read_with_a_pin_and_a_password() {
    const NAME: &str = "an_emulator_with_tls_and_accounts_is_read_with_a_pin_and_a_password";
    let world = World::new();
    let host = world.address(70);
    let certificate = Certificate::new(host);
    let file = |name: &str, text: &str| {
        let path = world.folder().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    // The password is "secret".
    let users = "monitor:$2b$04$CG6WRAsu0M3IjukfjojKz.G3hNBMuC6K4Kdr7bGPvRn2NF9ezBqmi\n";
    let config = format!(
        "SUSHY_EMULATOR_SSL_CERT = {:?}\nSUSHY_EMULATOR_SSL_KEY = {:?}\nSUSHY_EMULATOR_AUTH_FILE = {:?}\n",
        file("bmc.pem", certificate.pem()),
        file("bmc.key", &certificate.key_pem()),
        file("bmc.users", users),
    );
    let Some(_emulator) = Emulator::start(NAME, &world, host, &config) else { return };
    let url = format!("https://{host}:{PORT}");
    let pin = format!("http_pin = [\"sha256:{}\"]", certificate.digest());
    let manager = world.listener();
    let wrong = agent(&world, &url, "user = \"monitor\"\npassword = \"guessed\"", &pin);
    until("the password is refused", || {
        let faults = wrong.plugin("redfish").faults;
        faults.iter().any(|fault| fault.contains("answers 401")).then_some(())
    });
    drop(wrong);
    let _right = agent(&world, &url, "user = \"monitor\"\npassword = \"secret\"", &pin);
    let sensors = sensors(&manager);
    assert!(sensors.iter().any(|sensor| sensor["value"].as_f64() == Some(41.0)), "{sensors:?}");
}

#[test]
fn power_is_read_and_what_fails_is_a_fault_in_its_place() {
    let world = World::new();
    let server = Server::start(world.address(70), |bmc| {
        let body = match bmc.path() {
            "/redfish/v1/" => r#"{"Chassis":{"@odata.id":"/redfish/v1/Chassis"}}"#,
            "/redfish/v1/Chassis" => r#"{"Members":[{"@odata.id":"/redfish/v1/Chassis/1U"}]}"#,
            "/redfish/v1/Chassis/1U" => {
                r#"{"Power":{"@odata.id":"/power"},"Thermal":{"@odata.id":"/thermal"}}"#
            }
            "/power" => {
                r#"{"PowerControl":[{"Name":"System","PowerConsumedWatts":344}],
                    "PowerSupplies":[{"Name":"Bay 1","LineInputVoltage":null,"LastPowerOutputWatts":325}],
                    "Voltages":[{"Name":"VRM1","ReadingVolts":12.5,"LowerThresholdCritical":11}]}"#
            }
            _ => return bmc.say("500 Internal Server Error", "", ""),
        };
        bmc.say("200 OK", "content-type: application/json\r\n", body);
    });
    let manager = world.listener();
    let agent = agent(&world, &server.url(), "", "");
    let mut sensors = sensors(&manager);
    sensors.sort_by_key(|sensor| sensor["place"].to_string() + &sensor["kind"].to_string());
    let row = |sensor: &Value| {
        let place = format!(
            "{}:{}",
            sensor["place"]["part"].as_str().unwrap(),
            sensor["place"]["name"].as_str().unwrap()
        );
        (
            place,
            sensor["name"].as_str().unwrap().to_owned(),
            sensor["value"].as_f64(),
            sensor["status"].as_str().unwrap().to_owned(),
        )
    };
    let expected = [
        ("chassis:1U", "System", Some(344.0), "ok"),
        ("psu:1U/Bay 1", "output", Some(325.0), "ok"),
        ("psu:1U/Bay 1", "input", None, "unavailable"),
        ("rail:1U/VRM1", "voltage", Some(12.5), "ok"),
    ];
    let expected = expected
        .map(|(place, name, value, status)| (place.to_owned(), name.to_owned(), value, status.to_owned()));
    assert_eq!(sensors.iter().map(row).collect::<Vec<_>>(), expected);
    let faults = agent.plugin("redfish").faults;
    assert!(faults.len() == 1 && faults[0].contains("/thermal answers 500"), "{faults:?}");
}
