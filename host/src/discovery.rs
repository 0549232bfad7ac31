//! A manager asks over multicast. Every datagram is hostile until shown otherwise.
//!
//! ```text
//! datagram -> socket -> link it came in on -> gate (source, rate, size, content, claim, duplicate) -> Accepted
//!               ^ memberships <- choice of links <- interfaces <- changes (rtnetlink) or every 10 s
//! ```
//!
//! | channel  | kind  | writer        | reader |
//! |----------|-------|---------------|--------|
//! | queries  | mpsc  | [`Discovery`] | report |
//!
//! A full channel drops the query: an answer that is late by a queue is worth less than the next one.

mod changes;
mod choice;
mod drops;
mod duplicates;
mod gate;
mod interfaces;
mod memberships;
mod query;
mod rate;
mod socket;

use std::io;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{self, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{self, Config};
use crate::telemetry::Telemetry;
use changes::Changes;
use choice::{Choice, Links};
pub use drops::DropReason;
use drops::Drops;
use gate::Gate;
use memberships::Memberships;
pub use query::{Query, Subject};
use socket::{Buffer, Datagram, QuerySocket};

/// How often the interfaces are looked at without a hint, and the drops summed up.
const RESCAN: Duration = Duration::from_secs(10);
/// An interface that comes up sends a burst of hints; the burst is over after this.
const SETTLE: Duration = Duration::from_millis(100);
/// A socket that fails is left alone for this long, so that a lasting fault fills neither a core nor the log.
const AFTER_FAULT: Duration = Duration::from_secs(1);

/// A query that will be answered with exactly one report.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub query: Query,
    /// The agent's address on the interface that the query came in on, and the source of the report.
    pub host_ip: Ipv4Addr,
    pub received: Instant,
}

/// Why the agent cannot listen for queries.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    #[error(
        "cannot listen for queries on {group}:{port}; is the port taken by a program that does not share it?"
    )]
    Bind {
        group: Ipv4Addr,
        port: u16,
        #[source]
        source: io::Error,
    },
    #[error("the machine's network interfaces cannot be listed")]
    Interfaces(#[source] io::Error),
}

/// Listens for queries.
pub struct Discovery {
    socket: QuerySocket,
    changes: Option<Changes>,
    choice: Choice,
    links: Links,
    memberships: Memberships,
    gate: Gate,
    drops: Drops,
    telemetry: Telemetry,
}

impl Discovery {
    /// Binds and joins. Once it returns, queries on the interfaces that are up are not missed.
    pub fn bind(config: &Config, telemetry: Telemetry) -> Result<Self, DiscoveryError> {
        let config::Discovery { group, port, .. } = config.discovery;
        let socket =
            QuerySocket::bind(group, port).map_err(|source| DiscoveryError::Bind { group, port, source })?;
        let now = Instant::now();
        let mut discovery = Self {
            socket,
            // Before the first scan, so that no change falls between the two.
            changes: watch_changes(),
            choice: Choice::new(&config.discovery.interfaces),
            links: Links::default(),
            memberships: Memberships::default(),
            gate: Gate::new(config.managers.clone(), now),
            drops: Drops::default(),
            telemetry,
        };
        discovery.scan(&[]).map_err(DiscoveryError::Interfaces)?;
        announce(config, &discovery.links);
        Ok(discovery)
    }

