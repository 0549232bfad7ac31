//! `POST /resource`: how the board is.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::{BadReport, parse_report};
use crate::bounded;
use crate::extension::ResourceExtension;
use crate::lenient::number;

/// The report of `/resource`. A number that the board cannot measure is `0`, because v1.1 readers need a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceReport {
    /// Address of the interface that the query came in on (主机ip).
    pub host_ip: Ipv4Addr,
    /// The readings.
    pub resource: Resource,
    /// The deployed instances that the agent knows, at most 4,096.
    #[serde(default, deserialize_with = "bounded::list::<_, _, 4096>")]
    pub component: Vec<Component>,
    /// What Cardcage adds, only where the query asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cardcage: Option<ResourceExtension>,
}

impl ResourceReport {
    /// Reads the body of `POST /resource`.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadReport> {
        parse_report(bytes)
    }
}

/// The readings of the board.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Resource {
    /// Processors.
    pub cpu: Cpu,
    /// Main memory.
    pub memory: Memory,
    /// Network interfaces, at most 4,096.
    #[serde(default, deserialize_with = "bounded::list::<_, _, 4096>")]
    pub network: Vec<Network>,
    /// Mounted file systems, at most 4,096.
    #[serde(default, deserialize_with = "bounded::list::<_, _, 4096>")]
    pub disk: Vec<Disk>,
    /// Accelerators, at most 256.
    #[serde(default, deserialize_with = "bounded::list::<_, _, 256>")]
    pub gpu: Vec<GpuUsage>,
}

/// The processors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// Percent (cpu使用率百分比).
    #[serde(deserialize_with = "number")]
    pub usage_percent: f64,
    /// Load over one minute.
    #[serde(deserialize_with = "number")]
    pub load_avg_1m: f64,
    /// Load over five minutes.
    #[serde(deserialize_with = "number")]
    pub load_avg_5m: f64,
    /// Load over fifteen minutes.
    #[serde(deserialize_with = "number")]
    pub load_avg_15m: f64,
    /// Cores (cpu核数).
    #[serde(deserialize_with = "number")]
    pub core_count: i32,
    /// Cores promised to deployed instances (cpu已分配核数).
    #[serde(deserialize_with = "number")]
    pub core_allocated: i32,
    /// Degrees Celsius.
    #[serde(deserialize_with = "number")]
    pub temperature: f64,
    /// Volts.
    #[serde(deserialize_with = "number")]
    pub voltage: f64,
    /// Amperes.
    #[serde(deserialize_with = "number")]
    pub current: f64,
    /// Watts.
    #[serde(deserialize_with = "number")]
    pub power: f64,
}

/// The main memory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// Bytes.
    #[serde(deserialize_with = "number")]
    pub total: u64,
    /// Bytes.
    #[serde(deserialize_with = "number")]
    pub used: u64,
    /// Bytes.
    #[serde(deserialize_with = "number")]
    pub free: u64,
    /// Percent.
    #[serde(deserialize_with = "number")]
    pub usage_percent: f64,
}

/// One network interface.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    /// Its name (网卡名).
    pub interface: String,
    /// Bytes received.
    #[serde(deserialize_with = "number")]
    pub rx_bytes: u64,
    /// Bytes sent.
    #[serde(deserialize_with = "number")]
    pub tx_bytes: u64,
    /// Packets received.
    #[serde(deserialize_with = "number")]
    pub rx_packets: u64,
    /// Packets sent.
    #[serde(deserialize_with = "number")]
    pub tx_packets: u64,
    /// Errors on receipt.
    #[serde(deserialize_with = "number")]
    pub rx_errors: i64,
    /// Errors on sending.
    #[serde(deserialize_with = "number")]
    pub tx_errors: i64,
}

/// One mounted file system.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Disk {
    /// What is mounted (设备名称).
    pub device: String,
    /// Where (挂载路径).
    pub mount_point: String,
    /// Bytes.
    #[serde(deserialize_with = "number")]
    pub total: u64,
    /// Bytes.
    #[serde(deserialize_with = "number")]
    pub used: u64,
    /// Bytes.
    #[serde(deserialize_with = "number")]
    pub free: u64,
    /// Percent.
    #[serde(deserialize_with = "number")]
    pub usage_percent: f64,
}

/// One accelerator.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GpuUsage {
    /// Its number, the same as in the heartbeat.
    #[serde(deserialize_with = "number")]
    pub index: i32,
    /// Its name.
    pub name: String,
    /// Percent (gpu计算使用率).
    #[serde(deserialize_with = "number")]
    pub compute_usage: f64,
    /// Percent (gpu内存使用率).
    #[serde(deserialize_with = "number")]
    pub mem_usage: f64,
    /// Bytes.
    #[serde(deserialize_with = "number")]
    pub mem_used: u64,
    /// Bytes.
    #[serde(deserialize_with = "number")]
    pub mem_total: u64,
    /// Degrees Celsius.
    #[serde(deserialize_with = "number")]
    pub temperature: f64,
    /// Volts.
    #[serde(deserialize_with = "number")]
    pub voltage: f64,
    /// Amperes.
    #[serde(deserialize_with = "number")]
    pub current: f64,
    /// Watts.
    #[serde(deserialize_with = "number")]
    pub power: f64,
}

/// State of a deployed instance (容器运行状态).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Being fetched or started.
    Pending,
    /// Runs.
    Running,
    /// Ended by itself, or could not be started.
    Failed,
    /// Was stopped.
    Stopped,
    /// Paused.
    Sleeping,
}

/// One deployed instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Component {
    /// The business instance it belongs to.
    pub instance_id: String,
    /// The component instance.
    pub uuid: String,
    /// Its number within the business instance.
    #[serde(deserialize_with = "number")]
    pub index: i32,
    /// What runs.
    pub config: ComponentConfig,
    /// Its state.
    pub state: State,
    /// What it uses.
    pub resource: ComponentResource,
}

/// What runs as an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComponentConfig {
    /// Name of the container.
    pub name: String,
    /// Id of the container.
    pub id: String,
}

/// What an instance uses.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComponentResource {
    /// Processors.
    pub cpu: ComponentCpu,
    /// Memory.
    pub memory: ComponentMemory,
    /// Network.
    pub network: ComponentNetwork,
}

/// Processor use of an instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComponentCpu {
    /// Percent (负载率).
    #[serde(deserialize_with = "number")]
    pub load: f64,
}

/// Memory use of an instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComponentMemory {
    /// Bytes.
    #[serde(deserialize_with = "number")]
    pub mem_used: u64,
    /// Bytes.
    #[serde(deserialize_with = "number")]
    pub mem_limit: u64,
}

/// Network use of an instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ComponentNetwork {
    /// Bytes sent.
    #[serde(deserialize_with = "number")]
    pub tx: u64,
    /// Bytes received.
    #[serde(deserialize_with = "number")]
    pub rx: u64,
}
