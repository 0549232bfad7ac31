//! What a deploy backend is, and how it becomes a component.
//!
//! A *backend* starts and stops one type of software: the `type` of a deploy order, named in the plugin's manifest
//! (`[deploy] type = "docker"`). It decides; the host has the mechanism: [`crate::artifacts`] fetches and unpacks,
//! [`crate::containers`] and [`crate::processes`] make what runs, [`crate::state`] remembers. The host has admitted the
//! order before a backend hears of it, and puts cores, memory and accelerators on whatever the backend makes.
//!
//! # The one rule
//!
//! The agent may be killed at any point, also in the middle of [`Backend::start`], and calls again afterwards. So look
//! first, then go on from what is there:
//!
//! ```no_run
//! # use cardcage_sdk::deploy::{Backend, Instance, Order, State};
//! # use cardcage_sdk::processes::{self, Process};
//! # use cardcage_sdk::{Error, Settings, artifacts};
//! /// Runs a static executable as it was fetched.
//! pub struct Bare;
//!
//! impl Backend for Bare {
//!     fn configure(_: &Settings) -> Result<Self, Error> {
//!         Ok(Self)
//!     }
//!
//!     fn start(&self, order: &Order) -> Result<Instance, Error> {
//!         let process = match processes::find()? {
//!             Some(process) => process,
//!             None => {
//!                 let archive = artifacts::fetch(&format!("{}/{}", order.url, order.file), None)?;
//!                 processes::create(&archive.unpack()?, &processes::program(&order.name, ["./run"]))?
//!             }
//!         };
//!         process.start()?;
//!         Ok(instance(&process.info()?))
//!     }
//!
//!     fn stop(&self, _: &Order) -> Result<(), Error> {
//!         match processes::find()? {
//!             Some(process) => process.stop().and_then(|()| process.remove()),
//!             None => Ok(()),
//!         }
//!     }
//!
//!     fn survey(&self) -> Result<Vec<Instance>, Error> {
//!         Ok(processes::survey()?.iter().map(instance).collect())
//!     }
//! }
//!
//! fn instance(info: &processes::Info) -> Instance {
//!     let state = if info.state == "running" { State::Running } else { State::Failed };
//!     Instance::process(info, state, info.error.clone())
//! }
//!
//! cardcage_sdk::export_backend!(Bare);
//! # fn main() {}
//! ```

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use serde::de::DeserializeOwned;

pub use crate::deploy_bindings::cardcage::types::deployment::{Id, Instance, Order, Requirements, Usage};
use crate::{Error, Settings};

/// A plugin that starts and stops one type of software. The module's documentation has a complete one.
///
/// The host makes a new instance of the plugin for every call: nothing is kept in it.
pub trait Backend: Sized + 'static {
    /// Takes the operator's settings.
    fn configure(settings: &Settings) -> Result<Self, Error>;

    /// Whether an order makes sense, before anything is admitted or fetched. Nothing but the order is looked at. Refuse
    /// with [`Error::invalid`], which names what is wrong and what would be right.
    fn check(&self, order: &Order) -> Result<(), Error> {
        let _ = order;
        Ok(())
    }

    /// Brings the instance of an order to run, from whatever is there; see [the one rule](self#the-one-rule). What is known
    /// to have ended by itself comes back as it is. An error is final, and the host then calls [`Backend::stop`]; except
    /// [`crate::code::UNREACHABLE`], after which the host calls again.
    fn start(&self, order: &Order) -> Result<Instance, Error>;

    /// Ends the instance and removes what was made for it. Nothing there is fine. After an error the host calls again.
    fn stop(&self, order: &Order) -> Result<(), Error>;

    /// Every instance of this backend that is there.
    fn survey(&self) -> Result<Vec<Instance>, Error>;
}

/// The states of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is being started.
    Pending,
    /// It runs.
    Running,
    /// It ended by itself, badly, or could not be started.
    Failed,
    /// It ended well, or was stopped.
    Stopped,
    /// It is paused.
    Sleeping,
}

impl State {
    /// The word of the interface.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
            Self::Sleeping => "sleeping",
        }
    }
}

impl Instance {
    /// The instance that a container is.
    pub fn container(info: &crate::containers::Info, state: State, reason: Option<String>) -> Self {
        Self {
            uuid: info.uuid.clone(),
            id: Id::Text(info.id.clone()),
            name: info.name.clone(),
            state: state.word().to_string(),
            reason,
            usage: info.usage,
        }
    }

    /// The instance that a program is: its id is the process id of its supervisor.
    pub fn process(info: &crate::processes::Info, state: State, reason: Option<String>) -> Self {
        Self {
            uuid: info.uuid.clone(),
            id: Id::Number(info.pid),
            name: info.name.clone(),
            state: state.word().to_string(),
            reason,
            usage: info.usage,
        }
    }
}

impl Order {
    /// Reads the options into a type of the backend's own. The error names what does not fit; let the type refuse unknown
    /// fields, so that a misspelt option is not silently ignored.
    pub fn options<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_str(&self.options).map_err(|error| Error::invalid(format!("options: {error}")))
    }
}

/// Makes a [`Backend`] the export of this component. `export_backend!(Bare, no_std)` does the same for a crate that is
/// `no_std` on WebAssembly.
#[macro_export]
macro_rules! export_backend {
    ($backend:ty) => {
        const _: fn() = $crate::export::require_backend::<$backend>;

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the exported names of the canonical ABI")]
        const _: () = {
            static INSTANCE: $crate::export::OneCall<$backend> = $crate::export::OneCall::new();

            struct Component;

            impl $crate::deploy_bindings::exports::cardcage::deploy::deployer::Guest for Component {
                fn configure(settings: $crate::export::String) -> ::core::result::Result<(), $crate::Error> {
                    INSTANCE.configure(settings, <$backend as $crate::deploy::Backend>::configure)
                }

                fn check(order: $crate::deploy::Order) -> ::core::result::Result<(), $crate::Error> {
                    INSTANCE.call(|backend| $crate::deploy::Backend::check(backend, &order))
                }

                fn start(
                    order: $crate::deploy::Order,
                ) -> ::core::result::Result<$crate::deploy::Instance, $crate::Error> {
                    INSTANCE.call(|backend| $crate::deploy::Backend::start(backend, &order))
                }

                fn stop(order: $crate::deploy::Order) -> ::core::result::Result<(), $crate::Error> {
                    INSTANCE.call(|backend| $crate::deploy::Backend::stop(backend, &order))
                }

                fn survey()
                -> ::core::result::Result<$crate::export::Vec<$crate::deploy::Instance>, $crate::Error>
                {
                    INSTANCE.call($crate::deploy::Backend::survey)
                }
            }

    $crate::deploy_bindings::export_backend_world!(Component with_types_in $crate::deploy_bindings);
        };
    };
    ($backend:ty, no_std) => {
        $crate::export_backend!($backend);
        $crate::no_std_guest!();
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_into_a_type() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Options {
            level: u8,
        }
        let order = |options: &str| Order { options: options.into(), ..crate::fake::order() };
        assert_eq!(order(r#"{"level": 3}"#).options(), Ok(Options { level: 3 }));
        let error = order(r#"{"levle": 3}"#).options::<Options>().unwrap_err();
        assert!(error.detail.starts_with("options: unknown field `levle`"), "{error:?}");
    }
}
