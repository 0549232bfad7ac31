//! Every way to be a bad deploy backend. The order's `file` says which for `check`, `start` and `stop`, the setting `mode`
//! for `configure` and `survey`; each has a test in `tests/cases/backend/`.

#![expect(clippy::panic, clippy::infinite_loop, reason = "hostility")]

mod reach; // for what was not granted
mod tales; // what is not so

use cardcage_sdk::containers::{self, Container, Spec};
use cardcage_sdk::deploy::{Backend, Instance, Order, State};
use cardcage_sdk::processes::{self, Info, Process};
use cardcage_sdk::{Error, Settings, artifacts, state};
use serde::Deserialize;
use serde::de::IntoDeserializer as _;

/// What it does to the agent.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Mode {
    /// Nothing bad: runs the program that is in `run.tar`.
    Behaves,
    /// Traps in `configure`.
    TrapsInConfigure,
    /// Never returns from `check`.
    SpinsInCheck,
    /// Never returns from `start`.
    SpinsInStart,
    /// Runs the program, and never returns from `stop`.
    SpinsInStop,
    /// Never returns from `survey`.
    SpinsInSurvey,
    /// Waits on a clock for a year.
    SleepsInStart,
    /// Never returns from `start`, and spends its time in the agent.
    LoopsInHostCalls,
    /// Traps in `start`, after it made a program.
    TrapsInStart,
    /// Traps in `survey`.
    TrapsInSurvey,
    /// Takes all memory there is.
    AllocatesInStart,
    /// Hands over a text of 32 MiB.
    EndlessText,
    /// Hands over texts that are longer than anybody wants to read.
    LongTexts,
    /// Hands over numbers that are none, for instances that run.
    NotFinite,
    /// Hands over a few more instances than are taken.
    FiveThousandInstances,
    /// Hands over instances that nobody knows.
    InventsInstances,
    /// Says that the instance of another backend is its own, and is ended.
    ClaimsAnothers,
    /// Starts one thing and says that it is another.
    AnswersAboutAnother,
    /// Does in `check` and in `survey` what only a deployment may.
    ActsWithoutDeployment,
    /// Goes on with a program that it has removed.
    UsesWhatItRemoved,
    /// Asks for containers that would have the board.
    AsksForTheBoard,
    /// Runs a program as root, and as whoever the agent is.
    RunsAsRoot,
    /// Fetches from where it was not granted to.
    FetchesElsewhere,
    /// Writes down more than is kept.
    FillsState,
    /// Writes down as much as is kept, of what takes the most space on disk.
    WritesControlCharacters,
    /// Runs the program, and says that it is stopped.
    LeavesItBehind,
    /// Runs a container, and makes it again when it is to be stopped.
    MakesItAgain,
}

/// The guest.
pub struct Hostile(Mode);

#[derive(Deserialize)]
struct HostileSettings {
    mode: Mode,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Options {
    /// What the program is known by.
    mark: String,
    /// A path that leads out of the granted folder.
    link: String,
    /// Addresses that are not granted.
    elsewhere: Vec<String>,
}

impl Mode {
    fn of(order: &Order) -> Result<Self, Error> {
        let file: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
            order.file.as_str().into_deserializer();
        Self::deserialize(file).map_err(|error| Error::invalid(error.to_string()))
    }
}

impl Backend for Hostile {
    fn configure(settings: &Settings) -> Result<Self, Error> {
        let HostileSettings { mode } = settings.parse()?;
        match mode {
            Mode::TrapsInConfigure => panic!("traps in configure"),
            mode => Ok(Self(mode)),
        }
    }

    fn check(&self, order: &Order) -> Result<(), Error> {
        match Mode::of(order)? {
            Mode::SpinsInCheck => forever(),
            Mode::ActsWithoutDeployment => Err(Error::invalid(reach::without_deployment(&order.url))),
            _ => Ok(()),
        }
    }

    fn start(&self, order: &Order) -> Result<Instance, Error> {
        match Mode::of(order)? {
            Mode::SpinsInStart => forever(),
            Mode::SleepsInStart => {
                std::thread::sleep(std::time::Duration::from_secs(365 * 24 * 3600));
                run(order)
            }
            Mode::LoopsInHostCalls => loop {
                let _again = state::set("again", "and again");
            },
            Mode::TrapsInStart => run(order).map(|_| panic!("traps in start")),
            Mode::AllocatesInStart => tales::allocate(),
            Mode::EndlessText => Ok(Instance { name: "x".repeat(32 << 20), ..run(order)? }),
            Mode::LongTexts => Ok(tales::long(run(order)?)),
            Mode::AnswersAboutAnother => Ok(Instance { uuid: "neighbour".into(), ..run(order)? }),
            Mode::UsesWhatItRemoved => Err(failed(use_what_was_removed(order)?)),
            Mode::AsksForTheBoard => Err(failed(reach::for_the_board(&order.options::<Options>()?.link))),
            Mode::RunsAsRoot => Err(failed(reach::for_other_users(order)?)),
            Mode::FetchesElsewhere => Err(failed(reach::elsewhere(&order.options::<Options>()?.elsewhere))),
            Mode::MakesItAgain => run_container(order),
            Mode::FillsState => Err(failed(reach::beyond_state())),
            Mode::WritesControlCharacters => {
                state::set("note", &"\u{1}".repeat(64 << 10))?;
                run(order)
            }
            _ => run(order),
        }
    }

