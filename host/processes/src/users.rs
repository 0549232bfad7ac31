//! The user that a program runs as. Looked up at every start: a name is what an operator gives, a number is what the
//! board makes of it today.

use std::ffi::CString;
use std::fs;
use std::os::unix::fs::lchown;
use std::path::Path;

use nix::unistd::{Gid, Uid, User, getgrouplist, setgid, setgroups, setuid};

use crate::Error;

/// A user with all that a process needs of it.
#[derive(Debug, Clone)]
pub struct Identity {
    pub name: String,
    pub home: String,
    uid: Uid,
    /// Set only where it is another user than the one we are.
    switch: Option<(Gid, Vec<Gid>)>,
}

impl Identity {
    /// The user of that name; without a name, the one we are.
    pub fn find(name: Option<&str>) -> Result<Self, Error> {
        name.map_or_else(|| Ok(Self::own()), Self::named)
    }

    fn named(name: &str) -> Result<Self, Error> {
        let absent = || Error::NoUser { user: name.to_owned() };
        let user = User::from_name(name)
            .map_err(|error| Error::io("look up a user in", Path::new("/etc/passwd"), error))?;
        let user = user.ok_or_else(absent)?;
        let text = CString::new(name).map_err(|_| absent())?;
        let groups = getgrouplist(&text, user.gid)
            .map_err(|error| Error::io("look up groups in", Path::new("/etc/group"), error))?;
        let switch = (user.uid != Uid::effective() || user.uid.is_root()).then_some((user.gid, groups));
        Ok(Self { name: user.name, home: user.dir.to_string_lossy().into_owned(), uid: user.uid, switch })
    }

    fn own() -> Self {
        let uid = Uid::effective();
        match User::from_uid(uid) {
            Ok(Some(user)) => {
                Self { name: user.name, home: user.dir.to_string_lossy().into_owned(), uid, switch: None }
            }
            _ => Self { name: uid.to_string(), home: "/".to_owned(), uid, switch: None },
        }
    }

    /// Gives a folder and all in it to this user. Links are given, not what they point to. Nobody else may write in it yet.
    pub fn give(&self, path: &Path) -> Result<(), Error> {
        let Some((gid, _)) = self.switch else { return Ok(()) };
        let mut left = vec![path.to_owned()];
        while let Some(path) = left.pop() {
            lchown(&path, Some(self.uid.as_raw()), Some(gid.as_raw()))
                .map_err(|error| self.denied(&path, error))?;
            let meta = fs::symlink_metadata(&path).map_err(|error| Error::io("look at", &path, error))?;
            if meta.is_dir() {
                let entries = fs::read_dir(&path).map_err(|error| Error::io("list", &path, error))?;
                for entry in entries {
                    left.push(entry.map_err(|error| Error::io("list", &path, error))?.path());
                }
            }
        }
        Ok(())
    }

    /// Becomes this user, for good. Only in a process with one thread.
    pub fn become_it(&self) -> nix::Result<()> {
        let Some((gid, groups)) = &self.switch else { return Ok(()) };
        setgroups(groups)?;
        setgid(*gid)?;
        setuid(self.uid)
    }

    fn denied(&self, path: &Path, error: std::io::Error) -> Error {
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            let why = format!("only root can give a folder to user {}", self.name);
            return Error::Unavailable { why };
        }
        Error::io("give away", path, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_or_absent() {
        let root = Identity::find(Some("root")).unwrap();
        assert_eq!((root.name.as_str(), root.uid.as_raw()), ("root", 0));
        for name in ["no-such-user-here", "", "a\0b", "root:x"] {
            assert_eq!(Identity::find(Some(name)).unwrap_err().code(), "absent", "{name:?}");
        }
        assert!(!Identity::find(None).unwrap().name.is_empty());
    }

    #[test]
    fn links_are_given_away_and_what_they_point_to_is_not() {
        use std::os::unix::fs::MetadataExt as _;
        let Ok(nobody) = Identity::find(Some("nobody")) else {
            return crate::crash_tests::skipped("there is no user nobody");
        };
        if !Uid::effective().is_root() {
            return crate::crash_tests::skipped("not root");
        }
        let folder = tempfile::tempdir().unwrap();
        let (outside, inside) = (folder.path().join("outside"), folder.path().join("inside"));
        fs::write(&outside, "").unwrap();
        fs::create_dir_all(inside.join("deep")).unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("deep/link")).unwrap();
        nobody.give(&inside).unwrap();
        let owner = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
        assert_eq!(owner(&outside), 0);
        for path in ["", "deep", "deep/link"] {
            assert_eq!(owner(&inside.join(path)), nobody.uid.as_raw(), "{path}");
        }
    }
}
