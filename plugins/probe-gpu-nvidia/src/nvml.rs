//! The functions of NVML, with their signatures, and what their status means.

use alloc::string::{String, ToString as _};

use cardcage_sdk::native::{Function, Handle, Library, Output, Place, is_gone, text};
use cardcage_sdk::{Error, code};

/// As the manifest requests it: where the loader finds it.
pub(crate) const LIBRARY: &str = "libnvidia-ml.so.1";

/// Longest texts, as `nvml.h` says.
const NAME: u32 = 96;
const DRIVER_VERSION: u32 = 80;
/// `nvmlPciInfo_t`, and where in it what is used lies.
const PCI_INFO: usize = 68;
const PCI_DEVICE: usize = 28;
const PCI_BUS_ID: usize = 36;
/// `NVML_TEMPERATURE_GPU`.
const CORE: u32 = 0;

/// `nvmlReturn_t`.
const SUCCESS: i32 = 0;
const UNINITIALIZED: i32 = 1;
const NOT_SUPPORTED: i32 = 3;

/// A getter of a number: `nvmlReturn_t get(nvmlDevice_t, unsigned *)`.
type Number = Function<(Handle, Place<u32>), i32>;
/// The same of one of several: `nvmlReturn_t get(nvmlDevice_t, enum, unsigned *)`.
type NumberOf = Function<(Handle, u32, Place<u32>), i32>;
/// A getter of a text: `nvmlReturn_t get(nvmlDevice_t, char *, unsigned)`.
type Text = Function<(Handle, Output, u32), i32>;
/// A getter of a structure: `nvmlReturn_t get(nvmlDevice_t, struct *)`.
type Structure = Function<(Handle, Output), i32>;

/// The device of an index.
type ByIndex = Function<(u32, Place<Option<Handle>>), i32>;

/// The library, initialized. What an older one lacks, or the operator does not grant, is not there.
#[derive(Debug, Default)]
pub(crate) struct Nvml {
    error_string: Option<Function<(i32,), Option<String>>>,
    count: Option<Function<(Place<u32>,), i32>>,
    handle: Option<ByIndex>,
    name: Option<Text>,
    uuid: Option<Text>,
    pci_info: Option<Structure>,
    memory: Option<Structure>,
    utilization: Option<Structure>,
    temperature: Option<NumberOf>,
    power: Option<Number>,
    power_limit: Option<Number>,
    clock: Option<NumberOf>,
    pub(crate) driver_version: Option<String>,
}

/// Why a value is not known.
#[derive(Debug, PartialEq)]
pub(crate) enum Trouble {
    /// The device or the library does not have it: no fault.
    Missing,
    /// It was asked and failed.
    Failed(Error),
    /// Everything that was opened is gone.
    Lost(Error),
}

/// A value, or why not.
pub(crate) type Asked<T> = Result<T, Trouble>;

/// `nvmlMemory_t`, in bytes.
#[derive(Debug, PartialEq)]
pub(crate) struct Memory {
    pub(crate) total: u64,
    pub(crate) used: u64,
}

/// `nvmlUtilization_t`, in percent.
#[derive(Debug, PartialEq)]
pub(crate) struct Utilization {
    pub(crate) compute: u32,
    pub(crate) memory: u32,
}

/// Where a device sits, and what it is.
#[derive(Debug, PartialEq)]
pub(crate) struct PciInfo {
    pub(crate) address: String,
    /// Vendor and device, as `10de:2335`.
    pub(crate) id: String,
}

/// Its parts that have a clock, by `nvmlClockType_t`.
pub(crate) const CLOCKS: [(u32, &str); 4] = [(0, "graphics"), (1, "sm"), (2, "memory"), (3, "video")];

