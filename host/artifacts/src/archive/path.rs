//! Paths of an archive. Only what stays inside by its letters alone is taken; nothing is ever made through a link, so
//! the letters are enough for that.

use std::fmt;

/// Longest path, in bytes.
const LIMIT: usize = 4096;
/// Longest name in a path, in bytes; file systems have no longer ones.
const NAME: usize = 255;
/// Deepest path, in names. Each level costs an open folder while the tree is walked.
const DEPTH: usize = 100;

/// One name of a path.
pub(crate) type Name = Box<[u8]>;

/// A path below the archive's root, as names: no empty one, no `.`, no `..`. The root itself has none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Inside(Vec<Name>);

impl Inside {
    pub(crate) fn parse(path: &[u8]) -> Result<Self, &'static str> {
        if path.len() > LIMIT {
            return Err("a path of more than 4096 bytes");
        }
        if path.starts_with(b"/") {
            return Err("an absolute path; paths must be relative to the archive's root");
        }
        let mut names = Vec::new();
        for name in names_of(path) {
            check_name(name)?;
            if name == b".." {
                return Err("a path with `..`");
            }
            names.push(name.into());
        }
        if names.len() > DEPTH {
            return Err("a path of more than 100 folders");
        }
        Ok(Self(names))
    }

    pub(crate) fn names(&self) -> &[Name] {
        &self.0
    }

    /// The folder and the name in it; nothing for the root.
    pub(crate) fn split(&self) -> Option<(&[Name], &[u8])> {
        self.0.split_last().map(|(name, folder)| (folder, &**name))
    }

    /// Whether a symbolic link here may have that target: relative, and by its letters never above the root.
    pub(crate) fn may_point_to(&self, target: &[u8]) -> Result<(), &'static str> {
        if target.is_empty() || target.len() > LIMIT {
            return Err("a link to nothing, or to a path of more than 4096 bytes");
        }
        if target.starts_with(b"/") {
            return Err("a link to an absolute path; it must stay inside the archive");
        }
        let mut depth = self.0.len().saturating_sub(1);
        for name in names_of(target) {
            check_name(name)?;
            depth = match name {
                b".." => depth.checked_sub(1).ok_or("a link that leads out of the archive")?,
                _ => depth + 1,
            };
        }
        Ok(())
    }
}

/// What stands between the slashes, without the empty ones and `.`.
pub(crate) fn names_of(path: &[u8]) -> impl DoubleEndedIterator<Item = &[u8]> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".")
}

fn check_name(name: &[u8]) -> Result<(), &'static str> {
    if name.contains(&0) {
        return Err("a path with a NUL");
    }
    if name.len() > NAME { Err("a name of more than 255 bytes") } else { Ok(()) }
}

/// For people: hostile letters escaped, and not all of a long one.
impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        f.write_str(&shown(&self.0.join(&b'/')))
    }
}

pub(crate) fn shown(path: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(path).escape_debug().take(200).collect();
    if path.len() > 200 { format!("{text}…") } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_taken_apart_or_refused() {
        let inside = |path: &str| Inside::parse(path.as_bytes()).map(|path| path.to_string());
        assert_eq!(inside("./a//b/./c/").unwrap(), "a/b/c");
        assert_eq!(inside("./").unwrap(), ".");
        assert_eq!(inside("..a/b..").unwrap(), "..a/b..");
        for path in ["/a", "..", "a/../b", "a/..", "./../a", "a\0b", &"a/".repeat(101), &"a".repeat(256)] {
            assert!(inside(path).is_err(), "{path}");
        }
        assert!(Inside::parse(&[b'/'; 5000]).is_err());
    }

    #[test]
    fn links_stay_inside_by_their_letters() {
        let check = |link: &str, target: &str| {
            Inside::parse(link.as_bytes()).unwrap().may_point_to(target.as_bytes()).is_ok()
        };
        assert!(check("a/b", "../c") && check("a/b", "c") && check("a/b", "..") && check("a", "b/.."));
        assert!(!check("a", "..") && !check("a/b", "../../c") && !check("a", "/etc") && !check("a", ""));
        assert!(!check("a/b", "c/../../../d") && !check("a", "b\0"));
    }

    proptest! {
        #[test]
        fn what_is_taken_has_no_way_up(path in proptest::collection::vec(prop_oneof![Just(b'/'), Just(b'.'), Just(b'a'), any::<u8>()], 0..40)) {
            if let Ok(inside) = Inside::parse(&path) {
                for name in inside.names() {
                    prop_assert!(!matches!(&**name, b"" | b"." | b".."));
                    prop_assert!(!name.contains(&b'/') && !name.contains(&0));
                }
            }
        }
    }
}
