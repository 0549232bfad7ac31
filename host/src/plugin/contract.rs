//! Which versions of the contract this agent speaks, and what is said of a plugin that wants another.
//!
//! Each package of `wit/` has a version of its own. Those with the same first number that is not 0 are one: a plugin of
//! 0.1.7 runs here if it calls nothing that came after 0.1.0, which is seen when it is linked. Any other is refused before
//! anything of it is compiled.

use std::fmt;

/// What is spoken of each package, oldest first.
const SPOKEN: [(&str, &[Version]); 5] = [
    ("cardcage:types", &[Version(0, 1, 0)]),
    ("cardcage:host", &[Version(0, 1, 0)]),
    ("cardcage:probe", &[Version(0, 1, 0), Version(0, 2, 0)]),
    ("cardcage:deploy", &[Version(0, 1, 0)]),
    ("cardcage:task", &[Version(0, 1, 0)]),
];

/// Why a plugin is not of this agent's time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Foreign {
    /// It is of a later one.
    #[error(
        "{does} {interface}, but of {package} this agent speaks {spoken}: the plugin is made for a newer agent; update the \
         agent, or take a version of the plugin that is made for this one"
    )]
    Newer { does: &'static str, interface: String, package: &'static str, spoken: String },
    /// It is of an earlier one, or of one that never was.
    #[error(
        "{does} {interface}, but of {package} this agent speaks {spoken}: build the plugin anew with the SDK of this agent"
    )]
    Older { does: &'static str, interface: String, package: &'static str, spoken: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Version(u64, u64, u64);

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        let version = Self(numbers.next()??, numbers.next()??, numbers.next()??);
        numbers.next().is_none().then_some(version)
    }

    /// What versions that are taken for one another have in common.
    const fn track(self) -> (u64, u64, u64) {
        match self {
            Self(0, 0, patch) => (0, 0, patch),
            Self(0, minor, _) => (0, minor, 0),
            Self(major, ..) => (major, 0, 0),
        }
    }
}

/// The package of an interface, what is spoken of it, and the version that is wanted; of our own packages only.
fn own(interface: &str) -> Option<(&'static str, &'static [Version], Version)> {
    let (name, version) = interface.split_once('@')?;
    let (package, _) = name.split_once('/')?;
    let (package, spoken) = SPOKEN.into_iter().find(|(own, _)| *own == package)?;
    Some((package, spoken, Version::parse(version)?))
}

/// Whether a plugin with these imports and exports is of this agent's time.
pub(super) fn check(imports: &[String], exports: &[String]) -> Result<(), Foreign> {
    imports.iter().try_for_each(|import| spoken("imports", import))?;
    // Of several versions of one interface one is enough: the others are for other agents.
    let answered: Vec<_> =
        exports.iter().filter(|export| is_spoken(export)).map(|export| name(export)).collect();
    let mut others = exports.iter().filter(|export| !answered.contains(&name(export)));
    others.try_for_each(|export| spoken("exports", export))
}

fn spoken(does: &'static str, interface: &str) -> Result<(), Foreign> {
    let Some((package, spoken, version)) = own(interface).filter(|_| !is_spoken(interface)) else {
        return Ok(());
    };
    let newer = spoken.last().is_none_or(|newest| version > *newest);
    let spoken = spoken.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
    let interface = interface.to_owned();
    Err(match newer {
        true => Foreign::Newer { does, interface, package, spoken },
        false => Foreign::Older { does, interface, package, spoken },
    })
}

fn is_spoken(interface: &str) -> bool {
    own(interface)
        .is_some_and(|(_, spoken, version)| spoken.iter().any(|spoken| spoken.track() == version.track()))
}

fn name(interface: &str) -> &str {
    interface.split_once('@').map_or(interface, |(name, _)| name)
}

