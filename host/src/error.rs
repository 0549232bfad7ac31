//! How an error is printed: the whole chain, on one line of bounded length, once, where it stops.

use std::error::Error;

/// `what failed: why: why that`.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors repeat their source in their own text.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

/// Longest text that somebody else wrote, in characters: a parser that quotes a hostile file, a compiler.
const BRIEF: usize = 400;

/// Such a text on one line, without what moves a cursor, cut where it goes on for ever.
pub fn brief(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut brief = String::new();
    for (at, character) in words.flat_map(|word| word.chars().chain([' '])).enumerate() {
        if at == BRIEF {
            return brief.trim_end().to_owned() + " …";
        }
        brief.push(character);
    }
    brief.truncate(brief.trim_end().len());
    brief
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_somebody_else_is_one_line_with_an_end() {
        assert_eq!(brief("  unexpected\n\tend \x1b[2J of file\n"), "unexpected end [2J of file");
        assert_eq!(brief(""), "");
        let long = brief(&"节".repeat(100_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (BRIEF + 2, true));
    }
}
