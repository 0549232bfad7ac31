//! What a task is, and how it becomes a component.
//!
//! A *task* plugin answers questions about a board (*queries*, such as an inventory) and carries out what takes long (such
//! as a burn-in), with its progress. Whoever may order deploys of an agent may ask: `POST /tasks/PLUGIN/TASK`; a vendor
//! tries one with `cardcage-agent plugin run PLUGIN TASK`.
//!
//! ```no_run
//! use cardcage_sdk::task::{Arguments, Description, Json, Task, json, progress};
//! use cardcage_sdk::{Error, Settings, kernel};
//!
//! /// Says how busy the board is, and watches it.
//! struct Load;
//!
//! impl Task for Load {
//!     fn configure(_: &Settings) -> Result<Self, Error> {
//!         Ok(Self)
//!     }
//!
//!     fn describe(&self) -> Vec<Description> {
//!         let rounds = json!({ "type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 100 });
//!         vec![
//!             Description::query("now", "How busy the board is"),
//!             Description::long("peak", "How busy it gets meanwhile").argument("rounds", rounds),
//!         ]
//!     }
//!
//!     fn run(&self, name: &str, arguments: &Arguments) -> Result<Json, Error> {
//!         let (mut peak, rounds) = (kernel::load()?.one, arguments.number("rounds").unwrap_or(1.0) as u32);
//!         for round in 0..rounds {
//!             progress(round * 100 / rounds, name)?; // an error where it was cancelled
//!             peak = kernel::load()?.one.max(peak);
//!         }
//!         Ok(json!({ "load": peak }))
//!     }
//! }
//!
//! cardcage_sdk::export_task!(Load);
//! # fn main() {}
//! ```

use alloc::string::ToString as _;
use alloc::vec::Vec;

use serde::de::DeserializeOwned;
/// What a task answers.
pub use serde_json::Value as Json;
/// Makes a [`Json`] of what looks like it.
pub use serde_json::json;

pub use crate::task_bindings::exports::cardcage::task::runner::Description;
use crate::{Error, Settings};

/// A plugin that can be asked to do things. The module's documentation has a complete one.
///
/// The host makes a new instance of the plugin for every run: nothing is kept in it.
pub trait Task: Sized + 'static {
    /// Takes the operator's settings.
    fn configure(settings: &Settings) -> Result<Self, Error>;

    /// What can be asked for.
    fn describe(&self) -> Vec<Description>;

    /// Does what one of the descriptions says. The arguments fit its schema. What comes back has at most 64 KiB as text.
    fn run(&self, name: &str, arguments: &Arguments) -> Result<Json, Error>;
}

/// What a run is given: a JSON object that fits the description's schema, with the defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Arguments(Json);

impl Arguments {
    /// From their JSON text, for tests; a task gets them from the host.
    pub fn from_json(json: &str) -> Result<Self, Error> {
        serde_json::from_str(json).map(Self).map_err(|error| Error::invalid(error.to_string()))
    }

    /// One of them; absent where it was not given and has no default.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name)
    }

    /// One that is a number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.get(name)?.as_f64()
    }

    /// One that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// All of them, as a type of the task's own.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_value(self.0.clone()).map_err(|error| Error::invalid(error.to_string()))
    }
}

impl Description {
    /// Something that is answered at once, in seconds.
    pub fn query(name: &str, summary: &str) -> Self {
        let arguments = r#"{"type":"object","properties":{},"additionalProperties":false}"#;
        Self { name: name.into(), summary: summary.into(), arguments: arguments.into(), long: false }
    }

    /// Something that takes minutes, says how far it is with [`progress`], and can be cancelled.
    pub fn long(name: &str, summary: &str) -> Self {
        Self { long: true, ..Self::query(name, summary) }
    }

    /// An argument, with the JSON Schema of what it takes, of the keywords that a setting in a manifest may have. One without
    /// a `default` may be left out, unless it says `"required": true`.
    #[must_use]
    pub fn argument(mut self, name: &str, schema: Json) -> Self {
        let mut whole: Json = serde_json::from_str(&self.arguments).unwrap_or_default();
        let mut schema = schema;
        let required = schema.as_object_mut().and_then(|keywords| keywords.remove("required"));
        if required == Some(Json::Bool(true)) {
            let list = whole.as_object_mut().map(|keywords| keywords.entry("required").or_insert(json!([])));
            list.and_then(Json::as_array_mut).into_iter().for_each(|list| list.push(name.into()));
        } else if let (Some(names), Some(keywords)) = (required, schema.as_object_mut()) {
            // Those of its own properties.
            keywords.insert("required".into(), names);
        }
        let properties = whole.get_mut("properties").and_then(Json::as_object_mut);
        properties.into_iter().for_each(|properties| drop(properties.insert(name.into(), schema.clone())));
        self.arguments = whole.to_string();
        self
    }
}

