//! Unknown keys: which one, and which was meant.

use toml::{Table, Value};

/// Every key, in full. A key that is the beginning of another is a table.
const KNOWN: [&str; 21] = [
    "state_dir",
    "listen",
    "advertise",
    "discovery",
    "discovery.group",
    "discovery.port",
    "discovery.interfaces",
    "discovery.heartbeat_every",
    "discovery.resource_every",
    "discovery.spread_ms",
    "discovery.ttl",
    "store",
    "store.flush_every",
    "agents",
    "agents.token_file",
    "agents.token_in_clear",
    "agents.tls",
    "agents.ca",
    "agents.client_cert",
    "agents.client_key",
    "agents.server_name",
];

/// Finds the first unknown key.
pub(super) fn check(table: &Table) -> Result<(), String> {
    check_under("", table)
}

fn check_under(prefix: &str, table: &Table) -> Result<(), String> {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        if !KNOWN.contains(&key.as_str()) {
            return Err(match nearest(&key) {
                Some(known) => format!("unknown key {key}; did you mean {known}?"),
                None => format!("unknown key {key}; the keys are {}", KNOWN.join(", ")),
            });
        }
        if let Value::Table(inner) = value {
            check_under(&format!("{key}."), inner)?;
        }
    }
    Ok(())
}

/// The known key that is most like it: one with the same last part in another table, else the one with the fewest
/// letters changed.
fn nearest(key: &str) -> Option<&'static str> {
    let last = |key: &str| key.rsplit('.').next().map(str::to_owned);
    if let Some(moved) = KNOWN.into_iter().find(|known| last(known) == last(key)) {
        return Some(moved);
    }
    let distance = |known: &&str| {
        strsim::damerau_levenshtein(known, key).min(strsim::damerau_levenshtein(
            &last(known).unwrap_or_default(),
            &last(key).unwrap_or_default(),
        ))
    };
    let known = KNOWN.into_iter().min_by_key(distance)?;
    (distance(&known) <= 1 + key.len() / 3).then_some(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_found_or_all_are_listed() {
        assert_eq!(nearest("lisen"), Some("listen"));
        assert_eq!(nearest("discovery.interface"), Some("discovery.interfaces"));
        assert_eq!(nearest("flush_every"), Some("store.flush_every"));
        assert_eq!(nearest("colour"), None);
    }
}
