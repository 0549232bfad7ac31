//! What of the board's files one plugin may read: what it requests and the operator gives, both.

use std::path::{Component, Path, PathBuf};

/// Longest path, in bytes.
const PATH_LIMIT: usize = 1024;
/// What is shown of a path that is none, in characters.
const SHOWN: usize = 64;

/// Folders and files, as paths of the board. Empty means nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant(Vec<PathBuf>);

/// Why a path is not read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0:?} is not a path that can be read: absolute, without . and .., at most {PATH_LIMIT} bytes")]
    Malformed(String),
    #[error("{0} is not granted; the operator gives it under [plugins.grants]")]
    NotGranted(PathBuf),
}

impl Grant {
    /// What both cover: of two paths where one is below the other, the narrower.
    pub fn new(requested: &[PathBuf], given: &[PathBuf]) -> Self {
        let narrower = |a: &PathBuf, b: &PathBuf| match (a.starts_with(b), b.starts_with(a)) {
            (true, _) => Some(a.clone()),
            (_, true) => Some(b.clone()),
            _ => None,
        };
        let both =
            requested.iter().flat_map(|request| given.iter().filter_map(move |gift| narrower(request, gift)));
        // The memory and the secrets of processes are behind /proc; facts from there are the kernel capability's.
        let mut paths: Vec<PathBuf> =
            both.filter(|path| !path.starts_with("/proc") && path != Path::new("/")).collect();
        paths.sort();
        paths.dedup();
        Self(paths)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(PathBuf::as_path)
    }

    /// Checks a path as it is written. Where its links lead is checked again when it is opened.
    pub fn ask(&self, path: &str) -> Result<Granted, Refusal> {
        let parsed = Path::new(path);
        let plain = parsed.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        // `components` skips `.` in the middle, so the text is looked at as well.
        let dots = path.split('/').any(|part| part == "." || part == "..");
        if path.len() > PATH_LIMIT || path.contains('\0') || !parsed.is_absolute() || !plain || dots {
            return Err(Refusal::Malformed(path.chars().take(SHOWN).collect()));
        }
        match self.0.iter().find(|granted| parsed.starts_with(granted)) {
            Some(root) => Ok(Granted { path: parsed.to_owned(), root: root.clone() }),
            None => Err(Refusal::NotGranted(parsed.to_owned())),
        }
    }
}

/// A path whose text was checked, and the granted path that covers it. Only [`Grant::ask`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    path: PathBuf,
    root: PathBuf,
}

impl Granted {
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The entry of the granted folder that the path leads through: `hwmon0` of `/sys/class/hwmon/hwmon0/temp1_input`.
    pub fn entry(&self) -> Option<PathBuf> {
        let first = self.path.strip_prefix(&self.root).ok()?.components().next()?;
        Some(self.root.join(first))
    }
}

impl AsRef<Path> for Granted {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grant(requested: &[&str], given: &[&str]) -> Grant {
        let paths = |texts: &[&str]| texts.iter().map(PathBuf::from).collect::<Vec<_>>();
        Grant::new(&paths(requested), &paths(given))
    }

    #[test]
    fn only_what_is_requested_and_given_is_granted() {
        assert!(grant(&["/sys/class/hwmon"], &["/sys/class/drm"]).is_empty());
        assert!(grant(&["/sys/class/hwmon"], &[]).is_empty());
        assert!(grant(&[], &["/sys"]).is_empty());
        assert_eq!(grant(&["/sys/class/hwmon"], &["/sys"]), grant(&["/sys"], &["/sys/class/hwmon"]));
    }

    #[test]
    fn proc_and_the_whole_machine_are_never_granted() {
        assert!(grant(&["/proc"], &["/proc"]).is_empty());
        assert!(grant(&["/proc/self/mem"], &["/"]).is_empty());
        assert!(grant(&["/"], &["/"]).is_empty());
    }

    #[test]
    fn a_path_outside_the_grant_is_refused() {
        let grant = grant(&["/sys/class/hwmon"], &["/sys/class/hwmon"]);
        assert!(grant.ask("/sys/class/hwmon/hwmon0/temp1_input").is_ok());
        assert!(matches!(grant.ask("/sys/class/hwmonx/a"), Err(Refusal::NotGranted(_))));
        assert!(matches!(grant.ask("/etc/shadow"), Err(Refusal::NotGranted(_))));
        for path in
            ["/sys/class/hwmon/../../../etc/shadow", "sys/class/hwmon", "/sys/class/hwmon/./a", "", "/a\0b"]
        {
            assert!(matches!(grant.ask(path), Err(Refusal::Malformed(_))), "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_granted_is_below_the_grant(path in "(/|\\.|\\.\\.|sys|class|hwmon|a){0,12}") {
            let grant = grant(&["/sys/class/hwmon"], &["/sys/class"]);
            if let Ok(granted) = grant.ask(&path) {
                prop_assert!(granted.path().starts_with("/sys/class/hwmon"));
                prop_assert!(!granted.path().to_string_lossy().contains(".."));
            }
        }
    }
}
