//! Which plugins run, as the folder changes. Each file of the folder has a place, and each built-in plugin without such a
//! file:
//!
//! ```text
//! new file        it is started, and speaks for its place at once
//! new content     it is started beside what runs, and takes its place once it has proved itself (a good sample; for a
//!                 backend, that it can be called); if it fails, what ran goes on, and the failure is shown
//! file moved      what runs goes on
//! file gone       what ran ends; where another plugin of its name is left (a built-in one), once that has proved itself
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use super::admit::Admitted;
use super::backends::{Registrar, Serving};
use super::built_in::BuiltIn;
use super::driver::Driver;
use super::folder::{built_in_packages, name};
use super::kept::Wanted;
use super::kit::{Kit, Senses};
use super::package::{Package, Refused, Role, Source};
use super::resolve::resolve;
use super::watch::{Accepted, Look, Seen, Wish, watch};
use crate::config::{self, Config};
use crate::model::{Digest, PluginName, PluginState, PluginStatus};
use crate::sample::{Outcome, PluginReport, Roster, Seat};

/// How long the built-in plugins wait for the first look at the folder. It may lie on a file system that hangs.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// Names that something is kept of, before those that are gone are forgotten.
const NAMES: usize = 1024;

/// What a place belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    BuiltIn(PluginName),
    File(PathBuf),
}

impl Key {
    fn of(plugin: &Result<Package, Refused>) -> Self {
        match plugin {
            Ok(package) => Self::of_package(package),
            Err(refused) => Self::new(&refused.source, &refused.name),
        }
    }

    fn of_package(package: &Package) -> Self {
        Self::new(&package.source, &package.name)
    }

    fn new(source: &Source, name: &PluginName) -> Self {
        match source {
            Source::BuiltIn(_) => Self::BuiltIn(name.clone()),
            Source::File { path, .. } => Self::File(path.clone()),
        }
    }

    /// The name of the file in the folder.
    fn file(&self) -> Option<String> {
        match self {
            Self::BuiltIn(_) => None,
            Self::File(path) => Some(path.file_name()?.to_string_lossy().into_owned()),
        }
    }
}

/// What tells a plugin from what was in its place before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    digest: Digest,
    /// Why it is no plugin of this agent at all.
    refused: Option<String>,
}

impl Content {
    fn of(plugin: &Result<Package, Refused>) -> Self {
        match plugin {
            Ok(package) => Self { digest: package.digest, refused: None },
            Err(refused) => Self { digest: refused.digest, refused: Some(refused.reason.clone()) },
        }
    }
}

/// A plugin that was started, or refused. Dropping it ends it.
#[derive(Debug)]
struct Started {
    id: u64,
    /// What it was started from.
    key: Key,
    name: PluginName,
    content: Content,
    report: watch::Receiver<PluginReport>,
    serving: Option<Serving>,
    _running: Option<DropGuard>,
}

impl Started {
    fn has_failed(&self) -> bool {
        self.report.borrow().outcome() == Some(Outcome::Failed)
    }

    /// As what it is written down once it has proved itself: its file, and what that holds.
    fn accepted_as(&self) -> Option<(String, Digest)> {
        self.key.file().map(|file| (file, self.content.digest))
    }
}

/// Who speaks for a file, or for a built-in plugin, and who is to.
#[derive(Debug)]
struct Place {
    current: Started,
    next: Option<Started>,
    /// The file that `current` came from is gone: it stays only until it is known what becomes of `next`.
    orphaned: bool,
}

/// The plugins of the agent.
#[derive(Debug)]
pub struct Supervisor {
    kit: Arc<Kit>,
    config: Config,
    built_in: &'static [BuiltIn],
    backends: Registrar,
    roster: Roster,
    stop: CancellationToken,
    tasks: TaskTracker,
    places: BTreeMap<Key, Place>,
    /// By file, the content that last proved itself.
    accepted: BTreeMap<String, Digest>,
    /// What becomes of those that were started.
    outcomes: JoinSet<Option<(u64, Outcome)>>,
    ids: u64,
    /// What is kept of each name over its versions.
    senses: BTreeMap<PluginName, Senses>,
    /// What the cache holds something for.
    cached: BTreeSet<Digest>,
    /// What the watcher of the folder is to keep.
    wish: Option<Wish>,
}

