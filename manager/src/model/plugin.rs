//! Plugins, as their agents show them when asked, and pushes of new ones.

use uuid::Uuid;

use super::{BoardId, Text, report};

/// One plugin of one agent.
#[derive(Debug, Clone, PartialEq)]
pub struct Installed {
    /// Name in its manifest.
    pub name: Text,
    /// Version in its manifest.
    pub version: Text,
    /// SHA-256 of the file.
    pub digest: Text,
    /// Comes with the agent.
    pub built_in: bool,
    /// How it is, in the agent's words.
    pub state: Text,
    /// Why.
    pub reason: Option<Text>,
    /// What only the agent itself tells. None where its last report is all there is.
    pub more: Option<More>,
}

/// What a report leaves out.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct More {
    /// How well it knows the board.
    pub support: Option<Text>,
    /// Who made it.
    pub vendor: Option<Text>,
    /// Who signed it, or why it runs without.
    pub trust: Option<Text>,
    /// Interfaces that it imports.
    pub imports: Vec<Text>,
    /// What its manifest asks for.
    pub asked: Vec<Text>,
    /// What of that it is given.
    pub given: Vec<Text>,
    /// Samples that it gave.
    pub samples: u64,
    /// Traps, missed deadlines and errors.
    pub failures: u64,
    /// Instances that replaced a dead one.
    pub restarts: u64,
    /// How long the last sample took.
    pub last_sample_ms: Option<f64>,
    /// The longest that one took.
    pub longest_sample_ms: Option<f64>,
    /// Processor time of its calls.
    pub cpu_ms: f64,
    /// How often it called the agent.
    pub host_calls: u64,
    /// Bytes.
    pub memory: Option<u64>,
    /// Readings in its last sample.
    pub readings: Option<u64>,
    /// The last thing that went wrong.
    pub last_error: Option<Text>,
    /// Parts of its samples that were refused.
    pub faults: Vec<Text>,
    /// What is to take its place.
    pub replacement: Option<Replacement>,
}

/// A version that has not proved itself yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Replacement {
    /// Name in its manifest.
    pub name: Text,
    /// Version in its manifest.
    pub version: Text,
    /// SHA-256 of the file.
    pub digest: Text,
    /// How it is.
    pub state: Text,
    /// Why it has not taken its place.
    pub reason: Option<Text>,
}

impl From<&report::Plugin> for Installed {
    fn from(reported: &report::Plugin) -> Self {
        let report::Plugin { name, version, digest, built_in, state, reason } = reported.clone();
        Self { name, version, digest, built_in, state, reason, more: None }
    }
}

/// What has become of a digest on a board, by what its agent shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Pending(String),
    /// It runs, and has given a good sample; a backend can be called.
    Running,
    /// It is not meant for this board.
    Idle(String),
    /// It will not run as it is.
    Failed(String),
}

/// What has become of this content.
pub fn verdict(plugins: &[Installed], digest: &str) -> Verdict {
    let is = |text: &Text| text.as_str() == digest;
    if let Some(plugin) = plugins.iter().find(|plugin| is(&plugin.digest)) {
        return of_current(plugin);
    }
    let replacements = plugins.iter().filter_map(|plugin| plugin.more.as_ref()?.replacement.as_ref());
    match replacements.into_iter().find(|next| is(&next.digest)) {
        Some(next) => of_replacement(next),
        None => Verdict::Pending("the agent has not taken it up yet".to_owned()),
    }
}

/// Whether this content waits beside what runs, as what has not proved itself does.
pub fn is_kept_out(plugins: &[Installed], digest: &str) -> bool {
    let mut replacements = plugins.iter().filter_map(|plugin| plugin.more.as_ref()?.replacement.as_ref());
    replacements.any(|next| next.digest.as_str() == digest)
}

