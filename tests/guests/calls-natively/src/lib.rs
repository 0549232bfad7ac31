//! A probe that calls the C library, well or badly. The setting `mode` says how; each has a test in `tests/cases/native.rs`.

#![expect(clippy::panic, reason = "hostility")]

use cardcage_sdk::native::{Function, Handle, Library, Place, Text};
use cardcage_sdk::{Error, Place as Where, Probe, Sample, Sensor, Settings, code};
use serde::Deserialize;

/// What it calls.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// Functions as they are, and what must be refused.
    Counts,
    /// Says that a number is a text's address.
    Lies,
    /// A function that returns long after the sample's deadline.
    Hangs,
    /// A function that ends the process in an orderly way.
    Exits,
    /// Opens a library, and panics.
    Panics,
}

/// The guest.
pub struct CallsNatively {
    mode: Mode,
    /// Of the sample before: what it opened is tried again, after it.
    earlier: Option<Function<(i32,), i32>>,
}

#[derive(Deserialize)]
struct NativeSettings {
    mode: Mode,
}

impl Probe for CallsNatively {
    fn configure(settings: &Settings) -> Result<Self, Error> {
        let NativeSettings { mode } = settings.parse()?;
        Ok(Self { mode, earlier: None })
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        let mut faults = Vec::new();
        faults.extend(self.earlier.take().and_then(|earlier| earlier.call((1,)).err()));
        let libc = Library::open("libc.so.6")?;
        let abs: Function<(i32,), i32> = libc.function("abs")?;
        let length: Function<(Text,), u64> = libc.function("strlen")?;
        // Nothing is wrong before it is called wrongly.
        let seven = abs.call((-7,))?;
        faults.extend(match self.mode {
            Mode::Counts => refused(&libc),
            Mode::Lies => {
                let length: Function<(u64,), u64> = libc.function("strlen")?;
                length.call((1,)).err().into_iter().collect()
            }
            Mode::Hangs => {
                let sleep: Function<(u32,), u32> = libc.function("sleep")?;
                sleep.call((3600,)).err().into_iter().collect()
            }
            Mode::Exits => {
                let exit: Function<(i32,), ()> = libc.function("exit")?;
                exit.call((7,)).err().into_iter().collect()
            }
            Mode::Panics => panic!("panics with a library open"),
        });
        self.earlier = Some(abs);
        let mut sensors = vec![Sensor::temperature(Where::board(), "abs", f64::from(seven))];
        if self.mode == Mode::Counts {
            let twelve = f64::from(u32::try_from(length.call(("twelve bytes",))?).unwrap_or(0));
            sensors.push(Sensor::temperature(Where::board(), "strlen", twelve));
        }
        Ok(Sample { sensors, faults, ..Sample::default() })
    }
}

/// Each attempt becomes a fault.
fn refused(libc: &Library) -> Vec<Error> {
    let called: Result<Function<(Text,), i32>, Error> = libc.function("system");
    let library = Library::open("libm.so.6");
    let path = Library::open("/usr/lib/libc.so.6");
    let place = libc.function::<(Place<Option<Handle>>,), i32>("strlens");
    let nul = libc.function::<(Text,), u64>("strlen").and_then(|length| length.call(("a\0b",)));
    [called.err(), library.err(), path.err(), place.err(), nul.err()]
        .into_iter()
        .map(|refusal| refusal.unwrap_or_else(|| Error::new(code::FAILED, "was not refused")))
        .collect()
}

cardcage_sdk::export_probe!(CallsNatively);
