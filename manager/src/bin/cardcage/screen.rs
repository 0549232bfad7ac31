//! Where the output goes: a terminal, or a file or program.
//!
//! A list on a narrow terminal keeps one line for each item: columns that tell little are left out, and long texts are
//! shortened with an ellipsis, so that what is left can be read.
//!
//! What the manager sends is shown, never obeyed: nothing in it reaches the terminal that could move the cursor, change
//! colours or turn the writing around.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

use cardcage_manager::model::text::{is_obeyed, printable};
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement, Table};
use serde_json::Value;

use crate::failure::Failure;
use crate::fit;

/// What the output can do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Screen {
    pub(crate) terminal: bool,
    pub(crate) colours: bool,
    /// Columns, if there is a limit.
    pub(crate) width: Option<u16>,
}

impl Screen {
    /// The standard output. `NO_COLOR` is respected.
    pub(crate) fn of_stdout() -> Self {
        let terminal = io::stdout().is_terminal();
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        // A terminal without columns is one that does not know how wide it is.
        let width = Table::new().width().filter(|width| *width > 0);
        Self { terminal, colours: terminal && !unwanted, width }
    }

    /// An empty table with these headings. Without any it is a list of facts, whose texts are wrapped.
    pub(crate) fn table(&self, headings: &[&str]) -> Table {
        let mut table = Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        // Colours and width are decided here alone.
        table.force_no_tty();
        if self.colours {
            table.enforce_styling();
        }
        table.set_truncation_indicator("…");
        let heading = |text: &&str| Cell::new(text).add_attribute(Attribute::Bold);
        if !headings.is_empty() {
            table.set_header(headings.iter().map(heading));
        } else if let Some(width) = self.width {
            table.set_width(width).set_content_arrangement(ContentArrangement::Dynamic);
        }
        table
    }

    /// A table as text, each line without the padding at its ends.
    pub(crate) fn text(&self, mut table: Table) -> String {
        if let (Some(width), true) = (self.width, table.header().is_some()) {
            fit::fit(&mut table, usize::from(width));
        }
        table.lines().fold(String::new(), |mut text, line| {
            let line = line.strip_prefix(' ').unwrap_or(&line);
            text.push_str(line.trim_end());
            text.push('\n');
            text
        })
    }
}

/// Writes it all to the standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// A cell. Unknown is a dash.
pub(crate) fn cell(text: Option<impl AsRef<str>>) -> Cell {
    Cell::new(text.as_ref().map_or(Cow::Borrowed("-"), |text| clean(text.as_ref())))
}

/// A cell with a quantity.
pub(crate) fn number(text: Option<String>) -> Cell {
    cell(text).set_alignment(CellAlignment::Right)
}

/// A cell in a colour.
pub(crate) fn coloured(text: &str, colour: Option<Color>) -> Cell {
    let cell = cell(Some(text));
    match colour {
        Some(colour) => cell.fg(colour),
        None => cell,
    }
}

/// Text that the terminal shows and does not obey.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    printable(text)
}

/// JSON for people and programs. What a terminal would obey is escaped; to a parser it is the same.
pub(crate) fn json(value: &Value) -> String {
    let plain = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut text = String::with_capacity(plain.len() + 1);
    for character in plain.chars() {
        if character != '\n' && is_obeyed(character) {
            // Writing to a String cannot fail; none of these characters needs two units.
            let _ = write!(text, "\\u{:04x}", u32::from(character));
        } else {
            text.push(character);
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json as value;

    use super::*;

    #[test]
    fn hostile_text_is_harmless_in_json_and_means_the_same() {
        let hostile = value!({"hostname": "a\u{9b}2J\u{202e}b\u{7f}\u{1b}[31m"});
        let text = json(&hostile);
        assert!(!text.trim_end().chars().any(|c| c != '\n' && is_obeyed(c)), "{text:?}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), hostile);
    }

    #[test]
    fn hostile_text_is_harmless_in_a_table() {
        let screen = Screen::default();
        let mut table = screen.table(&["A"]);
        table.add_row([cell(Some("x\u{1b}[2J\ny"))]);
        assert_eq!(screen.text(table), "A\nx\u{FFFD}[2J\u{FFFD}y\n");
    }

    fn narrow(width: Option<u16>) -> String {
        let screen = Screen { width, ..Screen::default() };
        let mut table = screen.table(&["STATE", "ID", "HOST", "AGE", "POWER", "WHY"]);
        let why = "the software cannot be had: the server does not answer";
        table.add_row(
            ["up", "2b1f7d0e-9d53-4c0a-8a53-7e5b0c6f9a11", "node7", "-", "120.0 W", why]
                .map(|text| cell(Some(text))),
        );
        screen.text(table)
    }

    #[test]
    fn a_narrow_terminal_gets_one_line_an_item() {
        assert!(narrow(None).contains("server does not answer"));
        for width in [60, 70, 80, 100, 120] {
            let text = narrow(Some(width));
            assert_eq!(text.lines().count(), 2, "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= usize::from(width)), "{width}: {text}");
            assert!(text.contains("2b1f7d0e-9d53-4c0a-8a53-7e5b0c6f9a11"), "{text}");
        }
        assert!(!narrow(Some(80)).contains("AGE"), "nobody knows any");
        assert!(narrow(Some(80)).contains("the software canno…"), "{}", narrow(Some(80)));
    }
}