impl Nvml {
    /// Loads and initializes it.
    #[inline(never)]
    #[expect(clippy::field_reassign_with_default, reason = "one after the other is less code")]
    pub(crate) fn open() -> Result<Self, Error> {
        let library = Library::open(LIBRARY)?;
        let init: Function<(), i32> = library.function("nvmlInit_v2")?;
        let mut nvml = Self::default();
        nvml.error_string = optional(library.function("nvmlErrorString"))?;
        nvml.count = optional(library.function("nvmlDeviceGetCount_v2"))?;
        nvml.handle = optional(library.function("nvmlDeviceGetHandleByIndex_v2"))?;
        nvml.name = optional(library.function("nvmlDeviceGetName"))?;
        nvml.uuid = optional(library.function("nvmlDeviceGetUUID"))?;
        nvml.pci_info = optional(library.function("nvmlDeviceGetPciInfo_v3"))?;
        nvml.memory = optional(library.function("nvmlDeviceGetMemoryInfo"))?;
        nvml.utilization = optional(library.function("nvmlDeviceGetUtilizationRates"))?;
        nvml.temperature = optional(library.function("nvmlDeviceGetTemperature"))?;
        nvml.power = optional(library.function("nvmlDeviceGetPowerUsage"))?;
        nvml.power_limit = optional(library.function("nvmlDeviceGetEnforcedPowerLimit"))?;
        nvml.clock = optional(library.function("nvmlDeviceGetClockInfo"))?;
        nvml.ask(Some(init.call(())), "nvmlInit_v2", "").map_err(Trouble::into_error)?;
        nvml.driver_version = nvml.get_driver_version(&library)?;
        Ok(nvml)
    }

    fn get_driver_version(&self, library: &Library) -> Result<Option<String>, Error> {
        const SYMBOL: &str = "nvmlSystemGetDriverVersion";
        let get: Option<Function<(Output, u32), i32>> = optional(library.function(SYMBOL))?;
        let mut version = [0; DRIVER_VERSION as usize];
        let called = get.map(|get| get.call((&mut version, DRIVER_VERSION)));
        match self.ask(called, SYMBOL, "") {
            Ok(()) => Ok(Some(text(&version))),
            Err(Trouble::Lost(error)) => Err(error),
            // It is told of each device, and nobody can act on its absence.
            Err(_) => Ok(None),
        }
    }

    pub(crate) fn count(&self) -> Result<u32, Error> {
        let mut count = 0;
        let called = self.count.as_ref().map(|get| get.call((&mut count,)));
        self.ask(called, "nvmlDeviceGetCount_v2", "").map_err(Trouble::into_error)?;
        Ok(count)
    }

    pub(crate) fn handle(&self, index: u32) -> Asked<Handle> {
        let mut handle = None;
        let called = self.handle.as_ref().map(|get| get.call((index, &mut handle)));
        let device = index.to_string();
        self.ask(called, "nvmlDeviceGetHandleByIndex_v2", &device)?;
        handle
            .ok_or_else(|| Trouble::Failed(Error::new(code::IO, ["no handle of device ", &device].concat())))
    }

    pub(crate) fn name(&self, of: Handle, device: &str) -> Asked<String> {
        self.text(self.name.as_ref(), of, "nvmlDeviceGetName", device)
    }

    pub(crate) fn uuid(&self, of: Handle, device: &str) -> Asked<String> {
        self.text(self.uuid.as_ref(), of, "nvmlDeviceGetUUID", device)
    }

    fn text(&self, get: Option<&Text>, of: Handle, symbol: &str, device: &str) -> Asked<String> {
        let mut bytes = [0; NAME as usize];
        let called = get.map(|get| get.call((of, &mut bytes, NAME)));
        self.ask(called, symbol, device)?;
        Some(text(&bytes)).filter(|text| !text.is_empty()).ok_or(Trouble::Missing)
    }

    pub(crate) fn pci_info(&self, of: Handle, device: &str) -> Asked<PciInfo> {
        let mut bytes = [0; PCI_INFO];
        let called = self.pci_info.as_ref().map(|get| get.call((of, &mut bytes)));
        self.ask(called, "nvmlDeviceGetPciInfo_v3", device)?;
        PciInfo::parse(&bytes).ok_or(Trouble::Missing)
    }

