//! The boards that a plugin is for.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor, value::SeqAccessDeserializer};

use crate::{Glob, ManifestError, wrong};

/// Most entries of `[[boards]]`.
pub(crate) const ENTRIES_LIMIT: usize = 32;
/// Most patterns of one key.
const PATTERNS_LIMIT: usize = 32;

/// One entry of `[[boards]]`: a kind of board. Every key that is set must fit, and of a key's patterns any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Boards {
    /// Who made it: `sys_vendor` or `board_vendor` of DMI, or the maker in the first `compatible` of the device tree.
    pub vendor: Patterns,
    /// What its maker calls it: `product_name` of DMI, or `model` of the device tree.
    pub model: Patterns,
    /// Its main board: `board_name` of DMI, or what the operator calls its type (`[board] board_type`).
    pub board: Patterns,
    /// Strings of DMI, by their file name below `/sys/class/dmi/id`.
    pub dmi: BTreeMap<String, Patterns>,
    /// Any of the `compatible` strings at the root of the device tree.
    pub device_tree: Patterns,
    /// A function on the PCI bus that is present, as `vendor:device`, each four lower-case hexadecimal digits.
    pub pci: Patterns,
    /// Paths below `/sys` or `/dev`, all of which must be there. A pattern stands within one step of a path.
    pub exists: Vec<Glob>,
    /// The architecture as `uname -m` says it.
    pub arch: Patterns,
}

/// One pattern or a list of them, any of which may match. Empty where the key is not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patterns(Vec<Glob>);

impl Patterns {
    /// Whether the key is not set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any of them matches.
    pub fn matches(&self, text: &str) -> bool {
        self.0.iter().any(|glob| glob.matches(text))
    }

    /// The patterns.
    pub fn iter(&self) -> impl Iterator<Item = &Glob> {
        self.0.iter()
    }
}

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Patterns;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a pattern or a list of patterns")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Patterns, E> {
                let glob = Glob::deserialize(serde::de::value::StrDeserializer::new(text))?;
                Ok(Patterns(vec![glob]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Patterns, A::Error> {
                let globs = Vec::deserialize(SeqAccessDeserializer::new(list))?;
                // An empty list would fit no board, or, as if the key were not there, every board.
                match globs.is_empty() {
                    true => Err(A::Error::custom("an empty list of patterns; leave the key out")),
                    false => Ok(Patterns(globs)),
                }
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}

impl Boards {
    pub(crate) fn check(&self) -> Result<(), ManifestError> {
        if *self == Self::default() {
            return Err(wrong("boards", "an entry without a key", "left out: without it, every board fits"));
        }
        for name in self.dmi.keys() {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
            if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) {
                let rule = "names of files below /sys/class/dmi/id, such as board_name";
                return Err(wrong("boards.dmi", format!("{name:?}"), rule));
            }
        }
        let lists = [
            ("vendor", self.vendor.0.len()),
            ("model", self.model.0.len()),
            ("board", self.board.0.len()),
            ("device_tree", self.device_tree.0.len()),
            ("pci", self.pci.0.len()),
            ("exists", self.exists.len()),
            ("arch", self.arch.0.len()),
            ("dmi", self.dmi.len()),
        ];
        let of_dmi = self.dmi.values().map(|patterns| ("dmi", patterns.0.len()));
        for (key, length) in lists.into_iter().chain(of_dmi) {
            if length > PATTERNS_LIMIT {
                let rule = format!("at most {PATTERNS_LIMIT} patterns");
                return Err(wrong(format!("boards.{key}"), length, rule));
            }
        }
        if let Some(glob) = self.pci.iter().find(|glob| !is_pci(glob.as_str())) {
            let rule = "vendor:device in lower-case hexadecimal digits, such as \"10de:*\"";
            return Err(wrong("boards.pci", glob, rule));
        }
        if let Some(glob) = self.exists.iter().find(|glob| !is_place(glob.as_str())) {
            let rule = "an absolute path below /sys or /dev, without . and ..";
            return Err(wrong("boards.exists", glob, rule));
        }
        Ok(())
    }
}

fn is_pci(pattern: &str) -> bool {
    let half = |half: &str| {
        (1..=4).contains(&half.len())
            && half.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f' | b'*' | b'?'))
    };
    pattern.split_once(':').is_some_and(|(vendor, device)| half(vendor) && half(device))
}

fn is_place(path: &str) -> bool {
    let below = path.strip_prefix("/sys/").or_else(|| path.strip_prefix("/dev/"));
    below.is_some_and(|rest| rest.split('/').all(|step| !matches!(step, "" | "." | "..")))
}

#[cfg(test)]
mod tests {
    use crate::Manifest;

    fn parse(boards: &str) -> Result<Manifest, String> {
        let text = format!("name = \"a\"\nversion = \"1\"\n{boards}");
        Manifest::parse(&text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_kind_of_board_is_patterns() {
        let manifest = parse(
            r#"
            [[boards]]
            vendor = "ACME*"
            model = ["X1", "X2-?"]
            dmi = { board_name = "X*" }
            pci = ["10de:*", "10de:2335"]
            exists = ["/sys/class/hwmon/hwmon*/name"]
            [[boards]]
            device_tree = ["acme,board-*"]
            arch = "aarch64"
            "#,
        );
        let boards = manifest.unwrap().boards;
        assert!(boards[0].model.matches("X2-b") && !boards[0].model.matches("X3"));
        assert!(boards[0].arch.is_empty() && boards[1].arch.matches("aarch64"));
    }

    #[test]
    fn what_could_never_match_is_refused_by_name() {
        for (boards, says) in [
            ("[[boards]]", "boards is an entry without a key"),
            ("[[boards]]\nmodle = \"X\"", "boards[0].modle: unknown field `modle`"),
            ("[[boards]]\nmodel = []", "boards[0].model: an empty list"),
            ("[[boards]]\nmodel = 1", "boards[0].model: invalid type"),
            ("[[boards]]\nmodel = \"\"", "1 to 128 bytes"),
            (
                "[[boards]]\npci = \"10DE:*\"",
                "boards.pci is \"10DE:*\"; it must be vendor:device in lower-case",
            ),
            ("[[boards]]\npci = \"10de\"", "boards.pci"),
            ("[[boards]]\nexists = [\"/etc/passwd\"]", "below /sys or /dev"),
            ("[[boards]]\nexists = [\"/sys/../etc\"]", "below /sys or /dev"),
            ("[[boards]]\nexists = [\"/sys\"]", "below /sys or /dev"),
            ("[[boards]]\ndmi = { \"../x\" = \"a\" }", "boards.dmi is \"../x\""),
        ] {
            let error = parse(boards).unwrap_err();
            assert!(error.contains(says), "{boards}: {error}");
        }
        let many = format!("[[boards]]\nmodel = [{}]", "\"X\",".repeat(33));
        assert!(parse(&many).unwrap_err().contains("at most 32 patterns"));
        assert!(parse(&"[[boards]]\nmodel = \"X\"\n".repeat(33)).unwrap_err().contains("at most 32"));
    }
}
