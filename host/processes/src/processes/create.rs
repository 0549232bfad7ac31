//! A program is written down whole or not at all: made under another name, put on the disk, renamed. It is removed the same
//! way around.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::str::FromStr as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::Signal;

use super::{NEW, OLD, Processes};
use crate::Error;
use crate::crash;
use crate::files;
use crate::lock::Lock;
use crate::model::{Definition, Health, Info, Limits, Owner, Program};
use crate::place::Place;
use crate::users::Identity;

/// No text of an order is longer; the whole of it is bounded by who takes it in.
const TEXT: usize = 64 * 1024;
/// Arguments of a command, variables of an environment.
const MANY: usize = 1024;
/// The longest time that anything of a program may be told to take, in seconds.
const LONG: u32 = 24 * 3600;
const LEAST_MEMORY: u64 = 1024 * 1024;
/// A lock that an agent only looks through is free again in no time.
const GLANCE: Duration = Duration::from_secs(1);

impl Processes {
    /// Writes a program down, and does not start it. The folder is moved; it must be on the file system of the root.
    pub fn create(
        &self,
        owner: &Owner,
        program: &Program,
        limits: &Limits,
        folder: &Path,
    ) -> Result<Info, Error> {
        check(owner, program, limits)?;
        let place = self.place(&owner.uuid);
        if self.definition(&place)?.is_some() {
            return Err(Error::Exists { uuid: owner.uuid.clone() });
        }
        let identity = Identity::find(program.user.as_deref())?;
        let new = Place { dir: self.root.join(format!("{NEW}{}", place.key)), key: place.key.clone() };
        files::remove_folder(&new.dir)?;
        DirBuilder::new().mode(0o711).create(&new.dir).map_err(|error| Error::io("make", &new.dir, error))?;
        // Made under whatever mask the agent has.
        fs::set_permissions(&new.dir, fs::Permissions::from_mode(0o711))
            .map_err(|error| Error::io("open", &new.dir, error))?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let definition = Definition {
            created: u64::try_from(since.as_nanos()).unwrap_or(u64::MAX),
            owner: owner.clone(),
            program: program.clone(),
            limits: limits.clone(),
        };
        files::write(&new.program(), &definition, true)?;
        crash::point("create: written");
        fs::rename(folder, new.folder()).map_err(|error| Error::io("move in", folder, error))?;
        crash::point("create: moved in");
        identity.give(&new.folder())?;
        files::sync_folder(&new.dir)?;
        crash::point("create: given");
        fs::rename(&new.dir, &place.dir).map_err(|error| match error.kind() {
            std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists => {
                Error::Exists { uuid: owner.uuid.clone() }
            }
            _ => Error::io("put in place", &new.dir, error),
        })?;
        crash::point("create: in place");
        files::sync_folder(&self.root)?;
        self.info(&owner.uuid)?.ok_or_else(|| Error::NoProgram { uuid: owner.uuid.clone() })
    }