fn of_current(plugin: &Installed) -> Verdict {
    let said = said(&plugin.state, plugin.reason.as_ref());
    match plugin.state.as_str() {
        "ready" => {
            let empty = More::default();
            let more = plugin.more.as_ref().unwrap_or(&empty);
            // As the agent sees it: a sample that holds nothing but faults proves nothing.
            match (more.readings, more.faults.first()) {
                (None | Some(0), Some(fault)) => Verdict::Pending(format!("no good sample: {fault}")),
                _ => Verdict::Running,
            }
        }
        "idle" => Verdict::Idle(said),
        "refused" | "quarantined" => Verdict::Failed(said),
        _ => Verdict::Pending(said),
    }
}

fn of_replacement(next: &Replacement) -> Verdict {
    let said = said(&next.state, next.reason.as_ref());
    match next.state.as_str() {
        "idle" => {
            Verdict::Failed(format!("{said}; the version before has something to do there, so that goes on"))
        }
        "refused" | "quarantined" => Verdict::Failed(said),
        _ => Verdict::Pending(said),
    }
}

fn said(state: &Text, reason: Option<&Text>) -> String {
    match reason {
        Some(reason) => format!("{state}: {reason}"),
        None => state.to_string(),
    }
}

/// A plugin that is brought to several boards: to one, the canary, and once it runs there to the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// Which push.
    pub id: Uuid,
    /// The name of its file on the boards.
    pub file: String,
    /// SHA-256 of the file.
    pub digest: String,
    /// Its length.
    pub bytes: usize,
    /// The selector of its boards, if there was one.
    pub group: Option<String>,
    /// Boards that may fail before it stops.
    pub max_failures: usize,
    /// When it was begun, in milliseconds since 1970.
    pub begun: i64,
    /// How far it is.
    pub stage: Stage,
    /// Why it stopped.
    pub why: Option<String>,
    /// The boards; the first is the canary.
    pub boards: Vec<Pushed>,
}

/// How far a push is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The canary has it.
    Canary,
    /// The others get it.
    Rolling,
    /// All have it, but for as many as may fail.
    Done,
    /// It ended before that.
    Stopped,
}

impl Stage {
    /// Whether nothing more comes.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Stopped)
    }
}

/// A push, on one board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The board.
    pub board: BoardId,
    /// What has become of it.
    pub fate: Fate,
    /// In words.
    pub message: String,
}

/// What has become of a push on a board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It was not begun yet.
    Waiting,
    /// It is being brought, or tried.
    UnderWay,
    /// It runs.
    Running,
    /// It is not meant for this board.
    Idle,
    /// The agent did not take it.
    Refused,
    /// It was tried and did not prove itself.
    Failed,
    /// The board did not answer.
    NoAnswer,
    /// It was not begun, since the push stopped before.
    NotBegun,
}

impl Fate {
    /// Whether the push went wrong there.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Refused | Self::Failed | Self::NoAnswer)
    }
}

impl Push {
    /// Boards on which it went wrong.
    pub fn failures(&self) -> usize {
        self.boards.iter().filter(|board| board.fate.is_failure()).count()
    }

    /// The next board that it is to be brought to, unless too many have failed. No more boards have it under way than may
    /// still fail, or than it runs on by now: a version that only the canary copes with is found out by few.
    pub fn next(&self) -> Option<&BoardId> {
        let count = |fate| self.boards.iter().filter(|board| board.fate == fate).count();
        let may_fail = (self.max_failures + 1).saturating_sub(self.failures());
        let room = may_fail.max(count(Fate::Running));
        let goes_on = self.stage == Stage::Rolling && may_fail > 0 && count(Fate::UnderWay) < room;
        let waiting = self.boards.iter().find(|board| board.fate == Fate::Waiting);
        waiting.filter(|_| goes_on).map(|board| &board.board)
    }

    /// Notes what became of it on a board.
    pub fn note(&mut self, board: &BoardId, fate: Fate, message: String) {
        if let Some(pushed) = self.boards.iter_mut().find(|pushed| pushed.board == *board) {
            (pushed.fate, pushed.message) = (fate, message);
        }
    }

