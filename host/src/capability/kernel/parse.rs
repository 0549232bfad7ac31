//! The texts of `/proc`, as far as facts are taken from them. A line that is missing or strange is a fact that is not
//! there; it never costs the others. Checked against the procfs crate on the real files.

/// Times of all processors together, in clock ticks, and how many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stat {
    pub user: u64,
    pub nice: u64,
    pub system: u64,
    pub idle: u64,
    pub iowait: u64,
    pub irq: u64,
    pub softirq: u64,
    pub steal: u64,
    pub cores: u32,
}

/// `/proc/stat`. Older kernels have fewer columns; what is not there was not spent.
pub fn stat(text: &str) -> Option<Stat> {
    let mut lines = text.lines();
    let mut columns =
        lines.next()?.strip_prefix("cpu ")?.split_ascii_whitespace().map(|column| column.parse().ok());
    let (user, nice, system, idle) = (columns.next()??, columns.next()??, columns.next()??, columns.next()??);
    let mut rest = || columns.next().flatten().unwrap_or(0);
    let (iowait, irq, softirq, steal) = (rest(), rest(), rest(), rest());
    let cores = lines.take_while(|line| line.starts_with("cpu")).count();
    Some(Stat { user, nice, system, idle, iowait, irq, softirq, steal, cores: u32::try_from(cores).ok()? })
}

/// `/proc/loadavg`: over one, five and fifteen minutes.
pub fn load(text: &str) -> Option<[f64; 3]> {
    let mut columns =
        text.split_ascii_whitespace().map(|column| column.parse().ok().filter(|load: &f64| load.is_finite()));
    Some([columns.next()??, columns.next()??, columns.next()??])
}

/// Main memory in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Meminfo {
    pub total: Option<u64>,
    pub unused: Option<u64>,
    pub available: Option<u64>,
    pub buffers: Option<u64>,
    pub cached: Option<u64>,
    pub reclaimable: Option<u64>,
    pub swap_total: Option<u64>,
    pub swap_free: Option<u64>,
}

/// `/proc/meminfo`.
pub fn meminfo(text: &str) -> Meminfo {
    let mut memory = Meminfo::default();
    for line in text.lines() {
        let Some((name, rest)) = line.split_once(':') else { continue };
        let field = match name {
            "MemTotal" => &mut memory.total,
            "MemFree" => &mut memory.unused,
            "MemAvailable" => &mut memory.available,
            "Buffers" => &mut memory.buffers,
            "Cached" => &mut memory.cached,
            "SReclaimable" => &mut memory.reclaimable,
            "SwapTotal" => &mut memory.swap_total,
            "SwapFree" => &mut memory.swap_free,
            _ => continue,
        };
        let kibibytes =
            rest.trim().strip_suffix("kB").and_then(|number| number.trim_end().parse::<u64>().ok());
        *field = kibibytes.and_then(|kibibytes| kibibytes.checked_mul(1024));
    }
    memory
}

/// Counters of one network interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_errors: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_errors: u64,
    pub tx_dropped: u64,
}

/// `/proc/net/dev`, after its two lines of headings.
pub fn interfaces(text: &str) -> Vec<Interface> {
    text.lines().filter_map(interface).collect()
}

fn interface(line: &str) -> Option<Interface> {
    let (name, rest) = line.rsplit_once(':')?;
    let mut columns = rest.split_ascii_whitespace().map(|column| column.parse().ok());
    let mut next = || columns.next().flatten();
    let (rx_bytes, rx_packets, rx_errors, rx_dropped) = (next()?, next()?, next()?, next()?);
    // fifo, frame, compressed, multicast: part of the errors, or not asked for.
    let _rest_of_receive = (next()?, next()?, next()?, next()?);
    let (tx_bytes, tx_packets, tx_errors, tx_dropped) = (next()?, next()?, next()?, next()?);
    let name = name.trim().to_owned();
    Some(Interface {
        name,
        rx_bytes,
        rx_packets,
        rx_errors,
        rx_dropped,
        tx_bytes,
        tx_packets,
        tx_errors,
        tx_dropped,
    })
}

