//! The file: JSON, one line a thing, in the order of time, so that people can read it and compare two of them.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

/// Largest recording, in bytes.
const MOST: u64 = 64 << 20;

/// What a plugin was told, and what it said.
#[derive(Debug)]
pub struct Recording {
    pub header: Header,
    pub sections: Vec<Section>,
    /// Bytes of the answers, roughly.
    size: u64,
}

/// Of which plugin, and under which conditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The format's number.
    pub format: u32,
    pub plugin: String,
    pub version: String,
    /// SHA-256 of the plugin's file.
    pub digest: String,
    /// The agent's version.
    pub agent: String,
    /// Of the agent that recorded, such as `x86_64` or `aarch64`.
    pub architecture: String,
    /// Time between two samples.
    pub every_ms: u64,
    /// What the plugin's random numbers were made of.
    pub seed: Uuid,
    /// What it was handed, without what is secret.
    pub settings: Value,
}

/// What an instance goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Its start-up code.
    Start,
    Configure,
    Sample,
}

/// One stage.
#[derive(Debug)]
pub struct Section {
    pub stage: Stage,
    pub calls: Vec<Call>,
    /// What the plugin answered at its end; none if it did not come that far.
    pub outcome: Option<Outcome>,
}

/// What a stage ended with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It started.
    Started,
    /// How well it knows the board, and what it notes of it.
    Support {
        level: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// A sample, as `wit/types/readings.wit` has it, without what is absent.
    Sample(Value),
    /// It said no.
    Declined(String),
}

impl Outcome {
    /// Of a sample. What is no number is absent: the agent refuses it.
    pub fn sample(sample: &impl Serialize) -> Self {
        Self::Sample(serde_json::to_value(sample).map(present).unwrap_or_default())
    }
}

/// Without fields that hold nothing.
fn present(value: Value) -> Value {
    let nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(object) => object
            .into_iter()
            .map(|(name, value)| (name, present(value)))
            .filter(|(_, value)| !nothing(value))
            .collect(),
        Value::Array(list) => list.into_iter().map(present).collect(),
        other => other,
    }
}

/// One call of the host, and its answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Capability and function: `files.read`.
    pub name: String,
    pub asked: Value,
    pub answer: Box<RawValue>,
}

/// One line of the file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Recording(Header),
    Stage(Stage),
    Call(Call),
    Outcome(Outcome),
}

#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the recording cannot be written")]
    Write(#[source] io::Error),
    #[error("{} is no recording of a plugin: line {line}", path.display())]
    Line { path: PathBuf, line: usize, source: serde_json::Error },
    #[error("{} is no recording of a plugin: {what}", path.display())]
    Shape { path: PathBuf, what: String },
    #[error("the recording has more than {} MiB; take fewer samples", MOST >> 20)]
    TooLarge,
}

impl Recording {
    /// The format that is written, and read.
    pub const FORMAT: u32 = 1;

    pub fn new(header: Header) -> Self {
        Self { header, sections: Vec::new(), size: 0 }
    }

    pub fn begin(&mut self, stage: Stage) {
        self.sections.push(Section { stage, calls: Vec::new(), outcome: None });
    }

    /// Adds a call to the stage under way. Once it is too large nothing more is added, and [`Recording::complete`] says so.
    pub fn add(&mut self, call: Call) {
        self.size += (call.answer.get().len() + call.asked.to_string().len() + 64) as u64;
        if let (Some(section), true) = (self.sections.last_mut(), self.size <= MOST) {
            section.calls.push(call);
        }
    }

    pub fn end(&mut self, outcome: Outcome) {
        self.size += match &outcome {
            Outcome::Sample(sample) => sample.to_string().len() as u64,
            _ => 64,
        };
        if let (Some(section), true) = (self.sections.last_mut(), self.size <= MOST) {
            section.outcome = Some(outcome);
        }
    }

    /// How many samples were taken.
    pub fn samples(&self) -> usize {
        self.sections.iter().filter(|section| section.stage == Stage::Sample).count()
    }

    /// What each sample ended with.
    pub fn outcomes(&self) -> impl Iterator<Item = Option<&Outcome>> {
        let samples = self.sections.iter().filter(|section| section.stage == Stage::Sample);
        samples.map(|section| section.outcome.as_ref())
    }

    /// Whether everything found room.
    ///
    /// # Errors
    /// It did not.
    pub fn complete(&self) -> Result<(), RecordingError> {
        if self.size > MOST { Err(RecordingError::TooLarge) } else { Ok(()) }
    }

    /// The file's content.
    ///
    /// # Errors
    /// It is too large.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecordingError> {
        self.complete()?;
        let mut bytes = Vec::new();
        self.lines(&mut bytes).map_err(RecordingError::Write)?;
        Ok(bytes)
    }

    fn lines(&self, out: &mut impl Write) -> io::Result<()> {
        let mut line = |line: &Line| -> io::Result<()> {
            serde_json::to_writer(&mut *out, line)?;
            out.write_all(b"\n")
        };
        line(&Line::Recording(self.header.clone()))?;
        for section in &self.sections {
            line(&Line::Stage(section.stage))?;
            for call in &section.calls {
                line(&Line::Call(call.clone()))?;
            }
            if let Some(outcome) = &section.outcome {
                line(&Line::Outcome(outcome.clone()))?;
            }
        }
        Ok(())
    }

    /// # Errors
    /// The file cannot be read, is too large, or is no recording.
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        let unread = |source| RecordingError::Read { path: path.to_owned(), source };
        let shape = |what: &str| RecordingError::Shape { path: path.to_owned(), what: what.to_owned() };
        let file = File::open(path).map_err(unread)?;
        if !file.metadata().map_err(unread)?.is_file() {
            return Err(shape("it is no file"));
        }
        let mut lines = BufReader::new(file.take(2 * MOST)).lines().zip(1..);
        let mut next = || -> Result<Option<Line>, RecordingError> {
            let Some((line, number)) = lines.next() else { return Ok(None) };
            let parsed = serde_json::from_str(&line.map_err(unread)?);
            parsed.map(Some).map_err(|source| RecordingError::Line {
                path: path.to_owned(),
                line: number,
                source,
            })
        };
        let Some(Line::Recording(header)) = next()? else {
            return Err(shape("it does not begin with what it is a recording of"));
        };
        if header.format != Self::FORMAT {
            let (format, ours) = (header.format, Self::FORMAT);
            return Err(shape(&format!("it has format {format}, and this agent reads format {ours}")));
        }
        let mut recording = Self::new(header);
        while let Some(line) = next()? {
            match line {
                Line::Recording(_) => return Err(shape("it has two beginnings")),
                Line::Stage(stage) => recording.begin(stage),
                Line::Call(_) | Line::Outcome(_) if recording.sections.is_empty() => {
                    return Err(shape("it has a call before the first stage"));
                }
                Line::Call(call) => recording.add(call),
                Line::Outcome(outcome) => recording.end(outcome),
            }
        }
        recording.complete().map(|()| recording)
    }
}
