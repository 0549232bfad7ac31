//! Whether a plugin is for this board: `[[boards]]` of its manifest against what the board says about itself.
//!
//! The board is asked at most once a start, for each kind of fact when the first rule needs it: where no plugin has a rule,
//! nothing is read. Everything here reads files and may block: call it where that is allowed.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use cardcage_manifest::{Boards, Glob, Patterns};
use rustix::fs::{Mode, OFlags};

use crate::capability::Roots;
use crate::config;

/// Most bytes of a file that says a fact.
const FILE_LIMIT: u64 = 4096;
/// Most characters of one fact.
const FACT_LIMIT: usize = 256;
/// Most names that are read of a folder.
const NAMES_LIMIT: usize = 4096;
/// Most `compatible` strings.
const COMPATIBLE_LIMIT: usize = 64;
/// Most places that the `exists` rules of one plugin are looked for at: patterns in several steps of a path multiply.
const PLACES_LIMIT: usize = 4096;
/// What is shown of many.
const SHOWN: usize = 4;

/// Why a plugin is not for this board.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("is for other boards: {0}")]
pub struct OtherBoard(String);

/// Whether any of the rules fits, or there is none.
pub fn applies(rules: &[Boards], facts: &BoardFacts) -> Result<(), OtherBoard> {
    let places = Cell::new(PLACES_LIMIT);
    let mut reasons = Vec::new();
    for rule in rules {
        match facts.mismatch(rule, &places) {
            None => return Ok(()),
            Some(reason) => reasons.push(reason),
        }
    }
    match reasons.is_empty() {
        true => Ok(()),
        false => Err(OtherBoard(some(reasons, "; or "))),
    }
}

/// What the board says about itself, read below the roots that probes read, so that a recording stands for its board.
#[derive(Debug)]
pub struct BoardFacts {
    roots: Arc<Roots>,
    /// Where `/sys` and `/proc` are, without links. Nothing is read elsewhere, wherever a link leads.
    inside: [Option<PathBuf>; 2],
    /// As the operator calls the board.
    board_type: Option<String>,
    dmi: OnceLock<BTreeMap<String, String>>,
    tree_model: OnceLock<Option<String>>,
    compatible: OnceLock<Vec<String>>,
    /// `10de:2335`
    pci: OnceLock<BTreeSet<String>>,
}

impl BoardFacts {
    pub fn new(roots: Arc<Roots>, board: &config::Board) -> Self {
        Self {
            inside: [&roots.sys, &roots.proc].map(|root| root.canonicalize().ok()),
            board_type: board.board_type.clone(),
            roots,
            dmi: OnceLock::new(),
            tree_model: OnceLock::new(),
            compatible: OnceLock::new(),
            pci: OnceLock::new(),
        }
    }

    /// The first key of a rule that does not fit, and why.
    fn mismatch(&self, rule: &Boards, places: &Cell<usize>) -> Option<String> {
        one_of("architecture", &rule.arch, || self.roots.architecture.as_deref().into_iter().collect())
            .or_else(|| one_of("vendor", &rule.vendor, || self.vendors()))
            .or_else(|| one_of("model", &rule.model, || self.models()))
            .or_else(|| one_of("board", &rule.board, || self.boards()))
            .or_else(|| {
                let said = |name: &String| self.dmi(name).into_iter().collect();
                rule.dmi.iter().find_map(|(name, patterns)| one_of(name, patterns, || said(name)))
            })
            .or_else(|| one_of("device tree", &rule.device_tree, || texts(self.compatible())))
            .or_else(|| {
                let present = rule.pci.is_empty() || self.pci().iter().any(|id| rule.pci.matches(id));
                (!present).then(|| format!("no PCI function is {}", wanted(&rule.pci)))
            })
            .or_else(|| rule.exists.iter().find_map(|path| self.missing(path, places)))
    }

    fn vendors(&self) -> Vec<&str> {
        let maker = self.compatible().first().and_then(|text| text.split_once(',')).map(|(maker, _)| maker);
        [self.dmi("sys_vendor"), self.dmi("board_vendor"), maker].into_iter().flatten().collect()
    }

    fn models(&self) -> Vec<&str> {
        let tree = self.tree_model.get_or_init(|| self.device_tree("model").into_iter().next());
        [self.dmi("product_name"), tree.as_deref()].into_iter().flatten().collect()
    }

    fn boards(&self) -> Vec<&str> {
        [self.board_type.as_deref(), self.dmi("board_name")].into_iter().flatten().collect()
    }