/// One mount.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mount {
    pub device_number: String,
    pub root: String,
    pub mount_point: String,
    pub read_only: bool,
    pub file_system: String,
    pub source: String,
}

/// `/proc/self/mountinfo`.
pub fn mountinfo(text: &str) -> Vec<Mount> {
    text.lines().filter_map(mountinfo_line).collect()
}

fn mountinfo_line(line: &str) -> Option<Mount> {
    // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(2);
    let (device_number, root, mount_point, options) =
        (mount.next()?, mount.next()?, mount.next()?, mount.next()?);
    let mut file_system = file_system.split(' ');
    let (kind, source, super_options) =
        (file_system.next()?, file_system.next()?, file_system.next().unwrap_or(""));
    Some(Mount {
        device_number: device_number.to_owned(),
        root: unescape(root),
        mount_point: unescape(mount_point),
        read_only: [options, super_options]
            .iter()
            .any(|options| options.split(',').any(|option| option == "ro")),
        file_system: kind.to_owned(),
        source: unescape(source),
    })
}

/// `/proc/self/mounts`, for recordings without mountinfo. A mount of a part cannot be told from one of the whole, so
/// what is mounted stands for its number too.
pub fn mounts(text: &str) -> Vec<Mount> {
    let line = |line: &str| {
        let mut columns = line.split_ascii_whitespace();
        let (source, mount_point, kind, options) =
            (columns.next()?, columns.next()?, columns.next()?, columns.next()?);
        Some(Mount {
            device_number: unescape(source),
            root: "/".to_owned(),
            mount_point: unescape(mount_point),
            read_only: options.split(',').any(|option| option == "ro"),
            file_system: kind.to_owned(),
            source: unescape(source),
        })
    };
    text.lines().filter_map(line).collect()
}

