//! Finds the answers of a recording again.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use serde_json::value::RawValue;

use super::recording::{Header, Outcome, Recording, Stage};

/// Time that passes with each look at a clock for which the recording has nothing more.
const MOMENT: Duration = Duration::from_micros(100);
/// What was asked for in vain and is kept for people.
const MISSES: usize = 64;

/// A recording, by what was asked.
#[derive(Debug)]
pub struct Index {
    recording: Recording,
    /// For each question, in which section and as which call of it. In the order of time.
    answers: HashMap<String, Vec<(usize, usize)>>,
}

impl Index {
    pub fn new(recording: Recording) -> Self {
        let mut answers: HashMap<String, Vec<(usize, usize)>> = HashMap::new();
        for (section, stage) in recording.sections.iter().enumerate() {
            for (number, call) in stage.calls.iter().enumerate() {
                answers.entry(question(&call.name, &call.asked)).or_default().push((section, number));
            }
        }
        Self { recording, answers }
    }

    pub fn recording(&self) -> &Recording {
        &self.recording
    }
}

fn question(name: &str, asked: &Value) -> String {
    format!("{name} {asked}")
}

/// Where the playing of a recording is.
#[derive(Debug)]
pub struct Player {
    index: Arc<Index>,
    /// The section under way; none before the first.
    section: Option<usize>,
    /// How many samples were taken beyond the last that was recorded. It is played again, later.
    beyond: u32,
    /// How many sections were begun: what was taken before counts for nothing after that.
    begun: u64,
    /// For each question, in which section of [`Player::begun`] it was asked last, and which answer is next.
    next: HashMap<String, (u64, usize)>,
    /// What each clock said last.
    clocks: HashMap<&'static str, Duration>,
    misses: BTreeSet<String>,
    latest: Option<Outcome>,
}

impl Player {
    pub fn new(index: Arc<Index>) -> Self {
        Self {
            index,
            section: None,
            beyond: 0,
            begun: 0,
            next: HashMap::new(),
            clocks: HashMap::new(),
            misses: BTreeSet::new(),
            latest: None,
        }
    }

    pub fn begin(&mut self, stage: Stage) {
        self.begun += 1;
        let last = self.index.recording.sections.len().saturating_sub(1);
        self.section = match self.section {
            None => Some(0),
            Some(_) if stage == Stage::Start => Some(0),
            Some(section) if section < last => Some(section + 1),
            Some(_) => {
                self.beyond = self.beyond.saturating_add(1);
                Some(last)
            }
        };
    }

    pub fn end(&mut self, outcome: Outcome) {
        self.latest = Some(outcome);
    }

    /// What the latest stage that ended was ended with.
    pub const fn latest(&self) -> Option<&Outcome> {
        self.latest.as_ref()
    }

    /// The next answer of this section; after the last of them, or where it has none, the latest before it, or else the
    /// first after it.
    pub fn answer(&mut self, name: &str, asked: &Value) -> Option<Box<RawValue>> {
        let (answer, _) = self.find(name, asked)?;
        Some(answer)
    }

    /// The answer, and whether it was given for this section and not given before.
    fn find(&mut self, name: &str, asked: &Value) -> Option<(Box<RawValue>, bool)> {
        let question = question(name, asked);
        let index = Arc::clone(&self.index);
        let section = self.section.unwrap_or_default();
        let Some(answers) = index.answers.get(&question) else {
            if self.misses.len() < MISSES {
                self.misses.insert(question);
            }
            return None;
        };
        let next = self.next.entry(question).or_insert((0, 0));
        if next.0 != self.begun {
            *next = (self.begun, answers.partition_point(|(of, _)| *of < section));
        }
        let here = answers.get(next.1).filter(|(of, _)| *of == section);
        let (of, number) = match here {
            Some(place) => {
                next.1 += 1;
                place
            }
            None => answers.get(next.1.saturating_sub(1))?,
        };
        let call = index.recording.sections.get(*of)?.calls.get(*number)?;
        Some((call.answer.clone(), here.is_some()))
    }

    /// What a clock says. It never goes back, and goes on where the recording ends.
    pub fn time(&mut self, clock: &'static str) -> Duration {
        let every = Duration::from_millis(self.index.recording.header.every_ms);
        let said = match self.find(clock, &Value::Null) {
            Some((said, true)) => serde_json::from_str(said.get()).ok().map(Duration::from_nanos),
            _ => None,
        };
        let later = every.saturating_mul(self.beyond);
        let last = self.clocks.get(clock).copied().unwrap_or_default();
        let now = said.map_or(last.saturating_add(MOMENT), |said| said.saturating_add(later).max(last));
        self.clocks.insert(clock, now);
        now
    }

    pub fn header(&self) -> &Header {
        &self.index.recording.header
    }

    /// What was asked for and is not in the recording.
    pub fn misses(&self) -> &BTreeSet<String> {
        &self.misses
    }
}
