//! The queries: on its cadence, the manager asks every board for a report.
//!
//! One task, [`Asker::run`]. Each round looks at the interfaces anew, so one that vanishes is dropped and one that comes
//! back is used again. Sockets are bound to the address that the query names: an agent takes no query whose sender is
//! another than the one that it should report to. Failures are logged when they begin and when they end.

mod interfaces;
mod sender;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::Config;
use crate::fleet::Fleet;
use crate::metrics::Meters;
use crate::model::Subject;
use crate::protocol::query::datagram;
use interfaces::Link;
use sender::Sender;

/// Time between the first heartbeat query and the first resource query, after the spread of the answers: boards should
/// be known when their readings come, and the two bursts of answers should not be one.
const HEARTBEATS_FIRST: Duration = Duration::from_millis(250);

/// Asks the fleet.
pub struct Asker {
    config: Config,
    /// Where reports are taken.
    listen: IpAddr,
    port: NonZeroU16,
    fleet: Fleet,
    meters: Arc<Meters>,
    senders: Vec<Sender>,
    /// Wanted interfaces that were not there the last time.
    missing: Vec<String>,
    /// There was nowhere to send to the last time.
    idle: bool,
}

impl Asker {
    /// Ready to ask for reports to the address and port that are really listened on.
    pub fn new(config: Config, listen: IpAddr, port: NonZeroU16, fleet: Fleet, meters: Arc<Meters>) -> Self {
        let listen = listen.to_canonical();
        Self { config, listen, port, fleet, meters, senders: Vec::new(), missing: Vec::new(), idle: false }
    }

    /// Asks until it is told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let discovery = &self.config.discovery;
        let start = Instant::now();
        let spread = Duration::from_millis(discovery.spread_ms().into());
        let later = (spread + HEARTBEATS_FIRST).min(discovery.shorter_cadence() / 2);
        let mut heartbeats = interval_at(start, discovery.heartbeat_every);
        let mut resources = interval_at(start + later, discovery.resource_every);
        // After a pause of the machine one query is enough.
        heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        resources.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let subject = tokio::select! {
                () = stop.cancelled() => return,
                _ = heartbeats.tick() => Subject::Heartbeat,
                _ = resources.tick() => Subject::Resource,
            };
            self.ask(subject).await;
        }
    }

    /// One round.
    async fn ask(&mut self, subject: Subject) {
        self.fleet.close(subject);
        let sent_at = self.fleet.clock().now();
        self.look_around();
        let (spread_ms, port) = (self.config.discovery.spread_ms(), self.port);
        let target = SocketAddrV4::new(self.config.discovery.group, self.config.discovery.port.get());
        let mut datagrams = HashMap::new();
        let mut from = Vec::new();
        for sender in &mut self.senders {
            let manager_ip = sender.manager_ip;
            // One address to report to, one query: where it goes out on several interfaces it keeps its id.
            let query =
                datagrams.entry(manager_ip).or_insert_with(|| datagram(subject, manager_ip, port, spread_ms));
            let sent = sender.send(query, target).await;
            self.meters.query(&sender.link.interface, manager_ip, subject, sent);
            if sent && !from.contains(&manager_ip) {
                from.push(manager_ip);
            }
        }
        self.fleet.asked(subject, sent_at, from);
    }

    /// Takes up the links that are new and drops those that are gone.
    fn look_around(&mut self) {
        let found = match interfaces::scan() {
            Ok(found) => found,
            Err(error) => return warn!(%error, "the interfaces cannot be listed"),
        };
        let (links, missing) = interfaces::choose(&found, &self.config.discovery.interfaces);
        for name in missing.iter().filter(|name| !self.missing.contains(name)) {
            warn!(
                interface = name,
                "an interface of discovery.interfaces is not there or not up, waiting for it"
            );
        }
        self.missing = missing;
        self.senders.retain(|sender| {
            let stays = links.contains(&sender.link);
            if !stays {
                warn!(interface = sender.link.interface, address = %sender.link.address, "interface gone");
            }
            stays
        });
        for link in links {
            if !self.senders.iter().any(|sender| sender.link == link) {
                let manager_ip = self.config.advertise.unwrap_or(link.address);
                self.greet(&link, manager_ip);
                self.senders.push(Sender::new(link, manager_ip, self.config.discovery.ttl.get()));
            }
        }
        if self.senders.is_empty() && !self.idle {
            warn!("no interface to query on; name one in discovery.interfaces");
        }
        self.idle = self.senders.is_empty();
    }

    fn greet(&self, link: &Link, manager_ip: Ipv4Addr) {
        info!(interface = link.interface, address = %link.address, %manager_ip, "querying");
        if !self.listen.is_unspecified() && self.listen != IpAddr::V4(manager_ip) {
            warn!(%manager_ip, listen = %self.listen, "queries name an address that is not listened on; change listen or advertise");
        }
    }
}
