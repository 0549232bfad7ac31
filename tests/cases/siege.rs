//! An agent under siege: a hostile plugin, a well-behaved one beside it, and a manager that watches whether the rest of
//! the board is still reported on time.

use std::time::{Duration, Instant};

use cardcage_tests::{
    ACME_BOARD, Agent, AgentPlan, HOSTILE, Listener, Plugin, World, connect_from, get_from, until,
};
use serde_json::Value;

/// Two cadences of the built-in probes, which sample every two seconds.
const BUILT_IN_AGE: u64 = 4_000;
/// Five cadences of the neighbour, which samples every 200 ms.
const NEIGHBOUR_AGE: u64 = 1_000;
/// From a query to its report: nearly always, so that a report that waits for a plugin's deadline of 500 ms is noticed...
const PROMPT: Duration = Duration::from_millis(200);
/// ... and at worst, on a machine that does other things too.
const ANSWER: Duration = Duration::from_secs(2);
/// How long the others are watched: two samples of every built-in probe that matters here.
const WATCH: Duration = Duration::from_millis(4_500);
/// The most memory that the agent ever had: the limit of one plugin, and what the agent needs itself, in a debug build.
const PEAK_KIB: u64 = 192 << 10;

/// See the module.
pub(crate) struct Siege {
    pub(crate) agent: Agent,
    manager: Listener,
    world: World,
}

impl Siege {
    /// By `HOSTILE` in one of its modes, which comes into the folder of an agent that runs.
    #[track_caller]
    pub(crate) fn by(mode: &str) -> Self {
        let settings = format!("[plugins.settings.hostile]\nmode = \"{mode}\"");
        let siege = Self::with(|plan| plan.config(&settings));
        siege.drop_in("hostile.wasm", &HOSTILE.packed());
        siege
    }

    /// Brings a file into the folder at once, as operators do.
    #[track_caller]
    pub(crate) fn drop_in(&self, file: &str, bytes: &[u8]) {
        let folder = self.agent.folder().join("plugins");
        let new = folder.join(".incoming");
        std::fs::write(&new, bytes).unwrap();
        std::fs::rename(new, folder.join(file)).unwrap();
    }

    /// By whatever is added to the plan.
    #[track_caller]
    pub(crate) fn with(besiege: impl FnOnce(AgentPlan) -> AgentPlan) -> Self {
        let world = World::new();
        let plan = world.agent().plugin("acme-board.wasm", ACME_BOARD.packed());
        let agent = besiege(plan).start();
        let siege = Self { agent, manager: world.listener(), world };
        siege.agent.until_plugin("acme-board", "ready");
        siege
    }

    /// Waits until the plugin has been ended for this reason, and is to be started again.
    #[track_caller]
    pub(crate) fn until_ended(&self, name: &str, reason: &str) -> Plugin {
        until(&format!("{name} is ended: {reason}"), || {
            let plugin = self.agent.plugin(name);
            let why = plugin.reason.as_deref().unwrap_or_default();
            (plugin.state == "backoff" && why.contains(reason)).then_some(plugin)
        })
    }

    /// Waits until one of the plugin's faults says this.
    #[track_caller]
    pub(crate) fn until_fault(&self, name: &str, fault: &str) -> Plugin {
        until(&format!("{name} has the fault: {fault}"), || {
            let plugin = self.agent.plugin(name);
            let told = plugin.faults.iter().any(|told| told.contains(fault));
            (plugin.state == "ready" && told).then_some(plugin)
        })
    }

    /// The sensors that the plugin has in a report.
    #[track_caller]
    pub(crate) fn sensors_of(&self, name: &str) -> Vec<Value> {
        let report = self.manager.answer("/resource");
        let sensors = report.readings()["sensors"].as_array().unwrap().iter();
        sensors.filter(|sensor| sensor["plugin"] == name).cloned().collect()
    }

    /// The readings of a report.
    #[track_caller]
    pub(crate) fn readings(&self) -> Value {
        self.manager.answer("/resource").readings().clone()
    }

    /// Asserts that a query is answered soon, with readings that are fresh; returns how soon.
    #[track_caller]
    pub(crate) fn answers(&self) -> Duration {
        let asked = Instant::now();
        let report = self.manager.answer("/resource");
        let took = report.at.saturating_duration_since(asked);
        assert!(took < ANSWER, "the report took {took:?}");
        let readings = report.readings();
        for part in ["cpu", "memory"] {
            let age = readings[part]["age_ms"].as_u64().unwrap();
            assert!(age < BUILT_IN_AGE, "the readings of {part} are {age} ms old");
        }
        let sensors = readings["sensors"].as_array().unwrap();
        let neighbour = sensors.iter().find(|sensor| sensor["plugin"] == "acme-board").unwrap();
        let age = neighbour["age_ms"].as_u64().unwrap();
        assert!(age < NEIGHBOUR_AGE, "the readings of the neighbour are {age} ms old");
        took
    }

    /// Watches for a while that queries are answered at once, and that the samples go on.
    #[track_caller]
    pub(crate) fn others_are_on_time(&self) {
        self.others_answer_within(PROMPT);
    }

    /// The same, where a report is so long that writing it takes a while.
    #[track_caller]
    pub(crate) fn others_answer_within(&self, prompt: Duration) {
        let samples = |name| self.agent.plugin(name).samples;
        let before = ["cpu", "memory", "acme-board"].map(samples);
        let mut answers = Vec::new();
        let over = Instant::now() + WATCH;
        while Instant::now() < over {
            answers.push(self.answers());
            std::thread::sleep(Duration::from_millis(100));
        }
        answers.sort();
        let nearly_all = answers[answers.len() * 9 / 10];
        assert!(nearly_all < prompt, "reports took {answers:?}");
        let after = ["cpu", "memory", "acme-board"].map(samples);
        let more = std::array::from_fn::<_, 3, _>(|n| after[n] - before[n]);
        assert!(more[0] >= 2 && more[1] >= 2 && more[2] >= 10, "samples in {WATCH:?}: {more:?}");
        let peak = self.agent.process.peak_memory_kib();
        assert!(peak < PEAK_KIB, "the agent had {peak} KiB");
    }
}

/// Three times as many as the agent takes, all from one address.
#[test]
fn connections_that_nobody_uses_leave_room_for_those_that_are_used() {
    let mut siege = Siege::with(|plan| plan);
    let service = siege.agent.service();
    let [hoarder, other] = [66, 67].map(|host| siege.world.address(host));
    let hoard: Vec<_> = (0..800).map(|_| connect_from(hoarder, service).unwrap()).collect();
    for from in [other, hoarder] {
        for path in ["/plugins", "/metrics"] {
            let asked = Instant::now();
            let answer = get_from(from, service, path).unwrap();
            let took = asked.elapsed();
            assert!(answer.status == 200 && took < ANSWER, "{path} took {from} {took:?}: {answer:?}");
        }
    }
    const SENTENCE: &str = "no connection is left";
    let line = siege.agent.process.until_log(SENTENCE);
    assert!(line.contains(&format!("peer={hoarder} ")), "{line}");
    let log = siege.agent.process.log();
    assert_eq!(log.matches(SENTENCE).count(), 1, "{log}");
    siege.answers();
    drop(hoard);
}
