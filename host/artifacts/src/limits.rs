//! What one fetch and one archive may use. The defaults are for a board with a few gigabytes of disk.

use std::time::Duration;

/// The most of one file that is read into memory for a plugin, in bytes.
pub const READ_LIMIT: u64 = 1 << 20;

/// Limits of a store.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest artifact, in bytes.
    pub artifact: u64,
    /// The most that an archive may come to, in bytes of its uncompressed tar.
    pub unpacked: u64,
    /// What the cache keeps, in bytes; what is in use is kept whatever it says.
    pub quota: u64,
    /// The most entries of one archive, with the folders that they imply.
    pub entries: usize,
    /// For one fetch with all its tries.
    pub total: Duration,
    /// Without a byte.
    pub idle: Duration,
    /// For a name, and again for a connection.
    pub connect: Duration,
    /// Tries in a row that bring nothing new.
    pub tries: u32,
    /// Before the second try; it doubles with each further one.
    pub backoff: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            artifact: 2 << 30,
            unpacked: 4 << 30,
            quota: 4 << 30,
            entries: 100_000,
            total: Duration::from_secs(15 * 60),
            idle: Duration::from_secs(30),
            connect: Duration::from_secs(10),
            tries: 5,
            backoff: Duration::from_millis(500),
        }
    }
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are here.
    pub received: u64,
    /// Bytes that were announced.
    pub total: Option<u64>,
}
