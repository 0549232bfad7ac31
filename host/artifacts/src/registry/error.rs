//! Why nothing came out of a registry. The texts name the thing and the remedy; what a registry says is in them only as far
//! as a terminal may show it.

use crate::{Digest, Error};

/// See the module. `what` is an address, without credentials.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// The network, a certificate, an address that leads nowhere.
    #[error(transparent)]
    Transfer(#[from] Error),
    /// It wants to know who asks.
    #[error(
        "{registry} wants to know who asks; put it into [deploy.registries.{registry:?}], username and password_file, of the \
         configuration, and name that with --config"
    )]
    WhoAsks {
        /// Host and port.
        registry: String,
    },
    /// It knows, and refuses; or it hides from strangers what is there.
    #[error(
        "{what}: refused with {status}; {registry} has no such repository, or [deploy.registries.{registry:?}] of the \
         configuration names somebody who may not read it"
    )]
    Refused {
        /// The address.
        what: String,
        /// Its status.
        status: u16,
        /// Host and port.
        registry: String,
    },
    /// It is on the loopback and speaks http, and there are credentials for it.
    #[error(
        "{registry} speaks http, and whoever listens there would learn the password of [deploy.registries.{registry:?}]; let \
         it speak https, or say --plain-http"
    )]
    InTheClear {
        /// Host and port.
        registry: String,
    },
    /// The reference leads to nothing.
    #[error("{what}: not there; look at the tag or digest, and at the name of the repository")]
    Absent {
        /// The address.
        what: String,
    },
    /// An answer that means nothing here.
    #[error("{what}: answered with {status}; look at the registry's log")]
    Status {
        /// The address.
        what: String,
        /// Its status.
        status: u16,
    },
    /// How it wants to be told who asks is not known here.
    #[error("{registry}: {reason}")]
    Challenge {
        /// Host and port.
        registry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What is there is no component.
    #[error(
        "{what}: {reason}; `wkg oci push` and `oras push … plugin.wasm:application/wasm` push what can be pulled"
    )]
    NoComponent {
        /// The address of the manifest.
        what: String,
        /// What it is.
        reason: String,
    },
    /// Over a limit, or not as long as announced.
    #[error("{what}: {reason}")]
    Size {
        /// The address.
        what: String,
        /// Which.
        reason: String,
    },
    /// Other content than its name says.
    #[error(
        "{what}: what came has SHA-256 {found}, not the {expected} that it was asked for by; it was changed in the registry \
         or on the way, and nothing of it is kept"
    )]
    Digest {
        /// The address.
        what: String,
        /// By which it was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
}
