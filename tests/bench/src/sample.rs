//! Processor time of one full sample, against a native program and node_exporter.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::figures::{Figures, Goal, say};
use crate::native::{Interface, Outcome, Readings, Sensor};
use crate::process::{Process, Programs, free_port, listening};
use crate::tree::Tree;

/// Samples taken back to back, in rounds: the best round of each counts, since a busy machine only ever adds.
const SAMPLES: u32 = 1000;
const ROUNDS: usize = 5;
/// Scrapes cost more, so fewer will do.
const SCRAPES: u32 = 200;
/// Samples taken once a second, as an agent takes them.
const PACED: u32 = 10;

pub fn measure(programs: &Programs, figures: &mut Figures) -> Result<()> {
    say("sample: a board with 64 hwmon sensors");
    let tree = Tree::record()?;
    let first = (agent(programs, &tree, 2, None)?, native(programs, &tree, 1, 0)?);
    assert_equal(&first.0.1, &first.1.readings)?;
    let (mut ours, mut theirs) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        ours = ours.min(agent(programs, &tree, SAMPLES, None)?.0);
        theirs = theirs.min(native(programs, &tree, SAMPLES, 0)?.cpu_seconds);
    }
    let micros = 1e6;
    figures.against(
        "sample, back to back",
        ours * micros,
        "µs",
        ("native", theirs * micros),
        Goal::AtMost(2.0),
    );
    let paced = agent(programs, &tree, PACED + 1, Some("1s"))?.0;
    let native_paced = native(programs, &tree, PACED, 1000)?.cpu_seconds;
    figures.against(
        "sample, once a second",
        paced * micros,
        "µs",
        ("native", native_paced * micros),
        Goal::None,
    );
    match &programs.node_exporter {
        Some(node_exporter) => {
            let scrape = exporter(node_exporter, &tree, SCRAPES, Duration::ZERO)?;
            figures.against(
                "sample, back to back",
                ours * micros,
                "µs",
                ("node_exporter", scrape * micros),
                Goal::AtMost(0.2),
            );
            let scrape = exporter(node_exporter, &tree, PACED, Duration::from_secs(1))?;
            figures.against(
                "sample, once a second",
                paced * micros,
                "µs",
                ("node_exporter", scrape * micros),
                Goal::None,
            );
        }
        None => figures.skip("sample against node_exporter", "prometheus-node-exporter is not installed"),
    }
    Ok(())
}

/// Seconds of one sample of all built-in plugins, in a process of its own, and the readings.
fn agent(programs: &Programs, tree: &Tree, count: u32, every: Option<&str>) -> Result<(f64, Readings)> {
    let mut command = Command::new(&programs.agent);
    command
        .args(["plugin", "try", "--json", "--count", &count.to_string(), "--config"])
        .arg(tree.config_path());
    command.args(every.map(|every| ["--every", every]).into_iter().flatten());
    let output = command.output()?;
    ensure!(output.status.success(), "the agent: {}", String::from_utf8_lossy(&output.stderr));
    let tried: Value = serde_json::from_slice(&output.stdout)?;
    let number =
        |pointer: &str| tried.pointer(pointer).and_then(Value::as_f64).context("a number is missing");
    Ok((number("/cost/cpu_seconds")? / number("/cost/samples")?, readings(&tried)?))
}

