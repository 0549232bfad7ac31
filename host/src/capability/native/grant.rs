//! Which functions of which libraries one plugin may call: what it requests and the operator gives, both.

use std::collections::BTreeMap;

/// In a list of functions: all that the plugin requests of that library.
const ALL: &str = "*";

/// By library, the functions.
pub type Libraries = BTreeMap<String, Vec<String>>;

/// What may be called. Empty means nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant(cardcage_native::Grant);

impl Grant {
    /// What both cover. A library of which no function is left is not granted either: to load it runs code of it.
    ///
    /// # Errors
    /// Over a limit of the helper.
    pub fn new(requested: &Libraries, given: &Libraries) -> Result<Self, cardcage_native::Error> {
        let of_library = |(library, symbols): (&String, &Vec<String>)| {
            let given = given.get(library)?;
            let is_given = |symbol: &&String| given.iter().any(|one| one == ALL || one == *symbol);
            let both: Vec<String> = symbols.iter().filter(is_given).cloned().collect();
            (!both.is_empty()).then(|| (library.clone(), both))
        };
        cardcage_native::Grant::new(requested.iter().filter_map(of_library)).map(Self)
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// As the helper knows it.
    pub fn inner(&self) -> &cardcage_native::Grant {
        &self.0
    }
}

/// Whether a plugin can be given this: a function's name, or all.
pub fn is_given(symbol: &str) -> bool {
    symbol == ALL || cardcage_manifest::is_symbol(symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn libraries(of: &[(&str, &[&str])]) -> Libraries {
        let owned = |symbols: &[&str]| symbols.iter().map(|symbol| (*symbol).to_owned()).collect();
        of.iter().map(|(library, symbols)| ((*library).to_owned(), owned(symbols))).collect()
    }

    fn grant(requested: &[(&str, &[&str])], given: &[(&str, &[&str])]) -> Grant {
        Grant::new(&libraries(requested), &libraries(given)).unwrap()
    }

    #[test]
    fn only_what_is_requested_and_given_is_granted() {
        let granted = grant(&[("liba.so", &["one", "two"])], &[("liba.so", &["two", "three"])]);
        assert!(granted.inner().symbol("liba.so", "two").is_ok());
        for symbol in ["one", "three"] {
            assert!(granted.inner().symbol("liba.so", symbol).is_err(), "{symbol}");
        }
        assert!(grant(&[("liba.so", &["one"])], &[]).is_empty());
        assert!(grant(&[], &[("liba.so", &["*"])]).is_empty());
    }

    #[test]
    fn a_star_gives_what_is_requested_and_no_more() {
        let granted = grant(&[("liba.so", &["one", "two"])], &[("liba.so", &["*"])]);
        assert!(granted.inner().symbol("liba.so", "two").is_ok());
        assert!(granted.inner().symbol("liba.so", "three").is_err());
        assert!(granted.inner().symbol("liba.so", "*").is_err());
        assert!(grant(&[("liba.so", &["one"])], &[("libb.so", &["*"])]).is_empty());
    }

    #[test]
    fn a_library_without_a_function_is_not_loaded_either() {
        assert!(grant(&[("liba.so", &["one"])], &[("liba.so", &["two"])]).is_empty());
        // The name must be the same: a path is another library than a name.
        assert!(grant(&[("/opt/liba.so", &["one"])], &[("liba.so", &["*"])]).is_empty());
    }
}
