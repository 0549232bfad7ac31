//! One board, in sections. A section that has nothing to show is left out.

use cardcage_manager::api::types::{
    Agent, Board, BoardDetail, Claimant, Component, Disk, Extra, Extras, Gpu, Limits, Network, Resource,
    Sensor,
};
use comfy_table::{Cell, Color};

use crate::screen::{Screen, cell, coloured, number};
use crate::{table, units};

/// The whole board.
pub(crate) fn board(detail: &BoardDetail, resource: Option<&Resource>, screen: &Screen) -> String {
    let mut sections = vec![identity(detail, screen)];
    match resource {
        Some(resource) => {
            sections.push(readings(&detail.board, resource, screen));
            sections.push(list("SENSORS", &resource.sensors, &SENSORS, sensor, screen));
            sections.push(list("NETWORK", &resource.network, &NETWORK, network, screen));
            sections.push(list("DISKS", &resource.disk, &DISKS, disk, screen));
            sections.push(list("GPUS", &resource.gpu, &GPUS, gpu, screen));
            sections.push(list("COMPONENTS", &resource.component, &COMPONENTS, component, screen));
        }
        None => sections.push(String::from("No readings yet.\n")),
    }
    sections.extend(detail.agent.as_ref().map(|agent| plugins(agent, screen)));
    sections.retain(|section| !section.is_empty());
    sections.join("\n")
}

/// Names and values. What is unknown is left out.
fn facts(facts: Vec<(&str, Option<Cell>)>, screen: &Screen) -> String {
    let mut table = screen.table(&[]);
    for (name, value) in facts {
        if let Some(value) = value {
            table.add_row([Cell::new(name), value]);
        }
    }
    screen.text(table)
}

fn known(text: Option<impl AsRef<str>>) -> Option<Cell> {
    text.map(|text| cell(Some(text)))
}

fn identity(detail: &BoardDetail, screen: &Screen) -> String {
    let board = &detail.board;
    let agent = detail.agent.as_ref();
    let of_agent = |field: fn(&Agent) -> Option<&String>| known(agent.and_then(field));
    let addresses: Vec<_> = board.addresses.iter().map(ToString::to_string).collect();
    let seen = board.last_seen.as_ref().zip(board.last_seen_age_ms);
    let seen = seen.map(|(when, age)| format!("{when}, {} ago", units::age(age)));
    let mut all = vec![
        ("board", known(Some(&board.id))),
        ("state", Some(coloured(table::state(board.state), Some(table::state_colour(board.state))))),
        ("flags", conflicts(board).map(|text| coloured(&text, Some(Color::Red)))),
        ("copied identity", copied_identity(board).map(|text| coloured(&text, Some(Color::Red)))),
        ("place", known(Some(format!("box {} slot {} cpu {}", board.box_id, board.slot_id, board.cpu_id)))),
        ("srio", known(Some(board.srio_id.to_string()))),
        ("host", known(Some(&board.hostname))),
        ("addresses", known(Some(addresses.join(", ")))),
        ("service port", known(Some(board.service_port.to_string()))),
        ("box type", known(board.box_type.as_ref())),
        ("board type", known(board.board_type.as_ref())),
        ("resource type", known(board.resource_type.as_ref())),
        ("cpu type", known(board.cpu_type.as_ref())),
        ("architecture", known(board.cpu_arch.as_ref())),
        ("system", known(board.os_type.as_ref())),
        ("kernel", of_agent(|agent| agent.kernel.as_ref())),
        ("manufacturer", of_agent(|agent| agent.manufacturer.as_ref())),
        ("model", of_agent(|agent| agent.model.as_ref())),
        ("serial", of_agent(|agent| agent.serial.as_ref())),
        ("agent", of_agent(|agent| agent.version.as_ref())),
        ("first seen", known(board.first_seen.as_ref())),
        ("last seen", known(seen)),
        ("missed", known(Some(missed(board)))),
    ];
    all.extend(agent.into_iter().flat_map(|agent| extras(&agent.extra)));
    facts(all, screen)
}

fn conflicts(board: &Board) -> Option<String> {
    let rivals = board.conflicts_with.join(", ");
    let flags = (!board.flags.is_empty()).then(|| table::flags(&board.flags))?;
    Some(if rivals.is_empty() { flags } else { format!("{flags} with {rivals}") })
}

