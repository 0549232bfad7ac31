//! The agent's side: one helper process for one plugin.
//!
//! ```text
//!           open                    answer
//!   none ---------> starting -----------------> idle <-----> asked
//!    ^                 |                                       |
//!    `---- killed, reaped, counted <-- no answer by the deadline, end of the process, nonsense
//! ```
//!
//! Whoever asks takes the helper out of the state and puts it back with the answer, so a call that is dropped half-way
//! leaves no helper behind that would answer the next one with it.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, timeout_at};

pub use backoff::Backoff;

use crate::error::{Code, Error};
use crate::grant::Grant;
use crate::model::{Argument, Handle, Outcome, Signature, Value};
use crate::protocol::{Answer, Request, VERSION};
use backoff::Failures;
use helper::{Broken, Helper};
use process::Process;
use said::Said;

mod backoff;
mod helper;
mod process;
mod said;

/// A library that the helper has loaded. It stays loaded until the helper ends.
#[derive(Debug, Clone)]
pub struct Library {
    generation: u32,
    index: u32,
    name: Arc<str>,
}

/// A function that was looked up in a library.
#[derive(Debug, Clone)]
pub struct Function {
    generation: u32,
    index: u32,
    /// What it is called in errors.
    name: Arc<str>,
    signature: Arc<Signature>,
}

/// The native libraries of one plugin.
///
/// The helper ends with the thread that started it (`PR_SET_PDEATHSIG` counts threads): open libraries on a thread that
/// lives as long as the agent.
pub struct Native {
    executable: PathBuf,
    grant: Grant,
    environment: Vec<(String, String)>,
    backoff: Backoff,
    said: Said,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    helper: Option<Helper>,
    /// One that was killed and is not gone yet: no other is started beside it.
    ending: Option<Process>,
    /// Which life of the helper; the first is 1.
    generation: u32,
    failures: Failures,
}

impl Native {
    /// For the executable at an absolute path. Nothing is started before the first `open`.
    #[must_use]
    pub fn new(executable: impl Into<PathBuf>, grant: Grant) -> Self {
        Self {
            executable: executable.into(),
            grant,
            environment: Vec::new(),
            backoff: Backoff::default(),
            said: Arc::new(|_| ()),
            state: Mutex::default(),
        }
    }

    /// The helper's whole environment, instead of an empty one.
    #[must_use]
    pub fn environment(self, environment: Vec<(String, String)>) -> Self {
        Self { environment, ..self }
    }

    /// How soon a helper that failed is followed by another.
    #[must_use]
    pub fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// Who is told what the libraries print on their standard error: single lines without control characters, at most 512
    /// bytes each and 50 in ten seconds.
    #[must_use]
    pub fn said(self, said: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { said: Arc::new(said), ..self }
    }

    /// Loads a library, and starts the helper where none runs. One that is loaded already is not loaded again.
    ///
    /// # Errors
    /// `denied`, `absent`, `too-large`, `late`, `crashed`, `io`. After failures in a row it is the last one's, until the
    /// time for another start has come.
    pub async fn open(&self, name: &str, deadline: Instant) -> Result<Library, Error> {
        self.grant.library(name)?;
        let mut state = self.state(name, deadline).await?;
        let helper = match state.helper.take() {
            Some(helper) if helper.process.has_ended() => {
                let error =
                    broken(&mut state, &self.backoff, helper, Broken::Ended, "a library between two calls");
                // It is counted; who opens anew is not told of a helper that it has not asked anything.
                let _ = error.await;
                self.start(&mut state, name, deadline).await?
            }
            Some(helper) => helper,
            None => self.start(&mut state, name, deadline).await?,
        };
        let request = Request::Open { name: Cow::Borrowed(name) };
        let index = self.ask(&mut state, helper, &request, name, deadline).await?;
        let Answer::Number(index) = index else { return Err(self.nonsense(&mut state, name).await) };
        Ok(Library { generation: state.generation, index, name: name.into() })
    }

