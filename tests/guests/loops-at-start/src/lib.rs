//! A plugin whose start-up code never ends: it runs before the agent has called anything.

use cardcage_sdk::{Error, Probe, Sample, Settings};

/// A constructor, as C++ has them for its global objects.
#[cfg(target_arch = "wasm32")]
#[used]
#[expect(unsafe_code, reason = "only a place in this section makes it run at start-up")]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: extern "C" fn() = {
    extern "C" fn forever() {
        loop {
            std::hint::black_box(());
        }
    }
    forever
};

/// Never reached.
pub struct Unreachable;

impl Probe for Unreachable {
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self)
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        Ok(Sample::default())
    }
}

cardcage_sdk::export_probe!(Unreachable);
