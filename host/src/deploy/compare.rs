//! What should be against what is: the whole of what a survey can mean for one record.

use super::backend::Found;
use super::record::{Outcome, Phase, Record};
use crate::model::InstanceState;

/// What follows from a survey.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Verdict {
    /// It is as it should be.
    Agreed,
    /// It went down with the board or the engine, and should run: it is started again.
    StartAgain,
    /// It ended by itself.
    Ended(Phase),
    /// It had ended, and runs.
    Runs,
    /// It should not be there.
    Remove,
}

/// What was down since an instance was seen running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outage {
    /// Nothing that is known of.
    None,
    /// The agent alone, or the engine with it.
    Agent,
    /// The engine.
    Engine,
    /// The board.
    Board,
}

/// For a record that nobody drives. After an outage an end may not have been its own; the backend, asked to start it, may
/// know better.
pub(super) fn compare(record: &Record, found: Option<&Found>, outage: Outage) -> Verdict {
    let state = found.map(|found| found.state);
    let there =
        matches!(state, Some(InstanceState::Running | InstanceState::Pending | InstanceState::Sleeping));
    match &record.phase {
        Phase::Running if there => Verdict::Agreed,
        Phase::Running => match (outage, state) {
            (Outage::Board | Outage::Engine, _) => Verdict::StartAgain,
            // It may have been killed with its engine, which nobody saw; what ended well ended by itself.
            (Outage::Agent, Some(InstanceState::Failed) | None) => Verdict::StartAgain,
            _ => Verdict::Ended(ended(found)),
        },
        Phase::Stopped if found.is_some() => Verdict::Remove,
        // What ended by itself stays there for its log, and holds nothing of the board any more.
        Phase::Ended { .. } if there => Verdict::Runs,
        Phase::Ended { .. } | Phase::Stopped => Verdict::Agreed,
        // Somebody drives these, or will.
        Phase::Clearing | Phase::Starting | Phase::Stopping | Phase::RollingBack { .. } => Verdict::Agreed,
    }
}

/// The phase of what ended by itself.
pub(super) fn ended(found: Option<&Found>) -> Phase {
    match found {
        Some(found) => Phase::Ended {
            failed: found.state != InstanceState::Stopped,
            outcome: Outcome::Failed,
            reason: found.reason.clone(),
        },
        None => Phase::Ended {
            failed: true,
            outcome: Outcome::Failed,
            reason: Some("it is gone: somebody else removed it".to_owned()),
        },
    }
}
