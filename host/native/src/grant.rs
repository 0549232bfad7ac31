//! Which symbols of which libraries. Asked by the agent before anything is sent, and by the helper before it acts.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Code, Error};
use crate::limits;

/// The libraries that a plugin may open, by their exact names, and the symbols that it may call in each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    libraries: BTreeMap<String, BTreeSet<String>>,
}

impl Grant {
    /// Refuses names that the loader would take in another way than it looks, and grants that exceed the limits.
    ///
    /// # Errors
    /// `invalid` or `too-large`.
    pub fn new<S>(libraries: impl IntoIterator<Item = (String, S)>) -> Result<Self, Error>
    where
        S: IntoIterator<Item = String>,
    {
        let named = libraries.into_iter().map(|(name, symbols)| (name, symbols.into_iter().collect()));
        let libraries: BTreeMap<String, BTreeSet<String>> = named.collect();
        if libraries.len() > limits::LIBRARIES {
            return Err(Error::too_large(format!("more than {} libraries are granted", limits::LIBRARIES)));
        }
        let mut bytes = 0;
        for (library, symbols) in &libraries {
            library_name(library)?;
            bytes += library.len();
            for symbol in symbols {
                symbol_name(symbol)?;
                // Each name travels with its length.
                bytes += symbol.len() + 4;
            }
        }
        if bytes > limits::GRANT {
            return Err(Error::too_large(format!(
                "the grant's names have more than {} bytes",
                limits::GRANT
            )));
        }
        Ok(Self { libraries })
    }

    /// Whether a library may be opened.
    ///
    /// # Errors
    /// `denied`.
    pub fn library(&self, library: &str) -> Result<(), Error> {
        self.symbols(library).map(|_| ())
    }

    /// Whether a symbol of a library may be called.
    ///
    /// # Errors
    /// `denied`.
    pub fn symbol(&self, library: &str, symbol: &str) -> Result<(), Error> {
        if self.symbols(library)?.contains(symbol) {
            return Ok(());
        }
        Err(Error::new(Code::Denied, format!("{} of {} is not granted", shown(symbol), shown(library))))
    }

    fn symbols(&self, library: &str) -> Result<&BTreeSet<String>, Error> {
        let refused = || Error::new(Code::Denied, format!("the library {} is not granted", shown(library)));
        self.libraries.get(library).ok_or_else(refused)
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&String, &BTreeSet<String>)> {
        self.libraries.iter()
    }
}

/// A guest's word in a sentence: short, and on one line.
fn shown(word: &str) -> String {
    word.chars().take(80).flat_map(char::escape_debug).collect()
}

fn library_name(name: &str) -> Result<(), Error> {
    let path = name.starts_with('/') || !name.contains('/');
    if name.is_empty() || name.len() > limits::NAME || name.contains('\0') || !path {
        let what = "a library is named by its soname or its absolute path";
        return Err(Error::invalid(format!("{}: {what}, of at most {} bytes", shown(name), limits::NAME)));
    }
    Ok(())
}

fn symbol_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.len() > limits::SYMBOL || name.contains('\0') {
        let what = format!("a symbol has between 1 and {} bytes, none of them 0", limits::SYMBOL);
        return Err(Error::invalid(format!("{}: {what}", shown(name))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(libraries: &[(&str, &[&str])]) -> Result<Grant, Error> {
        let owned = libraries.iter().map(|(name, symbols)| {
            ((*name).to_owned(), symbols.iter().map(|symbol| (*symbol).to_owned()).collect::<Vec<_>>())
        });
        Grant::new(owned)
    }

    #[test]
    fn only_what_is_listed_is_granted() {
        let grant = grant(&[("libone.so.1", &["one"]), ("/opt/libtwo.so", &["two"])]).unwrap();
        assert!(grant.library("libone.so.1").is_ok() && grant.symbol("/opt/libtwo.so", "two").is_ok());
        for library in ["libone.so", "/usr/lib/libone.so.1", "libtwo.so", "", "libone.so.1\0"] {
            assert_eq!(grant.library(library).unwrap_err().code, Code::Denied, "{library:?}");
        }
        for (library, symbol) in [("libone.so.1", "two"), ("libtwo.so", "two"), ("libone.so.1", "one\0")] {
            assert_eq!(grant.symbol(library, symbol).unwrap_err().code, Code::Denied, "{symbol:?}");
        }
    }

    #[test]
    fn names_that_mean_something_else_are_refused() {
        let long = "l".repeat(limits::NAME + 1);
        for library in ["", "./lib.so", "../lib.so", "opt/lib.so", "lib\0.so", long.as_str()] {
            assert_eq!(grant(&[(library, &["one"])]).unwrap_err().code, Code::Invalid, "{library:?}");
        }
        let long = "s".repeat(limits::SYMBOL + 1);
        for symbol in ["", "a\0b", long.as_str()] {
            assert_eq!(grant(&[("lib.so", &[symbol])]).unwrap_err().code, Code::Invalid, "{symbol:?}");
        }
    }

    #[test]
    fn a_grant_fits_a_frame() {
        let many = (0..=limits::LIBRARIES).map(|number| (format!("lib{number}.so"), Vec::new()));
        assert_eq!(Grant::new(many).unwrap_err().code, Code::TooLarge);
        let symbols = (0..1_000).map(|number| format!("{number:0200}")).collect::<Vec<_>>();
        assert_eq!(Grant::new([("lib.so".to_owned(), symbols)]).unwrap_err().code, Code::TooLarge);
    }
}