/// Who has it, and what to do about it.
fn copied_identity(board: &Board) -> Option<String> {
    let name = |claimant: &Claimant| {
        let Claimant { host_ip, hostname, box_id, slot_id, cpu_id, .. } = claimant;
        format!("{hostname} ({host_ip}, {box_id}/{slot_id}/{cpu_id})")
    };
    let names: Vec<_> = board.claimants.iter().map(name).collect();
    (!names.is_empty()).then(|| format!("{}: {}", names.join(" and "), table::COPIED_IDENTITY))
}

fn missed(board: &Board) -> String {
    let (heartbeat, resource) = (board.missed.heartbeat, board.missed.resource);
    format!(
        "heartbeats {} ({} in a row), resources {} ({} in a row)",
        heartbeat.total, heartbeat.in_a_row, resource.total, resource.in_a_row
    )
}

fn extras(extras: &Extras) -> impl Iterator<Item = (&str, Option<Cell>)> {
    let text = |extra: &Extra| match extra {
        Extra::Text(text) => text.clone(),
        Extra::Truth(truth) => truth.to_string(),
        Extra::Whole(whole) => whole.to_string(),
        Extra::Real(real) => real.to_string(),
    };
    extras.iter().map(move |(name, extra)| (name.as_str(), known(Some(text(extra)))))
}

fn readings(board: &Board, resource: &Resource, screen: &Screen) -> String {
    let (cpu, memory) = (resource.cpu.as_ref(), resource.memory.as_ref());
    let load = cpu.and_then(|cpu| Some([cpu.load_avg_1m?, cpu.load_avg_5m?, cpu.load_avg_15m?]));
    let swap = memory.filter(|memory| memory.swap_total.is_some_and(|total| total > 0));
    let swap_used = swap.and_then(|memory| memory.swap_total?.checked_sub(memory.swap_free?));
    let cores =
        cpu.and_then(|cpu| cpu.core_count).map(|cores| match cpu.and_then(|cpu| cpu.core_allocated) {
            Some(allocated) => format!("{cores}, {allocated} allocated"),
            None => cores.to_string(),
        });
    let mut all = vec![
        ("readings", known(Some(format!("{} ago", units::age(resource.age_ms))))),
        ("cpu", known(cpu.and_then(|cpu| cpu.usage_percent).map(units::percent))),
        ("cores", known(cores)),
        ("load", known(load.map(|[one, five, fifteen]| format!("{one:.2} {five:.2} {fifteen:.2}")))),
        ("memory", known(memory.and_then(|memory| units::share(memory.used, memory.total)))),
        ("swap", known(swap.and_then(|memory| units::share(swap_used, memory.swap_total)))),
        ("temperature", known(board.summary.temperature.map(|value| units::value(value, "Cel")))),
        ("power", known(board.summary.power.map(|value| units::value(value, "W")))),
    ];
    all.extend(cpu.into_iter().flat_map(|cpu| extras(&cpu.extra)));
    all.extend(memory.into_iter().flat_map(|memory| extras(&memory.extra)));
    facts(all, screen)
}

/// A section with a line for each item.
fn list<T, const N: usize>(
    title: &str,
    items: &[T],
    headings: &[&str; N],
    row: fn(&T) -> [Cell; N],
    screen: &Screen,
) -> String {
    if items.is_empty() {
        return String::new();
    }
    let mut table = screen.table(headings);
    items.iter().for_each(|item| {
        table.add_row(row(item));
    });
    format!("{title}\n{}", screen.text(table))
}

const SENSORS: [&str; 8] = ["PLACE", "NAME", "KIND", "VALUE", "STATUS", "LIMITS", "AGE", "PLUGIN"];

fn sensor(sensor: &Sensor) -> [Cell; 8] {
    let place = match &sensor.place.name {
        Some(name) => format!("{} {name}", sensor.place.part),
        None => sensor.place.part.clone(),
    };
    let value = sensor.value.map(|value| units::value(value, &sensor.unit));
    let status = (sensor.status != "ok").then_some(Color::Red);
    let strain = sensor.value.and_then(|value| strain(value, &sensor.limits));
    let value = match strain {
        Some(colour) => number(value).fg(colour),
        None => number(value),
    };
    [
        cell(Some(place)),
        cell(Some(&sensor.name)),
        cell(Some(&sensor.kind)),
        value,
        coloured(&sensor.status, status),
        cell(limits(&sensor.limits)),
        number(Some(units::age(sensor.age_ms))),
        cell(sensor.plugin.as_ref()),
    ]
}

