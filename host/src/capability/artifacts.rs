//! `cardcage:host/artifacts`: files of a software repository. The mechanism is the crate `cardcage-artifacts`.

pub mod guest;

/// Repositories that a plugin may fetch from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant(Vec<String>);

impl Grant {
    /// Hosts, hosts with ports, `*` for any.
    pub const fn new(hosts: Vec<String>) -> Self {
        Self(hosts)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this host and port may be reached.
    pub fn allows(&self, host: &str, port: u16) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        self.0.iter().any(|granted| {
            granted == "*"
                || granted.eq_ignore_ascii_case(host)
                || granted.eq_ignore_ascii_case(bare)
                || granted.eq_ignore_ascii_case(&format!("{host}:{port}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_granted_by_name_with_or_without_a_port() {
        let grant = Grant::new(vec!["repo.example".into(), "10.0.0.5:8080".into()]);
        assert!(grant.allows("repo.example", 80) && grant.allows("Repo.Example", 443));
        assert!(grant.allows("10.0.0.5", 8080) && !grant.allows("10.0.0.5", 80));
        assert!(!grant.allows("example", 80) && !Grant::default().allows("repo.example", 80));
        assert!(Grant::new(vec!["*".into()]).allows("anything", 1));
    }
}
