//! The guest's side of `cardcage:host/kernel`.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::real::{self, Link};
use super::system::{self, System};
use crate::capability::{ReadError, Readers, Roots};
use crate::plugin::bindings::cardcage::host::kernel as wit;
use crate::plugin::bindings::cardcage::types::errors::Error;

/// How old that may be which seldom changes: what the machine is, and an interface's address, state, speed and mtu, for
/// which drivers take locks.
const SELDOM: Duration = Duration::from_secs(10);

/// Most mount points that are asked for at once.
const SPACES: usize = 4096;

/// The facts, for one plugin.
#[derive(Debug)]
pub struct Kernel {
    roots: Arc<Roots>,
    /// For what may block.
    facts: Readers,
    /// For mount points, which block when a network file system dies.
    mounts: Readers,
    links: HashMap<String, (Instant, Link)>,
    system: Option<(Instant, System)>,
    /// The only paths that `spaces` answers for.
    mount_points: Vec<PathBuf>,
}

impl Kernel {
    /// The readers outlive the instance, so that a plugin that restarts does not get new threads to block.
    pub fn new(roots: Arc<Roots>, facts: Readers, mounts: Readers) -> Self {
        Self { roots, facts, mounts, links: HashMap::new(), system: None, mount_points: Vec::new() }
    }

    /// Asks one file of `/proc`; what it says nothing of is `absent`.
    async fn ask<T: Send + 'static>(
        &self,
        file: &'static str,
        read: impl Fn(&Roots) -> Option<T> + Send + Sync + 'static,
    ) -> Result<T, Error> {
        let fact = match self.roots.proc_answers_at_once {
            true => read(&self.roots),
            false => {
                let roots = Arc::clone(&self.roots);
                self.facts.once(&self.roots.proc.join(file), move |_| read(&roots)).await?
            }
        };
        fact.ok_or_else(|| Error::new("absent", format!("/proc/{file} is not there, or does not say")))
    }

    /// The links of these interfaces, asking only for those that are old. One that does not answer in time is not known, and
    /// takes nothing from the counters.
    async fn refresh_links(&mut self, names: &[String]) {
        let now = Instant::now();
        self.links.retain(|name, (read, _)| now.duration_since(*read) < SELDOM && names.contains(name));
        let folder = self.roots.sys.join("class/net");
        let missing = names.iter().filter(|name| !self.links.contains_key(*name));
        let missing: Arc<[PathBuf]> = missing.map(|name| folder.join(name)).collect();
        if missing.is_empty() {
            return;
        }
        let links = self.facts.each(Arc::clone(&missing), |folder: &PathBuf| real::link(folder)).await;
        for (folder, link) in missing.iter().zip(links) {
            if let (Some(name), Ok(link)) = (folder.file_name(), link) {
                self.links.insert(name.to_string_lossy().into_owned(), (now, link));
            }
        }
    }
}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        let code = match error {
            ReadError::Blocked(_) | ReadError::NoReader => "blocked",
            ReadError::Late(_) => "late",
            ReadError::Panicked(_) => "io",
        };
        Self::new(code, error.to_string())
    }
}

impl wit::Host for Kernel {
    async fn times(&mut self) -> Result<wit::CpuTimes, Error> {
        let stat = self.ask("stat", real::stat).await?;
        #[expect(clippy::cast_precision_loss, reason = "2^53 ticks are three million years")]
        let seconds = |ticks: u64| ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
        Ok(wit::CpuTimes {
            user: seconds(stat.user),
            nice: seconds(stat.nice),
            system: seconds(stat.system),
            idle: seconds(stat.idle),
            iowait: seconds(stat.iowait),
            irq: seconds(stat.irq),
            softirq: seconds(stat.softirq),
            steal: seconds(stat.steal),
            cores: stat.cores,
        })
    }

    async fn load(&mut self) -> Result<wit::LoadAverage, Error> {
        let [one, five, fifteen] = self.ask("loadavg", real::load).await?;
        Ok(wit::LoadAverage { one, five, fifteen })
    }

    async fn memory(&mut self) -> Result<wit::MemoryInfo, Error> {
        let memory = self.ask("meminfo", real::memory).await?;
        let needed = |value: Option<u64>, name: &str| {
            value.ok_or_else(|| Error::new("absent", format!("/proc/meminfo does not say {name}")))
        };
        Ok(wit::MemoryInfo {
            total: needed(memory.total, "MemTotal")?,
            unused: needed(memory.unused, "MemFree")?,
            available: memory.available,
            buffers: memory.buffers,
            cached: memory.cached,
            reclaimable: memory.reclaimable,
            swap_total: memory.swap_total,
            swap_free: memory.swap_free,
        })
    }