    /// Looks a function up. Its signature is the caller's promise.
    ///
    /// # Errors
    /// `denied`, `absent`, `too-large`, `closed`, `late`, `crashed`, `io`.
    pub async fn function(
        &self,
        library: &Library,
        symbol: &str,
        signature: Signature,
        deadline: Instant,
    ) -> Result<Function, Error> {
        self.grant.symbol(&library.name, symbol)?;
        signature.check()?;
        let name: Arc<str> = format!("{symbol} of {}", library.name).into();
        let mut state = self.state(&name, deadline).await?;
        let helper = current(&mut state, library.generation, &library.name)?;
        let request = Request::Function {
            library: library.index,
            symbol: Cow::Borrowed(symbol),
            signature: Cow::Borrowed(&signature),
        };
        let index = self.ask(&mut state, helper, &request, &name, deadline).await?;
        let Answer::Number(index) = index else { return Err(self.nonsense(&mut state, &name).await) };
        Ok(Function { generation: library.generation, index, name, signature: signature.into() })
    }

    /// Calls a function. When the deadline passes, the helper is killed, with all that it had loaded; the answer waits for
    /// its end, 0.4 s at most.
    ///
    /// # Errors
    /// `invalid`, `too-large`, `closed`, `late`, `crashed`, `io`.
    pub async fn call(
        &self,
        function: &Function,
        arguments: &[Argument],
        deadline: Instant,
    ) -> Result<Outcome, Error> {
        function.signature.fits(arguments)?;
        let mut state = self.state(&function.name, deadline).await?;
        for argument in arguments {
            if let Argument::Value(Value::Handle(Some(handle)))
            | Argument::Place(Value::Handle(Some(handle))) = argument
            {
                this_life(&state, *handle)?;
            }
        }
        let helper = current(&mut state, function.generation, &function.name)?;
        let request = Request::Call { function: function.index, arguments: Cow::Borrowed(arguments) };
        let outcome = self.ask(&mut state, helper, &request, &function.name, deadline).await?;
        match outcome {
            Answer::Outcome(outcome) => Ok(outcome),
            _ => Err(self.nonsense(&mut state, &function.name).await),
        }
    }

    /// Forgets a handle: its number means nothing any more. What it points to is the library's to free.
    ///
    /// # Errors
    /// `invalid`, `closed`, `late`, `crashed`, `io`.
    pub async fn forget(&self, handle: Handle, deadline: Instant) -> Result<(), Error> {
        const WHAT: &str = "forgetting a handle";
        let mut state = self.state(WHAT, deadline).await?;
        this_life(&state, handle)?;
        let helper = current(&mut state, handle.generation, "the handle")?;
        let request = Request::Forget { handle: handle.number() };
        match self.ask(&mut state, helper, &request, WHAT, deadline).await? {
            Answer::Forgotten => Ok(()),
            _ => Err(self.nonsense(&mut state, WHAT).await),
        }
    }

    /// Ends the helper, if one runs, and waits until it is gone. A later `open` starts another.
    pub async fn stop(&self) {
        let mut state = self.state.lock().await;
        if let Some(helper) = state.helper.take() {
            let (_, left) = helper.end().await;
            state.ending = left;
        }
    }

    /// The helper's process, if one runs.
    pub async fn process(&self) -> Option<u32> {
        self.state.lock().await.helper.as_ref().and_then(|helper| helper.process.id())
    }