/// The kernel writes space, tab, newline, backslash and `#` of a path as `\040` and so on.
fn unescape(text: &str) -> String {
    if !text.contains('\\') {
        return text.to_owned();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, octal(tail)) {
            (b'\\', Some(byte)) => {
                bytes.push(byte);
                rest = tail.get(3..).unwrap_or_default();
            }
            _ => bytes.push(*first),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn octal(digits: &[u8]) -> Option<u8> {
    let digits = digits.get(..3)?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

/// `/proc/filesystems`: the kinds that have no device under them.
pub fn pseudo_file_systems(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix("nodev\t").map(|kind| kind.trim().to_owned())).collect()
}

/// `KEY=value` lines with shell quotes, as in os-release(5).
pub fn os_release(text: &str) -> Vec<(String, String)> {
    let line = |line: &str| {
        let (key, value) = line.trim().split_once('=')?;
        let known = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        known.then(|| (key.to_owned(), unquote(value)))
    };
    text.lines().filter_map(line).take(64).collect()
}

fn unquote(value: &str) -> String {
    let double = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let single = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
    match (double, single) {
        (Some(inner), _) => ["\\\"", "\\$", "\\`", "\\\\"].iter().fold(inner.to_owned(), |text, escape| {
            text.replace(escape, escape.trim_start_matches('\\').get(..1).unwrap_or("\\"))
        }),
        (_, Some(inner)) => inner.to_owned(),
        _ => value.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use procfs_core::{FromBufRead as _, FromRead as _};
    use proptest::prelude::*;

    use super::*;

    fn real(path: &str) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn memory_is_what_the_procfs_crate_reads() {
        let text = real("/proc/meminfo");
        let reference = procfs_core::Meminfo::from_read(text.as_bytes()).unwrap();
        let memory = meminfo(&text);
        assert_eq!(memory.total, Some(reference.mem_total));
        assert_eq!(memory.available, reference.mem_available);
        assert_eq!(memory.unused, Some(reference.mem_free));
        assert_eq!(memory.cached, Some(reference.cached));
        assert_eq!(memory.swap_free, Some(reference.swap_free));
    }

    #[test]
    fn processor_times_are_what_the_procfs_crate_reads() {
        let text = real("/proc/stat");
        let system = procfs_core::ExplicitSystemInfo {
            boot_time_secs: 0,
            ticks_per_second: 100,
            page_size: 4096,
            is_little_endian: true,
        };
        let reference =
            <procfs_core::KernelStats as procfs_core::FromBufReadSI>::from_buf_read(text.as_bytes(), &system);
        let reference = reference.unwrap();
        let stat = stat(&text).unwrap();
        assert_eq!((stat.user, stat.idle), (reference.total.user, reference.total.idle));
        assert_eq!(Some(stat.steal), reference.total.steal);
        assert_eq!(stat.cores as usize, reference.cpu_time.len());
    }

    #[test]
    fn interfaces_are_what_the_procfs_crate_reads() {
        let text = real("/proc/net/dev");
        let reference = procfs_core::net::InterfaceDeviceStatus::from_buf_read(text.as_bytes()).unwrap().0;
        let interfaces = interfaces(&text);
        assert_eq!(interfaces.len(), reference.len());
        for interface in interfaces {
            let reference = &reference[&interface.name];
            assert_eq!(
                (interface.rx_bytes, interface.tx_bytes),
                (reference.recv_bytes, reference.sent_bytes)
            );
            assert_eq!(
                (interface.rx_errors, interface.tx_dropped),
                (reference.recv_errs, reference.sent_drop)
            );
        }
    }

    #[test]
    fn mounts_are_what_the_procfs_crate_reads() {
        let text = real("/proc/self/mountinfo");
        let reference = procfs_core::process::MountInfos::from_read(text.as_bytes()).unwrap().0;
        let mounts = mountinfo(&text);
        assert_eq!(mounts.len(), reference.len());
        for (mount, reference) in mounts.iter().zip(&reference) {
            assert_eq!((&mount.device_number, &mount.file_system), (&reference.majmin, &reference.fs_type));
            assert_eq!(mount.mount_point, reference.mount_point.to_string_lossy());
        }
    }

    #[test]
    fn escaped_paths_are_read_as_they_are() {
        let text = r"36 35 98:0 / /mnt/my\040disk\134 ro,noatime - ext4 /dev/sd\0111 rw";
        let mount = mountinfo(text).remove(0);
        assert_eq!(mount.mount_point, "/mnt/my disk\\");
        assert_eq!(mount.source, "/dev/sd\t1");
        assert!(mount.read_only);
    }

    #[test]
    fn a_partial_file_gives_what_it_has() {
        assert_eq!(meminfo("MemTotal: 1 kB\nMemFree: x kB\n").total, Some(1024));
        assert_eq!(stat("cpu  1 2 3 4\ncpu0 1 2 3 4\nintr 5\n").unwrap().cores, 1);
        assert_eq!(stat("cpu  1 2 3\n"), None);
        assert_eq!(load("0.1 0.2"), None);
    }

    #[test]
    fn os_release_is_unquoted() {
        let pairs = os_release("# comment\nPRETTY_NAME=\"Kylin \\\"V10\\\"\"\nID='kylin'\nV=1\nbad key=2\n");
        let expected = [("PRETTY_NAME", "Kylin \"V10\""), ("ID", "kylin"), ("V", "1")];
        assert_eq!(pairs, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in "[ -~\t\n]{0,200}") {
            stat(&format!("cpu {text}"));
            load(&text);
            meminfo(&text);
            interfaces(&text);
            mountinfo(&text);
            mounts(&text);
            os_release(&text);
            pseudo_file_systems(&text);
            unescape(&text);
        }
    }
}
