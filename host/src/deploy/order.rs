//! What a manager ordered, and what the board gave it. Both are part of the record, so they are written as they are kept.

use serde::{Deserialize, Serialize};

use crate::model::Digest;

/// One order to start an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub uuid: String,
    /// Which backend.
    pub kind: String,
    pub instance_id: String,
    pub index: i32,
    pub name: String,
    pub url: String,
    pub file: String,
    /// A JSON object with sorted keys.
    pub options: String,
    pub requirements: Requirements,
}

/// What an instance needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirements {
    pub cores: u32,
    /// Whether the cores may be shared with others.
    pub shared: bool,
    /// Bytes.
    pub memory: u64,
    pub gpus: u32,
}

impl Order {
    /// SHA-256 over everything that was ordered: equal orders, equal digests.
    pub fn digest(&self) -> String {
        // A structure of texts and numbers can always be written.
        let text = serde_json::to_vec(self).unwrap_or_default();
        Digest::of(&text).to_string()
    }
}

/// What an instance was admitted with. Held for as long as its phase says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// Numbers of logical cores.
    pub cores: Vec<u32>,
    /// Whether others may run on them too.
    pub shared: bool,
    /// Bytes.
    pub memory: u64,
    pub gpus: Vec<Gpu>,
}

/// An accelerator that is given to one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// Its number in reports.
    pub index: u32,
    /// Its stable name on the bus.
    pub device: String,
    pub vendor: Option<String>,
}

/// What an instance is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    Number(u64),
    Text(String),
}
