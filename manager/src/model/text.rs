//! Text that came from outside.

use std::borrow::Cow;
use std::fmt;

/// Text from a report: at most [`Text::LIMIT`] bytes and nothing that a terminal would obey, so that it can stand in a
/// log line, a metric's label and a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Box<str>);

impl Text {
    /// Longest text that is kept, in bytes. The rest is cut off.
    pub const LIMIT: usize = 256;

    /// Bounds and cleans.
    pub fn new(mut raw: String) -> Self {
        raw.truncate(raw.floor_char_boundary(Self::LIMIT));
        match printable(&raw) {
            Cow::Borrowed(_) => Self(raw.into_boxed_str()),
            // A replacement character is longer than what it replaces.
            Cow::Owned(mut clean) => {
                clean.truncate(clean.floor_char_boundary(Self::LIMIT));
                Self(clean.into_boxed_str())
            }
        }
    }

    /// The same, where v1.1 says "" for what a board does not know.
    pub fn known(raw: String) -> Option<Self> {
        (!raw.is_empty()).then(|| Self::new(raw))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<&str> for Text {
    fn from(raw: &str) -> Self {
        Self::new(raw.to_owned())
    }
}

/// The same text without the characters that move a cursor, start an escape sequence or turn the direction of writing.
pub fn printable(text: &str) -> Cow<'_, str> {
    // Nearly every text is plain ASCII; a look at its bytes is enough then.
    let plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if plain || !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(is_obeyed, "\u{FFFD}"))
}

/// What a terminal obeys instead of showing it: controls, line separators, and the marks of bidirectional writing, with
/// which a text can look like another.
pub fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061C}' | '\u{200E}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn chinese_text_stays_as_it_is() {
        assert_eq!(Text::from("计算I型").as_str(), "计算I型");
    }

    #[test]
    fn an_escape_sequence_is_taken_apart() {
        assert_eq!(
            Text::from("\u{1b}[2Jnode\r\n\u{9b}31m").as_str(),
            "\u{FFFD}[2Jnode\u{FFFD}\u{FFFD}\u{FFFD}31m"
        );
    }

    #[test]
    fn empty_text_is_unknown() {
        assert_eq!(Text::known(String::new()), None);
    }

    proptest! {
        #[test]
        fn a_text_is_short_and_printable(raw in any::<String>()) {
            let text = Text::new(raw.repeat(20));
            prop_assert!(text.as_str().len() <= Text::LIMIT);
            prop_assert!(!text.as_str().contains(is_obeyed));
        }
    }
}
