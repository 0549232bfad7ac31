//! What agents say of their plugins: `GET /plugins`, and the answers to a push. None of it is trusted to be short.

use serde::Deserialize;

use super::deploy::BadAnswer;
use crate::model::Text;
use crate::model::plugin::{Installed, More, Replacement};
use crate::model::text::printable;

/// Longest list that is read, in bytes: as many plugins as an agent has, each with long texts.
pub const LIST_LIMIT: usize = 2 << 20;

/// Longest answer to a push that is read, in bytes.
pub const PUSH_LIMIT: usize = 64 << 10;

/// Plugins that are kept of one board, as of its reports.
const PLUGINS: usize = 256;

/// Texts that are kept of each list of one plugin.
const TEXTS: usize = 16;

/// Longest reason for a refusal that is kept, in bytes.
const DETAIL: usize = 256;

#[derive(Deserialize)]
struct Entry {
    name: String,
    version: String,
    digest: String,
    #[serde(default)]
    built_in: bool,
    state: String,
    reason: Option<String>,
    support: Option<String>,
    vendor: Option<String>,
    trust: Option<String>,
    #[serde(default)]
    imports: Vec<String>,
    #[serde(default)]
    samples: u64,
    #[serde(default)]
    failures: u64,
    #[serde(default)]
    restarts: u64,
    last_sample_ms: Option<f64>,
    longest_sample_ms: Option<f64>,
    #[serde(default)]
    cpu_ms: f64,
    #[serde(default)]
    host_calls: u64,
    memory: Option<u64>,
    readings: Option<u64>,
    last_error: Option<String>,
    #[serde(default)]
    asked: Vec<String>,
    #[serde(default)]
    given: Vec<String>,
    #[serde(default)]
    faults: Vec<String>,
    replacement: Option<Next>,
}

#[derive(Deserialize)]
struct Next {
    name: String,
    version: String,
    digest: String,
    state: String,
    reason: Option<String>,
}

fn bad(error: &serde_json::Error) -> BadAnswer {
    BadAnswer::Other(Text::new(error.to_string()))
}

/// Reads the answer to `GET /plugins`.
pub fn list(bytes: &[u8]) -> Result<Vec<Installed>, BadAnswer> {
    let entries: Vec<Entry> = serde_json::from_slice(bytes).map_err(|error| bad(&error))?;
    Ok(entries.into_iter().take(PLUGINS).map(installed).collect())
}

fn installed(entry: Entry) -> Installed {
    let known = |text: Option<String>| text.and_then(Text::known);
    let more = More {
        support: known(entry.support),
        vendor: known(entry.vendor),
        trust: known(entry.trust),
        imports: texts(entry.imports),
        asked: texts(entry.asked),
        given: texts(entry.given),
        samples: entry.samples,
        failures: entry.failures,
        restarts: entry.restarts,
        last_sample_ms: entry.last_sample_ms,
        longest_sample_ms: entry.longest_sample_ms,
        cpu_ms: entry.cpu_ms,
        host_calls: entry.host_calls,
        memory: entry.memory,
        readings: entry.readings,
        last_error: known(entry.last_error),
        faults: texts(entry.faults),
        replacement: entry.replacement.map(|next| Replacement {
            name: Text::new(next.name),
            version: Text::new(next.version),
            digest: Text::new(next.digest),
            state: Text::new(next.state),
            reason: known(next.reason),
        }),
    };
    Installed {
        name: Text::new(entry.name),
        version: Text::new(entry.version),
        digest: Text::new(entry.digest),
        built_in: entry.built_in,
        state: Text::new(entry.state),
        reason: known(entry.reason),
        more: Some(more),
    }
}

fn texts(raw: Vec<String>) -> Vec<Text> {
    raw.into_iter().take(TEXTS).map(Text::new).collect()
}

/// What an agent has in a file: the answer to `GET /plugins/FILE`, and to the taking back of a push.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Held {
    /// What the file holds, if it is there.
    pub digest: Option<String>,
    /// What was pushed into it last, whatever it holds by now.
    pub pushed: Option<String>,
}

pub fn held(bytes: &[u8]) -> Result<Held, BadAnswer> {
    serde_json::from_slice(bytes).map_err(|error| bad(&error))
}

/// The answer to a push: what was taken.
pub fn taken(bytes: &[u8]) -> Result<String, BadAnswer> {
    #[derive(Deserialize)]
    struct Taken {
        digest: String,
    }
    let Taken { digest } = serde_json::from_slice(bytes).map_err(|error| bad(&error))?;
    Ok(digest)
}

/// Why an agent refused, from `{"code": …, "detail": …}`, remedy and all; empty if it does not say.
pub fn detail(bytes: &[u8]) -> String {
    #[derive(Default, Deserialize)]
    struct Refusal {
        detail: String,
    }
    let Refusal { detail } = serde_json::from_slice(bytes).unwrap_or_default();
    let mut detail = printable(&detail).into_owned();
    detail.truncate(detail.floor_char_boundary(DETAIL));
    detail
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::protocol::testing::any_json;

    #[test]
    fn what_an_agent_shows_is_read() {
        let shown = json!([{
            "name": "acme", "version": "1", "digest": "ab", "built_in": false, "state": "ready", "imports": [],
            "samples": 7, "failures": 0, "restarts": 0, "cpu_ms": 3.5, "host_calls": 14, "memory": 65536,
            "asked": ["files /sys/a", "http b"], "given": ["files /sys/a"], "faults": [],
            "replacement": {"name": "acme", "version": "2", "digest": "cd", "state": "backoff", "reason": "trap"},
            "of a later version": 1
        }, {"name": "older agents", "version": "", "digest": "", "state": "say less"}]);
        let list = list(shown.to_string().as_bytes()).unwrap();
        let more = list[0].more.as_ref().unwrap();
        assert_eq!((more.samples, more.cpu_ms, more.memory), (7, 3.5, Some(65536)));
        assert_eq!((more.asked.len(), more.given.len()), (2, 1));
        assert_eq!(more.replacement.as_ref().unwrap().reason, Some("trap".into()));
        assert_eq!(list[1].state.as_str(), "say less");
    }

    #[test]
    fn a_board_that_invents_plugins_is_cut_short() {
        let long = "x".repeat(9999);
        let one =
            json!({"name": long, "version": "\u{1b}", "digest": "", "state": "", "faults": vec!["f"; 1000]});
        let list = list(json!(vec![one; 1000]).to_string().as_bytes()).unwrap();
        assert_eq!((list.len(), list[0].more.as_ref().unwrap().faults.len()), (PLUGINS, TEXTS));
        assert_eq!((list[0].name.as_str().len(), list[0].version.as_str()), (Text::LIMIT, "\u{FFFD}"));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_an_answer_or_an_error(value in any_json()) {
            let bytes = value.to_string().into_bytes();
            let _ = (list(&bytes), held(&bytes), taken(&bytes));
            prop_assert!(detail(&bytes).len() <= DETAIL);
        }
    }
}