    fn stop(&self, order: &Order) -> Result<(), Error> {
        match Mode::of(order)? {
            Mode::SpinsInStop => forever(),
            Mode::LeavesItBehind => Ok(()),
            Mode::MakesItAgain => make_again(),
            _ => processes::find()?.map_or(Ok(()), |process| remove(&process)),
        }
    }

    fn survey(&self) -> Result<Vec<Instance>, Error> {
        let found: Vec<Instance> = processes::survey()?.iter().map(instance).collect();
        Ok(match self.0 {
            Mode::SpinsInSurvey => forever(),
            Mode::TrapsInSurvey => panic!("traps in survey"),
            Mode::ActsWithoutDeployment => {
                cardcage_sdk::warn!("{}", reach::without_deployment("http://127.0.0.1"));
                found
            }
            Mode::NotFinite => tales::not_finite(found),
            Mode::MakesItAgain => containers::survey()?.iter().map(contained).collect(),
            Mode::FiveThousandInstances => tales::invented(5_000),
            Mode::InventsInstances => [found, tales::invented(500)].concat(),
            Mode::ClaimsAnothers => [found, tales::anothers("neighbour")].concat(),
            _ => found,
        })
    }
}

/// Runs what the repository has, as the only user that is granted.
fn run(order: &Order) -> Result<Instance, Error> {
    let process = match processes::find()? {
        Some(process) => process,
        None => create(order, Some("nobody"))?,
    };
    process.start()?;
    Ok(instance(&process.info()?))
}

fn create(order: &Order, user: Option<&str>) -> Result<Process, Error> {
    let archive = artifacts::fetch(&format!("{}/run.tar", order.url), None)?;
    let mut program = processes::program(&order.name, ["./run"]);
    program.environment = vec![("MARK".into(), order.options::<Options>()?.mark)];
    program.user = user.map(Into::into);
    processes::create(&archive.unpack()?, &program)
}

fn remove(process: &Process) -> Result<(), Error> {
    process.stop()?;
    process.remove()
}

fn run_container(order: &Order) -> Result<Instance, Error> {
    let container = match containers::find()?.into_iter().next() {
        Some(container) => container,
        None => {
            let images = containers::load(&artifacts::fetch(&format!("{}/image.tar", order.url), None)?)?;
            let image = images.into_iter().next().ok_or_else(|| failed("no image".into()))?;
            state::set("image", &image)?;
            state::set("name", &order.options::<Options>()?.mark)?;
            create_container()?
        }
    };
    container.start()?;
    Ok(contained(&container.info()?))
}

fn make_again() -> Result<(), Error> {
    containers::find()?.iter().try_for_each(Container::remove)?;
    create_container()?.start()
}

fn create_container() -> Result<Container, Error> {
    let note = |key: &str| Ok::<_, Error>(state::get(key)?.unwrap_or_default());
    // A name of the engine, which knows those of all tests.
    let name = note("name")?.replace('/', "-").trim_start_matches('-').to_owned();
    containers::create(&Spec {
        image: note("image")?,
        name,
        network: Some("none".into()),
        ..reach::container()
    })
}

fn contained(info: &containers::Info) -> Instance {
    Instance::container(info, State::Running, None)
}

fn use_what_was_removed(order: &Order) -> Result<String, Error> {
    let process = create(order, Some("nobody"))?;
    process.start()?;
    remove(&process)?;
    let found = match processes::find()? {
        Some(_) => "there",
        None => "gone",
    };
    let told = [
        attempt("info", process.info().map(|_| ())),
        attempt("start", process.start()),
        attempt("stop", process.stop()),
        attempt("remove", process.remove()),
    ];
    Ok(format!("{found}; {}", told.join("; ")))
}

/// What became of an attempt, in the host's words.
fn attempt(what: &str, done: Result<(), Error>) -> String {
    match done {
        Ok(()) => format!("{what}: done"),
        Err(error) => format!("{what}: {}: {}", error.code, error.detail),
    }
}

fn failed(what: String) -> Error {
    Error::new("failed", what)
}

fn instance(info: &Info) -> Instance {
    let state = if info.state == "running" { State::Running } else { State::Failed };
    Instance::process(info, state, info.error.clone())
}

fn forever() -> ! {
    loop {
        std::hint::black_box(());
    }
}

cardcage_sdk::export_backend!(Hostile);