    /// This call's turn. Whoever has no time left has not begun, and ends no helper.
    async fn state(&self, what: &str, deadline: Instant) -> Result<MutexGuard<'_, State>, Error> {
        if Instant::now() >= deadline {
            return Err(Error::new(Code::Late, format!("{what}: no time is left to begin")));
        }
        let locked = timeout_at(deadline, self.state.lock()).await;
        locked.map_err(|_| Error::new(Code::Late, format!("{what}: another call took all the time")))
    }

    async fn start(&self, state: &mut State, what: &str, deadline: Instant) -> Result<Helper, Error> {
        if let Some(ending) = &mut state.ending {
            timeout_at(deadline, ending.gone()).await.map_err(|_| {
                let id = ending.id().unwrap_or_default();
                Error::new(
                    Code::Late,
                    format!("{what}: the last helper ({id}) was killed and hangs in the kernel: see /proc/{id}/stack"),
                )
            })?;
            state.ending = None;
        }
        state.failures.wait(deadline).await?;
        // Four thousand million lives are not lived.
        state.generation = state.generation.wrapping_add(1).max(1);
        let helper = Helper::start(&self.executable, &self.environment, &self.said);
        let helper = helper.map_err(|source| {
            let error = not_started(&self.executable, &source);
            state.failures.record(&self.backoff, None, &error);
            error
        })?;
        let hello = Request::Hello {
            version: VERSION,
            generation: state.generation,
            grant: Cow::Borrowed(&self.grant),
        };
        let what = format!("starting {}", self.executable.display());
        match self.ask(state, helper, &hello, &what, deadline).await? {
            Answer::Ready { version: VERSION } => {}
            _ => return Err(self.nonsense(state, &what).await),
        }
        // It was put back by `ask`.
        state.helper.take().ok_or_else(|| Error::new(Code::Io, what))
    }

    /// One request and its answer. The helper is back in the state, or it is dead.
    async fn ask(
        &self,
        state: &mut State,
        mut helper: Helper,
        request: &Request<'_>,
        what: &str,
        deadline: Instant,
    ) -> Result<Answer, Error> {
        let why = match timeout_at(deadline, helper.exchange(request)).await {
            Ok(Ok(reply)) => {
                state.helper = Some(helper);
                return reply;
            }
            Ok(Err(why)) => why,
            Err(_) => Broken::Late,
        };
        Err(broken(state, &self.backoff, helper, why, what).await)
    }

    /// A proper frame that answers something else.
    async fn nonsense(&self, state: &mut State, what: &str) -> Error {
        match state.helper.take() {
            Some(helper) => broken(state, &self.backoff, helper, Broken::Nonsense(None), what).await,
            None => Error::new(Code::Io, what),
        }
    }
}

impl fmt::Debug for Native {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_struct("Native").field("executable", &self.executable).field("grant", &self.grant).finish()
    }
}

/// Kills and reaps a helper that is of no use any more.
async fn broken(state: &mut State, backoff: &Backoff, helper: Helper, why: Broken, what: &str) -> Error {
    let lived = helper.started.elapsed();
    let (ended, left) = helper.end().await;
    state.ending = left;
    let error = why.error(what, &ended);
    state.failures.record(backoff, Some(lived), &error);
    error
}

/// The helper, if what is used is from its life.
fn current(state: &mut State, generation: u32, what: &str) -> Result<Helper, Error> {
    let helper = if generation == state.generation { state.helper.take() } else { None };
    helper.ok_or_else(|| {
        Error::new(Code::Closed, format!("{what} is from before the helper's end: open the library anew"))
    })
}

/// Whether a handle can be one of the helper that runs.
fn this_life(state: &State, handle: Handle) -> Result<(), Error> {
    if handle.generation == 0 || handle.generation > state.generation {
        return Err(Error::invalid(format!("the handle {} was never given", handle.number())));
    }
    if handle.generation < state.generation || state.helper.is_none() {
        let what = "is from before the helper's end";
        return Err(Error::new(Code::Closed, format!("the handle {} {what}", handle.number())));
    }
    Ok(())
}

fn not_started(executable: &Path, source: &std::io::Error) -> Error {
    let mut why = format!("{} cannot be started: {source}", executable.display());
    // The kernel says the same of the executable and of its loader.
    if source.kind() == std::io::ErrorKind::NotFound && executable.exists() {
        why.push_str(" (the dynamic loader that it names, which is of another C library or architecture)");
    }
    Error::new(Code::Io, why)
}
