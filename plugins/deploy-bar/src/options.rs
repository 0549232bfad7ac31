//! `options` of a request of type `bar`: what an order changes of a package.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use cardcage_bar::Restart;
use cardcage_sdk::Error;
use cardcage_sdk::deploy::Order;
use cardcage_sdk::processes::Program;
use serde::Deserialize;

/// All of them may be left out. An unknown one is refused.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    /// Variables, beside and before the package's.
    env: BTreeMap<String, String>,
    /// Arguments after the package's.
    args: Vec<String>,
    /// Instead of the package's.
    restart: Option<Restart>,
    /// Of the package.
    pub(crate) sha256: Option<String>,
    /// `exclusive` or `shared`: the host's to read.
    cpu: Option<String>,
}

impl Options {
    pub(crate) fn of(order: &Order) -> Result<Self, Error> {
        let options: Self = order.options()?;
        digest(options.sha256.as_deref())?;
        Ok(options)
    }

    /// The package's program as it was ordered.
    pub(crate) fn change(self, mut program: Program) -> Program {
        program.environment.retain(|(key, _)| !self.env.contains_key(key));
        program.environment.extend(self.env);
        program.command.extend(self.args);
        if let Some(restart) = self.restart {
            program.restart = restart.word().to_string();
        }
        program
    }
}

/// A digest that can be compared with.
fn digest(text: Option<&str>) -> Result<(), Error> {
    match text.is_none_or(|text| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        true => Ok(()),
        false => Err(Error::invalid("options.sha256 must be 64 hexadecimal digits")),
    }
}

#[cfg(test)]
mod tests {
    use cardcage_sdk::{fake, processes};

    use super::*;

    #[test]
    fn an_order_adds_to_its_package() {
        let order = Order {
            options: r#"{"env": {"A": "2"}, "args": ["-v"], "restart": "always"}"#.into(),
            ..fake::order()
        };
        let mut program = processes::program("app", ["./app"]);
        program.environment = alloc::vec![("A".into(), "1".into()), ("B".into(), "1".into())];
        let program = Options::of(&order).unwrap().change(program);
        assert_eq!(program.command, ["./app", "-v"]);
        assert_eq!(program.environment, [("B".to_string(), "1".to_string()), ("A".into(), "2".into())]);
        assert_eq!(program.restart, "always");
    }

    #[test]
    fn what_only_containers_have_is_refused() {
        let order = Order { options: r#"{"ports": ["80:80"]}"#.into(), ..fake::order() };
        assert!(Options::of(&order).unwrap_err().detail.contains("unknown field `ports`"));
        let order = Order { options: r#"{"sha256": "abc"}"#.into(), ..fake::order() };
        assert!(Options::of(&order).unwrap_err().detail.contains("64 hexadecimal digits"));
    }
}