    /// Removes all that is known of a program that has ended. Gone already is as good.
    pub fn remove(&self, uuid: &str) -> Result<(), Error> {
        let place = self.place(uuid);
        if self.definition(&place)?.is_none() {
            return Ok(());
        }
        let deadline = Instant::now() + GLANCE;
        let lock = loop {
            if let Some(lock) = Lock::take(&place)? {
                break lock;
            }
            if !place.dir.exists() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(Error::Alive { uuid: uuid.to_owned() });
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        // A supervisor that was killed may have left something that nobody has looked for yet.
        self.clear(&place)?;
        let old = self.root.join(format!("{OLD}{}", place.key));
        files::remove_folder(&old)?;
        crash::point("remove: cleared");
        fs::rename(&place.dir, &old).map_err(|error| Error::io("take away", &place.dir, error))?;
        crash::point("remove: renamed");
        drop(lock);
        self.measured.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(&place.key);
        files::remove_folder(&old)
    }
}

fn check(owner: &Owner, program: &Program, limits: &Limits) -> Result<(), Error> {
    let texts = [&owner.uuid, &owner.instance_id, &owner.backend, &owner.order, &program.name];
    require("a name", texts.iter().all(|text| fits(text)), "it is longer than 64 KiB or holds a zero byte")?;
    require("the uuid", !owner.uuid.is_empty(), "it is empty")?;
    require("the record", owner.record.len() <= 16 * TEXT, "it is longer than 1 MiB")?;
    check_command("the command", &program.command)?;
    require("the environment", program.environment.len() <= MANY, "it has more than 1024 variables")?;
    for (name, value) in &program.environment {
        let good = !name.is_empty() && !name.contains('=') && fits(name) && fits(value);
        require(
            "the environment",
            good,
            "a name is empty or holds =, or a text is too long or holds a zero byte",
        )?;
        require(
            "the environment",
            !name.starts_with("CARDCAGE_"),
            "names that begin with CARDCAGE_ are the agent's",
        )?;
    }
    require(
        "the stop signal",
        Signal::from_str(&program.stop_signal).is_ok(),
        "it is no signal: name one as in SIGTERM",
    )?;
    require("the grace", program.stop_grace <= LONG, "it is longer than a day")?;
    program.health.as_ref().map_or(Ok(()), check_health)?;
    require(
        "the cores",
        !limits.cores.is_empty() && limits.cores.len() <= MANY,
        "there are none, or more than 1024",
    )?;
    require("the memory", limits.memory >= LEAST_MEMORY, "it is less than 1 MiB")
}

fn check_health(health: &Health) -> Result<(), Error> {
    check_command("the health check", &health.command)?;
    let times = [health.every, health.timeout];
    require(
        "the health check",
        times.iter().all(|time| (1..=LONG).contains(time)),
        "its times must be 1 s to a day",
    )?;
    require("the health check", health.retries >= 1, "it must be allowed to fail at least once")
}

fn check_command(what: &'static str, command: &[String]) -> Result<(), Error> {
    require(what, command.first().is_some_and(|program| !program.is_empty()), "it is empty")?;
    require(what, command.len() <= MANY, "it has more than 1024 arguments")?;
    require(
        what,
        command.iter().all(|text| fits(text)),
        "an argument is longer than 64 KiB or holds a zero byte",
    )
}

fn fits(text: &str) -> bool {
    text.len() <= TEXT && !text.contains('\0')
}

fn require(what: &'static str, good: bool, why: &str) -> Result<(), Error> {
    if good { Ok(()) } else { Err(Error::Invalid { what, why: why.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Restart;

    fn parts() -> (Owner, Program, Limits) {
        let text = || "x".to_owned();
        let owner = Owner {
            uuid: text(),
            instance_id: text(),
            backend: text(),
            order: text(),
            record: String::new(),
        };
        let program = Program {
            name: text(),
            command: vec!["/bin/true".to_owned()],
            environment: vec![("A".to_owned(), "b=c".to_owned())],
            user: None,
            stop_signal: "SIGTERM".to_owned(),
            stop_grace: 5,
            restart: Restart::No,
            health: None,
        };
        (owner, program, Limits { cores: vec![0], shares: None, memory: 1 << 26, gpus: Vec::new() })
    }

    fn refused(change: impl FnOnce(&mut Owner, &mut Program, &mut Limits)) {
        let (mut owner, mut program, mut limits) = parts();
        check(&owner, &program, &limits).unwrap();
        change(&mut owner, &mut program, &mut limits);
        assert_eq!(check(&owner, &program, &limits).unwrap_err().code(), "invalid");
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let health = |command: &str, every, timeout, retries| {
            Some(Health { command: vec![command.to_owned()], every, timeout, retries })
        };
        refused(|owner, _, _| owner.uuid.clear());
        refused(|owner, _, _| owner.record = "x".repeat(16 * TEXT + 1));
        refused(|_, program, _| program.command.clear());
        refused(|_, program, _| program.command = vec![String::new()]);
        refused(|_, program, _| program.command.push("a\0".to_owned()));
        refused(|_, program, _| program.command = vec!["x".to_owned(); MANY + 1]);
        refused(|_, program, _| program.environment.push(("A=B".to_owned(), String::new())));
        refused(|_, program, _| program.environment.push(("CARDCAGE_UUID".to_owned(), String::new())));
        refused(|_, program, _| program.stop_signal = "TERM; rm".to_owned());
        refused(|_, program, _| program.stop_grace = LONG + 1);
        refused(|_, program, _| program.health = health("", 1, 1, 1));
        refused(|_, program, _| program.health = health("x", 0, 1, 1));
        refused(|_, program, _| program.health = health("x", 1, 0, 1));
        refused(|_, program, _| program.health = health("x", 1, 1, 0));
        refused(|_, _, limits| limits.cores.clear());
        refused(|_, _, limits| limits.memory = LEAST_MEMORY - 1);
    }
}
