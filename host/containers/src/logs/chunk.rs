//! Which lines of a log a reader gets: those after its cursor, or the last ones, and never more than fit.

use std::collections::VecDeque;

use super::cursor::{Cursor, Stamp, Tally};

/// Which of the two a program wrote to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

/// What was written at once; without a newline at its end if the line was too long for the engine, or is not complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where to.
    pub stream: Stream,
    /// As it was written.
    pub text: Vec<u8>,
}

/// Takes lines in the order of the log, and gives those that are wanted.
#[derive(Debug)]
pub(crate) struct Picker {
    want: Want,
    limit: usize,
    size: usize,
    lines: VecDeque<Line>,
    tally: Tally,
}

#[derive(Debug)]
enum Want {
    /// The last lines.
    Last(usize),
    /// Those after the cursor, of whose count so many are left.
    After(Cursor, u64),
    /// Those after the cursor's time.
    Later(Cursor),
}

/// Whether to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    More,
    /// No more fit; the rest need not be read.
    Full,
    /// The log is not the one that the cursor counted: it was rotated. Begin again with `later`.
    Lost,
}

impl Picker {
    pub(crate) fn last(lines: usize, limit: usize) -> Self {
        Self::new(Want::Last(lines), limit)
    }

    pub(crate) fn after(cursor: Cursor, limit: usize) -> Self {
        let left = cursor.count;
        Self::new(Want::After(cursor, left), limit)
    }

    pub(crate) fn later(cursor: Cursor, limit: usize) -> Self {
        Self::new(Want::Later(cursor), limit)
    }

    fn new(want: Want, limit: usize) -> Self {
        Self { want, limit, size: 0, lines: VecDeque::new(), tally: Tally::default() }
    }

    /// Takes the next line of the log.
    pub(crate) fn take(&mut self, stamp: Stamp, line: Line) -> Flow {
        let is_seen = match &mut self.want {
            Want::Last(lines) => {
                let lines = *lines;
                return self.push_out(lines, stamp, line);
            }
            Want::Later(cursor) => stamp <= cursor.stamp,
            Want::After(_, 0) => false,
            // Some engines give these too, once they have found the second. They were not counted.
            Want::After(cursor, _) if stamp.second < cursor.second => true,
            Want::After(cursor, left) => {
                *left -= 1;
                if *left == 0 && stamp != cursor.stamp {
                    return Flow::Lost;
                }
                true
            }
        };
        if is_seen {
            self.tally.add(stamp);
            return Flow::More;
        }
        // One line always fits, otherwise a long one would be in the way for ever.
        if !self.lines.is_empty() && self.size + line.text.len() > self.limit {
            return Flow::Full;
        }
        self.keep(stamp, line);
        Flow::More
    }

    fn push_out(&mut self, lines: usize, stamp: Stamp, line: Line) -> Flow {
        self.keep(stamp, line);
        while self.lines.len() > lines || (self.size > self.limit && self.lines.len() > 1) {
            self.size -= self.lines.pop_front().map_or(0, |line| line.text.len());
        }
        Flow::More
    }

    fn keep(&mut self, stamp: Stamp, line: Line) {
        self.tally.add(stamp);
        self.size += line.text.len();
        self.lines.push_back(line);
    }

    /// What to say at the end of the log.
    pub(crate) fn end(&self) -> Flow {
        match self.want {
            Want::After(_, left) if left > 0 => Flow::Lost,
            _ => Flow::More,
        }
    }

