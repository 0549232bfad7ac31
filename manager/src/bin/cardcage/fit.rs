//! A list on a narrow terminal: one line for each item, none wrapped.

use comfy_table::{Cell, ColumnConstraint, Row, Table, Width};

/// Columns that are left out where there is no room for all, those that tell least first.
const LEFT_OUT_FIRST: [&str; 40] = [
    "DROPPED IN / OUT",
    "ERRORS IN / OUT",
    "PLUGIN",
    "AGE",
    "LONGEST",
    "SUPPORT",
    "FAILURES",
    "SAMPLES",
    "CALLS",
    "DIGEST",
    "KIND",
    "DRIVER",
    "SPEED",
    "TYPE",
    "INSTANCE",
    "GPUS",
    "POWER",
    "CORES",
    "TEMP",
    "SEEN",
    "SIGNER",
    "GRANTS",
    "READINGS",
    "BEGUN",
    "FROM",
    "VERSION",
    "ADDRESS",
    "LIMITS",
    "SENT",
    "RECEIVED",
    "FREE",
    "DEVICE",
    "MEMORY",
    "CPU",
    "USAGE",
    "NAME",
    "FILE",
    "HOST",
    "WANTED",
    "PLACE",
];

/// Columns whose texts may be shortened. Numbers and ids cannot be read in part.
const TEXTS: [&str; 16] = [
    "HOST",
    "NAME",
    "TYPE",
    "FLAGS",
    "WHY",
    "REASON",
    "FILE",
    "MESSAGE",
    "BOARDS",
    "LIMITS",
    "MOUNTED AT",
    "DEVICE",
    "INSTANCE",
    "GPU",
    "GRANTS",
    "SIGNER",
];

/// Columns between two contents.
const PADDING: usize = 2;

/// No text is shortened to less than this, and none that has no more.
const SHORTEST: usize = 14;

/// What is shown of the columns: the width of each, or nothing.
struct Plan {
    headings: Vec<String>,
    /// Widths of the contents, were there room for all.
    whole: Vec<usize>,
    shown: Vec<Option<usize>>,
    width: usize,
}

/// Takes columns out and shortens texts until a line has room: first the columns in which nothing is known, then texts are
/// shortened, then the columns that tell least are left out. What there is room for after all comes back.
pub(crate) fn fit(table: &mut Table, width: usize) {
    let headings = table.header().map(|row| row.cell_iter().map(Cell::content).collect());
    let whole: Vec<usize> = table.column_max_content_widths().into_iter().map(usize::from).collect();
    let shown = whole.iter().copied().map(Some).collect();
    let mut plan = Plan { headings: headings.unwrap_or_default(), whole, shown, width };
    plan.make(|column| table.row_iter().all(|row| is_unknown(row, column)));
    for (column, content) in table.column_iter_mut().zip(&plan.shown) {
        let constraint = match content {
            None => ColumnConstraint::Hidden,
            Some(content) => {
                let width = u16::try_from(content + PADDING).unwrap_or(u16::MAX);
                ColumnConstraint::UpperBoundary(Width::Fixed(width))
            }
        };
        column.set_constraint(constraint);
    }
    for row in table.row_iter_mut() {
        row.max_height(1);
    }
}

fn is_unknown(row: &Row, column: usize) -> bool {
    let content = row.cell_iter().nth(column).map(Cell::content).unwrap_or_default();
    matches!(content.as_str(), "" | "-")
}

impl Plan {
    fn make(&mut self, is_unknown: impl Fn(usize) -> bool) {
        // The first column always stays.
        for column in (1..self.headings.len()).rev() {
            if self.excess() > 0 && is_unknown(column) {
                self.show(column, false);
            }
        }
        let mut left_out = Vec::new();
        for heading in LEFT_OUT_FIRST {
            if self.shorten() {
                break;
            }
            let column = self.headings.iter().position(|other| other == heading);
            if let Some(column) = column.filter(|column| *column > 0 && self.is_shown(*column)) {
                self.show(column, false);
                left_out.push(column);
            }
        }
        for column in left_out.into_iter().rev() {
            self.show(column, true);
            if !self.shorten() {
                self.show(column, false);
            }
        }
        self.shorten();
    }

    fn is_shown(&self, column: usize) -> bool {
        self.shown.get(column).is_some_and(Option::is_some)
    }

    /// Shows a column or leaves it out. The others get their whole width again.
    fn show(&mut self, column: usize, is_shown: bool) {
        for (place, (content, whole)) in self.shown.iter_mut().zip(&self.whole).enumerate() {
            if if place == column { is_shown } else { content.is_some() } {
                *content = Some(*whole);
            } else {
                *content = None;
            }
        }
    }

    /// Columns of the terminal that a line is too long by. The padding at both its ends is not printed.
    fn excess(&self) -> usize {
        let line: usize = self.shown.iter().flatten().map(|content| content + PADDING).sum();
        line.saturating_sub(self.width + PADDING)
    }

    /// Shortens the longest texts by as much as there is too much, but none to less than what is worth reading. Whether
    /// that is enough.
    fn shorten(&mut self) -> bool {
        for _ in 0..self.excess() {
            let texts = self.shown.iter_mut().zip(&self.headings);
            let texts = texts.filter(|(_, heading)| TEXTS.contains(&heading.as_str()));
            let longest = texts.filter_map(|(content, _)| content.as_mut()).max_by_key(|content| **content);
            let Some(longest) = longest.filter(|longest| **longest > SHORTEST) else { return false };
            *longest -= 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_line_has_room_or_only_what_must_stay(
            contents in prop::collection::vec(1..60_usize, 4..9), width in 20..160_usize
        ) {
            let headings = ["STATE", "UUID", "HOST", "AGE", "WHY", "POWER", "NAME", "CPU"];
            let headings: Vec<String> = headings.iter().take(contents.len()).map(ToString::to_string).collect();
            let whole = contents[..headings.len()].to_vec();
            let shown = whole.iter().copied().map(Some).collect();
            let mut plan = Plan { headings, whole, shown, width };
            plan.make(|_| false);
            prop_assert!(plan.is_shown(0) && plan.is_shown(1), "what it is, and what it is called");
            let may_go = |heading: &String| LEFT_OUT_FIRST.contains(&heading.as_str());
            let stay = plan.headings.iter().enumerate().all(|(column, heading)| !may_go(heading) || !plan.is_shown(column));
            prop_assert!(plan.excess() == 0 || stay, "{:?}", plan.shown);
            for (content, whole) in plan.shown.iter().zip(&plan.whole) {
                prop_assert!(content.is_none_or(|content| content == *whole || content >= SHORTEST));
            }
        }
    }
}
