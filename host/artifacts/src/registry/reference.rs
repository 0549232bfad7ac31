//! The name of something in a registry: `registry.example:5000/vendor/probe:1.2.0`, `…@sha256:…`, or both.

use std::fmt;
use std::str::FromStr;

use crate::Digest;
use crate::url::Url;

/// Longest name of a repository, in bytes.
const NAME: usize = 255;
/// Longest tag, in bytes.
const TAG: usize = 128;
/// What other tools take too, where a reference says nothing.
const LATEST: &str = "latest";
/// A registry that is known by one name and answers at another.
const HUB: (&str, &str) = ("docker.io", "registry-1.docker.io");

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Host and port, as they are written.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The same by content: whoever pulls it gets these bytes or none.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    pub(super) fn repository(&self) -> &str {
        &self.repository
    }

    pub(super) fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// What a registry is asked for. Where there are both a tag and a digest, the digest: a tag may have moved on.
    pub(super) fn wanted(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => format!("sha256:{digest}"),
            (None, Some(tag)) => tag.clone(),
            (None, None) => LATEST.to_owned(),
        }
    }

    /// Where its registry answers.
    pub(super) fn address(&self, scheme: &str) -> Result<Url, crate::Error> {
        let place = if self.registry == HUB.0 { HUB.1 } else { &self.registry };
        Url::parse(&format!("{scheme}://{place}/"))
    }
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.strip_prefix("oci://").unwrap_or(text);
        if text.contains("://") {
            return Err(
                "a reference has no scheme but oci://; write registry.example/vendor/probe:1.2.0".into()
            );
        }
        let (registry, rest) = text.split_once('/').unwrap_or(("", text));
        let registry = place(registry)?;
        let (named, digest) = match rest.split_once('@') {
            Some((named, digest)) => (named, Some(read_digest(digest)?)),
            None => (rest, None),
        };
        let (repository, tag) = match named.split_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (named, None),
        };
        if !is_repository(repository) {
            return Err(format!(
                "{repository:?} is no name of a repository: lower-case letters and digits in parts of at least one, \
                 between them /, or one of . _ __ -"
            ));
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(format!("{tag:?} is no tag: letters, digits, _ . - and at most {TAG} of them"));
        }
        Ok(Self { registry, repository: repository.to_owned(), tag: tag.map(str::to_owned), digest })
    }
}

/// None is left out, as that of one company may be elsewhere: what a board runs does not hang on a default.
fn place(registry: &str) -> Result<String, String> {
    let named = registry.contains(['.', ':']) || registry == "localhost";
    let address = Url::parse(&format!("https://{registry}/"));
    if !named || registry.contains(['@', '?', '#']) || address.is_err() {
        return Err(format!(
            "{registry:?} is no registry; a reference begins with one, such as registry.example:5000/"
        ));
    }
    Ok(registry.to_ascii_lowercase())
}

fn read_digest(text: &str) -> Result<Digest, String> {
    let digest = text.strip_prefix("sha256:").and_then(|digits| digits.parse().ok());
    digest.ok_or_else(|| format!("{text:?} is no digest: sha256: and 64 hexadecimal digits"))
}

/// Parts of letters and digits, in which single separators stand between others.
fn is_repository(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        let ends = [part.bytes().next(), part.bytes().last()];
        let separated =
            !["..", "___", "._", "_.", "-.", ".-", "-_", "_-"].iter().any(|two| part.contains(two));
        ends.iter().all(|end| end.is_some_and(inner))
            && part.bytes().all(|byte| inner(byte) || b"._-".contains(&byte))
            && separated
    };
    name.len() <= NAME && name.split('/').all(part)
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || b".-".contains(&byte))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@sha256:{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Reference, String> {
        text.parse()
    }

    #[test]
    fn a_reference_has_a_registry_a_repository_and_a_tag_or_a_digest() {
        let digest = "0123456789abcdef".repeat(4);
        for (text, registry, wanted) in [
            ("oci://registry.example:5000/vendor/probe:1.2.0", "registry.example:5000", "1.2.0".to_owned()),
            ("registry.example/probe", "registry.example", "latest".to_owned()),
            ("localhost/a/b_c/d__e/f-g/h.i:_1", "localhost", "_1".to_owned()),
            ("[::1]:5000/probe:A-b.c", "[::1]:5000", "A-b.c".to_owned()),
            (&format!("Registry.Example/p@sha256:{digest}"), "registry.example", format!("sha256:{digest}")),
            (&format!("127.0.0.1:5000/p:1@sha256:{digest}"), "127.0.0.1:5000", format!("sha256:{digest}")),
        ] {
            let reference = read(text).unwrap();
            assert_eq!((reference.registry(), reference.wanted()), (registry, wanted), "{text}");
            assert_eq!(read(&reference.to_string()).unwrap(), reference);
        }
        let pinned = read("r.example/p:1").unwrap().pinned(Digest::of(b""));
        assert!(pinned.to_string().starts_with("r.example/p@sha256:e3b0c442"), "{pinned}");
    }

    #[test]
    fn the_hub_answers_elsewhere() {
        let address = |text: &str| read(text).unwrap().address("https").unwrap().to_string();
        assert_eq!(address("docker.io/vendor/probe"), "https://registry-1.docker.io/");
        assert_eq!(address("ghcr.io/vendor/probe"), "https://ghcr.io/");
    }

    #[test]
    fn what_is_no_reference_is_refused_with_the_part_that_is_wrong() {
        for (text, part) in [
            ("", "no registry"),
            ("probe:1", "no registry"),
            ("vendor/probe:1", "no registry"),
            ("https://registry.example/probe", "no scheme but oci://"),
            ("joe:secret@registry.example/probe", "no registry"),
            ("registry.example:99999/probe", "no registry"),
            ("registry.example#/probe", "no registry"),
            ("registry.example/", "no name"),
            ("registry.example/Probe", "no name"),
            ("registry.example/a//b", "no name"),
            ("registry.example/../b", "no name"),
            ("registry.example/a..b", "no name"),
            ("registry.example/a___b", "no name"),
            ("registry.example/-a", "no name"),
            ("registry.example/a%2fb", "no name"),
            ("registry.example/a:", "no tag"),
            ("registry.example/a:-1", "no tag"),
            ("registry.example/a:1:2", "no tag"),
            ("registry.example/a:1?x", "no tag"),
            ("registry.example/a@sha256:12", "no digest"),
            ("registry.example/a@sha512:12", "no digest"),
            ("registry.example/a@", "no digest"),
        ] {
            let reason = read(text).unwrap_err();
            assert!(reason.contains(part), "{text}: {reason}");
        }
        assert!(read(&format!("r.example/{}", "a".repeat(NAME + 1))).is_err());
        assert!(read(&format!("r.example/a:{}", "a".repeat(TAG + 1))).is_err());
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_and_what_it_reads_is_stable(text in "(oci://)?[a-z.:\\[\\]]{0,8}/?[a-zA-Z0-9é@:/._-]{0,30}") {
            if let Ok(reference) = read(&text) {
                prop_assert_eq!(read(&reference.to_string()), Ok(reference.clone()));
                let address = reference.address("https").unwrap().with_path(&format!("/v2/{}/manifests/{}", reference.repository(), reference.wanted()));
                // Nothing in it leads anywhere else.
                prop_assert_eq!(Url::parse(&address.full()).unwrap().full(), address.full());
            }
        }
    }
}