    /// A string of the firmware.
    fn dmi(&self, name: &str) -> Option<&str> {
        let folder = || self.roots.sys.join("class/dmi/id");
        let read = |path: PathBuf| {
            let text = fact(self.text(&path)?.lines().next()?)?;
            Some((path.file_name()?.to_str()?.to_owned(), text))
        };
        let all = self.dmi.get_or_init(|| self.entries(&folder()).into_iter().filter_map(read).collect());
        all.get(name).map(String::as_str)
    }

    fn compatible(&self) -> &[String] {
        self.compatible.get_or_init(|| self.device_tree("compatible"))
    }

    /// A property of the device tree's root: strings, each ended by a zero byte.
    fn device_tree(&self, property: &str) -> Vec<String> {
        let bases = [self.roots.proc.join("device-tree"), self.roots.sys.join("firmware/devicetree/base")];
        let text = bases.iter().find_map(|base| self.text(&base.join(property))).unwrap_or_default();
        text.split('\0').filter_map(fact).take(COMPATIBLE_LIMIT).collect()
    }

    fn pci(&self) -> &BTreeSet<String> {
        self.pci.get_or_init(|| {
            let functions = self.entries(&self.roots.sys.join("bus/pci/devices"));
            let id = |function: PathBuf| {
                let half = |name: &str| {
                    let text = self.text(&function.join(name))?;
                    let number = u16::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()?;
                    Some(format!("{number:04x}"))
                };
                Some(format!("{}:{}", half("vendor")?, half("device")?))
            };
            functions.into_iter().filter_map(id).collect()
        })
    }

    /// The entries of a folder, sorted.
    fn entries(&self, folder: &Path) -> Vec<PathBuf> {
        let place = self.place(folder);
        let mut entries = place.as_deref().map(names).unwrap_or_default();
        entries.sort();
        entries.iter().map(|name| folder.join(name)).collect()
    }

    /// Where a path leads once its links are followed, unless that is out of the roots.
    fn place(&self, path: &Path) -> Option<PathBuf> {
        let here = path.canonicalize().ok()?;
        self.inside.iter().flatten().any(|root| here.starts_with(root)).then_some(here)
    }

    /// A small ordinary file. A device or a pipe is not opened: to open one can already do something.
    fn text(&self, path: &Path) -> Option<String> {
        let here = self.place(path)?;
        if !here.symlink_metadata().ok()?.is_file() {
            return None;
        }
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
        let file = File::from(rustix::fs::open(&here, flags, Mode::empty()).ok()?);
        let mut text = String::new();
        let ordinary = file.metadata().ok()?.is_file();
        file.take(FILE_LIMIT + 1).read_to_string(&mut text).ok().filter(|_| ordinary)?;
        (text.len() as u64 <= FILE_LIMIT).then_some(text)
    }

    /// Why an `exists` rule does not hold.
    fn missing(&self, path: &Glob, places: &Cell<usize>) -> Option<String> {
        let written = path.as_str();
        let (root, below) = match (written.strip_prefix("/sys/"), written.strip_prefix("/dev/")) {
            (Some(below), _) => (self.inside.first().cloned().flatten(), below),
            // This machine's devices do not stand in for those of a recorded board.
            (_, Some(below)) if self.roots.sys == Path::new("/sys") => (Some("/dev".into()), below),
            _ => (None, ""),
        };
        let steps: Vec<&str> = below.split('/').collect();
        match root.is_some_and(|root| is_there(&root, &root, &steps, places)) {
            true => None,
            false if places.get() == 0 => Some(format!("{path} could be at more than {PLACES_LIMIT} places")),
            false => Some(format!("{path} is not there")),
        }
    }
}

/// Whether these steps lead on from a folder, by links too if they stay inside. Nothing is opened but folders.
fn is_there(root: &Path, folder: &Path, steps: &[&str], places: &Cell<usize>) -> bool {
    let Some((step, rest)) = steps.split_first() else { return true };
    let found = match Glob::new(step) {
        Some(glob) if !glob.is_literal() => {
            let fits = |name: &String| glob.matches(name);
            names(folder).into_iter().filter(fits).collect()
        }
        _ => vec![(*step).to_owned()],
    };
    found.iter().any(|name| {
        let Some(left) = places.get().checked_sub(1) else { return false };
        places.set(left);
        let next = folder.join(name);
        match next.symlink_metadata() {
            Ok(_) if rest.is_empty() => true,
            Ok(about) if about.is_symlink() => {
                let place = next.canonicalize().ok().filter(|place| place.starts_with(root));
                place.is_some_and(|place| is_there(root, &place, rest, places))
            }
            Ok(about) => about.is_dir() && is_there(root, &next, rest, places),
            Err(_) => false,
        }
    })
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().take(NAMES_LIMIT);
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// What of a text can be compared and shown.
fn fact(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.chars().take(FACT_LIMIT).collect())
}

