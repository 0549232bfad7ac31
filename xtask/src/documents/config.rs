//! The configuration files of a document, written where the machine has them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use toml::{Table, Value};

use crate::command::root;

/// What was written so far, by path. A later block adds to an earlier one of the same file.
pub(super) struct Files<'a> {
    machine: &'a Path,
    manager: u16,
    agent: u16,
    group: u16,
    drafts: usize,
    written: BTreeMap<String, Table>,
}

impl<'a> Files<'a> {
    pub(super) fn new(machine: &'a Path, manager: u16, agent: u16) -> Self {
        // Ports of TCP and UDP have nothing to do with each other: the manager's is as free as any.
        Self { machine, manager, agent, group: manager, drafts: 0, written: BTreeMap::new() }
    }

    /// The command that puts a block where its first line says. A block without a path only has to be TOML.
    pub(super) fn place(&mut self, block: &str) -> Result<String> {
        let table: Table = block.parse().context("a block is not TOML")?;
        let Some(path) = block.lines().next().and_then(|line| line.strip_prefix("# /")) else {
            return Ok(String::new());
        };
        let path = path.split([' ', ',']).next().unwrap_or_default().to_owned();
        let whole = self.written.entry(path.clone()).or_default();
        merge(whole, table);
        let whole = whole.clone();
        let local = self.localise(&path, whole)?;
        self.drafts += 1;
        let draft = self.machine.join(format!("draft-{}.toml", self.drafts));
        std::fs::write(&draft, toml::to_string(&local)?)?;
        let target = self.machine.join(&path);
        Ok(format!("install -D -m 0644 {} {}\n", draft.display(), target.display()))
    }

    /// The same file for a machine whose network is the loopback, where other ports may be taken.
    fn localise(&self, path: &str, mut table: Table) -> Result<Table> {
        let (group, state) = (i64::from(self.group), self.machine.join("var/lib"));
        let changes = match path {
            "etc/cardcage/manager.toml" => format!(
                "state_dir = {:?}\nlisten = \"127.0.0.1:{}\"\nadvertise = \"127.0.0.1\"\n\
                 [discovery]\ninterfaces = [\"127.0.0.1\"]\nport = {group}\nheartbeat_every = \"1s\"\nresource_every = \"1s\"",
                state.join("cardcage-manager"),
                self.manager
            ),
            "etc/cardcage/agent.toml" => format!(
                "state_dir = {:?}\n[discovery]\ninterfaces = [\"127.0.0.1\"]\nport = {group}\n\
                 [service]\nlisten = \"127.0.0.1:{}\"\n[managers]\nallow = [\"127.0.0.0/8\"]\n[kernel]\nsys = {:?}",
                state.join("cardcage"),
                self.agent,
                root().join("sdk/templates/rust-probe/board/sys")
            ),
            _ => bail!("{path} is not a file that is known here"),
        };
        merge(&mut table, changes.parse()?);
        Ok(table)
    }
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_block_adds_to_an_earlier_one() {
        let mut table: Table = "a = 1\n[b]\nc = 2".parse().unwrap();
        merge(&mut table, "[b]\nd = 3\nc = 4".parse().unwrap());
        assert_eq!(table, "a = 1\n[b]\nc = 4\nd = 3".parse::<Table>().unwrap());
    }
}
