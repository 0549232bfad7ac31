//! Every family of the fleet's metrics, in the order of the text.

mod board;
mod resource;
mod sensor;

use super::fleet::{Family, Series, Subject};

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Family> {
    board::FAMILIES.iter().chain(resource::FAMILIES).chain(sensor::FAMILIES).chain(board::LAST)
}

type Collect = fn(&Subject<'_>, &mut Series<'_>);

/// A family whose values go up and down.
const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    collect: Collect,
) -> Family {
    Family { name, help, kind: "gauge", labels, collect }
}

/// A family whose values go up, until their source starts anew.
const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    collect: Collect,
) -> Family {
    Family { name, help, kind: "counter", labels, collect }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_families_share_a_name() {
        let mut names = HashSet::new();
        assert!(all().all(|family| names.insert(family.name)));
    }
}