    pub(crate) fn memory(&self, of: Handle, device: &str) -> Asked<Memory> {
        let mut bytes = [0; 24];
        let called = self.memory.as_ref().map(|get| get.call((of, &mut bytes)));
        self.ask(called, "nvmlDeviceGetMemoryInfo", device)?;
        // Between them is what is free.
        let [total, _, used] = [0, 8, 16].map(|at| u64::from_le_bytes(field(&bytes, at)));
        Ok(Memory { total, used })
    }

    pub(crate) fn utilization(&self, of: Handle, device: &str) -> Asked<Utilization> {
        let mut bytes = [0; 8];
        let called = self.utilization.as_ref().map(|get| get.call((of, &mut bytes)));
        self.ask(called, "nvmlDeviceGetUtilizationRates", device)?;
        let [compute, memory] = [0, 4].map(|at| u32::from_le_bytes(field(&bytes, at)));
        Ok(Utilization { compute, memory })
    }

    /// In degrees Celsius.
    pub(crate) fn temperature(&self, of: Handle, device: &str) -> Asked<u32> {
        self.number_of(self.temperature.as_ref(), of, CORE, "nvmlDeviceGetTemperature", device)
    }

    /// In megahertz.
    pub(crate) fn clock(&self, of: Handle, part: u32, device: &str) -> Asked<u32> {
        self.number_of(self.clock.as_ref(), of, part, "nvmlDeviceGetClockInfo", device)
    }

    /// In milliwatts.
    pub(crate) fn power(&self, of: Handle, device: &str) -> Asked<u32> {
        self.number(self.power.as_ref(), of, "nvmlDeviceGetPowerUsage", device)
    }

    /// In milliwatts.
    pub(crate) fn power_limit(&self, of: Handle, device: &str) -> Asked<u32> {
        self.number(self.power_limit.as_ref(), of, "nvmlDeviceGetEnforcedPowerLimit", device)
    }

    fn number(&self, get: Option<&Number>, of: Handle, symbol: &str, device: &str) -> Asked<u32> {
        let mut number = 0;
        let called = get.map(|get| get.call((of, &mut number)));
        self.ask(called, symbol, device)?;
        Ok(number)
    }

    fn number_of(
        &self,
        get: Option<&NumberOf>,
        of: Handle,
        which: u32,
        symbol: &str,
        device: &str,
    ) -> Asked<u32> {
        let mut number = 0;
        let called = get.map(|get| get.call((of, which, &mut number)));
        self.ask(called, symbol, device)?;
        Ok(number)
    }

    /// What came of a call. Only after success is what it left a value.
    fn ask(&self, called: Option<Result<i32, Error>>, symbol: &str, device: &str) -> Asked<()> {
        let Some(called) = called else { return Err(Trouble::Missing) };
        let status = called.map_err(Trouble::of)?;
        if matches!(status, SUCCESS | NOT_SUPPORTED) {
            return if status == SUCCESS { Ok(()) } else { Err(Trouble::Missing) };
        }
        let error = failure(symbol, device, status, self.words(status)?.as_deref());
        // The driver was loaded anew, say: all of it is to be opened again.
        Err(if status == UNINITIALIZED { Trouble::Lost(error) } else { Trouble::Failed(error) })
    }

    /// What the library calls it.
    fn words(&self, status: i32) -> Asked<Option<String>> {
        match self.error_string.as_ref().map(|words| words.call((status,))) {
            Some(Err(error)) if is_gone(&error) => Err(Trouble::Lost(error)),
            Some(Ok(words)) => Ok(words),
            _ => Ok(None),
        }
    }
}

impl Trouble {
    fn of(error: Error) -> Self {
        if is_gone(&error) { Self::Lost(error) } else { Self::Failed(error) }
    }

    /// Of what there is no sample without.
    fn into_error(self) -> Error {
        match self {
            Self::Missing => Error::new(code::UNAVAILABLE, "NVML has no accelerators here"),
            Self::Failed(error) | Self::Lost(error) => error,
        }
    }
}

