//! The limit: a native program that takes the same readings with the procfs crate and std::fs, as one would write it.
//! Sensors are discovered once, and what seldom changes (identity, attributes of interfaces) is read once, as the agent
//! reads it every ten seconds; everything else is opened, read and parsed each time.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::resource::{UsageWho, getrusage};
use procfs_core::net::InterfaceDeviceStatus;
use procfs_core::process::MountInfos;
use procfs_core::{
    CpuInfo, ExplicitSystemInfo, FromBufReadSI as _, FromRead as _, KernelStats, LoadAverage, Meminfo,
};
use serde::{Deserialize, Serialize};

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long)]
    pub proc: PathBuf,
    #[arg(long)]
    pub sys: PathBuf,
    #[arg(long)]
    pub count: u32,
    #[arg(long, default_value_t = 0)]
    pub every_ms: u64,
}

/// The readings, and what one sample cost.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub readings: Readings,
    pub cpu_seconds: f64,
}

/// As the agent's report has them.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Readings {
    pub cores: usize,
    pub load_1m: f64,
    pub cpu_model: String,
    pub memory_total: u64,
    pub memory_free: u64,
    pub interfaces: BTreeMap<String, Interface>,
    pub mount_points: Vec<String>,
    pub sensors: BTreeMap<String, Sensor>,
    pub hostname: String,
    pub os: String,
    pub manufacturer: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interface {
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub address: Option<String>,
    pub state: Option<String>,
    pub speed: Option<u64>,
    pub mtu: Option<u32>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Sensor {
    pub value: f64,
    pub upper_caution: f64,
    pub upper_critical: f64,
}

/// A sensor that was discovered: what does not change is read once.
struct Channel {
    name: String,
    input: PathBuf,
    upper_caution: f64,
    upper_critical: f64,
}

/// What seldom changes.
struct Known {
    channels: Vec<Channel>,
    links: BTreeMap<String, Interface>,
    cpu_model: String,
    hostname: String,
    os: String,
    manufacturer: String,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let known = look(arguments)?;
    let mut readings = sample(arguments, &known)?;
    let before = processor_time()?;
    for _ in 0..arguments.count {
        sleep(Duration::from_millis(arguments.every_ms));
        readings = sample(arguments, &known)?;
    }
    let cpu_seconds = (processor_time()? - before) / f64::from(arguments.count);
    let outcome = serde_json::to_string(&Outcome { readings, cpu_seconds })?;
    Ok(writeln!(std::io::stdout(), "{outcome}")?)
}

fn processor_time() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = |time: nix::sys::time::TimeVal| {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a benchmark")]
        let micros = (time.tv_sec() * 1_000_000 + time.tv_usec()) as f64;
        micros
    };
    Ok((micros(usage.user_time()) + micros(usage.system_time())) / 1e6)
}

fn discover(sys: &Path) -> Result<Vec<Channel>> {
    let mut channels = Vec::new();
    for chip in fs::read_dir(sys.join("class/hwmon"))? {
        let chip = chip?.path();
        let device = chip.join("device").canonicalize()?;
        let device = device.file_name().context("a device has a name")?.to_string_lossy().into_owned();
        for sensor in 1.. {
            let input = chip.join(format!("temp{sensor}_input"));
            if !input.exists() {
                break;
            }
            let label = text(&chip.join(format!("temp{sensor}_label"))).context("label")?;
            let limit = |kind: &str| milli(&chip.join(format!("temp{sensor}_{kind}")));
            let (upper_caution, upper_critical) = (limit("max")?, limit("crit")?);
            channels.push(Channel {
                name: format!("{device} {label}"),
                input,
                upper_caution,
                upper_critical,
            });
        }
    }
    Ok(channels)
}

fn look(Arguments { proc, sys, .. }: &Arguments) -> Result<Known> {
    let cpus = CpuInfo::from_file(proc.join("cpuinfo"))?;
    let release = fs::read_to_string("/etc/os-release")?;
    let pretty = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let network = InterfaceDeviceStatus::from_file(proc.join("net/dev"))?;
    Ok(Known {
        channels: discover(sys)?,
        links: network.0.into_keys().map(|name| link(sys, name)).collect(),
        cpu_model: cpus.model_name(0).unwrap_or_default().to_owned(),
        hostname: text(&proc.join("sys/kernel/hostname")).unwrap_or_default(),
        os: pretty.unwrap_or_default().trim_matches('"').to_owned(),
        manufacturer: dmi(sys),
    })
}

