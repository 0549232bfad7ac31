//! One container: its process's folder, its groups, and the processor time at the last look.

use std::fs::{File, read_to_string};
use std::io::Read as _;
use std::path::Path;
use std::time::Instant;

use rustix::fs::{Mode, OFlags, openat};

use super::files::{limit, network, number, value};
use super::groups::{Groups, groups};
use super::{Load, Process, Usage};

/// None of these files is longer; what is beyond is not read.
const FILE: u64 = 64 << 10;

#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) pid: u32,
    /// Open, so that it stays this process's and no other's.
    process: File,
    groups: Groups,
    has_network: bool,
    load: Load,
    text: String,
}

impl Meter {
    /// `None` if the process cannot be seen from here, or is not the container's.
    pub(crate) fn open(process: &Process) -> Option<Self> {
        let folder = File::open(format!("/proc/{}", process.pid)).ok()?;
        let mut text = String::new();
        read_in(&folder, "cgroup", &mut text)?;
        let groups = groups(&process.id, &text, &read_to_string("/proc/self/mountinfo").ok()?)?;
        let mut meter = Self {
            pid: process.pid,
            process: folder,
            groups,
            has_network: process.has_network,
            load: Load::default(),
            text,
        };
        // A group may be named and still not be there for us: another mount, another machine.
        meter.processor_time().map(|_| meter)
    }

    /// What it uses now; `None` if it has ended.
    pub(crate) fn read(&mut self) -> Option<Usage> {
        let traffic = self.traffic()?;
        let total = self.processor_time()?;
        let cpu_load = self.load.next(Instant::now(), total);
        let (memory_used, memory_limit) = self.memory();
        let (network_rx, network_tx) = traffic.unzip();
        Some(Usage { cpu_load, memory_used, memory_limit, network_rx, network_tx })
    }

    /// Asked of the process, so this is also where its end is noticed.
    fn traffic(&mut self) -> Option<Option<(u64, u64)>> {
        if self.has_network {
            read_in(&self.process, "net/dev", &mut self.text)?;
            return Some(network(&self.text));
        }
        read_in(&self.process, "statm", &mut self.text)?;
        Some(None)
    }

    /// In nanoseconds.
    fn processor_time(&mut self) -> Option<u64> {
        let text = &mut self.text;
        match &self.groups {
            Groups::Separate { cpu, .. } => number(read(cpu, "cpuacct.usage", text)?),
            Groups::Unified(folder) => {
                value(read(folder, "cpu.stat", text)?, "usage_usec").map(|micros| micros.saturating_mul(1000))
            }
        }
    }

    /// Used, without what the kernel would give back at once; and the limit.
    fn memory(&mut self) -> (Option<u64>, Option<u64>) {
        let (folder, usage, cache, most) = match &self.groups {
            Groups::Separate { memory, .. } => {
                (memory, "memory.usage_in_bytes", "total_inactive_file", "memory.limit_in_bytes")
            }
            Groups::Unified(folder) => (folder, "memory.current", "inactive_file", "memory.max"),
        };
        let text = &mut self.text;
        let all = read(folder, usage, text).and_then(number);
        let cached = read(folder, "memory.stat", text).and_then(|text| value(text, cache));
        let used = all.zip(cached).map(|(all, cached)| all.saturating_sub(cached));
        (used, read(folder, most, text).and_then(limit))
    }
}

fn read<'a>(folder: &Path, name: &str, text: &'a mut String) -> Option<&'a str> {
    fill(File::open(folder.join(name)).ok()?, text)?;
    Some(text)
}

fn read_in(folder: &File, name: &str, text: &mut String) -> Option<()> {
    let file = openat(folder, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    fill(file.into(), text)
}

fn fill(file: File, text: &mut String) -> Option<()> {
    text.clear();
    file.take(FILE).read_to_string(text).ok().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_version_2_are_read() {
        let folder = tempfile::tempdir().expect("a directory");
        for (name, text) in [
            ("cpu.stat", "usage_usec 5000\nuser_usec 1\n"),
            ("memory.current", "9000\n"),
            ("memory.stat", "anon 1\nactive_file 5\ninactive_file 4000\n"),
            ("memory.max", "max\n"),
        ] {
            std::fs::write(folder.path().join(name), text).expect("written");
        }
        let mut meter = Meter {
            pid: std::process::id(),
            process: File::open("/proc/self").expect("the own folder"),
            groups: Groups::Unified(folder.path().to_owned()),
            has_network: false,
            load: Load::default(),
            text: String::new(),
        };
        assert_eq!(meter.processor_time(), Some(5_000_000));
        let usage = meter.read().expect("alive");
        let expected = Usage { memory_used: Some(5000), ..Usage::default() };
        assert_eq!(usage, expected);
        std::fs::write(folder.path().join("memory.max"), "7000\n").expect("written");
        assert_eq!(meter.read().and_then(|usage| usage.memory_limit), Some(7000));
        // As when the group is gone.
        std::fs::remove_file(folder.path().join("cpu.stat")).expect("removed");
        assert_eq!(meter.read(), None);
    }

    #[test]
    fn a_process_that_ended_is_not_measured_and_another_is_not_taken_for_it() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().expect("started");
        let folder = File::open(format!("/proc/{}", child.id())).expect("its folder");
        let mut text = String::new();
        assert!(read_in(&folder, "statm", &mut text).is_some());
        child.kill().expect("ended");
        child.wait().expect("reaped");
        assert!(read_in(&folder, "statm", &mut text).is_none());
        let own = Process { id: "a".repeat(64), pid: std::process::id(), has_network: false };
        assert!(Meter::open(&own).is_none());
    }
}