impl PciInfo {
    fn parse(bytes: &[u8; PCI_INFO]) -> Option<Self> {
        let address = address(&text(bytes.get(PCI_BUS_ID..)?))?;
        // The device is the upper half.
        let [vendor_low, vendor_high, device_low, device_high] = field(bytes, PCI_DEVICE);
        let mut id = hex(&[vendor_high, vendor_low]);
        id.push(':');
        id.push_str(&hex(&[device_high, device_low]));
        Some(Self { address, id })
    }
}

/// `0000:3b:00.0`, as in sysfs, of `00000000:3B:00.0`.
fn address(bus_id: &str) -> Option<String> {
    let (domain, rest) = bus_id.split_once(':')?;
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte));
    if !plain(domain) || !plain(rest) || rest.len() != "3B:00.0".len() || domain.len() > 8 {
        return None;
    }
    let domain = domain.trim_start_matches('0');
    let zeros = "0000".get(domain.len().min(4)..)?;
    Some([zeros, domain, ":", rest].concat().to_ascii_lowercase())
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// Some bytes of a structure; 0 behind its end.
fn field<const LENGTH: usize>(bytes: &[u8], at: usize) -> [u8; LENGTH] {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
    field.copied().unwrap_or([0; LENGTH])
}

/// `nvmlDeviceGetTemperature of 0000:3b:00.0: GPU is lost (15)`
fn failure(symbol: &str, device: &str, status: i32, words: Option<&str>) -> Error {
    let of = if device.is_empty() { "" } else { " of " };
    let detail = [symbol, of, device, ": ", words.unwrap_or("failed"), " (", &status.to_string(), ")"];
    Error::new(code::IO, detail.concat())
}

/// A function that is not there, or not granted, is done without.
fn optional<P, R>(function: Result<Function<P, R>, Error>) -> Result<Option<Function<P, R>>, Error> {
    match function {
        Ok(function) => Ok(Some(function)),
        Err(error) => done_without(error).map(|()| None),
    }
}

// Once, not for each signature: every board compiles the probe.
#[inline(never)]
fn done_without(error: Error) -> Result<(), Error> {
    if error.is(code::ABSENT) || error.is(code::DENIED) { Ok(()) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_sysfs() {
        for (bus_id, expected) in [
            ("00000000:3B:00.0", Some("0000:3b:00.0")),
            ("0000:01:00.0", Some("0000:01:00.0")),
            ("00010002:AF:1f.4", Some("10002:af:1f.4")),
            ("", None),
            ("3B:00.0", None),
            ("00000000:3B:00.0:1", None),
            ("zzzz:3B:00.0", None),
        ] {
            assert_eq!(address(bus_id).as_deref(), expected, "{bus_id}");
        }
    }

    #[test]
    fn a_structure_is_read_where_the_header_says() {
        let mut bytes = [0; PCI_INFO];
        bytes[PCI_DEVICE..PCI_DEVICE + 4].copy_from_slice(&0x2335_10de_u32.to_le_bytes());
        bytes[PCI_BUS_ID..PCI_BUS_ID + 16].copy_from_slice(b"00000000:3B:00.0");
        let info = PciInfo { address: "0000:3b:00.0".into(), id: "10de:2335".into() };
        assert_eq!(PciInfo::parse(&bytes), Some(info));
        assert_eq!(PciInfo::parse(&[0; PCI_INFO]), None);
        assert_eq!(u32::from_le_bytes(field(&[1, 0, 0, 0, 2, 0, 0, 0], 4)), 2);
    }

    #[test]
    fn a_failure_names_the_function_the_device_and_the_status() {
        let error = failure("nvmlDeviceGetName", "0000:3b:00.0", 15, Some("GPU is lost"));
        assert_eq!(error.detail, "nvmlDeviceGetName of 0000:3b:00.0: GPU is lost (15)");
        assert_eq!(failure("nvmlInit_v2", "", 9, None).detail, "nvmlInit_v2: failed (9)");
    }
}