fn native(programs: &Programs, tree: &Tree, count: u32, every_ms: u64) -> Result<Outcome> {
    let output = Command::new(&programs.bench)
        .args(["native", "--count", &count.to_string(), "--every-ms", &every_ms.to_string()])
        .arg("--proc")
        .arg(tree.proc())
        .arg("--sys")
        .arg(tree.sys())
        .output()?;
    ensure!(output.status.success(), "the native program: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The agent's readings, in the native program's shape.
fn readings(tried: &Value) -> Result<Readings> {
    let at = |pointer: &str| tried.pointer(pointer).cloned().unwrap_or_default();
    let text = |pointer: &str| at(pointer).as_str().unwrap_or_default().to_owned();
    let all = "/resource/cardcage/readings";
    let list = |name: &str| at(&format!("{all}/{name}")).as_array().cloned().unwrap_or_default();
    let mut mount_points: Vec<String> =
        list("disk").iter().filter_map(|disk| Some(disk.get("mount_point")?.as_str()?.to_owned())).collect();
    mount_points.sort();
    Ok(Readings {
        cores: serde_json::from_value(at(&format!("{all}/cpu/cores")))?,
        load_1m: serde_json::from_value(at(&format!("{all}/cpu/load_avg_1m")))?,
        cpu_model: text("/heartbeat/cpu_type"),
        memory_total: serde_json::from_value(at(&format!("{all}/memory/total")))?,
        memory_free: serde_json::from_value(at(&format!("{all}/memory/free")))?,
        interfaces: list("network").iter().map(interface).collect::<Result<_>>()?,
        mount_points,
        sensors: list("sensors").iter().map(sensor).collect::<Result<BTreeMap<_, _>>>()?,
        hostname: text("/heartbeat/hostname"),
        os: text("/heartbeat/os_type"),
        manufacturer: text("/heartbeat/cardcage/identity/manufacturer"),
    })
}

fn interface(value: &Value) -> Result<(String, Interface)> {
    let name = value.get("interface").and_then(Value::as_str).context("an interface has a name")?;
    let interface = Interface {
        rx_bytes: value.get("rx_bytes").and_then(Value::as_u64).context("rx_bytes")?,
        tx_bytes: value.get("tx_bytes").and_then(Value::as_u64).context("tx_bytes")?,
        address: value.get("address").and_then(Value::as_str).map(str::to_owned),
        state: value.get("state").and_then(Value::as_str).map(str::to_owned),
        speed: value.get("speed").and_then(Value::as_u64),
        mtu: value.get("mtu").and_then(Value::as_u64).and_then(|mtu| mtu.try_into().ok()),
    };
    Ok((name.to_owned(), interface))
}

/// The name that the probe gives a sensor ends with its label and holds the device's.
fn sensor(value: &Value) -> Result<(String, Sensor)> {
    let name = value.get("name").and_then(Value::as_str).context("a sensor has a name")?;
    let number =
        |pointer: &str| value.pointer(pointer).and_then(Value::as_f64).context("a number is missing");
    let sensor = Sensor {
        value: number("/value")?,
        upper_caution: number("/limits/upper_caution")?,
        upper_critical: number("/limits/upper_critical")?,
    };
    let (device, label) = (name.find("acme.").context("device")?, name.find("zone ").context("label")?);
    let slice = |from: usize, length: usize| name.get(from..from + length).unwrap_or_default();
    Ok((format!("{} {}", slice(device, "acme.0".len()), slice(label, "zone 1".len())), sensor))
}

fn assert_equal(ours: &Readings, theirs: &Readings) -> Result<()> {
    ensure!(
        theirs.sensors.len() == 64,
        "the tree has 64 sensors, the native program found {}",
        theirs.sensors.len()
    );
    // f32 in the procfs crate, f64 here.
    ensure!((ours.load_1m - theirs.load_1m).abs() < 1e-5, "load: {} and {}", ours.load_1m, theirs.load_1m);
    let rounded = |readings: &Readings| {
        let mut value = serde_json::to_value(readings)?;
        value.as_object_mut().and_then(|fields| fields.remove("load_1m"));
        anyhow::Ok(value)
    };
    let (ours, theirs) = (rounded(ours)?, rounded(theirs)?);
    ensure!(ours == theirs, "the readings differ:\n{ours:#}\n{theirs:#}");
    say("the readings of the plugins and of the native program are equal");
    Ok(())
}

/// Seconds of processor time of one scrape, with the matching collectors only.
fn exporter(program: &Path, tree: &Tree, scrapes: u32, every: Duration) -> Result<f64> {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let collectors =
        ["cpu", "loadavg", "meminfo", "netdev", "filesystem", "hwmon", "thermal_zone", "uname", "os", "dmi"];
    let mut arguments = vec![
        format!("--web.listen-address={address}"),
        format!("--path.procfs={}", tree.proc().display()),
        format!("--path.sysfs={}", tree.sys().display()),
        "--collector.disable-defaults".to_owned(),
    ];
    arguments.extend(collectors.iter().map(|collector| format!("--collector.{collector}")));
    let process = Process::start(program, arguments)?;
    listening(address)?;
    ensure!(
        scrape(address)?.matches("node_hwmon_temp_celsius{").count() == 64,
        "node_exporter sees other sensors"
    );
    for _ in 0..20 {
        scrape(address)?;
    }
    let before = process.processor_time()?;
    for _ in 0..scrapes {
        std::thread::sleep(every);
        scrape(address)?;
    }
    Ok((process.processor_time()? - before).as_secs_f64() / f64::from(scrapes))
}

pub fn scrape(address: SocketAddr) -> Result<String> {
    get(address, "/metrics")
}

/// An answer with its head.
pub fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
