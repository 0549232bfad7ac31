//! What is made to fail while a recording is played, to see what a plugin does about it.

use serde_json::Value;

use crate::plugin::bindings::cardcage::types::errors::Error;

/// One thing that a plugin asks for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Thing {
    /// `files`, `kernel`, `native`, `http`.
    pub capability: &'static str,
    /// A path, a fact, a library or a symbol of one, an address.
    pub name: String,
}

/// What fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// This board does not have one thing.
    Missing(Thing),
    /// The operator does not grant a capability.
    Denied(&'static str),
}

impl Thing {
    /// What a call asks for, in the order of its answers where it has several.
    pub fn of(name: &str, asked: &Value) -> Vec<Self> {
        let thing = |capability, name: &str| Self { capability, name: name.to_owned() };
        let texts = |capability| -> Vec<Self> {
            match asked {
                Value::Array(list) => {
                    list.iter().filter_map(Value::as_str).map(|name| thing(capability, name)).collect()
                }
                Value::String(name) => vec![thing(capability, name)],
                _ => Vec::new(),
            }
        };
        match name.split_once('.') {
            // A set takes every path; what is wrong with one is said where it is read.
            Some(("files", "open")) => Vec::new(),
            Some(("files", _)) => texts("files"),
            Some(("kernel", "spaces")) => texts("kernel"),
            Some(("kernel", fact)) => vec![thing("kernel", fact)],
            Some(("native", "open" | "function")) => texts("native"),
            // The method and the address.
            Some(("http", _)) => texts("http").pop().into_iter().collect(),
            _ => Vec::new(),
        }
    }
}

impl Fault {
    /// What the plugin is told of this thing, if it is what fails.
    pub fn strikes(&self, thing: &Thing) -> Option<Error> {
        match self {
            Self::Missing(missing) if missing == thing => {
                Some(Error::new("absent", format!("{} is not there", thing.name)))
            }
            Self::Denied(capability) if *capability == thing.capability => {
                Some(Error::new("denied", format!("{} is not granted", thing.name)))
            }
            _ => None,
        }
    }
}
