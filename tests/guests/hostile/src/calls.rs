//! Abuse of what the agent offers.

use std::fmt::Debug;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream, ToSocketAddrs as _, UdpSocket};

use cardcage_sdk::files::{self, Batch};
use cardcage_sdk::{Error, Sample, kernel};

/// Asks for the memory's size for ever.
pub(crate) fn forever() -> ! {
    loop {
        let _again = std::hint::black_box(kernel::memory());
    }
}

pub(crate) fn flood_log() {
    for line in 0..100_000 {
        cardcage_sdk::error!("flood {line}\nERROR a line that the agent never wrote");
    }
}

pub(crate) fn flood_standard_error() {
    let mut stderr = std::io::stderr();
    for line in 0..100_000 {
        let _closed = writeln!(stderr, "flood {line}").is_err();
    }
}

/// Goes without an answer only where it never is.
#[expect(clippy::expect_used, reason = "hostility")]
pub(crate) fn trust_files() -> Sample {
    let chips = files::entries("/sys/class/hwmon").expect("every board has this folder");
    let chip = chips.first().expect("and a chip");
    let name = files::read(&format!("/sys/class/hwmon/{chip}/name")).expect("which has a name");
    cardcage_sdk::debug!("found {name}");
    crate::readings::fine()
}

/// Each attempt becomes a fault: `denied`, or what was found there.
pub(crate) fn read_outside_grant() -> Sample {
    let attempts = [
        "/etc/passwd",
        "/proc/self/environ",
        "/proc/self/mem",
        "/proc/kmsg",
        "/sys/class/hwmon/../../kernel/notes",
        "/sys/class/hwmon2/x",
        "/sys/kernel/notes",
        "/dev/mem",
    ];
    let mut sample = crate::readings::fine();
    for path in attempts {
        let fault = match files::read(path) {
            Err(error) => error,
            Ok(found) => leaked(path, found),
        };
        sample.faults.push(fault);
    }
    sample
}

/// The error that ends the hoarding becomes a fault.
pub(crate) fn hoard_handles() -> Sample {
    let mut sample = crate::readings::fine();
    let mut hoard = Vec::new();
    let refused = loop {
        match Batch::open(&[]) {
            Ok(batch) => hoard.push(batch),
            Err(error) => break error,
        }
    };
    std::mem::forget(hoard);
    sample.faults.push(refused);
    sample
}

/// Each attempt becomes a fault.
pub(crate) fn reach_out() -> Sample {
    let mut sample = crate::readings::fine();
    let environment: Vec<_> =
        std::env::vars().chain(std::env::args().map(|arg| (arg, String::new()))).collect();
    sample.faults = vec![
        attempt("read", std::fs::read_to_string("/etc/hostname")),
        attempt("list", std::fs::read_dir("/").map(Iterator::count)),
        attempt("write", std::fs::write("/tmp/cardcage-guest", "was here")),
        attempt("connect", TcpStream::connect("127.0.0.1:23980")),
        attempt("listen", TcpListener::bind("0.0.0.0:0")),
        attempt("multicast", UdpSocket::bind("0.0.0.0:0")),
        attempt("resolve", "localhost:80".to_socket_addrs()),
        if environment.is_empty() {
            refused("environment", "empty")
        } else {
            leaked("environment", environment)
        },
    ];
    sample
}

fn attempt(what: &str, done: std::io::Result<impl Debug>) -> Error {
    match done {
        Ok(found) => leaked(what, found),
        Err(error) => refused(what, error.kind()),
    }
}

fn leaked(what: &str, found: impl Debug) -> Error {
    Error::new("leaked", format!("{what}: {found:?}"))
}

fn refused(what: &str, why: impl Debug) -> Error {
    Error::new("refused", format!("{what}: {why:?}"))
}
