//! From the engine, for what runs where this process cannot see it.

use std::time::{Duration, Instant};

use bollard::models::ContainerStatsResponse;
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::stream::StreamExt as _;
use tokio::time::timeout;

use super::{Load, Usage};
use crate::Engine;
use crate::engine::lock;

/// Usage is worth no longer wait.
const DEADLINE: Duration = Duration::from_secs(5);

impl Engine {
    pub(crate) async fn ask_usage_of(&self, id: &str) -> Option<Usage> {
        let docker = self.docker().await.ok()?;
        let options = StatsOptionsBuilder::default().stream(false).one_shot(true).build();
        let mut answers = docker.stats(id, Some(options));
        let stats = timeout(DEADLINE, answers.next()).await.ok()??.ok()?;
        let mut asked = lock(&self.meters.asked);
        Some(usage(&stats, asked.entry(id.to_owned()).or_default(), Instant::now()))
    }
}

fn usage(stats: &ContainerStatsResponse, load: &mut Load, now: Instant) -> Usage {
    let total = stats.cpu_stats.as_ref().and_then(|cpu| cpu.cpu_usage.as_ref()?.total_usage);
    let memory = stats.memory_stats.as_ref();
    let cached = memory.and_then(|memory| {
        let stats = memory.stats.as_ref()?;
        stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")).copied()
    });
    let networks = stats.networks.as_ref().filter(|networks| !networks.is_empty());
    let sum = |of: fn(&bollard::models::ContainerNetworkStats) -> Option<u64>| {
        networks.map(|networks| networks.values().filter_map(of).fold(0, u64::saturating_add))
    };
    Usage {
        cpu_load: total.filter(|total| *total > 0).and_then(|total| load.next(now, total)),
        memory_used: memory
            .and_then(|memory| memory.usage)
            .filter(|used| *used > 0)
            .map(|used| used.saturating_sub(cached.unwrap_or(0))),
        memory_limit: memory.and_then(|memory| memory.limit).filter(|limit| *limit > 0),
        network_rx: sum(|network| network.rx_bytes),
        network_tx: sum(|network| network.tx_bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_s_answer_is_read() {
        let answer = r#"{
            "cpu_stats": {"cpu_usage": {"total_usage": 1000000000}},
            "memory_stats": {"usage": 3000, "limit": 9000, "stats": {"inactive_file": 1000}},
            "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}, "eth1": {"rx_bytes": 10, "tx_bytes": 20}}
        }"#;
        let stats: ContainerStatsResponse = serde_json::from_str(answer).expect("read");
        let mut load = Load::default();
        let first = usage(&stats, &mut load, Instant::now());
        let expected = Usage {
            cpu_load: None,
            memory_used: Some(2000),
            memory_limit: Some(9000),
            network_rx: Some(11),
            network_tx: Some(22),
        };
        assert_eq!(first, expected);
        let later = usage(&stats, &mut load, Instant::now() + Duration::from_secs(1));
        assert_eq!(later.cpu_load, Some(0.0));
    }

    #[test]
    fn what_it_does_not_say_is_absent() {
        let nothing = usage(&ContainerStatsResponse::default(), &mut Load::default(), Instant::now());
        assert_eq!(nothing, Usage::default());
    }
}
