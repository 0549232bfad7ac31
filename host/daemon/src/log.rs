//! The log. Its lines are written by a thread of their own: whoever reads them may stop reading, and a pipe that nobody
//! empties must not hold up what is logged about.
//!
//! ```text
//! event ─▶ line ─▶ queue (bounded; full loses the line, and counts it) ─▶ thread ─▶ file | standard error
//! ```

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tracing::{Level, warn};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Lines that wait for their reader.
const WAITING: usize = 1024;
/// How long the end of the process waits for a reader.
const GRACE: Duration = Duration::from_millis(500);

/// Lines that nobody took, in all.
static LOST: AtomicU64 = AtomicU64::new(0);
/// The file is to be opened anew.
static REOPEN: AtomicBool = AtomicBool::new(false);

/// Lines that were lost because the queue was full. For the metrics.
pub fn lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// The log, until this is dropped: then what waits is written, if somebody still reads it.
#[must_use]
#[derive(Debug)]
pub struct Log(Lines);

/// Starts to log into a file, or to the standard error. `RUST_LOG` chooses what is logged, such as `debug` or
/// `warn,cardcage_agent::discovery=debug`; colours only on a terminal.
pub fn start(file: Option<PathBuf>) -> Result<Log> {
    let colours = file.is_none() && io::stderr().is_terminal() && !no_colour();
    let sink = match file {
        Some(path) => Sink::File(open(&path)?, path),
        // A copy, because a write that does not end would hold the lock of the original.
        None => {
            let copy = io::stderr().as_fd().try_clone_to_owned().context("the standard error is closed")?;
            Sink::StandardError(copy.into())
        }
    };
    let lines = Lines::to(sink)?;
    let (chosen, misunderstood) = chosen(std::env::var("RUST_LOG").ok());
    let format = tracing_subscriber::fmt::layer().with_target(false).with_ansi(colours);
    tracing_subscriber::registry().with(chosen).with(format.with_writer(lines.clone())).init();
    if let Some(misunderstood) = misunderstood {
        warn!(
            RUST_LOG = misunderstood,
            "not understood, the log has its usual lines; write it like `info,cardcage_agent=debug`"
        );
    }
    Ok(Log(lines))
}

/// Opens the file of the log anew at the next line: somebody has moved it away.
pub fn reopen() {
    REOPEN.store(true, Ordering::Relaxed);
}