    /// Ends it: stopped if there is a reason.
    pub fn end(&mut self, why: Option<String>) {
        let too_many = || {
            let failures = self.failures();
            let some = (failures > self.max_failures).then_some(failures)?;
            Some(format!("it failed on {some} boards, and {} may fail", self.max_failures))
        };
        self.why = why.or_else(too_many);
        self.stage = if self.why.is_some() { Stage::Stopped } else { Stage::Done };
        for board in &mut self.boards {
            match board.fate {
                Fate::Waiting => board.fate = Fate::NotBegun,
                Fate::UnderWay => {
                    (board.fate, board.message) =
                        (Fate::NoAnswer, "nobody waited for what becomes of it".to_owned());
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(digest: &str, state: &str, more: More) -> Installed {
        Installed {
            name: "acme".into(),
            version: "1".into(),
            digest: digest.into(),
            built_in: false,
            state: state.into(),
            reason: Some("why".into()),
            more: Some(more),
        }
    }

    fn replaced_by(digest: &str, state: &str) -> Installed {
        let next = Replacement {
            name: "acme".into(),
            version: "2".into(),
            digest: digest.into(),
            state: state.into(),
            reason: None,
        };
        plugin("old", "ready", More { readings: Some(1), replacement: Some(next), ..More::default() })
    }

    #[test]
    fn what_the_agent_shows_decides() {
        let current = |state, more| verdict(&[plugin("new", state, more)], "new");
        assert_eq!(current("ready", More { readings: Some(3), ..More::default() }), Verdict::Running);
        assert_eq!(current("ready", More::default()), Verdict::Running, "a backend takes no samples");
        let faults = More { faults: vec!["no chip".into()], ..More::default() };
        assert_eq!(current("ready", faults), Verdict::Pending("no good sample: no chip".into()));
        assert_eq!(current("idle", More::default()), Verdict::Idle("idle: why".into()));
        assert_eq!(current("quarantined", More::default()), Verdict::Failed("quarantined: why".into()));
        assert_eq!(current("invented", More::default()), Verdict::Pending("invented: why".into()));
        let next = |state| verdict(&[replaced_by("new", state)], "new");
        assert_eq!(next("starting"), Verdict::Pending("starting".into()));
        assert_eq!(next("backoff"), Verdict::Pending("backoff".into()));
        assert!(matches!(next("refused"), Verdict::Failed(_)));
        assert!(matches!(next("idle"), Verdict::Failed(why) if why.contains("the version before")));
        assert!(matches!(verdict(&[replaced_by("other", "ready")], "new"), Verdict::Pending(_)));
    }

    fn push(max_failures: usize, fates: &[Fate]) -> Push {
        let pushed = |(number, fate): (usize, &Fate)| Pushed {
            board: BoardId::from(number.to_string().as_str()),
            fate: *fate,
            message: String::new(),
        };
        Push {
            id: Uuid::nil(),
            file: "a.wasm".into(),
            digest: "d".into(),
            bytes: 1,
            group: None,
            max_failures,
            begun: 0,
            stage: Stage::Rolling,
            why: None,
            boards: fates.iter().enumerate().map(pushed).collect(),
        }
    }

    #[test]
    fn too_many_failures_stop_it() {
        use Fate::{Failed, Idle, NoAnswer, NotBegun, Refused, Running, UnderWay, Waiting};
        assert_eq!(push(0, &[Running, Waiting]).next(), Some(&BoardId::from("1")));
        assert_eq!(push(0, &[Running, Idle, Failed, Waiting]).next(), None);
        assert_eq!(push(1, &[Running, NoAnswer, Waiting]).next(), Some(&BoardId::from("2")));
        assert_eq!(push(1, &[Running, Refused, NoAnswer, Waiting]).next(), None);
        assert_eq!(Push { stage: Stage::Canary, ..push(0, &[UnderWay, Waiting]) }.next(), None);
        let mut stopped = push(0, &[Running, Failed, UnderWay, Waiting]);
        stopped.end(None);
        assert_eq!(stopped.stage, Stage::Stopped);
        let fates: Vec<_> = stopped.boards.iter().map(|board| board.fate).collect();
        assert_eq!(fates, [Running, Failed, NoAnswer, NotBegun]);
        let mut done = push(1, &[Running, Failed, Idle]);
        done.end(None);
        assert_eq!((done.stage, done.why), (Stage::Done, None));
    }
}
