//! When to search a board again for what it has.

/// Searching costs many times what reading costs, and boards rarely change: a probe searches at its first sample,
/// compares the entries of a class now and then, and searches anew once in a while in case something changed unseen.
///
/// ```
/// # use cardcage_sdk::{Search, Step};
/// # let (list, mut known) = (|| vec!["hwmon0"], vec![]);
/// # let mut search = Search::default();
/// // at every sample
/// let step = search.next_sample();
/// if step != Step::Keep {
///     let entries = list();
///     if step == Step::Search || entries != known {
///         search.searched();
///         known = entries; // and what they lead to
///     }
/// }
/// # assert_eq!(known, ["hwmon0"]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Samples since the search, 0 before the first.
    age: u32,
    missing: bool,
}

/// What to do before a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Read what is known.
    Keep,
    /// List the class again, and search if its entries changed.
    Compare,
    /// Search.
    Search,
}

impl Search {
    /// Samples between two looks at the entries.
    const COMPARE: u32 = 10;
    /// Samples after which a search is due in any case: five minutes at a cadence of two seconds.
    const AGAIN: u32 = 150;

    /// Counts a sample and says what to do before it.
    pub fn next_sample(&mut self) -> Step {
        let age = self.age;
        self.age = age.saturating_add(1);
        match age {
            0 => Step::Search,
            Self::AGAIN.. => Step::Search,
            _ if !age.is_multiple_of(Self::COMPARE) => Step::Keep,
            _ if self.missing => Step::Search,
            _ => Step::Compare,
        }
    }

    /// The board was searched, before the sample that was counted last.
    pub fn searched(&mut self) {
        *self = Self { age: 1, missing: false };
    }

    /// Something that was known is gone: a search is due. Not before the next look is: a file that is listed and never
    /// there would else cost a search at every sample.
    pub fn missing(&mut self) {
        self.missing = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(search: &mut Search, samples: usize) -> Vec<Step> {
        (0..samples).map(|_| search.next_sample()).collect()
    }

    #[test]
    fn a_board_is_searched_first_compared_sometimes_and_searched_again() {
        let mut search = Search::default();
        assert_eq!(search.next_sample(), Step::Search);
        search.searched();
        let steps = steps(&mut search, 150);
        let at = |step| steps.iter().enumerate().filter(move |(_, s)| **s == step).map(|(i, _)| i + 1);
        assert!(at(Step::Compare).eq((1..15).map(|tens| tens * 10)));
        assert!(at(Step::Search).eq([150]));
    }

    #[test]
    fn a_search_that_was_not_done_stays_due() {
        let mut search = Search { age: 150, missing: false };
        assert_eq!(steps(&mut search, 3), [Step::Search; 3]);
    }

    #[test]
    fn what_went_missing_is_searched_for_at_the_next_look() {
        let mut search = Search::default();
        search.next_sample();
        search.searched();
        search.missing();
        assert_eq!(steps(&mut search, 10), [[Step::Keep; 9].as_slice(), &[Step::Search]].concat());
    }
}
