//! `cardcage:host/processes`: programs on the board itself. The mechanism is the crate `cardcage-processes`.

pub mod guest;

use crate::config;

/// What programs of a plugin may be given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant(Option<config::Processes>);

/// Something that was not granted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("programs are not granted; grant them with [plugins.grants.{0}.processes]")]
    Programs(String),
    #[error(
        "the user {user} is not granted; grant it with [plugins.grants.{plugin}.processes] users = [{user:?}]"
    )]
    User { plugin: String, user: String },
    #[error("the package names no user, and only these are granted: {users}; let its bar.toml name one")]
    NoUser { users: String },
}

impl Grant {
    pub const fn new(given: Option<config::Processes>) -> Self {
        Self(given)
    }

    pub const fn is_given(&self) -> bool {
        self.0.is_some()
    }

    /// Whether programs may be run at all.
    pub fn ask(&self, plugin: &str) -> Result<&config::Processes, Refusal> {
        self.0.as_ref().ok_or_else(|| Refusal::Programs(plugin.to_owned()))
    }

    pub fn ask_user(&self, plugin: &str, user: Option<&str>) -> Result<(), Refusal> {
        let Some(users) = &self.ask(plugin)?.users else { return Ok(()) };
        match user {
            Some(user) if users.iter().any(|granted| granted == user) => Ok(()),
            Some(user) => Err(Refusal::User { plugin: plugin.to_owned(), user: user.to_owned() }),
            None => Err(Refusal::NoUser { users: users.join(", ") }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_granted_by_name() {
        assert!(Grant::default().ask("x").unwrap_err().to_string().contains("[plugins.grants.x.processes]"));
        let any = Grant::new(Some(config::Processes::default()));
        assert!(any.ask_user("x", None).is_ok() && any.ask_user("x", Some("root")).is_ok());
        let some = Grant::new(Some(config::Processes { users: Some(vec!["radar".into()]) }));
        assert!(some.ask_user("x", Some("radar")).is_ok());
        assert!(some.ask_user("x", Some("root")).unwrap_err().to_string().contains("users = [\"root\"]"));
        assert!(some.ask_user("x", None).unwrap_err().to_string().contains("only these are granted: radar"));
    }
}