/// What is said of a plugin that cannot be linked: whether it may be because it is a little newer than this agent.
pub(super) fn does_not_fit(imports: &[String], reason: &str) -> String {
    let later = imports.iter().find_map(|import| {
        let (package, spoken, version) = own(import)?;
        let here = spoken.iter().find(|spoken| spoken.track() == version.track())?;
        (version > *here).then(|| {
            format!(", which has {package} {here}, and the plugin is made for {version} (update the agent)")
        })
    });
    format!("does not fit this agent{}: {reason}", later.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn checked(imports: &[&str], exports: &[&str]) -> Result<(), String> {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        check(&owned(imports), &owned(exports)).map_err(|foreign| foreign.to_string())
    }

    #[test]
    fn what_is_spoken_is_what_the_texts_say() {
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
        let version = |folder: &Path| {
            let file = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
            let text = std::fs::read_to_string(file).unwrap();
            let line = text.lines().next().unwrap().strip_suffix(';').unwrap().to_owned();
            let (package, version) = line.strip_prefix("package ").unwrap().split_once('@').unwrap();
            (package.to_owned(), Version::parse(version).unwrap())
        };
        for (package, spoken) in SPOKEN {
            let name = package.split_once(':').unwrap().1;
            assert_eq!(version(&wit.join(name)), (package.to_owned(), *spoken.last().unwrap()));
            for old in spoken.iter().rev().skip(1) {
                assert_eq!(version(&wit.join(format!("released/{old}/{name}"))), (package.to_owned(), *old));
            }
        }
    }

    #[test]
    fn versions_of_one_track_are_one() {
        assert_eq!(checked(&["cardcage:host/log@0.1.0", "wasi:cli/environment@9.0.0"], &[]), Ok(()));
        assert_eq!(checked(&["cardcage:host/log@0.1.99"], &["cardcage:probe/sampler@0.2.7"]), Ok(()));
        assert_eq!(checked(&[], &["cardcage:probe/sampler@0.1.0"]), Ok(()));
        assert_eq!(Version(1, 2, 3).track(), Version(1, 9, 0).track());
        assert_ne!(Version(0, 0, 3).track(), Version(0, 0, 4).track());
    }

    #[test]
    fn one_that_is_made_for_several_agents_needs_one_of_them() {
        let both = ["cardcage:probe/sampler@0.9.0", "cardcage:probe/sampler@0.2.0"];
        assert_eq!(checked(&[], &both), Ok(()));
        assert!(checked(&["cardcage:host/log@0.9.0"], &both).is_err());
    }

    #[test]
    fn the_future_and_the_past_are_told_apart() {
        let newer = checked(&["cardcage:host/kernel@0.9.0"], &[]).unwrap_err();
        assert_eq!(
            newer,
            "imports cardcage:host/kernel@0.9.0, but of cardcage:host this agent speaks 0.1.0: the plugin is made for a \
             newer agent; update the agent, or take a version of the plugin that is made for this one"
        );
        let newer = checked(&[], &["cardcage:probe/sampler@1.0.0"]).unwrap_err();
        assert!(newer.starts_with("exports cardcage:probe/sampler@1.0.0"), "{newer}");
        assert!(newer.contains("speaks 0.1.0 and 0.2.0: the plugin is made for a newer agent"), "{newer}");
        let older = checked(&[], &["cardcage:probe/sampler@0.0.4"]).unwrap_err();
        assert!(older.ends_with("build the plugin anew with the SDK of this agent"), "{older}");
    }

    #[test]
    fn what_is_no_version_is_left_to_the_linker() {
        let odd = ["cardcage:host/log", "cardcage:host/log@new", "cardcage:host/log@0.1", "cardcage:host"];
        assert_eq!(checked(&odd, &odd), Ok(()));
        assert_eq!(does_not_fit(&["cardcage:host/log@x".into()], "r"), "does not fit this agent: r");
        assert_eq!(
            does_not_fit(&["cardcage:host/log@0.1.7".into()], "r"),
            "does not fit this agent, which has cardcage:host 0.1.0, and the plugin is made for 0.1.7 (update the agent): r"
        );
    }
}
