//! A tree of files in memory, for the unit tests of what searches a board.

use std::collections::{BTreeMap, BTreeSet};

use crate::files::Files;
use crate::{Error, code};

/// More links than this in one path are a circle, as for the kernel.
const MOST_LINKS: usize = 40;

/// Files, symbolic links and files that fail, by absolute path.
///
/// ```
/// use cardcage_sdk::{fake::Tree, files::Files};
///
/// let tree = Tree::new()
///     .file("/sys/devices/platform/fan/hwmon/hwmon3/name", "pwmfan")
///     .link("/sys/class/hwmon/hwmon3", "/sys/devices/platform/fan/hwmon/hwmon3");
///
/// assert_eq!(tree.entries("/sys/class/hwmon")?, ["hwmon3"]);
/// assert_eq!(tree.resolve("/sys/class/hwmon/hwmon3/name")?, "/sys/devices/platform/fan/hwmon/hwmon3/name");
/// # Ok::<(), cardcage_sdk::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

#[derive(Debug, Clone)]
enum Node {
    File(String),
    Link(String),
    Failing(&'static str),
}

impl Tree {
    /// A tree without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file, and the folders above it.
    #[must_use]
    pub fn file(self, path: &str, content: &str) -> Self {
        self.node(path, Node::File(content.into()))
    }

    /// Adds a symbolic link to an absolute path.
    #[must_use]
    pub fn link(self, path: &str, target: &str) -> Self {
        self.node(path, Node::Link(target.into()))
    }

    /// Adds a file that is listed and fails to be read with this word of [`code`].
    #[must_use]
    pub fn failing(self, path: &str, code: &'static str) -> Self {
        self.node(path, Node::Failing(code))
    }

    /// Takes away a file or a link, or a folder with what is in it.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        self.nodes.retain(|node, _| node != path && below(node, path).is_none());
        self
    }

    fn node(mut self, path: &str, node: Node) -> Self {
        self.nodes.insert(path.into(), node);
        self
    }

    fn follow(&self, path: &str) -> Result<String, Error> {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            let Some(target) = self.nodes.iter().find_map(|(link, node)| match node {
                Node::Link(target) if path == *link => Some(target.clone()),
                Node::Link(target) => below(&path, link).map(|rest| format!("{target}/{rest}")),
                _ => None,
            }) else {
                return Ok(path);
            };
            path = target;
        }
        Err(Error::new(code::IO, format!("{path}: too many links")))
    }

    fn read(&self, path: &str) -> Result<String, Error> {
        match self.nodes.get(&self.follow(path)?) {
            Some(Node::File(content)) => Ok(content.trim_ascii_end().to_owned()),
            Some(Node::Failing(code)) => Err(Error::new(code, format!("{path} fails"))),
            Some(Node::Link(_)) | None => Err(Error::absent(format!("{path} is not there"))),
        }
    }
}

impl Files for Tree {
    fn entries(&self, folder: &str) -> Result<Vec<String>, Error> {
        let real = self.follow(folder)?;
        let inside = self.nodes.keys().filter_map(|path| below(path, &real)?.split('/').next());
        let names: BTreeSet<&str> = inside.collect();
        if names.is_empty() {
            return Err(Error::absent(format!("{folder} is not there")));
        }
        Ok(names.into_iter().map(str::to_owned).collect())
    }

    fn resolve(&self, path: &str) -> Result<String, Error> {
        let real = self.follow(path)?;
        let there = self.nodes.keys().any(|node| *node == real || below(node, &real).is_some());
        if there { Ok(real) } else { Err(Error::absent(format!("{path} is not there"))) }
    }

    fn read_all(&self, paths: &[String]) -> Result<Vec<Result<String, Error>>, Error> {
        Ok(paths.iter().map(|path| self.read(path)).collect())
    }
}

/// What of the path is below the folder.
fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/')
}

/// An order of which a test changes what it is about.
pub fn order() -> crate::deploy::Order {
    crate::deploy::Order {
        uuid: "0d4c5a8e-7d1e-4f0a-9f53-2f1f5d2f8a11".into(),
        instance_id: String::new(),
        index: 0,
        name: "app".into(),
        url: "http://repo.example".into(),
        file: "app.tar.gz".into(),
        options: "{}".into(),
        requirements: crate::deploy::Requirements { cores: 1, memory: 64 << 20, gpus: 0 },
        digest: "0".repeat(64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        Tree::new()
            .file("/sys/devices/a/hwmon/hwmon1/name", "a\n")
            .link("/sys/devices/a/hwmon/hwmon1/device", "/sys/devices/a")
            .link("/sys/class/hwmon/hwmon1", "/sys/devices/a/hwmon/hwmon1")
            .failing("/sys/devices/a/hwmon/hwmon1/temp1_input", code::IO)
    }

    #[test]
    fn links_are_followed_anywhere_in_a_path() {
        assert_eq!(tree().resolve("/sys/class/hwmon/hwmon1/device").unwrap(), "/sys/devices/a");
        assert_eq!(tree().entries("/sys/class/hwmon/hwmon1").unwrap(), ["device", "name", "temp1_input"]);
    }

    #[test]
    fn each_file_answers_for_itself() {
        let paths = ["name", "temp1_input", "none"].map(|name| format!("/sys/class/hwmon/hwmon1/{name}"));
        let contents = tree().read_all(&paths).unwrap();
        assert_eq!(contents[0].as_deref(), Ok("a"));
        assert!(contents[1].as_ref().is_err_and(|error| error.is(code::IO)));
        assert!(contents[2].as_ref().is_err_and(|error| error.is(code::ABSENT)));
    }

    #[test]
    fn a_circle_of_links_is_an_error() {
        let circle = Tree::new().link("/a", "/b").link("/b", "/a");
        assert!(circle.resolve("/a").unwrap_err().is(code::IO));
    }

    #[test]
    fn what_is_taken_away_is_absent() {
        let gone = tree().without("/sys/class/hwmon/hwmon1");
        assert!(gone.entries("/sys/class/hwmon").unwrap_err().is(code::ABSENT));
    }
}
