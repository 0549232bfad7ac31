//! The readings of the processors, the memory, the network, the disks and the accelerators.

use super::{Family, counter, gauge};
use crate::metrics::fleet::{Series, Subject};
use crate::model::Text;
use crate::model::readings::{Cpu, Disk, Gpu, Memory, Network};

const NETWORK: &[&str] = &["interface"];
const DISK: &[&str] = &["mount_point", "device"];
const GPU: &[&str] = &["gpu", "device"];

pub(super) static FAMILIES: &[Family] = &[
    gauge("resource_age_seconds", &[], "Time since the board's readings came.", |subject, series| {
        let at = subject.view.board.resource.as_ref().map(|resource| resource.at);
        series.push(&[], at.map(|at| subject.now.since(at).as_secs_f64()));
    }),
    gauge("cpu_usage_ratio", &[], "Share of time in which the processors were busy.", |subject, series| {
        cpu(subject, series, |cpu| cpu.usage_percent.map(ratio));
    }),
    gauge("cpu_cores", &[], "Logical cores online.", |subject, series| {
        cpu(subject, series, |cpu| cpu.cores.map(f64::from));
    }),
    gauge("cpu_cores_allocated", &[], "Cores promised to deployed instances.", |subject, series| {
        let allocated = subject.resource.as_ref().and_then(|resource| resource.cores_allocated);
        series.count(&[], allocated.map(u64::from));
    }),
    gauge("load_average", &["period"], "Mean number of runnable tasks.", |subject, series| {
        if let Some(cpu) = subject.readings().and_then(|readings| readings.cpu.as_ref()) {
            series.push(&["1m"], cpu.load_avg_1m);
            series.push(&["5m"], cpu.load_avg_5m);
            series.push(&["15m"], cpu.load_avg_15m);
        }
    }),
    gauge("memory_size_bytes", &[], "Main memory in all.", |subject, series| {
        memory(subject, series, |memory| memory.total);
    }),
    gauge("memory_used_bytes", &[], "Main memory in use.", |subject, series| {
        memory(subject, series, |memory| memory.used);
    }),
    gauge("memory_free_bytes", &[], "Main memory available.", |subject, series| {
        memory(subject, series, |memory| memory.free);
    }),
    gauge("swap_size_bytes", &[], "Swap in all.", |subject, series| {
        memory(subject, series, |memory| memory.swap_total);
    }),
    gauge("swap_free_bytes", &[], "Swap not in use.", |subject, series| {
        memory(subject, series, |memory| memory.swap_free);
    }),
    counter("network_receive_bytes_total", NETWORK, "Bytes received.", |subject, series| {
        network(subject, series, |network| network.rx_bytes);
    }),
    counter("network_transmit_bytes_total", NETWORK, "Bytes sent.", |subject, series| {
        network(subject, series, |network| network.tx_bytes);
    }),
    counter("network_receive_packets_total", NETWORK, "Packets received.", |subject, series| {
        network(subject, series, |network| network.rx_packets);
    }),
    counter("network_transmit_packets_total", NETWORK, "Packets sent.", |subject, series| {
        network(subject, series, |network| network.tx_packets);
    }),
    counter("network_receive_errors_total", NETWORK, "Packets received with an error.", |subject, series| {
        network(subject, series, |network| network.rx_errors);
    }),
    counter(
        "network_transmit_errors_total",
        NETWORK,
        "Packets that could not be sent.",
        |subject, series| {
            network(subject, series, |network| network.tx_errors);
        },
    ),
    counter("network_receive_dropped_total", NETWORK, "Packets dropped on receipt.", |subject, series| {
        network(subject, series, |network| network.rx_dropped);
    }),
    counter("network_transmit_dropped_total", NETWORK, "Packets dropped on sending.", |subject, series| {
        network(subject, series, |network| network.tx_dropped);
    }),
    gauge("network_up", NETWORK, "1 if the interface is up.", |subject, series| {
        let up = |state: &Text| u64::from(state.as_str() == "up");
        network(subject, series, |network| network.state.as_ref().map(up));
    }),
    gauge("network_speed_bytes", NETWORK, "Bytes a second that the link can carry.", |subject, series| {
        network(subject, series, |network| network.speed.map(|bits| bits / 8));
    }),
    gauge("disk_size_bytes", DISK, "Size of the file system.", |subject, series| {
        disk(subject, series, |disk| disk.total);
    }),
    gauge("disk_used_bytes", DISK, "What is in use of the file system.", |subject, series| {
        disk(subject, series, |disk| disk.used);
    }),
    gauge("disk_free_bytes", DISK, "What users may still write to the file system.", |subject, series| {
        disk(subject, series, |disk| disk.free);
    }),
    gauge("disk_readonly", DISK, "1 if the file system is mounted for reading only.", |subject, series| {
        disk(subject, series, |disk| disk.read_only.map(u64::from));
    }),
    gauge("gpu_usage_ratio", GPU, "Share of time in which the accelerator was busy.", |subject, series| {
        gpu(subject, series, |gpu| gpu.compute_usage.map(ratio));
    }),
    gauge("gpu_memory_usage_ratio", GPU, "Share of the accelerator's memory in use.", |subject, series| {
        gpu(subject, series, |gpu| gpu.memory_usage.map(ratio));
    }),
    gauge("gpu_memory_used_bytes", GPU, "The accelerator's memory in use.", |subject, series| {
        gpu(subject, series, |gpu| gpu.memory_used.map(|bytes| bytes as f64));
    }),
    gauge("gpu_memory_size_bytes", GPU, "The accelerator's memory in all.", |subject, series| {
        gpu(subject, series, |gpu| gpu.memory_total.map(|bytes| bytes as f64));
    }),
];

fn ratio(percent: f64) -> f64 {
    percent / 100.0
}

fn cpu(subject: &Subject<'_>, series: &mut Series<'_>, value: fn(&Cpu) -> Option<f64>) {
    series.push(&[], subject.readings().and_then(|readings| readings.cpu.as_ref()).and_then(value));
}

fn memory(subject: &Subject<'_>, series: &mut Series<'_>, value: fn(&Memory) -> Option<u64>) {
    series.count(&[], subject.readings().and_then(|readings| readings.memory.as_ref()).and_then(value));
}

fn network(subject: &Subject<'_>, series: &mut Series<'_>, value: impl Fn(&Network) -> Option<u64>) {
    for network in subject.readings().iter().flat_map(|readings| &readings.networks) {
        series.count(&[network.interface.as_str()], value(network));
    }
}

fn disk(subject: &Subject<'_>, series: &mut Series<'_>, value: fn(&Disk) -> Option<u64>) {
    for disk in subject.readings().iter().flat_map(|readings| &readings.disks) {
        let device = disk.device.as_ref().map_or("", Text::as_str);
        series.count(&[disk.mount_point.as_str(), device], value(disk));
    }
}

fn gpu(subject: &Subject<'_>, series: &mut Series<'_>, value: fn(&Gpu) -> Option<f64>) {
    for gpu in subject.readings().iter().flat_map(|readings| &readings.gpus) {
        let device = gpu.device.as_ref().map_or("", Text::as_str);
        series.push(&[&gpu.index.to_string(), device], value(gpu));
    }
}