/// The colour of a value at or beyond one of its limits.
fn strain(value: f64, limits: &Limits) -> Option<Color> {
    let above = |limit: Option<f64>| limit.is_some_and(|limit| value >= limit);
    let below = |limit: Option<f64>| limit.is_some_and(|limit| value <= limit);
    if above(limits.upper_critical) || above(limits.upper_fatal) || below(limits.lower_critical) {
        Some(Color::Red)
    } else if above(limits.upper_caution) || below(limits.lower_caution) {
        Some(Color::Yellow)
    } else {
        None
    }
}

fn limits(limits: &Limits) -> Option<String> {
    let all = [
        ("fatal ≥", limits.upper_fatal),
        ("critical ≥", limits.upper_critical),
        ("caution ≥", limits.upper_caution),
        ("caution ≤", limits.lower_caution),
        ("critical ≤", limits.lower_critical),
    ];
    let known: Vec<_> = all
        .iter()
        .filter_map(|(name, limit)| Some(format!("{name} {}", units::value((*limit)?, ""))))
        .collect();
    (!known.is_empty()).then(|| known.join(", "))
}

const NETWORK: [&str; 8] =
    ["INTERFACE", "STATE", "ADDRESS", "SPEED", "RECEIVED", "SENT", "ERRORS IN / OUT", "DROPPED IN / OUT"];

fn network(network: &Network) -> [Cell; 8] {
    let pair = |in_: Option<u64>, out: Option<u64>| Some(format!("{} / {}", in_?, out?));
    [
        cell(Some(&network.interface)),
        cell(network.state.as_ref()),
        cell(network.address.as_ref()),
        number(network.speed.map(|bits| format!("{} Mbit/s", bits / 1_000_000))),
        number(network.rx_bytes.map(units::bytes)),
        number(network.tx_bytes.map(units::bytes)),
        number(pair(network.rx_errors, network.tx_errors)),
        number(pair(network.rx_dropped, network.tx_dropped)),
    ]
}

const DISKS: [&str; 5] = ["MOUNTED AT", "DEVICE", "KIND", "USED", "FREE"];

fn disk(disk: &Disk) -> [Cell; 5] {
    let kind = disk.file_system.as_ref().map(|kind| match disk.read_only {
        Some(true) => format!("{kind}, read-only"),
        _ => kind.clone(),
    });
    [
        cell(Some(&disk.mount_point)),
        cell(disk.device.as_ref()),
        cell(kind),
        number(units::share(disk.used, disk.total)),
        number(disk.free.map(units::bytes)),
    ]
}

const GPUS: [&str; 6] = ["GPU", "DEVICE", "NAME", "DRIVER", "USAGE", "MEMORY"];

fn gpu(gpu: &Gpu) -> [Cell; 6] {
    let vendor =
        gpu.vendor.as_ref().filter(|vendor| !gpu.name.as_ref().is_some_and(|name| name.contains(*vendor)));
    let name: Vec<_> = vendor.into_iter().chain(&gpu.name).map(String::as_str).collect();
    [
        cell(Some(gpu.index.to_string())),
        cell(gpu.device.as_ref()),
        cell((!name.is_empty()).then(|| name.join(" "))),
        cell(gpu.driver.as_ref()),
        number(gpu.compute_usage.map(units::percent)),
        number(units::share(gpu.mem_used, gpu.mem_total)),
    ]
}

const COMPONENTS: [&str; 8] = ["STATE", "UUID", "TYPE", "NAME", "CORES", "CPU", "MEMORY", "REASON"];

fn component(component: &Component) -> [Cell; 8] {
    let more = &component.placement;
    [
        table::deployment_state(Some(&component.state), more.unknown),
        cell(Some(&component.uuid)),
        cell(more.kind.as_ref()),
        cell(Some(&component.name)),
        cell(table::cores(&more.cores, more.shared)),
        number(component.cpu_load.map(units::percent)),
        number(units::share(component.mem_used, component.mem_limit)),
        cell(more.reason.as_ref()),
    ]
}

fn plugins(agent: &Agent, screen: &Screen) -> String {
    let headings = ["PLUGIN", "VERSION", "FROM", "STATE", "REASON"];
    list(
        "PLUGINS",
        &agent.plugins,
        &headings,
        |plugin| {
            let well = matches!(plugin.state.as_str(), "ready" | "idle");
            [
                cell(Some(&plugin.name)),
                cell(Some(&plugin.version)),
                cell(Some(if plugin.built_in { "agent" } else { "operator" })),
                coloured(&plugin.state, (!well).then_some(Color::Yellow)),
                cell(plugin.reason.as_ref()),
            ]
        },
        screen,
    )
}