    async fn networks(&mut self) -> Result<Vec<wit::NetworkInterface>, Error> {
        let interfaces = self.ask("net/dev", real::interfaces).await?;
        let names: Vec<String> = interfaces.iter().map(|interface| interface.name.clone()).collect();
        self.refresh_links(&names).await;
        let with_link = |interface: crate::capability::kernel::parse::Interface| {
            let link = self.links.get(&interface.name).map(|(_, link)| link.clone()).unwrap_or_default();
            wit::NetworkInterface {
                name: interface.name,
                rx_bytes: interface.rx_bytes,
                rx_packets: interface.rx_packets,
                rx_errors: interface.rx_errors,
                rx_dropped: interface.rx_dropped,
                tx_bytes: interface.tx_bytes,
                tx_packets: interface.tx_packets,
                tx_errors: interface.tx_errors,
                tx_dropped: interface.tx_dropped,
                address: link.address,
                state: link.state,
                speed: link.speed,
                mtu: link.mtu,
            }
        };
        Ok(interfaces.into_iter().map(with_link).collect())
    }

    async fn mounts(&mut self) -> Result<Vec<wit::Mount>, Error> {
        // The table is locked while something is mounted, so it is not asked for on the plugins' own thread.
        let (roots, table) = (Arc::clone(&self.roots), self.roots.proc.join("self/mountinfo"));
        let read = self.facts.once(&table, move |_| real::mounts(&roots)).await?;
        let (mounts, pseudo) =
            read.ok_or_else(|| Error::new("absent", "/proc/self/mountinfo is not there, or does not say"))?;
        self.mount_points = mounts.iter().map(|mount| PathBuf::from(&mount.mount_point)).collect();
        let mount = |mount: crate::capability::kernel::parse::Mount| wit::Mount {
            pseudo: pseudo.as_ref().map(|pseudo| pseudo.contains(&mount.file_system)),
            source: mount.source,
            mount_point: mount.mount_point,
            file_system: mount.file_system,
            root: mount.root,
            device_number: mount.device_number,
            read_only: mount.read_only,
        };
        Ok(mounts.into_iter().map(mount).collect())
    }

    async fn spaces(&mut self, mount_points: Vec<String>) -> Vec<Result<wit::Space, Error>> {
        if mount_points.len() > SPACES {
            let too_large =
                || Err(Error::new("too-large", format!("at most {SPACES} mount points are asked for")));
            return mount_points.iter().map(|_| too_large()).collect();
        }
        let paths: Vec<PathBuf> = mount_points.into_iter().map(PathBuf::from).collect();
        let known: Arc<[PathBuf]> =
            paths.iter().filter(|path| self.mount_points.contains(path)).cloned().collect();
        let roots = Arc::clone(&self.roots);
        let mut spaces =
            self.mounts.each(known, move |path: &PathBuf| real::space(&roots, path)).await.into_iter();
        let answer = |path: PathBuf| {
            let absent = |why: &str| Err(Error::new("absent", format!("{}: {why}", path.display())));
            if !self.mount_points.contains(&path) {
                return absent("no mount point that `mounts` named");
            }
            match spaces.next() {
                Some(Ok(Some(space))) => {
                    Ok(wit::Space { total: space.total, unused: space.unused, available: space.available })
                }
                Some(Err(error)) => Err(error.into()),
                Some(Ok(None)) | None => absent("the file system does not say"),
            }
        };
        paths.into_iter().map(answer).collect()
    }

    async fn system(&mut self) -> Result<wit::SystemInfo, Error> {
        let system = match self.system.take() {
            Some((read, system)) if read.elapsed() < SELDOM => (read, system),
            _ => {
                let roots = Arc::clone(&self.roots);
                let folder = self.roots.proc.join("sys/kernel");
                (Instant::now(), self.facts.once(&folder, move |_| system::system(&roots)).await?)
            }
        };
        let (_, system) = self.system.insert(system).clone();
        Ok(wit::SystemInfo {
            hostname: system.hostname,
            kernel: system.kernel,
            architecture: system.architecture,
            os_release: system.os_release,
            dmi: system.dmi,
            device_tree_model: system.device_tree_model,
            device_tree_compatible: system.device_tree_compatible,
            device_tree_serial: system.device_tree_serial,
            cpu_model: system.cpu_model,
        })
    }
}
