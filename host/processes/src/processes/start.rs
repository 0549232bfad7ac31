//! Starting: the agent takes the lock and hands it on, so that nobody can start a second one in between, and waits for the
//! answer, for so long.

use std::io::{self, PipeReader, Read as _};
use std::os::fd::AsFd as _;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::Processes;
use crate::Error;
use crate::control::{self, readable};
use crate::crash;
use crate::files;
use crate::lock::Lock;
use crate::model::{Info, State};
use crate::place::{Launch, Place};
use crate::shim::{Answer, refusal};

/// From the start until the program runs, or could not be started.
const DEADLINE: Duration = Duration::from_secs(12);
/// The first step ends at once.
const LAUNCHED: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(10);
/// The longest answer.
const ANSWER: usize = 64 * 1024;

impl Processes {
    /// Starts the supervisor, which starts the program. Running already: nothing happens.
    pub fn start(&self, uuid: &str) -> Result<Info, Error> {
        let (place, definition) = self.demand(uuid)?;
        let name = &definition.program.name;
        let cage = self.cage(&place)?;
        cage.layout.settle()?;
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(lock) = Lock::take(&place)? {
                crash::point("start: locked");
                self.clear(&place)?;
                files::write(&place.launch(), &Launch { cage, log_limit: self.log_limit }, false)?;
                self.launch(&place, name, lock, deadline)?;
                break;
            }
            // Somebody has begun before us, or is about to, or only looks, or stops it.
            let status = control::status(&place).filter(|status| !status.stopping);
            if status.is_some_and(|status| matches!(status.state, State::Running | State::Waiting)) {
                break;
            }
            if Instant::now() >= deadline {
                let why = "somebody else is starting or stopping it: try again".to_owned();
                return Err(Error::NotStarted { name: name.clone(), why });
            }
            thread::sleep(PAUSE);
        }
        self.info(uuid)?.ok_or_else(|| Error::NoProgram { uuid: uuid.to_owned() })
    }

    fn launch(&self, place: &Place, name: &str, lock: Lock, deadline: Instant) -> Result<(), Error> {
        let not = |why: String| Error::NotStarted { name: name.to_owned(), why };
        let (reader, writer) = io::pipe().map_err(|error| not(error.to_string()))?;
        let child = Command::new(&self.shim)
            .arg("launch")
            .arg(&place.dir)
            .env_clear()
            .current_dir("/")
            .stdin(lock.into_file())
            .stdout(writer)
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| Error::io("start", &self.shim, error))?;
        crash::point("start: launched");
        let answer = answer(reader, deadline);
        collect(child);
        crash::point("start: answered");
        match answer {
            Ok(Answer::Ready) => Ok(()),
            Ok(Answer::Failed { code, detail }) => {
                ended(place)?;
                Err(refusal(name.to_owned(), &code, detail))
            }
            Err(error) => {
                self.put_down(place)?;
                Err(not(format!("its supervisor did not answer: {error}")))
            }
        }
    }
}

// Up to the end of the line, not of the pipe: somebody may have kept it.
fn answer(mut reader: PipeReader, deadline: Instant) -> io::Result<Answer> {
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        if line.len() > ANSWER {
            return Err(io::Error::other("it says too much"));
        }
        if !readable(reader.as_fd(), deadline)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut buffer = [0; 4096];
        match reader.read(&mut buffer)? {
            0 => return Err(io::Error::other("it ended")),
            count => line.extend(buffer.iter().take(count)),
        }
    }
    serde_json::from_slice(&line).map_err(io::Error::other)
}

// A supervisor that has answered so is about to end; who removes the program now should not find it.
fn ended(place: &Place) -> Result<(), Error> {
    let deadline = Instant::now() + LAUNCHED;
    while Lock::held(place)? && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

fn collect(mut child: Child) {
    let deadline = Instant::now() + LAUNCHED;
    while matches!(child.try_wait(), Ok(None)) {
        if Instant::now() >= deadline {
            // Unreaped and our own child: its pid is its own.
            let _gone = child.kill();
            let _reaped = child.wait();
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_pipe_that_somebody_keeps_does_not_hold_anybody_up() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"\"ready\"\n").unwrap();
        assert!(matches!(answer(reader, Instant::now() + DEADLINE), Ok(Answer::Ready)));
        let (reader, kept) = io::pipe().unwrap();
        let error = answer(reader, Instant::now() + Duration::from_millis(20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(kept);
    }

    #[test]
    fn an_answer_without_sense_or_without_end_is_an_error() {
        for said in [b"".to_vec(), b"x\n".to_vec(), vec![b'x'; 60_000]] {
            let (reader, mut writer) = io::pipe().unwrap();
            writer.write_all(&said).unwrap();
            drop(writer);
            assert!(answer(reader, Instant::now() + DEADLINE).is_err());
        }
    }
}
