//! What the engine's states mean.

use alloc::format;
use alloc::string::{String, ToString as _};

use cardcage_sdk::containers::Info;
use cardcage_sdk::deploy::{Instance, State};

pub(crate) fn instance(info: &Info) -> Instance {
    let (state, reason) = state(info);
    Instance::container(info, state, reason)
}

fn state(info: &Info) -> (State, Option<String>) {
    match info.state.as_str() {
        "running" => (State::Running, None),
        "paused" => (State::Sleeping, None),
        // Its restart policy starts it again and again; each time it ran, and ended.
        "restarting" => (State::Pending, Some(format!("it ended and is started again: {}", end(info)))),
        "created" => {
            (State::Stopped, Some(info.error.clone().unwrap_or_else(|| "it was not started".to_string())))
        }
        "removing" => (State::Stopped, None),
        "exited" if info.exit_code == Some(0) && !info.out_of_memory => (State::Stopped, Some(end(info))),
        _ => (State::Failed, Some(end(info))),
    }
}

fn end(info: &Info) -> String {
    match (&info.error, info.out_of_memory, info.exit_code) {
        (Some(error), _, _) => error.clone(),
        (_, true, _) => "it used more memory than it was given, and was killed".to_string(),
        // As the engine's init, and shells, have it.
        (_, _, Some(127)) => "it exited with status 127: its command is not there".to_string(),
        (_, _, Some(126)) => "it exited with status 126: its command cannot be run".to_string(),
        // An engine that hears of the end before it hears of the reason never says it.
        (_, _, Some(137)) => {
            "it was ended by signal 9: by somebody, or because it used more memory than it was given"
                .to_string()
        }
        // As shells have it: 128 and the number of the signal.
        (_, _, Some(code @ 129..=192)) => format!("it was ended by signal {}", code - 128),
        (_, _, Some(code)) => format!("it exited with status {code}"),
        _ => "it ended".to_string(),
    }
}

#[cfg(test)]
mod tests {
    use cardcage_sdk::deploy::Usage;

    use super::*;

    fn seen(state: &str, exit_code: Option<i32>, out_of_memory: bool) -> (String, Option<String>) {
        let info = Info {
            uuid: "u".into(),
            order: "o".into(),
            id: "c".into(),
            name: "app".into(),
            state: state.into(),
            exit_code,
            out_of_memory,
            error: None,
            usage: Usage::default(),
        };
        let instance = instance(&info);
        (instance.state, instance.reason)
    }

    #[test]
    fn the_engines_states_become_those_of_the_protocol() {
        let reason = |text: &str| Some(text.to_string());
        assert_eq!(seen("running", None, false), ("running".into(), None));
        assert_eq!(seen("paused", None, false), ("sleeping".into(), None));
        assert_eq!(seen("exited", Some(0), false), ("stopped".into(), reason("it exited with status 0")));
        assert_eq!(seen("exited", Some(3), false), ("failed".into(), reason("it exited with status 3")));
        assert_eq!(seen("exited", Some(143), false), ("failed".into(), reason("it was ended by signal 15")));
        let (state, why) = seen("exited", Some(137), false);
        assert!(
            state == "failed" && why.is_some_and(|why| why.contains("signal 9") && why.contains("memory"))
        );
        assert_eq!(
            seen("exited", Some(137), true),
            ("failed".into(), reason("it used more memory than it was given, and was killed"))
        );
        assert_eq!(seen("restarting", Some(1), false).0, "pending");
        assert_eq!(seen("something new", None, false), ("failed".into(), reason("it ended")));
    }
}
