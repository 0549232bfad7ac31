//! Where a plugin may send requests: what its manifest requests and the operator gives, both.

use std::path::PathBuf;

use cardcage_manifest::{Origin, Scheme};

/// Origins, and whom to trust there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    requested: Vec<Origin>,
    given: Vec<Origin>,
    pub trust: Trust,
}

/// Which certificates are trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// A bundle in place of the system's.
    pub ca: Option<PathBuf>,
    /// SHA-256 of certificates that are trusted as they are, in place of any bundle.
    pub pins: Vec<[u8; 32]>,
}

/// Not requested, or not given.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{scheme}://{host}:{port} is not requested in the manifest, or not granted")]
pub struct Denied {
    scheme: &'static str,
    host: String,
    port: u16,
}

impl Grant {
    pub const fn new(requested: Vec<Origin>, given: Vec<Origin>, trust: Trust) -> Self {
        Self { requested, given, trust }
    }

    /// Whether there is no origin at all.
    pub const fn is_empty(&self) -> bool {
        self.requested.is_empty() || self.given.is_empty()
    }

    /// What the operator gives, where anything is requested.
    pub fn given(&self) -> impl Iterator<Item = &Origin> {
        self.given.iter().filter(|_| !self.requested.is_empty())
    }

    /// Asked before a name is looked up. The host is as in an address, an IPv6 address in brackets.
    pub fn ask(&self, scheme: Scheme, host: &str, port: u16) -> Result<(), Denied> {
        let covered = |origins: &[Origin]| origins.iter().any(|origin| origin.covers(scheme, host, port));
        match covered(&self.requested) && covered(&self.given) {
            true => Ok(()),
            false => Err(Denied { scheme: scheme.as_str(), host: host.to_owned(), port }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(requested: &[&str], given: &[&str]) -> Grant {
        let origins =
            |texts: &[&str]| texts.iter().map(|text| Origin::parse(text).unwrap()).collect::<Vec<_>>();
        Grant::new(origins(requested), origins(given), Trust::default())
    }

    #[test]
    fn what_is_requested_and_given_may_be_asked_and_nothing_else() {
        let grant = grant(&["*"], &["https://10.0.0.5", "bmc.local:8443"]);
        assert_eq!(grant.ask(Scheme::Https, "10.0.0.5", 443), Ok(()));
        assert_eq!(grant.ask(Scheme::Http, "BMC.local", 8443), Ok(()));
        for (scheme, host, port) in [
            (Scheme::Http, "10.0.0.5", 443),
            (Scheme::Https, "10.0.0.5", 8443),
            (Scheme::Https, "10.0.0.50", 443),
            (Scheme::Https, "bmc.local", 443),
            (Scheme::Https, "bmc.local.evil", 8443),
        ] {
            assert!(grant.ask(scheme, host, port).is_err(), "{host}:{port}");
        }
    }

    #[test]
    fn one_without_the_other_is_nothing() {
        assert!(grant(&[], &["*"]).is_empty() && grant(&["*"], &[]).is_empty());
        assert!(grant(&[], &["*"]).ask(Scheme::Http, "bmc", 80).is_err());
        let refusal = grant(&["bmc"], &["*"]).ask(Scheme::Http, "other", 80).unwrap_err();
        assert_eq!(refusal.to_string(), "http://other:80 is not requested in the manifest, or not granted");
    }
}
