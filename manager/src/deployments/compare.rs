//! Whether a deployment is as it is wanted, and if not, why.

use crate::model::report::Component;
use crate::model::{Deployment, Desired};

/// The verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// It is as it is wanted.
    pub in_step: bool,
    /// Why not, or what else there is to say.
    pub why: Option<String>,
}

/// What the board says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    /// Of this deployment.
    pub(super) component: Option<&'a Component>,
    /// It says something about now.
    pub(super) is_current: bool,
    /// It was said after the deployment was last ordered or stopped.
    pub(super) is_later: bool,
}

/// Compares.
pub(super) fn compare(deployment: Option<&Deployment>, facts: Facts<'_>) -> Step {
    let Some(deployment) = deployment else {
        return Step { in_step: true, why: Some("not ordered by this manager".to_owned()) };
    };
    let fault = match deployment.desired {
        Desired::Running => running(deployment, facts),
        Desired::Stopped => stopped(deployment, facts),
    };
    Step { in_step: fault.is_none(), why: fault }
}

/// What is open or was refused; then nothing else counts.
fn unsettled(deployment: &Deployment, doing: &str) -> Option<String> {
    let Some(outcome) = deployment.outcome else { return Some(format!("{doing}, no answer yet")) };
    let message = &deployment.message;
    if deployment.open {
        Some(format!("{doing}, asked again: {message}"))
    } else if outcome == crate::model::Outcome::Done {
        None
    } else {
        Some(format!("{}: {message}", outcome.name().replace('_', " ")))
    }
}

fn running(deployment: &Deployment, facts: Facts<'_>) -> Option<String> {
    if let Some(fault) = unsettled(deployment, "starting") {
        return Some(fault);
    }
    if !facts.is_current {
        return Some("its board does not report".to_owned());
    }
    let Some(component) = facts.component else {
        let text = if facts.is_later { "its board does not have it" } else { "not reported yet" };
        return Some(text.to_owned());
    };
    let more = component.more.as_ref();
    if more.is_some_and(|more| more.unknown) {
        return Some("who runs it does not answer".to_owned());
    }
    let reason =
        more.and_then(|more| more.reason.as_ref()).map(|reason| format!(": {reason}")).unwrap_or_default();
    match component.state {
        "RUNNING" => None,
        _ if !facts.is_later => Some("not reported yet".to_owned()),
        "PENDING" => Some(format!("starting{reason}")),
        "SLEEPING" => Some(format!("paused{reason}")),
        "STOPPED" => Some(format!("ended, or stopped by somebody else{reason}")),
        _ => Some(format!("failed{reason}")),
    }
}

fn stopped(deployment: &Deployment, facts: Facts<'_>) -> Option<String> {
    if let Some(fault) = unsettled(deployment, "stopping") {
        return Some(fault);
    }
    match facts.component.map(|component| component.state) {
        None | Some("STOPPED" | "FAILED") => None,
        // What an older report says of it is over.
        Some(_) if !facts.is_later => None,
        Some(state) => {
            Some(format!("its board reports it {}; somebody else started it", state.to_lowercase()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::report::Placement;
    use crate::model::{BoardId, Order, Outcome, Reply};

    fn component(state: &'static str, unknown: bool) -> Component {
        let more = Placement {
            kind: "bar".into(),
            order: "o".into(),
            reason: Some("fetching 40 %".into()),
            unknown,
            cores: Vec::new(),
            shared: false,
            memory: None,
            gpus: Vec::new(),
        };
        Component {
            instance_id: "i".into(),
            uuid: "u".into(),
            index: 0,
            name: "n".into(),
            id: "1".into(),
            state,
            cpu_load: None,
            memory_used: None,
            memory_limit: None,
            tx_bytes: None,
            rx_bytes: None,
            more: Some(more),
        }
    }

    fn deployment(outcome: Option<Outcome>) -> Deployment {
        let order = Order {
            kind: "bar".into(),
            url: "u".into(),
            file: "f".into(),
            cpu: 1,
            memory: 0,
            gpu: 0,
            instance_id: None,
            index: None,
            name: None,
            options: "{}".into(),
        };
        let mut deployment = Deployment::start(None, "u", &BoardId::from("b"), order, 1).unwrap();
        if let Some(outcome) = outcome {
            deployment.settle(&Reply::own(outcome, "m"));
        }
        deployment
    }

    fn why(
        deployment: &Deployment,
        component: Option<&Component>,
        is_current: bool,
        is_later: bool,
    ) -> String {
        let step = compare(Some(deployment), Facts { component, is_current, is_later });
        assert_eq!(step.in_step, step.why.is_none());
        step.why.unwrap_or_default()
    }

    #[test]
    fn what_should_run_is_in_step_only_if_it_is_reported_to() {
        let done = deployment(Some(Outcome::Done));
        let running = component("RUNNING", false);
        assert_eq!(why(&done, Some(&running), true, true), "");
        assert_eq!(why(&done, Some(&component("RUNNING", true)), true, true), "who runs it does not answer");
        assert_eq!(why(&done, Some(&component("PENDING", false)), true, true), "starting: fetching 40 %");
        assert_eq!(why(&done, Some(&component("FAILED", false)), true, true), "failed: fetching 40 %");
        assert_eq!(why(&done, Some(&component("FAILED", false)), true, false), "not reported yet");
        assert_eq!(why(&done, None, true, false), "not reported yet");
        assert_eq!(why(&done, None, true, true), "its board does not have it");
        assert_eq!(why(&done, Some(&running), false, true), "its board does not report");
    }

    #[test]
    fn an_answer_that_is_missing_or_no_counts_before_any_report() {
        let running = component("RUNNING", false);
        assert_eq!(why(&deployment(None), Some(&running), true, true), "starting, no answer yet");
        assert_eq!(why(&deployment(Some(Outcome::NoAnswer)), None, true, true), "starting, asked again: m");
        assert_eq!(why(&deployment(Some(Outcome::NoRoom)), None, true, true), "no room: m");
    }

    #[test]
    fn what_should_not_run_is_in_step_unless_a_later_report_has_it_running() {
        let mut stopped = deployment(Some(Outcome::Done)).stop(2);
        assert_eq!(why(&stopped, None, true, true), "stopping, no answer yet");
        stopped.settle(&Reply::own(Outcome::Done, ""));
        assert_eq!(why(&stopped, Some(&component("RUNNING", false)), true, false), "");
        assert_eq!(why(&stopped, Some(&component("STOPPED", false)), true, true), "");
        assert!(why(&stopped, Some(&component("RUNNING", false)), true, true).contains("reports it running"));
    }

    #[test]
    fn what_was_not_ordered_here_is_nobody_s_fault() {
        let step = compare(None, Facts { component: None, is_current: true, is_later: true });
        assert!(step.in_step && step.why.is_some());
    }
}
