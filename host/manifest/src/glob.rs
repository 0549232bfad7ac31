//! Patterns of `*` (any characters, or none) and `?` (any one character). Nothing else is special.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _};

/// A pattern that the whole of a text is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(String);

impl Glob {
    /// Longest pattern, in bytes.
    pub const LONGEST: usize = 128;

    /// `None` unless it is 1 to [`Glob::LONGEST`] bytes that can be shown.
    pub fn new(pattern: &str) -> Option<Self> {
        let fits = (1..=Self::LONGEST).contains(&pattern.len()) && super::is_plain(pattern);
        fits.then(|| Self(pattern.to_owned()))
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it stands for one text alone.
    pub fn is_literal(&self) -> bool {
        !self.0.contains(['*', '?'])
    }

    /// Only the last star is ever taken back: what an earlier one took fits already, and a later start of what follows it
    /// could but leave less to the rest. So the time is that of both lengths multiplied, whatever the pattern.
    pub fn matches(&self, text: &str) -> bool {
        let (mut pattern, mut text) = (self.0.chars(), text.chars());
        // What follows the last star, and where in the text it was tried.
        let mut star = None;
        loop {
            let mut rest = pattern.clone();
            match (rest.next(), text.clone().next()) {
                (Some('*'), _) => {
                    star = Some((rest.clone(), text.clone()));
                    pattern = rest;
                }
                (Some(wanted), Some(found)) if wanted == '?' || wanted == found => {
                    pattern = rest;
                    text.next();
                }
                (None, None) => return true,
                _ => {
                    let Some((after, tried)) = &mut star else { return false };
                    if tried.next().is_none() {
                        return false;
                    }
                    (pattern, text) = (after.clone(), tried.clone());
                }
            }
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, formatter)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let longest = Self::LONGEST;
        Self::new(&text).ok_or_else(|| {
            D::Error::custom(format!(
                "a pattern has 1 to {longest} bytes that can be shown, not {}",
                text.len()
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::*;

    /// As one would explain it.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=text.len()).any(|taken| naive(rest, &text[taken..])),
            (['?', rest @ ..], [_, others @ ..]) => naive(rest, others),
            ([wanted, rest @ ..], [found, others @ ..]) => wanted == found && naive(rest, others),
            _ => false,
        }
    }

    #[test]
    fn a_star_is_any_and_a_question_mark_is_one() {
        let matches = |pattern: &str, text: &str| Glob::new(pattern).unwrap().matches(text);
        assert!(matches("ACME-*", "ACME-X1") && matches("ACME-*", "ACME-") && matches("*", ""));
        assert!(matches("X?", "X节") && !matches("X?", "X") && !matches("X?", "X12"));
        assert!(!matches("ACME", "ACME-X1") && !matches("acme", "ACME") && matches("*[1].*", "a[1].b"));
    }

    #[test]
    fn no_pattern_takes_long() {
        let began = Instant::now();
        let glob = Glob::new(&"*a".repeat(64)).unwrap();
        assert!(!glob.matches(&("a".repeat(4096) + "b")));
        assert!(began.elapsed() < Duration::from_secs(1));
    }

    proptest! {
        #[test]
        fn it_says_what_a_naive_one_says(pattern in "[ab*?节]{1,8}", text in "[ab节*]{0,8}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let expected = naive(&chars(&pattern), &chars(&text));
            prop_assert_eq!(Glob::new(&pattern).unwrap().matches(&text), expected);
        }

        #[test]
        fn any_two_texts_can_be_compared(pattern in "\\PC{0,40}", text in ".{0,200}") {
            if let Some(glob) = Glob::new(&pattern) {
                let _ = glob.matches(&text);
            }
        }
    }
}
