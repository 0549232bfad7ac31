//! Time that runs evenly, for rates: energy over time is power.

use core::time::Duration;

/// The time since some moment before the instance started. It never runs backwards, and only differences mean
/// something.
///
/// [`std::time::Instant`] would say the same; what the standard library does around it adds 20 kB to a component.
pub fn now() -> Duration {
    Duration::from_nanos(nanoseconds())
}

#[cfg(target_arch = "wasm32")]
use wasi::wasi::clocks::monotonic_clock::now as nanoseconds;

/// WASI's clock, which every host of components has. The packages are repeated in full, because the linker merges
/// them with what the C library says of them and wants both to be equal; only `now` gets into the component.
#[cfg(target_arch = "wasm32")]
mod wasi {
    wit_bindgen::generate!({
        inline: "
            package cardcage:sdk;

            world clock {
                import wasi:clocks/monotonic-clock@0.2.0;
            }

            package wasi:clocks@0.2.0 {
                interface monotonic-clock {
                    use wasi:io/poll@0.2.0.{pollable};
                    type instant = u64;
                    type duration = u64;
                    now: func() -> instant;
                    resolution: func() -> duration;
                    subscribe-instant: func(when: instant) -> pollable;
                    subscribe-duration: func(when: duration) -> pollable;
                }
            }

            package wasi:io@0.2.0 {
                interface poll {
                    resource pollable {
                        ready: func() -> bool;
                        block: func();
                    }
                    poll: func(in: list<borrow<pollable>>) -> list<u32>;
                }
            }
        ",
        world: "cardcage:sdk/clock",
        generate_all,
    });
}

/// Natively, in unit tests: the time since the first call.
#[cfg(not(target_arch = "wasm32"))]
fn nanoseconds() -> u64 {
    static FIRST: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    u64::try_from(FIRST.get_or_init(std::time::Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    #[test]
    fn time_does_not_run_backwards() {
        let before = super::now();
        assert!(super::now() >= before);
    }
}
