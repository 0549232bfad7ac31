//! `options` of a request of type `docker`.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use cardcage_sdk::Error;
use cardcage_sdk::containers::{Mount, Port};
use cardcage_sdk::deploy::Order;
use serde::Deserialize;

/// Seconds between the request to end and the end.
pub(crate) const GRACE: u32 = 10;
/// The longest of these that makes sense: a manager waits for it.
const LONGEST_GRACE: u32 = 120;

/// All of them may be left out. An unknown one is refused: `privileged` silently ignored would be no better than granted.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Variables.
    pub(crate) env: BTreeMap<String, String>,
    /// What to run instead of the image's command.
    pub(crate) args: Vec<String>,
    /// `"8080:80"`, `"5353:53/udp"`: the board's port, the container's.
    pub(crate) ports: Vec<String>,
    /// `"/srv/data:/data"`, `"cache:/var/cache:ro"`.
    pub(crate) mounts: Vec<String>,
    pub(crate) network: Option<String>,
    /// `no`, `on-failure`, `always`.
    pub(crate) restart: Option<String>,
    /// Seconds.
    pub(crate) grace: u32,
    /// Whether the engine's init is process 1.
    pub(crate) init: bool,
    /// Of the image archive.
    pub(crate) sha256: Option<String>,
    /// `exclusive` or `shared`: the host's to read.
    pub(crate) cpu: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            env: BTreeMap::new(),
            args: Vec::new(),
            ports: Vec::new(),
            mounts: Vec::new(),
            network: None,
            restart: None,
            grace: GRACE,
            init: false,
            sha256: None,
            cpu: None,
        }
    }
}

impl Options {
    pub(crate) fn of(order: &Order) -> Result<Self, Error> {
        let options: Self = order.options()?;
        if let Some(restart) = &options.restart
            && !["no", "on-failure", "always"].contains(&restart.as_str())
        {
            return Err(Error::invalid(format!(
                "options.restart is {restart:?}; it must be \"no\", \"on-failure\" or \"always\""
            )));
        }
        digest(options.sha256.as_deref())?;
        if options.grace > LONGEST_GRACE {
            return Err(Error::invalid(format!("options.grace is more than {LONGEST_GRACE} seconds")));
        }
        Ok(options)
    }
}

/// A digest that can be compared with.
fn digest(text: Option<&str>) -> Result<(), Error> {
    match text.is_none_or(|text| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        true => Ok(()),
        false => Err(Error::invalid("options.sha256 must be 64 hexadecimal digits")),
    }
}

pub(crate) fn port(text: &str) -> Result<Port, Error> {
    let parse = || {
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let (host, container) = ports.split_once(':')?;
        let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port != 0);
        let protocol = ["tcp", "udp"].contains(&protocol).then(|| protocol.to_string())?;
        Some(Port { host: port(host)?, container: port(container)?, protocol })
    };
    parse().ok_or_else(|| {
        Error::invalid(format!("options.ports has {text:?}; write \"8080:80\", or \"5353:53/udp\""))
    })
}

pub(crate) fn mount(text: &str) -> Result<Mount, Error> {
    let parse = || {
        let mut parts = text.split(':');
        let (source, target) = (parts.next()?, parts.next()?);
        let read_only = match parts.next() {
            None | Some("rw") => false,
            Some("ro") => true,
            Some(_) => return None,
        };
        let whole = parts.next().is_none() && !source.is_empty() && target.starts_with('/');
        whole.then(|| Mount { source: source.to_string(), target: target.to_string(), read_only })
    };
    parse().ok_or_else(|| {
        Error::invalid(format!(
            "options.mounts has {text:?}; write \"/srv/data:/data\", or \"cache:/data:ro\""
        ))
    })
}

/// The order's name. A uuid that stands for it may have any characters; what engines do not take is left out, and the
/// digest makes it unique.
pub(crate) fn container_name(order: &Order) -> Result<String, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric();
    let name = order.name.as_str();
    let well_formed = (2..=128).contains(&name.len())
        && name.starts_with(plain)
        && name.chars().all(|c| plain(c) || "_.-".contains(c));
    if well_formed {
        return Ok(name.to_string());
    }
    if name != order.uuid {
        return Err(Error::invalid(format!(
            "name is {name:?}; a container's name has 2 to 128 letters, digits, hyphens, dots and underscores, and begins with a letter or digit"
        )));
    }
    let kept: String = name.chars().filter(|c| plain(*c)).take(40).collect();
    Ok(format!("c{kept}-{}", order.digest.get(..12).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use cardcage_sdk::fake;

    use super::*;

    fn options(text: &str) -> Result<Options, String> {
        let order = Order { options: text.into(), ..fake::order() };
        Options::of(&order).map_err(|error| error.detail)
    }

    #[test]
    fn everything_may_be_left_out_and_nothing_may_be_made_up() {
        assert_eq!(options("{}").unwrap(), Options::default());
        assert!(options(r#"{"privileged": true}"#).unwrap_err().contains("unknown field `privileged`"));
        assert!(options(r#"{"restart": "sometimes"}"#).unwrap_err().contains("\"on-failure\""));
        assert!(options(r#"{"env": {"A": 1}}"#).unwrap_err().contains("expected a string"));
        assert!(options(r#"{"grace": 9999}"#).is_err());
        assert!(options(r#"{"sha256": "abc"}"#).unwrap_err().contains("64 hexadecimal digits"));
    }

    #[test]
    fn ports_and_mounts_are_written_as_people_write_them() {
        assert_eq!(port("8080:80").unwrap(), Port { host: 8080, container: 80, protocol: "tcp".into() });
        assert_eq!(port("53:53/udp").unwrap().protocol, "udp");
        for wrong in ["80", "0:80", "80:80/sctp", "70000:1", "a:b", "127.0.0.1:80:80"] {
            assert!(port(wrong).is_err(), "{wrong}");
        }
        let data = mount("/srv/data:/data:ro").unwrap();
        assert_eq!(
            (data.source.as_str(), data.target.as_str(), data.read_only),
            ("/srv/data", "/data", true)
        );
        for wrong in ["/srv", ":/data", "/srv:data", "/srv:/data:rx", "a:/b:ro:c"] {
            assert!(mount(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_container_is_called_what_was_ordered_or_after_its_uuid() {
        assert_eq!(container_name(&fake::order()).unwrap(), "app");
        let odd = Order { name: "节点/1".into(), uuid: "节点/1".into(), ..fake::order() };
        assert_eq!(container_name(&odd).unwrap(), "c1-000000000000");
        let wrong = Order { name: "a b".into(), ..fake::order() };
        assert!(container_name(&wrong).unwrap_err().detail.contains("letters, digits"));
    }
}
