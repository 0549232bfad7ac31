//! Paths of an archive, and that no two of them are in each other's way.
//!
//! A path is brought into one form: names with a slash between them, no `.`, no `..`, no slash at the ends. Readers of tar
//! differ in what a second entry of a name does, and in whether they write through a link; where there is no such thing,
//! they agree.

use std::collections::HashSet;

use super::entries::{Entry, Kind};
use super::{Fault, wrong};

/// Of one path, in bytes; the longest of usual archives has about 80.
const PATH: usize = 512;
const DEPTH: usize = 16;
/// Of all paths and the folders above them. Sixteen images of the most layers that there may be have less than half of it.
const ALL: usize = 4 << 20;

/// Its one form. The archive's root is empty.
pub(super) fn normal(path: &[u8]) -> Result<String, &'static str> {
    if path.len() > PATH {
        return Err("a path of more than 512 bytes");
    }
    let path = std::str::from_utf8(path).map_err(|_| "a path that is not UTF-8")?;
    if path.starts_with('/') {
        return Err("an absolute path");
    }
    if path.contains(char::is_control) {
        return Err("a path with a control character");
    }
    let names: Vec<&str> = path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    if names.contains(&"..") {
        return Err("a path with `..`");
    }
    if names.len() > DEPTH {
        return Err("a path of more than 16 folders");
    }
    Ok(names.join("/"))
}

/// Whether a symbolic link there may lead to that place: relative, and by its letters never above the root.
pub(super) fn may_point_to(link: &str, target: &[u8]) -> Result<String, &'static str> {
    if target.is_empty() || target.len() > PATH {
        return Err("a link to nothing, or to a path of more than 512 bytes");
    }
    let target = std::str::from_utf8(target).map_err(|_| "a link to a path that is not UTF-8")?;
    if target.starts_with('/') || target.contains(char::is_control) {
        return Err("a link to an absolute path, or to one with a control character");
    }
    let mut depth = link.matches('/').count();
    for name in target.split('/').filter(|name| !name.is_empty() && *name != ".") {
        depth = match name {
            ".." => depth.checked_sub(1).ok_or("a link that leads out of the archive")?,
            _ => depth + 1,
        };
    }
    Ok(target.to_owned())
}

/// All that there was.
#[derive(Debug, Default)]
pub(super) struct Tree {
    folders: HashSet<String>,
    others: HashSet<String>,
    length: usize,
}

impl Tree {
    pub(super) fn add(&mut self, entry: &Entry) -> Result<(), Fault> {
        let name = &entry.name;
        let clash = || wrong(format!("it has {name:?} twice, or something below it that is no folder"));
        for (end, _) in name.match_indices('/') {
            let above = name.get(..end).unwrap_or_default();
            if self.others.contains(above) {
                return clash();
            }
            self.folder(above)?;
        }
        if entry.kind == Kind::Folder {
            return if self.others.contains(name) { clash() } else { self.folder(name) };
        }
        if name.is_empty() || self.folders.contains(name) || !self.others.insert(name.clone()) {
            return clash();
        }
        self.count(name)
    }

    fn folder(&mut self, name: &str) -> Result<(), Fault> {
        if name.is_empty() || self.folders.contains(name) {
            return Ok(());
        }
        self.folders.insert(name.to_owned());
        self.count(name)
    }

    fn count(&mut self, name: &str) -> Result<(), Fault> {
        self.length += name.len();
        if self.length > ALL { wrong("its paths have more than 4 MiB") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_has_one_form() {
        assert_eq!(normal(b"./a//b/./c/").as_deref(), Ok("a/b/c"));
        assert_eq!(normal(b"./").as_deref(), Ok(""));
        for path in ["/a", "a/../b", "..", "a\0b", "a\nb", &"x".repeat(513), &"a/".repeat(17)] {
            assert!(normal(path.as_bytes()).is_err(), "{path:?}");
        }
        assert!(normal(b"\xff").is_err());
    }

    #[test]
    fn a_link_stays_inside() {
        assert_eq!(may_point_to("a/layer.tar", b"../b/layer.tar").as_deref(), Ok("../b/layer.tar"));
        for target in ["/etc/passwd", "../../x", "", "b/../../../x"] {
            assert!(may_point_to("a/b", target.as_bytes()).is_err(), "{target:?}");
        }
    }

    fn add(tree: &mut Tree, name: &str, kind: Kind) -> bool {
        tree.add(&Entry { name: name.into(), kind, size: 0 }).is_ok()
    }

    #[test]
    fn nothing_is_there_twice_or_below_what_is_no_folder() {
        let mut tree = Tree::default();
        assert!(add(&mut tree, "", Kind::Folder));
        assert!(add(&mut tree, "a", Kind::Folder) && add(&mut tree, "a", Kind::Folder));
        assert!(add(&mut tree, "a/b", Kind::File) && add(&mut tree, "c/d", Kind::File));
        assert!(add(&mut tree, "link", Kind::Symlink(".".into())));
        assert!(!add(&mut tree, "a/b", Kind::File));
        assert!(!add(&mut tree, "a/b", Kind::Folder));
        assert!(!add(&mut tree, "a/b/c", Kind::File));
        assert!(!add(&mut tree, "c", Kind::File));
        assert!(!add(&mut tree, "c", Kind::Symlink("a".into())));
        assert!(!add(&mut tree, "link/manifest.json", Kind::File));
        assert!(!add(&mut tree, "", Kind::File));
    }

    #[test]
    fn paths_are_bounded_together() {
        let mut tree = Tree::default();
        let long = "x".repeat(500);
        let taken = (0..20_000).take_while(|n| add(&mut tree, &format!("{n}{long}"), Kind::File)).count();
        assert!((8_000..9_000).contains(&taken), "{taken}");
    }

    proptest! {
        #[test]
        fn the_one_form_has_itself(path in "[a./]{0,30}") {
            if let Ok(normal) = normal(path.as_bytes()) {
                prop_assert_eq!(super::normal(normal.as_bytes()), Ok(normal));
            }
        }
    }
}