impl Supervisor {
    pub fn new(
        config: &Config,
        built_in: &'static [BuiltIn],
        kit: Arc<Kit>,
        backends: Registrar,
        roster: Roster,
        stop: CancellationToken,
    ) -> Self {
        Self {
            kit,
            config: config.clone(),
            built_in,
            backends,
            roster,
            stop,
            tasks: TaskTracker::new(),
            places: BTreeMap::new(),
            accepted: BTreeMap::new(),
            outcomes: JoinSet::new(),
            ids: 0,
            senses: BTreeMap::new(),
            cached: BTreeSet::new(),
            wish: None,
        }
    }

    /// Runs them until told to stop.
    pub async fn run(mut self) {
        let folder = self.config.plugin_dir();
        let watching = watch(folder.clone(), &self.config.state_dir, self.config.plugins.keys());
        let mut looks = match watching {
            Ok((looks, wish)) => {
                self.wish = Some(wish);
                looks
            }
            Err(error) => {
                warn!(folder = %folder.display(), %error, "plugin folder cannot be watched, only built-in plugins run");
                watch::channel(None).1
            }
        };
        if timeout(FIRST_LOOK, looks.wait_for(Option::is_some)).await.is_err() {
            warn!(folder = %folder.display(), "plugin folder does not answer, the built-in plugins start without it");
        }
        let look = looks.borrow_and_update().clone();
        self.follow(&look);
        self.warn_of_strays();
        info!(plugins = self.places.len(), "plugins found");
        let stop = self.stop.clone();
        let mut watched = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                changed = looks.changed(), if watched => {
                    watched = changed.is_ok();
                    let look = looks.borrow_and_update().clone();
                    self.follow(&look);
                }
                Some(ended) = self.outcomes.join_next() => if let Ok(Some((id, outcome))) = ended {
                    self.settle(id, outcome);
                }
            }
        }
        self.places.clear();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Starts and ends what the folder, as it is now, asks for.
    fn follow(&mut self, look: &Look) {
        let seen = look.as_deref().map_or(&[][..], Vec::as_slice);
        let mut accepted = self.accepted_earlier(seen);
        let wanted = self.resolve(seen);
        let names: BTreeMap<_, _> =
            wanted.iter().map(|plugin| (name(plugin).clone(), Key::of(plugin))).collect();
        accepted.retain(|key, package| names.get(&package.name).is_none_or(|of| of == key));
        let mut left = std::mem::take(&mut self.places);
        // What keeps its place first: whatever is left then is free to go on in another.
        let keyed = wanted.into_iter().map(|plugin| (Key::of(&plugin), plugin));
        let (stay, come): (Vec<_>, Vec<_>) = keyed.partition(|(key, _)| left.contains_key(key));
        for (key, plugin) in stay {
            if let Some(place) = left.remove(&key) {
                let place = self.change(&key, place, plugin);
                self.places.insert(key, place);
            }
        }
        for (key, plugin) in come {
            let place = match self.before(&key, &plugin, &mut left, &mut accepted) {
                Some(place) => self.change(&key, place, plugin),
                None => Place { current: self.start(&key, plugin), next: None, orphaned: false },
            };
            self.places.insert(key, place);
        }
        for gone in left.into_values() {
            info!(plugin = %gone.current.name, "plugin removed");
        }
        let files: BTreeSet<_> = self.places.keys().filter_map(Key::file).collect();
        self.accepted.retain(|file, _| files.contains(file));
        self.announce();
    }

    /// What an earlier agent accepted from files that hold something else now.
    fn accepted_earlier(&mut self, seen: &[Seen]) -> BTreeMap<Key, Package> {
        let mut earlier = BTreeMap::new();
        for one in seen {
            let key = Key::of(&one.found);
            let (Ok(Package { digest, .. }) | Err(Refused { digest, .. })) = &one.found;
            let accepted = match &one.accepted {
                _ if self.places.contains_key(&key) => continue,
                Accepted::Nothing => continue,
                Accepted::This => *digest,
                Accepted::Other(package) => {
                    earlier.insert(key, (**package).clone());
                    package.digest
                }
            };
            self.accepted.insert(one.file.clone(), accepted);
        }
        earlier
    }

    fn resolve(&self, seen: &[Seen]) -> Vec<Result<Package, Refused>> {
        let files = seen.iter().map(|seen| seen.found.clone()).collect();
        let place = |package: &Package| self.places.get(&Key::of_package(package));
        let holds_name = |package: &Package| match place(package) {
            Some(place) => place.current.name == package.name && place.current.content.refused.is_none(),
            None => Key::of_package(package).file().is_some_and(|file| self.accepted.contains_key(&file)),
        };
        let holds_type = |package: &Package| {
            let serving = place(package).and_then(|place| place.current.serving.as_ref());
            serving.is_some_and(|serving| package.role == Role::Backend { kind: serving.kind.clone() })
        };
        resolve(built_in_packages(self.built_in), files, holds_name, holds_type)
    }

    /// What goes on until a plugin that comes anew has proved itself.
    fn before(
        &mut self,
        key: &Key,
        plugin: &Result<Package, Refused>,
        left: &mut BTreeMap<Key, Place>,
        accepted: &mut BTreeMap<Key, Package>,
    ) -> Option<Place> {
        let name = name(plugin);
        let plugin = plugin.as_ref().ok();
        let same_name = left.iter().find(|(_, place)| plugin.is_some() && place.current.name == *name);
        if let Some(other) = same_name.map(|(key, _)| key.clone()) {
            let place = left.remove(&other)?;
            return Some(Place { next: None, orphaned: matches!(other, Key::File(_)), ..place });
        }
        if let Some(earlier) = accepted.remove(key) {
            info!(plugin = %earlier.name, source = %earlier.source, "the file changed while the agent was away; what it held before runs until that has proved itself");
            let current = self.start(key, Ok(earlier));
            return Some(Place { current, next: None, orphaned: false });
        }
        // A file that replaces a built-in plugin, for the first time.
        let proved = key.file().is_some_and(|file| self.accepted.contains_key(&file));
        let built_in = built_in_packages(self.built_in).into_iter().flatten();
        let mut built_in = built_in.filter(|built_in| plugin.is_some() && !proved && built_in.name == *name);
        let built_in = built_in.next().filter(|_| matches!(key, Key::File(_)))?;
        let current = self.start(&Key::BuiltIn(name.clone()), Ok(built_in));
        Some(Place { current, next: None, orphaned: false })
    }

    /// A place whose file holds this now.
    fn change(&mut self, key: &Key, place: Place, plugin: Result<Package, Refused>) -> Place {
        let content = Content::of(&plugin);
        if place.current.content == content {
            // The file was moved, or is again what it was.
            let current = Started { key: key.clone(), ..place.current };
            let proved = current.report.borrow().outcome() == Some(Outcome::Proved);
            self.accepted.extend(current.accepted_as().filter(|_| proved));
            return Place { current, next: None, orphaned: false };
        }
        if place.next.as_ref().is_some_and(|next| next.content == content) {
            return place;
        }
        let next = self.start(key, plugin);
        match place.current.has_failed() || place.current.content.refused.is_some() {
            // Nothing is lost.
            true => Place { current: next, next: None, orphaned: false },
            false => Place { next: Some(next), ..place },
        }
    }

    fn start(&mut self, key: &Key, plugin: Result<Package, Refused>) -> Started {
        let (name, content) = (name(&plugin).clone(), Content::of(&plugin));
        self.ids += 1;
        let (id, key) = (self.ids, key.clone());
        let admitted = plugin.and_then(|package| Admitted::new(package, &self.config.plugins));
        let (report, serving, running) = match admitted {
            Err(refused) => (refuse(refused), None, None),
            Ok(plugin) => {
                let senses = self.senses(plugin.package());
                let (place, serving) = Serving::new(plugin.package()).unzip();
                let (driver, report) = Driver::new(plugin, place, Arc::clone(&self.kit), senses);
                let stop = self.stop.child_token();
                let running = stop.clone().drop_guard();
                self.tasks.spawn(async move { stop.run_until_cancelled(driver.run()).await });
                (report, serving, Some(running))
            }
        };
        let mut reports = report.clone();
        self.outcomes.spawn(async move {
            let settled = reports.wait_for(|report| report.outcome().is_some()).await;
            Some((id, settled.ok()?.outcome()?))
        });
        Started { id, key, name, content, report, serving, _running: running }
    }

    fn senses(&mut self, package: &Package) -> Senses {
        // Names that are gone are forgotten, before a stream of new ones fills the memory.
        if self.senses.len() > NAMES {
            let running =
                self.places.values().flat_map(|place| std::iter::once(&place.current).chain(&place.next));
            let running: BTreeSet<_> = running.map(|started| &started.name).collect();
            self.senses.retain(|name, _| running.contains(name));
        }
        let senses = self.senses.entry(package.name.clone()).or_insert_with(|| self.kit.senses(package));
        senses.of_another_version()
    }

    /// It is known what became of a plugin.
    fn settle(&mut self, id: u64, outcome: Outcome) {
        let of = |started: &Started| started.id == id;
        let of_place =
            |(_, place): &(&Key, &mut Place)| of(&place.current) || place.next.as_ref().is_some_and(of);
        let Some((key, place)) = self.places.iter_mut().find(of_place) else { return };
        if let Some(next) = place.next.take_if(|next| {
            next.id == id && outcome == Outcome::Proved
                || next.has_failed() && (place.orphaned || place.current.has_failed())
        }) {
            if outcome == Outcome::Proved {
                let (old, new) =
                    (&place.current.report.borrow().status.version, &next.report.borrow().status.version);
                info!(plugin = %next.name, old, new, "plugin replaced");
            }
            place.current = next;
            place.orphaned = false;
        }
        if place.current.id == id && place.current.key == *key && outcome == Outcome::Proved {
            self.accepted.extend(place.current.accepted_as());
        }
        self.announce();
    }

    fn announce(&mut self) {
        let places = self.places.values();
        let seat = |place: &Place| Seat {
            plugin: place.current.report.clone(),
            replacement: place.next.as_ref().map(|next| next.report.clone()),
        };
        self.roster.announce(places.clone().map(seat).collect());
        self.backends.announce(places.clone().filter_map(|place| place.current.serving.clone()));
        let started = places.flat_map(|place| std::iter::once(&place.current).chain(&place.next));
        let used: BTreeSet<_> = started.map(|started| started.content.digest).collect();
        if used != self.cached {
            self.kit.cache.prune(&used);
            self.cached.clone_from(&used);
        }
        if let Some(wish) = &self.wish {
            wish.set(Wanted { accepted: self.accepted.clone(), used });
        }
    }

    fn warn_of_strays(&self) {
        let there: BTreeSet<_> = self.places.values().map(|place| place.current.name.as_str()).collect();
        for name in strays(&self.config.plugins, |name| there.contains(name)) {
            warn!(name, "configuration names a plugin that is not there");
        }
    }
}

/// The names in the configuration that no plugin has: mostly misspelt ones.
pub fn strays(plugins: &config::Plugins, is_there: impl Fn(&str) -> bool) -> BTreeSet<&String> {
    let named = plugins.grants.keys().chain(plugins.settings.keys());
    named.filter(|name| !is_there(name)).collect()
}

fn refuse(refused: Refused) -> watch::Receiver<PluginReport> {
    warn!(plugin = %refused.name, reason = refused.reason, "plugin refused");
    let Refused { name, version, digest, built_in, reason, .. } = refused;
    let status = PluginStatus::new(name, version, digest, built_in, PluginState::Refused);
    let status = PluginStatus { reason: Some(reason), ..status };
    // The value outlives its sender, and never changes.
    watch::channel(PluginReport { status, latest: None }).1
}
