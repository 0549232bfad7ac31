//! Time and randomness of an instance whose host calls are recorded or played.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use uuid::Uuid;
use wasmtime_wasi::WasiCtxBuilder;
use wasmtime_wasi::clocks::{HostMonotonicClock, HostWallClock, MonotonicClock, WallClock};
use wasmtime_wasi::random::Deterministic;

use super::Tape;

/// Blocks of random numbers, of 32 bytes each, before they come again.
const BLOCKS: u32 = 2048;

struct Wall(Tape, WallClock);

struct Monotonic(Tape, MonotonicClock);

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        Duration::from_nanos(1)
    }

    fn now(&self) -> Duration {
        self.0.time("time.wall", || self.1.now())
    }
}

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        let now = self.0.time("time.monotonic", || Duration::from_nanos(self.1.now()));
        u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Tape {
    /// Makes time and randomness those of the recording, if there is one.
    pub fn time_and_randomness(&self, wasi: &mut WasiCtxBuilder) {
        let Some(seed) = self.seed() else { return };
        wasi.wall_clock(Wall(self.clone(), WallClock));
        wasi.monotonic_clock(Monotonic(self.clone(), MonotonicClock::default()));
        wasi.secure_random(numbers(seed, 0));
        wasi.insecure_random(numbers(seed, 1));
        wasi.insecure_random_seed(seed.as_u128());
    }
}

fn numbers(seed: Uuid, stream: u8) -> Deterministic {
    let block = |number: u32| {
        Sha256::new().chain_update(seed.as_bytes()).chain_update([stream]).chain_update(number.to_le_bytes())
    };
    Deterministic::new((0..BLOCKS).flat_map(|number| block(number).finalize()).collect())
}
