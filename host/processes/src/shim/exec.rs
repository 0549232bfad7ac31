//! The last step: this process becomes the program, and keeps its pid. The order matters: the control group first, so that
//! nothing is ever outside it; the user last of what needs root; the death signal after the user, because the kernel forgets
//! it when the user changes; and then a look whether the supervisor is still there, for whose death the signal came too late.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::str::FromStr;
use std::sync::Arc;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::stat::{Mode, umask};
use signal_hook::consts::FORBIDDEN;

use super::{Answer, take_stdin};
use crate::cgroup::PROGRAM;
use crate::files::{self, Found};
use crate::model::{Definition, Limits};
use crate::place::{Launch, Place};
use crate::users::Identity;

/// Exit status where the program could not be begun; what a shell says then.
const NOT_BEGUN: u8 = 127;
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Program,
    Health,
}

impl What {
    pub fn word(self) -> &'static str {
        match self {
            Self::Program => "program",
            Self::Health => "health",
        }
    }
}

impl FromStr for What {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::Program, Self::Health].into_iter().find(|what| what.word() == text).ok_or(())
    }
}

/// Comes back only where it could not be done.
pub fn exec(place: &Place, what: What, parent: u32) -> ExitCode {
    let Ok(report) = take_stdin() else { return ExitCode::from(NOT_BEGUN) };
    let Err(answer) = become_it(place, what, parent);
    say(report, &answer);
    ExitCode::from(NOT_BEGUN)
}

fn say(report: OwnedFd, answer: &Answer) {
    let line = serde_json::to_vec(answer).unwrap_or_default();
    // If the supervisor is gone there is nobody to tell.
    let _nobody = std::fs::File::from(report).write_all(&line);
}

fn become_it(place: &Place, what: What, parent: u32) -> Result<std::convert::Infallible, Answer> {
    let definition = read(place.definition(), &place.program())?;
    let launch = read(files::read::<Launch>(&place.launch()), &place.launch())?;
    launch.cage.enter(PROGRAM).map_err(|error| Answer::failed(&error))?;
    let identity =
        Identity::find(definition.program.user.as_deref()).map_err(|error| Answer::failed(&error))?;
    let health = definition.program.health.as_ref().filter(|_| what == What::Health);
    let command = health.map_or(&definition.program.command, |health| &health.command);
    settle(place, &identity, parent)?;
    Err(replace(command, &definition, &identity))
}

fn read<T>(found: Result<Found<T>, crate::Error>, path: &Path) -> Result<T, Answer> {
    match found {
        Ok(Found::Good(value)) => Ok(value),
        Ok(Found::Nothing) => Err(Answer::refused("io", format!("{} is gone", path.display()))),
        Ok(Found::Damaged(why)) => {
            Err(Answer::refused("io", format!("{} is damaged: {why}", path.display())))
        }
        Err(error) => Err(Answer::failed(&error)),
    }
}

fn settle(place: &Place, identity: &Identity, parent: u32) -> Result<(), Answer> {
    let refused =
        |what: String| move |error: nix::Error| Answer::refused("failed", format!("cannot {what}: {error}"));
    nix::unistd::setsid().map_err(refused("begin a session".to_owned()))?;
    umask(Mode::from_bits_truncate(0o022));
    listen().map_err(|error| {
        Answer::refused(
            "failed",
            format!("cannot stop ignoring what the agent was started to ignore: {error}"),
        )
    })?;
    // The supervisor's own is inherited.
    SigSet::all().thread_unblock().map_err(refused("hear signals".to_owned()))?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0).map_err(refused("forbid core dumps".to_owned()))?;
    // Before the user: the folders above it need not be open to everybody.
    nix::unistd::chdir(&place.folder()).map_err(refused(format!("go into {}", place.folder().display())))?;
    identity.become_it().map_err(refused(format!("become user {}", identity.name)))?;
    set_pdeathsig(Signal::SIGKILL).map_err(refused("tie the program to its supervisor".to_owned()))?;
    if u32::try_from(nix::unistd::getppid().as_raw()) == Ok(parent) {
        return Ok(());
    }
    Err(Answer::refused("failed", "its supervisor is gone".to_owned()))
}

/// What whoever started the agent ignored, as a shell does for what it starts in the background, the program would ignore
/// too, and a shell in it could not even listen to it. What has a handler begins as usual. Only those that are ignored: of
/// the others none may be lost until then.
fn listen() -> std::io::Result<()> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let signals = Signal::iterator().map(|signal| signal as i32);
    for signal in signals.filter(|signal| ignored >> (signal - 1) & 1 == 1 && !FORBIDDEN.contains(signal)) {
        signal_hook::flag::register(signal, Arc::default())?;
    }
    Ok(())
}

fn replace(command: &[String], definition: &Definition, identity: &Identity) -> Answer {
    let Some((program, arguments)) = command.split_first() else {
        return Answer::refused("invalid", "there is no command".to_owned());
    };
    // With a slash in it, so that it is never looked for elsewhere.
    let path = Path::new(".").join(program);
    let error = Command::new(path)
        .arg0(program)
        .args(arguments)
        .env_clear()
        .envs(environment(definition, identity))
        .exec();
    let (code, why) = match error.kind() {
        std::io::ErrorKind::NotFound => {
            ("absent", "it, or what its first line names, is not there".to_owned())
        }
        std::io::ErrorKind::PermissionDenied => {
            ("failed", format!("user {} may not execute it", identity.name))
        }
        _ => ("failed", error.to_string()),
    };
    Answer::refused(code, format!("cannot execute {program}: {why}"))
}

fn environment(definition: &Definition, identity: &Identity) -> Vec<(String, String)> {
    let mut all = vec![
        ("PATH".to_owned(), PATH.to_owned()),
        ("HOME".to_owned(), identity.home.clone()),
        ("USER".to_owned(), identity.name.clone()),
    ];
    all.extend(definition.program.environment.iter().cloned());
    let Limits { cores, gpus, .. } = &definition.limits;
    let cores: Vec<String> = cores.iter().map(u32::to_string).collect();
    let gpus: Vec<&str> = gpus.iter().map(|(_, device)| device.as_str()).collect();
    all.push(("CARDCAGE_UUID".to_owned(), definition.owner.uuid.clone()));
    all.push(("CARDCAGE_CORES".to_owned(), cores.join(",")));
    all.push(("CARDCAGE_GPUS".to_owned(), gpus.join(",")));
    all
}
