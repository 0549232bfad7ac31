//! `POST /heartbeat`: who the board is.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::{BadReport, parse_report};
use crate::bounded;
use crate::extension::HeartbeatExtension;
use crate::lenient::number;

/// The report of `/heartbeat`. What the board does not know is `0` or `""`, because v1.1 has no way to leave a field
/// out; a report without one of the position or address fields is refused, the descriptions may be missing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Number of the chassis (机箱号).
    #[serde(deserialize_with = "number")]
    pub box_id: i32,
    /// Number of the slot (槽位号).
    #[serde(deserialize_with = "number")]
    pub slot_id: i32,
    /// Number of the processor (cpu号).
    #[serde(deserialize_with = "number")]
    pub cpu_id: i32,
    /// Serial RapidIO number (srio号).
    #[serde(deserialize_with = "number")]
    pub srio_id: i32,
    /// Address of the interface that the query came in on (主机ip).
    pub host_ip: Ipv4Addr,
    /// Host name (主机名).
    pub hostname: String,
    /// Where the agent answers commands (命令响应服务端口).
    #[serde(deserialize_with = "number")]
    pub service_port: u16,
    /// Type of the chassis (机箱类型), such as `计算I型`.
    #[serde(default)]
    pub box_type: String,
    /// Type of the board (板卡类型), such as `GPU`.
    #[serde(default)]
    pub board_type: String,
    /// Type of the processor (cpu类型), such as `Phytium,D2000/8`.
    #[serde(default)]
    pub cpu_type: String,
    /// Operating system (操作系统类型).
    #[serde(default)]
    pub os_type: String,
    /// Type of the resource that the board offers, such as `GPU I`.
    #[serde(default)]
    pub resource_type: String,
    /// Machine architecture (cpu架构), such as `aarch64`.
    #[serde(default)]
    pub cpu_arch: String,
    /// The accelerators, at most 256.
    #[serde(default, deserialize_with = "bounded::list::<_, _, 256>")]
    pub gpu: Vec<Gpu>,
    /// What Cardcage adds, only where the query asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cardcage: Option<HeartbeatExtension>,
}

/// One accelerator in a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its number (gpu设备序号).
    #[serde(deserialize_with = "number")]
    pub index: i32,
    /// Its name (gpu设备名称).
    #[serde(default)]
    pub name: String,
}

impl Heartbeat {
    /// Reads the body of `POST /heartbeat`.
    pub fn parse(bytes: &[u8]) -> Result<Self, BadReport> {
        parse_report(bytes)
    }
}