fn texts(facts: &[String]) -> Vec<&str> {
    facts.iter().map(String::as_str).collect()
}

/// `model is "X", wants "ACME-*"`, where none of the facts fits. They are looked for only if the key is set.
fn one_of<'a>(key: &str, patterns: &Patterns, facts: impl FnOnce() -> Vec<&'a str>) -> Option<String> {
    if patterns.is_empty() {
        return None;
    }
    let facts = facts();
    if facts.iter().any(|fact| patterns.matches(fact)) {
        return None;
    }
    let found = match facts.is_empty() {
        true => "unknown".to_owned(),
        false => some(facts.iter().map(|fact| format!("{fact:?}")), " or "),
    };
    Some(format!("{key} is {found}, wants {}", wanted(patterns)))
}

fn wanted(patterns: &Patterns) -> String {
    some(patterns.iter().map(Glob::to_string), " or ")
}

/// The first few of them.
fn some(texts: impl IntoIterator<Item = String>, between: &str) -> String {
    let mut texts = texts.into_iter();
    let shown: Vec<String> = texts.by_ref().take(SHOWN).collect();
    shown.join(between) + if texts.next().is_some() { ", …" } else { "" }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use cardcage_manifest::Manifest;

    use super::*;

    struct Recording(tempfile::TempDir);

    impl Recording {
        fn new() -> Self {
            let board = Self(tempfile::tempdir().unwrap());
            board.file("sys/class/dmi/id/sys_vendor", "ACME Inc.\n");
            board.file("sys/class/dmi/id/product_name", "ACME-X1\n");
            board.file("sys/class/dmi/id/board_name", "X1-MB\n");
            board.file("sys/devices/pci0/0000:01:00.0/vendor", "0x10de\n");
            board.file("sys/devices/pci0/0000:01:00.0/device", "0x2335\n");
            board.link("../../../devices/pci0/0000:01:00.0", "sys/bus/pci/devices/0000:01:00.0");
            board.file("sys/devices/ina/hwmon/hwmon3/name", "ina226\n");
            board.link("../../devices/ina/hwmon/hwmon3", "sys/class/hwmon/hwmon3");
            board.file("proc/device-tree/compatible", "acme,board-7\0acme,soc\0");
            board.file("proc/device-tree/model", "Acme Board 7\0");
            board
        }

        fn path(&self, path: &str) -> PathBuf {
            let path = self.0.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            path
        }

        fn file(&self, path: &str, text: &str) {
            std::fs::write(self.path(path), text).unwrap();
        }

        fn link(&self, target: &str, path: &str) {
            symlink(target, self.path(path)).unwrap();
        }

        fn facts(&self) -> BoardFacts {
            let kernel = config::Kernel {
                sys: Some(self.path("sys")),
                proc: Some(self.path("proc")),
                architecture: Some("aarch64".into()),
                ..config::Kernel::default()
            };
            let board = config::Board { board_type: Some("GPU".into()), ..config::Board::default() };
            BoardFacts::new(Arc::new(Roots::new(&kernel)), &board)
        }

        fn applies(&self, rules: &str) -> Result<(), String> {
            let manifest = Manifest::parse(&format!("name = \"a\"\nversion = \"1\"\n{rules}")).unwrap();
            applies(&manifest.boards, &self.facts()).map_err(|error| error.to_string())
        }
    }

    #[test]
    fn a_rule_fits_where_every_key_does() {
        let board = Recording::new();
        for keys in [
            "vendor = \"ACME*\"",
            "vendor = \"acme\"",
            "model = [\"ACME-?2\", \"ACME-?1\"]",
            "model = \"Acme Board *\"",
            "board = \"X1-MB\"",
            "board = \"GPU\"",
            "dmi = { board_name = \"X1*\", sys_vendor = \"ACME*\" }",
            "device_tree = [\"acme,so?\"]",
            "pci = [\"8086:*\", \"10de:2335\"]",
            "arch = [\"aarch64\"]",
            "exists = [\"/sys/class/hwmon/hwmon*/name\", \"/sys/class/dmi/id\"]",
            "vendor = \"ACME*\"\nmodel = \"ACME-*\"\npci = \"10de:*\"\narch = \"aarch64\"",
        ] {
            assert_eq!(board.applies(&format!("[[boards]]\n{keys}")), Ok(()), "{keys}");
        }
        assert_eq!(board.applies(""), Ok(()));
        assert_eq!(board.applies("[[boards]]\nmodel = \"Z\"\n[[boards]]\nmodel = \"ACME-X1\""), Ok(()));
    }

    #[test]
    fn the_reason_says_what_the_board_is_and_what_is_wanted() {
        let board = Recording::new();
        for (keys, says) in [
            ("model = \"Z-*\"", "model is \"ACME-X1\" or \"Acme Board 7\", wants \"Z-*\""),
            ("vendor = \"ACME*\"\nmodel = [\"Y\", \"Z\"]", "wants \"Y\" or \"Z\""),
            ("dmi = { board_serial = \"1\" }", "board_serial is unknown, wants \"1\""),
            ("device_tree = \"x\"", "device tree is \"acme,board-7\" or \"acme,soc\", wants \"x\""),
            ("pci = [\"8086:*\"]", "no PCI function is \"8086:*\""),
            ("arch = \"x86_64\"", "architecture is \"aarch64\", wants \"x86_64\""),
            (
                "exists = [\"/sys/class/hwmon/*/temp1_input\"]",
                "\"/sys/class/hwmon/*/temp1_input\" is not there",
            ),
            // The recording has no /dev, and this machine's is not the board's.
            ("exists = [\"/dev/null\"]", "\"/dev/null\" is not there"),
        ] {
            let reason = board.applies(&format!("[[boards]]\n{keys}")).unwrap_err();
            assert!(reason.starts_with("is for other boards: ") && reason.contains(says), "{keys}: {reason}");
        }
        let reason = board.applies(&"[[boards]]\narch = \"a\"\n".repeat(6)).unwrap_err();
        assert_eq!(reason.matches("; or ").count(), 3, "{reason}");
    }

    #[test]
    fn nothing_is_read_outside_of_the_recording() {
        let board = Recording::new();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("board_version"), "7").unwrap();
        let target = outside.path().join("board_version");
        board.link(target.to_str().unwrap(), "sys/class/dmi/id/board_version");
        board.link(outside.path().to_str().unwrap(), "sys/class/away");
        assert!(board.applies("[[boards]]\ndmi = { board_version = \"*\" }").is_err());
        assert!(board.applies("[[boards]]\nexists = [\"/sys/class/away/board_version\"]").is_err());
    }

    #[test]
    fn what_is_no_small_text_says_nothing() {
        let board = Recording::new();
        nix::unistd::mkfifo(&board.path("sys/class/dmi/id/bios_version"), nix::sys::stat::Mode::S_IRWXU)
            .unwrap();
        board.file("sys/class/dmi/id/bios_vendor", &"x".repeat(5000));
        std::fs::write(board.path("sys/class/dmi/id/bios_date"), [0xff]).unwrap();
        for name in ["bios_version", "bios_vendor", "bios_date"] {
            assert!(board.applies(&format!("[[boards]]\ndmi.{name} = \"*\"")).is_err(), "{name}");
        }
    }

    #[test]
    fn facts_are_read_once_and_only_where_a_rule_asks() {
        let board = Recording::new();
        let facts = board.facts();
        let rules =
            |text: &str| Manifest::parse(&format!("name = \"a\"\nversion = \"1\"\n{text}")).unwrap().boards;
        assert!(applies(&[], &facts).is_ok());
        assert!(facts.dmi.get().is_none() && facts.pci.get().is_none() && facts.compatible.get().is_none());
        let model = rules("[[boards]]\nmodel = \"ACME-X1\"");
        assert!(applies(&model, &facts).is_ok() && facts.pci.get().is_none());
        board.file("sys/class/dmi/id/product_name", "Other");
        assert!(applies(&model, &facts).is_ok());
    }

    #[test]
    fn a_pattern_that_could_be_anywhere_ends() {
        let board = Recording::new();
        // Links to the folder that they are in: each step has seventy places.
        for number in 0..70 {
            board.link(".", &format!("sys/wide/{number}"));
        }
        let reason = board.applies("[[boards]]\nexists = [\"/sys/wide/*/*/*/*/none\"]").unwrap_err();
        assert!(reason.contains("could be at more than 4096 places"), "{reason}");
    }
}
