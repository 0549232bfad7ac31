//! Names of images: the grammar of the OCI distribution specification, and the short names of the Hub made long.
//!
//! A name is always sent to the engine in full, so that no engine's list of default registries decides where an image comes
//! from, and credentials go to exactly the host that the reader of the name sees.

use crate::Error;

/// The registry that short names mean.
const HUB: &str = "docker.io";
/// The longest name, host included.
const NAME: usize = 255;
const TAG: usize = 128;

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// The registry, with its port where it has one; in lower case.
    pub(crate) host: String,
    /// Where in the registry.
    pub(crate) path: String,
    pub(crate) tag: Option<String>,
    /// With its algorithm.
    pub(crate) digest: Option<String>,
}

impl Reference {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).map_err(|reason| {
            let shown: String = text.chars().take(NAME).collect();
            Error::invalid(format!("image reference {:?}", shown), reason)
        })
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        if name.len() > NAME {
            return Err("the name has more than 255 bytes");
        }
        let (host, path) = split_host(name);
        if !is_host(&host) {
            return Err("the registry is not host or host:port");
        }
        if !path.split('/').all(is_component) {
            return Err("the path has to be lower-case words with '.', '_' or '-' between them");
        }
        if !tag.is_none_or(is_tag) {
            return Err("the tag is not one word of at most 128 letters, digits, '.', '_', '-'");
        }
        if !digest.is_none_or(is_digest) {
            return Err("the digest is not sha256: and 64 hexadecimal digits");
        }
        Ok(Self { host, path, tag: tag.map(Into::into), digest: digest.map(Into::into) })
    }

    /// Without tag and digest.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.host, self.path)
    }

    /// What is asked for there: the digest if there is one, otherwise the tag.
    pub(crate) fn version(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or("latest")
    }

    /// In full, as engines take it.
    pub(crate) fn full(&self) -> String {
        match &self.digest {
            Some(digest) => self.pinned(digest),
            None => format!("{}:{}", self.name(), self.version()),
        }
    }

    /// The same image, so that it cannot change.
    pub(crate) fn pinned(&self, digest: &str) -> String {
        format!("{}@{digest}", self.name())
    }
}

/// The first word is a host only if it looks like one: `team/app` is on the Hub, `team.example/app` is not.
fn split_host(name: &str) -> (String, String) {
    match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => {
            let host = registry(first);
            let path = if host == HUB { on_the_hub(path) } else { path.into() };
            (host, path)
        }
        _ => (HUB.into(), on_the_hub(name)),
    }
}

/// One name for each registry, and one of the Hub's.
pub(crate) fn registry(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    if matches!(host.as_str(), "index.docker.io" | "registry-1.docker.io") { HUB.into() } else { host }
}

fn on_the_hub(path: &str) -> String {
    if path.contains('/') { path.into() } else { format!("library/{path}") }
}

/// Whether the text names an image by what is in it.
pub(crate) fn is_image_id(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| is_hex(hex, 64))
}

pub(crate) fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

pub(crate) fn is_digest(text: &str) -> bool {
    is_image_id(text) || text.strip_prefix("sha512:").is_some_and(|hex| is_hex(hex, 128))
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let name_fits = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(is_label),
    };
    name_fits
        && port
            .is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut rest = component.as_bytes();
    loop {
        let letters = rest.iter().take_while(|byte| word(byte)).count();
        let (letters, after) = rest.split_at(letters);
        let separators = after.iter().take_while(|byte| !word(byte)).count();
        let (between, next) = after.split_at(separators);
        let fits = matches!(between, b"." | b"_" | b"__") || between.iter().all(|byte| *byte == b'-');
        if letters.is_empty() || !fits {
            return false;
        }
        if next.is_empty() {
            return between.is_empty();
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full(text: &str) -> Option<String> {
        Reference::parse(text).ok().map(|reference| reference.full())
    }

    #[test]
    fn short_names_become_long() {
        assert_eq!(full("busybox").as_deref(), Some("docker.io/library/busybox:latest"));
        assert_eq!(full("team/app:1.2").as_deref(), Some("docker.io/team/app:1.2"));
        assert_eq!(full("index.docker.io/busybox").as_deref(), Some("docker.io/library/busybox:latest"));
        assert_eq!(full("Registry.Example:5000/a/b").as_deref(), Some("registry.example:5000/a/b:latest"));
        assert_eq!(full("localhost/a").as_deref(), Some("localhost/a:latest"));
        assert_eq!(full("[::1]:5000/a").as_deref(), Some("[::1]:5000/a:latest"));
    }

    #[test]
    fn a_digest_stands_before_a_tag() {
        let digest = format!("sha256:{}", "a".repeat(64));
        assert_eq!(full(&format!("r.example/a:1@{digest}")), Some(format!("r.example/a@{digest}")));
    }

    #[test]
    fn what_is_not_a_name_is_refused() {
        let long = format!("r.example/{}", "a".repeat(300));
        for text in [
            "",
            ":",
            "@",
            "/",
            "a b",
            "A",
            "a/",
            "/a",
            "a//b",
            "a..b",
            "a___b",
            "-a",
            "a-",
            "a:",
            "a:b c",
            "a@sha256:12",
            "a\n",
            "a?b=c",
            "../a",
            "r.example:99999/a",
            "r.example:/a b",
            "-r.example/a",
            "r.example/a#b",
            &long,
        ] {
            assert!(Reference::parse(text).is_err(), "{text:?} was taken");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused_and_what_is_taken_is_stable(text in ".{0,80}") {
            if let Some(full) = full(&text) {
                prop_assert_eq!(Reference::parse(&full).map(|again| again.full()).ok(), Some(full));
            }
        }

        #[test]
        fn names_of_the_grammar_are_taken(path in "[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,8}){0,3}(/[a-z0-9]{1,5}){0,2}", tag in "[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}") {
            let text = format!("r.example:5000/{path}:{tag}");
            prop_assert_eq!(full(&text), Some(text));
        }
    }
}