fn sample(Arguments { proc, .. }: &Arguments, known: &Known) -> Result<Readings> {
    let system = ExplicitSystemInfo {
        boot_time_secs: 0,
        ticks_per_second: 100,
        page_size: 4096,
        is_little_endian: true,
    };
    let stat =
        KernelStats::from_buf_read(std::io::BufReader::new(fs::File::open(proc.join("stat"))?), &system)?;
    let load = LoadAverage::from_file(proc.join("loadavg"))?;
    let memory = Meminfo::from_file(proc.join("meminfo"))?;
    let network = InterfaceDeviceStatus::from_file(proc.join("net/dev"))?;
    let counted = |(name, counters): (String, procfs_core::net::DeviceStatus)| {
        let link = known.links.get(&name)?.clone();
        let interface = Interface { rx_bytes: counters.recv_bytes, tx_bytes: counters.sent_bytes, ..link };
        Some((name, interface))
    };
    Ok(Readings {
        cores: stat.cpu_time.len(),
        load_1m: f64::from(load.one),
        cpu_model: known.cpu_model.clone(),
        memory_total: memory.mem_total,
        memory_free: memory.mem_available.unwrap_or_default(),
        interfaces: network.0.into_iter().filter_map(counted).collect(),
        mount_points: mount_points(proc)?,
        sensors: known.channels.iter().map(sensor).collect::<Result<_>>()?,
        hostname: known.hostname.clone(),
        os: known.os.clone(),
        manufacturer: known.manufacturer.clone(),
    })
}

/// Every string that the identity probe looks at; the manufacturer stands for them.
fn dmi(sys: &Path) -> String {
    let folder = sys.join("class/dmi/id");
    let names = ["sys_vendor", "product_name", "board_vendor", "board_name", "board_serial", "bios_version"];
    names.iter().filter_map(|name| text(&folder.join(name))).next().unwrap_or_default()
}

fn link(sys: &Path, name: String) -> (String, Interface) {
    let folder = sys.join("class/net").join(&name);
    let interface = Interface {
        rx_bytes: 0,
        tx_bytes: 0,
        address: text(&folder.join("address")).filter(|address| address != "00:00:00:00:00:00"),
        state: text(&folder.join("operstate")),
        speed: text(&folder.join("speed"))
            .and_then(|speed| speed.parse::<u64>().ok())
            .map(|mbit| mbit * 1_000_000),
        mtu: text(&folder.join("mtu")).and_then(|mtu| mtu.parse().ok()),
    };
    (name, interface)
}

fn mount_points(proc: &Path) -> Result<Vec<String>> {
    let pseudo = fs::read_to_string(proc.join("filesystems"))?;
    let pseudo: Vec<&str> = pseudo.lines().filter_map(|line| line.strip_prefix("nodev\t")).collect();
    let mounts = MountInfos::from_file(proc.join("self/mountinfo"))?;
    let mut seen = Vec::new();
    let mut points = Vec::new();
    for mount in mounts.0 {
        if !pseudo.contains(&mount.fs_type.as_str()) && !seen.contains(&mount.majmin) {
            seen.push(mount.majmin);
            points.push(mount.mount_point.to_string_lossy().into_owned());
        }
    }
    points.sort();
    Ok(points)
}

fn sensor(channel: &Channel) -> Result<(String, Sensor)> {
    let Channel { name, input, upper_caution, upper_critical } = channel;
    let sensor =
        Sensor { value: milli(input)?, upper_caution: *upper_caution, upper_critical: *upper_critical };
    Ok((name.clone(), sensor))
}

fn text(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

fn milli(path: &Path) -> Result<f64> {
    let number: f64 = fs::read_to_string(path)?.trim().parse()?;
    Ok(number / 1000.0)
}
