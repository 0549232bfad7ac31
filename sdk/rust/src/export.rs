//! What [`crate::export_probe!`] expands to: the one probe of an instance, between `configure` and `sample`.

pub use alloc::string::String;
use alloc::string::ToString as _;
pub use alloc::vec::Vec;
use core::cell::RefCell;

pub use crate::bindings::exports::cardcage::probe::sampler::Finding;
use crate::deploy::Backend;
use crate::task::{Arguments, Task};
use crate::{Error, Probe, Sample, Settings, code};

/// Compiles for probes only.
pub fn require_probe<P: Probe>() {}

/// Compiles for backends only.
pub fn require_backend<B: Backend>() {}

/// Compiles for tasks only.
pub fn require_task<T: Task>() {}

/// The exported `run` of a task.
pub fn run<T: Task>(task: &T, name: &str, arguments: &str) -> Result<String, Error> {
    task.run(name, &Arguments::from_json(arguments)?).map(|answer| answer.to_string())
}

/// Holds a backend or a task from `configure` on, for the call that follows.
pub struct OneCall<T>(RefCell<Option<T>>);

#[cfg(all(target_arch = "wasm32", not(target_feature = "atomics")))]
#[expect(unsafe_code, reason = "the one instance is a static, and thread locals are std's")]
// SAFETY: without atomics WebAssembly has one thread.
unsafe impl<T> Sync for OneCall<T> {}

impl<T> OneCall<T> {
    /// Before `configure`.
    #[expect(
        clippy::new_without_default,
        reason = "a static needs the const function, and nothing else makes one"
    )]
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// The exported `configure`.
    pub fn configure(
        &self,
        settings: String,
        configure: impl FnOnce(&Settings) -> Result<T, Error>,
    ) -> Result<(), Error> {
        self.0.replace(Some(configure(&Settings::from_json(settings))?));
        Ok(())
    }

    /// Every other exported function.
    pub fn call<A>(&self, call: impl FnOnce(&T) -> Result<A, Error>) -> Result<A, Error> {
        // The host makes one call at a time, so the cell is never borrowed here; an error costs less than a trap.
        let held = self.0.try_borrow().map_err(|_| Error::new(code::BLOCKED, "a call is under way"))?;
        call(held.as_ref().ok_or_else(|| Error::invalid("a call before a successful configure"))?)
    }
}

/// Holds the probe from `configure` on.
pub struct Instance<P>(RefCell<Option<P>>);

#[cfg(all(target_arch = "wasm32", not(target_feature = "atomics")))]
#[expect(unsafe_code, reason = "the one instance is a static, and thread locals are std's")]
// SAFETY: without atomics WebAssembly has one thread.
unsafe impl<P> Sync for Instance<P> {}

impl<P: Probe> Instance<P> {
    /// Before `configure`.
    #[expect(
        clippy::new_without_default,
        reason = "a static needs the const function, and nothing else makes one"
    )]
    pub const fn new() -> Self {
        Self(RefCell::new(None))
    }

    /// The exported `configure`. A second call replaces the probe.
    pub fn configure(&self, settings: String) -> Result<Finding, Error> {
        let probe = P::configure(&Settings::from_json(settings))?;
        let finding = Finding { support: probe.support() as u8, note: probe.note() };
        self.0.replace(Some(probe));
        Ok(finding)
    }

    /// The exported `sample`.
    pub fn sample(&self) -> Result<Sample, Error> {
        // The host makes one call at a time, so the cell is never borrowed here; an error costs less than a trap.
        let mut probe =
            self.0.try_borrow_mut().map_err(|_| Error::new(code::BLOCKED, "a sample is being taken"))?;
        probe.as_mut().ok_or_else(|| Error::invalid("sample before a successful configure"))?.sample()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpu, Support};

    /// Counts its samples into the number of cores.
    struct Counter(u32);

    impl Probe for Counter {
        fn configure(settings: &Settings) -> Result<Self, Error> {
            Ok(Self(settings.parse()?))
        }

        fn support(&self) -> Support {
            Support::Board
        }

        fn note(&self) -> Option<String> {
            Some(format!("counts from {}", self.0))
        }

        fn sample(&mut self) -> Result<Sample, Error> {
            self.0 += 1;
            Ok(Sample { cpu: Some(Cpu { cores: Some(self.0), ..Cpu::default() }), ..Sample::default() })
        }
    }

    fn cores(instance: &Instance<Counter>) -> Option<u32> {
        instance.sample().unwrap().cpu.unwrap().cores
    }

    #[test]
    fn the_probe_lives_from_configure_on() {
        let instance = Instance::<Counter>::new();
        let finding = Finding { support: 3, note: Some("counts from 7".into()) };
        assert_eq!(instance.configure("7".into()), Ok(finding));
        assert_eq!(cores(&instance), Some(8));
        assert_eq!(cores(&instance), Some(9));
    }

    #[test]
    fn a_sample_before_configure_is_an_error_and_no_trap() {
        let instance = Instance::<Counter>::new();
        assert!(instance.sample().unwrap_err().is(code::INVALID));
        assert!(instance.configure("seven".into()).unwrap_err().is(code::INVALID));
        assert!(instance.sample().unwrap_err().is(code::INVALID));
    }
}
