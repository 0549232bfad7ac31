//! What the states of a program mean.

use alloc::format;
use alloc::string::{String, ToString as _};

use cardcage_sdk::deploy::{Instance, State};
use cardcage_sdk::processes::Info;

pub(crate) fn instance(info: &Info) -> Instance {
    let (state, reason) = state(info);
    Instance::process(info, state, reason)
}

fn state(info: &Info) -> (State, Option<String>) {
    match info.state.as_str() {
        "running" if info.restarts > 0 => {
            (State::Running, Some(format!("started again {} times", info.restarts)))
        }
        "running" => (State::Running, None),
        "frozen" => (State::Sleeping, None),
        "waiting" => (State::Pending, Some(format!("it is started again: {}", end(info)))),
        "created" => (State::Stopped, Some("it was not started since the board came up".to_string())),
        "stopped" => (State::Stopped, None),
        "exited" if info.exit_code == Some(0) => (State::Stopped, Some(end(info))),
        "lost" => (State::Failed, Some("its supervisor was killed, and it was ended with it".to_string())),
        _ => (State::Failed, Some(end(info))),
    }
}

fn end(info: &Info) -> String {
    match (&info.error, &info.signal, info.exit_code) {
        (Some(error), _, _) => error.clone(),
        (_, Some(signal), _) => format!("it was ended by {signal}"),
        (_, _, Some(code)) => format!("it exited with status {code}"),
        _ => "it ended".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use cardcage_sdk::deploy::{Id, Usage};

    use super::*;

    fn seen(state: &str, exit_code: Option<i32>, signal: Option<&str>) -> (String, Option<String>) {
        let info = Info {
            uuid: "u".into(),
            order: "o".into(),
            pid: 4711,
            name: "app".into(),
            state: state.into(),
            exit_code,
            signal: signal.map(Into::into),
            error: None,
            restarts: 0,
            usage: Usage::default(),
        };
        let instance = instance(&info);
        assert_eq!(instance.id, Id::Number(4711));
        (instance.state, instance.reason)
    }

    #[test]
    fn the_states_of_programs_become_those_of_the_protocol() {
        assert_eq!(seen("running", None, None), ("running".into(), None));
        assert_eq!(seen("frozen", None, None).0, "sleeping");
        assert_eq!(seen("waiting", Some(1), None).1.unwrap(), "it is started again: it exited with status 1");
        assert_eq!(seen("exited", Some(0), None).0, "stopped");
        assert_eq!(
            seen("exited", None, Some("SIGSEGV")),
            ("failed".into(), Some("it was ended by SIGSEGV".into()))
        );
        assert_eq!(seen("lost", None, None).0, "failed");
        assert_eq!(seen("stopped", None, Some("SIGTERM")), ("stopped".into(), None));
    }
}
