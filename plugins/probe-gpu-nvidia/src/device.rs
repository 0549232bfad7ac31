//! One accelerator: what it is, once, and what it says now.

use alloc::borrow::ToOwned as _;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use cardcage_sdk::native::Handle;
use cardcage_sdk::{Error, Gpu, Place, Reading, Sample, Sensor, Value, units};

use crate::nvml::{Asked, CLOCKS, Nvml, PciInfo, Trouble};

/// A device of the library, and what does not change of it.
#[derive(Debug)]
pub(crate) struct Device {
    handle: Handle,
    gpu: Gpu,
}

impl Device {
    /// Its name on the bus, or where that is not known, the one that NVIDIA gave it: a number would not be the same after a
    /// restart.
    pub(crate) fn identify(nvml: &Nvml, index: u32, faults: &mut Vec<Error>) -> Asked<Self> {
        let handle = nvml.handle(index)?;
        let number = index.to_string();
        let mut known = |asked| known(asked, faults).map_err(Trouble::Lost);
        let uuid = known(nvml.uuid(handle, &number))?;
        let name = known(nvml.name(handle, &number))?;
        let (address, id) = match nvml.pci_info(handle, &number) {
            Ok(PciInfo { address, id }) => (Some(address), Some(id)),
            Err(trouble) => (known(Err(trouble))?, None),
        };
        let Some(device) = address.or_else(|| uuid.clone()) else {
            let detail = ["device ", &number, " says neither its PCI address nor its UUID"].concat();
            return Err(Trouble::Failed(Error::absent(detail)));
        };
        let text = |name: &str, text: Option<String>| text.map(|text| (name.to_owned(), Value::Text(text)));
        let extra =
            [text("uuid", uuid), text("pci-id", id), text("driver-version", nvml.driver_version.clone())];
        let gpu = Gpu {
            device,
            name,
            vendor: Some("NVIDIA".to_owned()),
            driver: Some("nvidia".to_owned()),
            extra: extra.into_iter().flatten().collect(),
            ..Gpu::default()
        };
        Ok(Self { handle, gpu })
    }

    /// Makes room for another.
    pub(crate) fn forget(self) {
        // A handle that is not known any more is forgotten already.
        let _gone = self.handle.forget();
    }

    /// Adds it and its sensors to the sample, once all of it is read. An error means that the library is lost.
    pub(crate) fn read(&self, nvml: &Nvml, sample: &mut Sample) -> Result<(), Error> {
        let (of, mut gpu, faults) = (self.handle, self.gpu.clone(), &mut sample.faults);
        let device = self.gpu.device.as_str();
        if let Some(memory) = known(nvml.memory(of, device), faults)? {
            gpu.memory_used = Some(memory.used);
            gpu.memory_total = Some(memory.total);
            gpu.memory_usage = units::percent(memory.used as f64, memory.total as f64);
        }
        if let Some(busy) = known(nvml.utilization(of, device), faults)? {
            gpu.compute_usage = units::percent(busy.compute.into(), 100.0);
            let memory = Value::Real(busy.memory.into());
            gpu.extra.push(("memory-controller-percent".to_owned(), memory));
        }
        let power_limit = known(nvml.power_limit(of, device), faults)?;
        let watts = |milliwatts: u32| units::milli(milliwatts.into());
        gpu.extra
            .extend(power_limit.map(|limit| ("power-limit-watts".to_owned(), Value::Real(watts(limit)))));
        let mut sensors = Vec::with_capacity(2 + CLOCKS.len());
        let place = || Place::gpu(device);
        let celsius = reading(nvml.temperature(of, device), f64::from, faults)?;
        sensors.extend(celsius.map(|celsius| Sensor::temperature(place(), "gpu", celsius).primary()));
        let power = reading(nvml.power(of, device), watts, faults)?;
        sensors.extend(power.map(|power| Sensor::power(place(), "board", power).primary()));
        for (part, name) in CLOCKS {
            let hertz = |megahertz: u32| units::mega(megahertz.into());
            let clock = reading(nvml.clock(of, part, device), hertz, faults)?;
            sensors.extend(clock.map(|clock| Sensor::frequency(place(), name, clock)));
        }
        sample.gpus.push(gpu);
        sample.sensors.append(&mut sensors);
        Ok(())
    }
}

/// A field: what failed is absent, and a fault.
#[inline(never)]
fn known<T>(asked: Asked<T>, faults: &mut Vec<Error>) -> Result<Option<T>, Error> {
    match asked {
        Ok(value) => Ok(Some(value)),
        Err(Trouble::Missing) => Ok(None),
        Err(Trouble::Failed(error)) => {
            faults.push(error);
            Ok(None)
        }
        Err(Trouble::Lost(error)) => Err(error),
    }
}

/// A sensor: what the device does not have is none, what failed is one that failed, and a fault.
#[inline(never)]
fn reading(
    asked: Asked<u32>,
    unit: fn(u32) -> f64,
    faults: &mut Vec<Error>,
) -> Result<Option<Reading>, Error> {
    let there = !matches!(asked, Err(Trouble::Missing));
    let value = known(asked, faults)?.map_or(Reading::Failed, |number| Reading::Value(unit(number)));
    Ok(there.then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cardcage_sdk::code;

    #[test]
    fn what_is_missing_is_no_sensor_and_what_failed_is_a_failed_one() {
        let mut faults = Vec::new();
        let failed = || Err(Trouble::Failed(Error::new(code::IO, "GPU is lost")));
        assert_eq!(reading(Ok(41), f64::from, &mut faults), Ok(Some(Reading::Value(41.0))));
        assert_eq!(reading(Err(Trouble::Missing), f64::from, &mut faults), Ok(None));
        assert!(faults.is_empty());
        assert_eq!(reading(failed(), f64::from, &mut faults), Ok(Some(Reading::Failed)));
        assert_eq!(faults.len(), 1);
        let lost = Err(Trouble::Lost(Error::new(code::CRASHED, "SIGSEGV")));
        assert!(reading(lost, f64::from, &mut faults).unwrap_err().is(code::CRASHED));
        assert_eq!(faults.len(), 1);
    }
}