/// Says how far a run is, in percent where that is known, and in a sentence. An error ([`code::CANCELLED`]) where nobody
/// wants the result any more: hand it on with `?`. Natively, in unit tests, it does nothing.
///
/// [`code::CANCELLED`]: crate::code::CANCELLED
pub fn progress(percent: impl Into<Option<u32>>, message: &str) -> Result<(), Error> {
    let percent = percent.into().map(|percent| u8::try_from(percent.min(100)).unwrap_or(100));
    report(percent, message)
}

#[cfg(target_arch = "wasm32")]
use crate::task_bindings::cardcage::task::progress::report;

#[cfg(not(target_arch = "wasm32"))]
fn report(_: Option<u8>, _: &str) -> Result<(), Error> {
    Ok(())
}

/// Makes a [`Task`] the export of this component. `export_task!(Load, no_std)` does the same for a crate that is `no_std` on
/// WebAssembly.
#[macro_export]
macro_rules! export_task {
    ($task:ty) => {
        const _: fn() = $crate::export::require_task::<$task>;

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the exported names of the canonical ABI")]
        const _: () = {
            static INSTANCE: $crate::export::OneCall<$task> = $crate::export::OneCall::new();

            struct Component;

            impl $crate::task_bindings::exports::cardcage::task::runner::Guest for Component {
                fn configure(settings: $crate::export::String) -> ::core::result::Result<(), $crate::Error> {
                    INSTANCE.configure(settings, <$task as $crate::task::Task>::configure)
                }

                fn describe()
                -> ::core::result::Result<$crate::export::Vec<$crate::task::Description>, $crate::Error>
                {
                    INSTANCE.call(|task| ::core::result::Result::Ok($crate::task::Task::describe(task)))
                }

                fn run(
                    name: $crate::export::String,
                    arguments: $crate::export::String,
                ) -> ::core::result::Result<$crate::export::String, $crate::Error> {
                    INSTANCE.call(|task| $crate::export::run(task, &name, &arguments))
                }
            }

    $crate::task_bindings::export_task_world!(Component with_types_in $crate::task_bindings);
        };
    };
    ($task:ty, no_std) => {
        $crate::export_task!($task);
        $crate::no_std_guest!();
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_put_into_one_schema() {
        let description = Description::long("burn-in", "Computes")
            .argument("rounds", json!({ "type": "integer", "default": 3 }))
            .argument("disk", json!({ "type": "string", "required": true }))
            .argument("nested", json!({ "type": "object", "properties": { "a": {} }, "required": ["a"] }));
        let schema: Json = serde_json::from_str(&description.arguments).unwrap();
        assert_eq!(schema["required"], json!(["disk"]));
        assert_eq!(schema["properties"]["rounds"], json!({ "type": "integer", "default": 3 }));
        assert_eq!(schema["properties"]["disk"], json!({ "type": "string" }));
        assert_eq!(schema["properties"]["nested"]["required"], json!(["a"]));
        assert!(description.long && !Description::query("now", "").long);
    }

    #[test]
    fn arguments_are_read_one_by_one_or_into_a_type() {
        let arguments = Arguments::from_json(r#"{ "rounds": 3, "disk": "sda" }"#).unwrap();
        assert_eq!((arguments.number("rounds"), arguments.text("disk")), (Some(3.0), Some("sda")));
        assert_eq!(arguments.get("none"), None);
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct Given {
            rounds: u32,
        }
        assert_eq!(arguments.parse(), Ok(Given { rounds: 3 }));
        assert!(Arguments::from_json("{").is_err());
    }

    #[test]
    fn progress_natively_is_silent() {
        assert_eq!(progress(250, "far"), Ok(()));
        assert_eq!(progress(None, "somewhere"), Ok(()));
    }
}