/// Where the lines go.
enum Sink {
    StandardError(File),
    File(File, PathBuf),
}

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match self {
            Self::StandardError(file) => file.write(line),
            Self::File(file, path) => {
                if REOPEN.swap(false, Ordering::Relaxed)
                    && let Ok(new) = open(path)
                {
                    *file = new;
                }
                file.write(line)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(path: &Path) -> Result<File> {
    let file = File::options().create(true).append(true).open(path);
    file.with_context(|| format!("the log {} cannot be opened", path.display()))
}

fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// What is logged, and the words if they are not understood.
fn chosen(words: Option<String>) -> (Targets, Option<String>) {
    let usual = || Targets::new().with_default(Level::INFO);
    let Some(words) = words.filter(|words| !words.trim().is_empty()) else { return (usual(), None) };
    match words.parse() {
        Ok(chosen) if words.split(',').all(|word| means_something(word.trim())) => (chosen, None),
        _ => (usual(), Some(words)),
    }
}

/// Whether it is a level, or says which part has which. The parser takes any word for the name of a part, so that a
/// misspelt level would silence everything else.
fn means_something(word: &str) -> bool {
    let (part, level) = word.split_once('=').map_or((None, word), |(part, level)| (Some(part), level));
    let is_level = !level.is_empty() && level.parse::<LevelFilter>().is_ok();
    is_level && part != Some("")
}

/// The queue's end for those who log.
#[derive(Debug, Clone)]
struct Lines(SyncSender<Message>);

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Everything before this is written: drop the other end.
    End(SyncSender<()>),
}

impl Lines {
    fn to(sink: impl Write + Send + 'static) -> Result<Self> {
        let (lines, written) = sync_channel(WAITING);
        let told = lost();
        thread::Builder::new()
            .name("log".into())
            // Enough to copy bytes from here to there.
            .stack_size(64 << 10)
            .spawn(move || write(sink, &written, told))
            .context("the thread of the log cannot be started")?;
        Ok(Self(lines))
    }

    fn end(&self) {
        let until = Instant::now() + GRACE;
        let (done, ended) = sync_channel(0);
        let mut message = Message::End(done);
        while let Err(TrySendError::Full(back)) = self.0.try_send(message) {
            if Instant::now() >= until {
                return;
            }
            message = back;
            thread::sleep(Duration::from_millis(10));
        }
        let _ended = ended.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

impl Write for Lines {
    /// One line: the formatter hands over whole ones.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.try_send(Message::Line(line.to_vec())).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The thread. A sink that fails, such as a full disk, loses its lines; later ones are tried again.
fn write(mut sink: impl Write, lines: &Receiver<Message>, mut told: u64) {
    for message in lines {
        match message {
            Message::Line(line) => {
                let _ = sink.write_all(&line);
            }
            Message::End(_done) => {}
        }
        let lost = lost();
        if lost > told {
            let _ = sink.write_all(gap(lost - told).as_bytes());
            told = lost;
        }
    }
}

/// Stands in the log where lines are missing.
fn gap(lost: u64) -> String {
    let mut line = String::new();
    // Writing to a String cannot fail.
    let _ = SystemTime.format_time(&mut Writer::new(&mut line));
    line + &format!("  WARN lines of the log are lost, nobody took them in time lost={lost}\n")
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};

    use super::*;

    #[test]
    fn a_reader_that_does_not_read_holds_nobody_up_and_is_told_what_it_missed() {
        let (reader, writer) = io::pipe().unwrap();
        let mut lines = Lines::to(writer).unwrap();
        // More than the pipe and the queue take together.
        let line = [b'x'; 1023].iter().chain(b"\n").copied().collect::<Vec<_>>();
        for _ in 0..4 * WAITING {
            lines.write_all(&line).unwrap();
        }
        assert!(lost() >= WAITING as u64);
        drop(lines);
        let mut rest = BufReader::new(reader).lines();
        let told = rest.find_map(|line| Some(line.unwrap().split_once("in time lost=")?.1.to_owned()));
        assert!(told.unwrap().parse::<u64>().unwrap() > 0);
    }

    #[test]
    fn the_end_waits_for_what_was_logged_and_not_for_ever() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut lines = Lines::to(writer).unwrap();
        lines.write_all(b"the last word\n").unwrap();
        lines.end();
        drop(lines);
        assert_eq!(io::read_to_string(&mut reader).unwrap(), "the last word\n");

        let (_unread, writer) = io::pipe().unwrap();
        let mut lines = Lines::to(writer).unwrap();
        for _ in 0..2 * WAITING {
            lines.write_all(&[b'x'; 1024]).unwrap();
        }
        let began = Instant::now();
        lines.end();
        assert!(began.elapsed() < 4 * GRACE);
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
        let mut sink = Sink::File(open(&path).unwrap(), path.clone());
        sink.write_all(b"one\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        sink.write_all(b"two\n").unwrap();
        reopen();
        sink.write_all(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&moved).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "three\n");
    }

    #[test]
    fn words_that_choose_nothing_are_named() {
        assert_eq!(chosen(None).1, None);
        assert_eq!(chosen(Some(String::new())).1, None);
        assert_eq!(chosen(Some("warn, cardcage_agent=debug".into())).1, None);
        assert_eq!(chosen(Some("OFF".into())).1, None);
        for words in ["debgu", "info,please=", "cardcage_agent", "=info", "info,,"] {
            let (usual, misunderstood) = chosen(Some(words.into()));
            assert_eq!(misunderstood.as_deref(), Some(words));
            assert!(usual.would_enable("any", &Level::INFO), "{words}");
        }
    }
}