    /// Hands accepted queries on until it is told to stop.
    pub async fn run(mut self, queries: mpsc::Sender<Accepted>, stop: CancellationToken) {
        let mut buffer = Buffer::default();
        let mut tick = time::interval_at(time::Instant::now() + RESCAN, RESCAN);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changed = Changed::default();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                _ = tick.tick() => {
                    self.rescan(&changed.take());
                    self.drops.summarise(Instant::now());
                }
                () = changed.settled() => self.rescan(&changed.take()),
                hint = next_change(&mut self.changes) => changed.note(hint),
                datagram = self.socket.receive(&mut buffer) => match datagram {
                    Ok(datagram) => self.take(&datagram, buffer.bytes(&datagram), &queries),
                    Err(error) => {
                        warn!(%error, "queries cannot be received");
                        time::sleep(AFTER_FAULT).await;
                    }
                },
            }
        }
    }

    /// Decides about one datagram.
    fn take(&mut self, datagram: &Datagram, bytes: &[u8], queries: &mpsc::Sender<Accepted>) {
        let now = Instant::now();
        let handed = self
            .admit(datagram, bytes, now)
            .and_then(|accepted| queries.try_send(accepted).map_err(|_| DropReason::Busy));
        match handed {
            Ok(()) => self.telemetry.query_accepted(),
            Err(reason) => {
                self.telemetry.query_dropped(reason);
                self.drops.note(reason, *datagram.source.ip(), now);
            }
        }
    }

    fn admit(&mut self, datagram: &Datagram, bytes: &[u8], now: Instant) -> Result<Accepted, DropReason> {
        let source = *datagram.source.ip();
        let host_ip = self.links.host_ip(datagram.interface, source).ok_or(DropReason::Interface)?;
        let query = self.gate.admit(bytes, source, now)?;
        Ok(Accepted { query, host_ip, received: now })
    }

    fn rescan(&mut self, deleted: &[u32]) {
        if let Err(error) = self.scan(deleted) {
            warn!(%error, "the network interfaces cannot be listed; the memberships stay as they are");
        }
    }

    fn scan(&mut self, deleted: &[u32]) -> io::Result<()> {
        self.links = self.choice.choose(&interfaces::scan()?);
        self.memberships.follow(&self.socket, &self.links, deleted);
        Ok(())
    }
}

/// Hints that the interfaces changed, gathered until they settle.
#[derive(Default)]
struct Changed {
    deleted: Vec<u32>,
    due: Option<time::Instant>,
}

impl Changed {
    fn note(&mut self, deleted: Vec<u32>) {
        self.deleted.extend(deleted);
        self.deleted.sort_unstable();
        self.deleted.dedup();
        // Not put off by later hints: an interface that flaps for ever must not keep the others from being repaired.
        self.due.get_or_insert_with(|| time::Instant::now() + SETTLE);
    }

    async fn settled(&self) {
        match self.due {
            Some(due) => time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    fn take(&mut self) -> Vec<u32> {
        self.due = None;
        std::mem::take(&mut self.deleted)
    }
}

async fn next_change(changes: &mut Option<Changes>) -> Vec<u32> {
    match changes {
        Some(watch) => match watch.next().await {
            Ok(deleted) => return deleted,
            Err(error) => {
                warn!(%error, "changes of interfaces are no longer announced; they are looked for every 10 s");
                *changes = None;
            }
        },
        None => std::future::pending().await,
    }
    Vec::new()
}

fn watch_changes() -> Option<Changes> {
    Changes::open()
        .inspect_err(|error| {
            warn!(%error, "changes of interfaces are not announced; they are looked for every 10 s");
        })
        .ok()
}

fn announce(config: &Config, links: &Links) {
    let allow: Vec<String> = config.managers.allow.iter().map(ToString::to_string).collect();
    info!(
        group = %config.discovery.group,
        port = config.discovery.port,
        managers = allow.join(" "),
        "listening for queries"
    );
    if config.managers.allow == config::Managers::default().allow {
        warn!("only managers on this machine may ask; name others in managers.allow");
    }
    if links.is_empty() {
        warn!(
            "no network interface to listen on yet; name one in discovery.interfaces, or wait for it to come up"
        );
    }
}

/// The interfaces that would be listened on now, by name.
pub fn would_join(wanted: &[String]) -> io::Result<Vec<String>> {
    let links = Choice::new(wanted).choose(&interfaces::scan()?);
    Ok(links.indices().filter_map(|index| Some(links.get(index)?.name.clone())).collect())
}