    /// The lines, and the cursor after them.
    pub(crate) fn finish(self, container: &str) -> (Vec<Line>, Cursor) {
        let cursor = match self.want {
            // Nothing new: the place stays.
            Want::After(cursor, _) | Want::Later(cursor) if self.lines.is_empty() => cursor,
            _ => self.tally.cursor(container),
        };
        (self.lines.into(), Cursor { container: container.to_owned(), ..cursor })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Log = Vec<(Stamp, Line)>;

    fn log(times: &[(u64, u32)]) -> Log {
        let line = |(place, (second, nanos)): (usize, &(u64, u32))| {
            let stream = if place % 3 == 0 { Stream::Error } else { Stream::Output };
            (
                Stamp { second: *second, nanos: *nanos },
                Line { stream, text: format!("line {place}\n").into() },
            )
        };
        times.iter().enumerate().map(line).collect()
    }

    /// What an engine answers, and what is made of it.
    fn read(log: &[(Stamp, Line)], cursor: &Cursor, limit: usize) -> (Vec<Line>, Cursor) {
        for mut picker in [Picker::after(cursor.clone(), limit), Picker::later(cursor.clone(), limit)] {
            let mut lines = log.iter().filter(|(stamp, _)| stamp.second >= cursor.second);
            let flow = lines.find_map(|(stamp, line)| match picker.take(*stamp, line.clone()) {
                Flow::More => None,
                flow => Some(flow),
            });
            if flow.unwrap_or_else(|| picker.end()) != Flow::Lost {
                return picker.finish("ab");
            }
        }
        unreachable!("the second one is never lost")
    }

    fn read_all(log: &[(Stamp, Line)], mut cursor: Cursor, limit: usize) -> (Vec<Line>, Cursor) {
        let mut all = Vec::new();
        loop {
            let (lines, next) = read(log, &cursor, limit);
            cursor = Cursor::parse(&next.to_string()).expect("its own words");
            if lines.is_empty() {
                return (all, cursor);
            }
            all.extend(lines);
        }
    }

    fn lines(log: &[(Stamp, Line)]) -> Vec<Line> {
        log.iter().map(|(_, line)| line.clone()).collect()
    }

    #[test]
    fn a_rotated_log_is_read_on_from_the_time() {
        let whole = log(&[(10, 1), (10, 2), (10, 3), (10, 4), (11, 1)]);
        let (_, cursor) = read_all(&whole[..3], Cursor::default(), 1000);
        for cut in 0..4 {
            let (rest, _) = read_all(&whole[cut..], cursor.clone(), 1000);
            assert_eq!(rest, lines(&whole[3.max(cut)..]), "cut at {cut}");
        }
    }

    #[test]
    fn the_last_lines_are_as_many_as_fit() {
        let whole = log(&[(1, 0), (2, 0), (3, 0), (4, 0)]);
        let last = |count, limit| {
            let mut picker = Picker::last(count, limit);
            for (stamp, line) in &whole {
                picker.take(*stamp, line.clone());
            }
            picker.finish("ab")
        };
        assert_eq!(last(2, 1000).0, lines(&whole[2..]));
        assert_eq!(last(4, 15).0, lines(&whole[2..]));
        assert_eq!(last(4, 1).0, lines(&whole[3..]));
        let (none, cursor) = last(0, 1000);
        assert!(none.is_empty() && read(&whole, &cursor, 1000).0.is_empty());
    }

    proptest! {
        /// Times are mostly in order, often equal, and at times a little late, as those of two streams are.
        #[test]
        fn chunks_put_together_are_the_whole_log(
            steps in prop::collection::vec((0_u64..3, 0_u32..3, 0_u32..2), 0..80),
            limit in 1_usize..60,
            cut in 0_usize..80,
        ) {
            let mut now = 100_000_000_000_u64;
            let times: Vec<(u64, u32)> = steps
                .into_iter()
                .map(|(seconds, nanos, late)| {
                    now += seconds * 400_000_000 + u64::from(nanos);
                    let at = now - u64::from(late) * 300_000_000;
                    (at / 1_000_000_000, u32::try_from(at % 1_000_000_000).expect("below a second"))
                })
                .collect();
            let whole = log(&times);
            // Also while it is being written.
            let cut = cut.min(whole.len());
            let (mut all, cursor) = read_all(&whole[..cut], Cursor::default(), limit);
            let (rest, _) = read_all(&whole, cursor, limit);
            all.extend(rest);
            prop_assert_eq!(all, lines(&whole));
        }
    }
}
