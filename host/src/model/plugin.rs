//! Plugins by name, digest and state, as an operator sees them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// The name in a plugin's manifest: the key of its settings and grants.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginName(Arc<str>);

impl PluginName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for PluginName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A SHA-256. Shown as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut digest = [0; 32];
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        if pairs.len() != digest.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self(digest))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// How well a probe knows the board. The more specific wins where two give the same reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Support {
    /// Nothing to do on this board.
    Nothing,
    Generic,
    Family,
    Board,
}

impl From<u8> for Support {
    fn from(level: u8) -> Self {
        match level {
            0 => Self::Nothing,
            1 => Self::Generic,
            2 => Self::Family,
            _ => Self::Board,
        }
    }
}

impl Support {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Generic => "generic",
            Self::Family => "family",
            Self::Board => "board",
        }
    }
}

/// Where a plugin stands.
///
/// ```text
/// Compiling -> Starting -> Ready <-> Backoff -> Quarantined
///     |           |-> Idle (nothing to do on this board)
///     `-----------`-> Refused (bad file, not granted, bad settings)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PluginState {
    Compiling,
    Starting,
    Ready,
    Idle,
    Backoff,
    Quarantined,
    Refused,
}

impl PluginState {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Compiling => "compiling",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Idle => "idle",
            Self::Backoff => "backoff",
            Self::Quarantined => "quarantined",
            Self::Refused => "refused",
        }
    }
}

/// One plugin, as `plugin list`, `/metrics` and the heartbeat's extension show it. A copy: it never changes.
#[derive(Debug, Clone)]
pub struct PluginStatus {
    pub name: PluginName,
    pub version: String,
    pub digest: Digest,
    pub built_in: bool,
    pub state: PluginState,
    /// Why, where the state needs a reason.
    pub reason: Option<String>,
    /// What it is called for, such as `probe`; not known of a file that is no plugin.
    pub kind: Option<&'static str>,
    pub support: Option<Support>,
    /// What it found on this board, as it says.
    pub note: Option<String>,
    /// Who made it, as its manifest says.
    pub vendor: Option<String>,
    /// Who signed it, or why it runs without; where nobody asks, nothing.
    pub trust: Option<String>,
    /// Interfaces that it imports, such as `cardcage:host/files`.
    pub imports: Vec<String>,
    pub samples: u64,
    /// Traps, missed deadlines and errors, since the agent started.
    pub failures: u64,
    pub restarts: u64,
    /// How long the last sample took, by the wall clock.
    pub last_sample: Option<Duration>,
    /// The longest that one took.
    pub longest_sample: Option<Duration>,
    /// Processor time of its calls, since it was started: what a sandboxed call costs, all in all.
    pub cpu: Duration,
    /// How often it called the agent, since it was started.
    pub host_calls: u64,
    /// Linear memory of its instance, in bytes.
    pub memory: Option<u64>,
    /// Readings in its last sample.
    pub readings: Option<u64>,
    /// The last thing that went wrong, also where all is well again.
    pub last_error: Option<String>,
    /// What its manifest asks for beside its imports, and what of that it is given: `files /sys/class/hwmon`.
    pub asked: Vec<String>,
    pub given: Vec<String>,
    /// Parts of samples that could not be read or were refused, the latest ones.
    pub faults: Vec<String>,
    /// What lies in its place in the folder, and has not proved itself yet.
    pub replacement: Option<Replacement>,
}

/// A file that is to take the place of a plugin that runs, and why it has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    pub name: PluginName,
    pub version: String,
    pub digest: Digest,
    pub state: PluginState,
    pub reason: Option<String>,
}

impl PluginStatus {
    /// A plugin that did nothing yet.
    pub const fn new(
        name: PluginName,
        version: String,
        digest: Digest,
        built_in: bool,
        state: PluginState,
    ) -> Self {
        Self {
            name,
            version,
            digest,
            built_in,
            state,
            reason: None,
            kind: None,
            support: None,
            note: None,
            vendor: None,
            trust: None,
            imports: Vec::new(),
            samples: 0,
            failures: 0,
            restarts: 0,
            last_sample: None,
            longest_sample: None,
            cpu: Duration::ZERO,
            host_calls: 0,
            memory: None,
            readings: None,
            last_error: None,
            asked: Vec::new(),
            given: Vec::new(),
            faults: Vec::new(),
            replacement: None,
        }
    }
}

impl From<&PluginStatus> for Replacement {
    fn from(plugin: &PluginStatus) -> Self {
        Self {
            name: plugin.name.clone(),
            version: plugin.version.clone(),
            digest: plugin.digest,
            state: plugin.state,
            reason: plugin.reason.clone().or_else(|| plugin.faults.first().cloned()),
        }
    }
}
