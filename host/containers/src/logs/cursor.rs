//! How far a reader is in a container's log.
//!
//! Engines find a place in a log by time only, in whole seconds as asked here, while many lines can have one time, and lines
//! of the two streams can be written in another order than their times. So a cursor is a second and a count: that many lines
//! at or after that second, in the order of the log, were seen. The second is one before that of the last line, so that a
//! line that is written a moment late is behind it still.
//!
//! A log that is rotated loses its oldest lines, and the count would skip lines that nobody saw. So the time of the last line
//! is kept too: if another line stands where the count ends, what is after that time is given instead.

use std::collections::BTreeMap;
use std::fmt;

use crate::Error;

/// Seconds before that of the last line.
const BACK: u64 = 1;
const LENGTH: usize = 128;

/// A place in a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cursor {
    /// The beginning of the container's id; another container's log is read from its beginning.
    pub(crate) container: String,
    pub(crate) second: u64,
    pub(crate) count: u64,
    /// Empty if nothing was seen.
    pub(crate) stamp: Stamp,
}

/// The time of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Stamp {
    pub(crate) second: u64,
    pub(crate) nanos: u32,
}

impl Cursor {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        Self::read(text).ok_or_else(|| {
            Error::invalid(
                "read a container's log",
                "the cursor is none that was given out; begin without one",
            )
        })
    }

    fn read(text: &str) -> Option<Self> {
        if text.len() > LENGTH {
            return None;
        }
        let mut parts = text.split('.');
        let container = parts.next().filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()))?.to_owned();
        let mut number = || parts.next()?.parse::<u64>().ok();
        let (second, count) = (number()?, number()?);
        let stamp = Stamp { second: number()?, nanos: number()?.try_into().ok()? };
        parts.next().is_none().then_some(Self { container, second, count, stamp })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { container, second, count, stamp } = self;
        write!(f, "{container}.{second}.{count}.{}.{}", stamp.second, stamp.nanos)
    }
}

/// Counts the lines that were seen, by their second.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    seconds: BTreeMap<u64, u64>,
    latest: u64,
    last: Stamp,
}

impl Tally {
    pub(crate) fn add(&mut self, stamp: Stamp) {
        *self.seconds.entry(stamp.second).or_default() += 1;
        self.latest = self.latest.max(stamp.second);
        self.last = stamp;
        let kept = self.since();
        while self.seconds.first_key_value().is_some_and(|(second, _)| *second < kept) {
            self.seconds.pop_first();
        }
    }

    /// After all lines that were added.
    pub(crate) fn cursor(&self, container: &str) -> Cursor {
        Cursor {
            container: container.to_owned(),
            second: self.since(),
            count: self.seconds.values().sum(),
            stamp: self.last,
        }
    }

    fn since(&self) -> u64 {
        self.latest.saturating_sub(BACK)
    }
}

/// The time and the text of a line; `None` if it does not begin with a time.
pub(crate) fn split(line: &[u8]) -> Option<(Stamp, &[u8])> {
    let end = line.iter().position(|byte| *byte == b' ')?;
    let (time, text) = line.split_at_checked(end)?;
    Some((stamp(std::str::from_utf8(time).ok()?)?, text.get(1..)?))
}

/// `2026-01-02T03:04:05.678901234Z`, or with `+00:00`, or fewer digits.
fn stamp(text: &str) -> Option<Stamp> {
    let (date, rest) = text.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, zone) = rest.split_at(rest.find(['Z', '+', '-'])?);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if !(1970..9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 || fraction.len() > 9 {
        return None;
    }
    let local = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let second = local.checked_add_signed(-offset(zone)?)?;
    Some(Stamp { second, nanos: format!("{fraction:0<9}").parse().ok()? })
}

/// Seconds that the zone is ahead.
fn offset(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("Z", "") => return Some(0),
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let (hours, minutes) = (hours.parse::<u8>().ok()?, minutes.parse::<u8>().ok()?);
    Some(sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
}

/// Days from 1970 to the date, by the count of those in whole years that begin in March.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let whole = year * 365 + year / 4 - year / 100 + year / 400;
    (whole + (month * 153 + 2) / 5 + day).saturating_sub(719_469)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_read() {
        let at = |text| stamp(text).map(|stamp| (stamp.second, stamp.nanos));
        assert_eq!(at("1970-01-01T00:00:00Z"), Some((0, 0)));
        assert_eq!(at("2000-03-01T00:00:00.5Z"), Some((951_868_800, 500_000_000)));
        assert_eq!(at("2024-02-29T23:59:59.000000001Z"), Some((1_709_251_199, 1)));
        assert_eq!(at("2026-11-25T01:22:55.1+02:00"), Some((1_795_562_575, 100_000_000)));
        for text in
            ["", "T", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01T24:00:00Z", "1-1-1T1:1:1Z"]
        {
            assert_eq!(at(text), None, "{text}");
        }
    }

    #[test]
    fn a_line_is_its_time_and_its_text() {
        let (stamp, text) = split(b"1970-01-01T00:00:07Z a b\n").expect("a line");
        assert_eq!((stamp.second, text), (7, &b"a b\n"[..]));
        assert_eq!(split(b"1970-01-01T00:00:07Z ").map(|(_, text)| text), Some(&b""[..]));
        assert!(split(b"no time here").is_none());
    }

    #[test]
    fn only_the_last_seconds_are_counted() {
        let mut tally = Tally::default();
        for second in [10, 10, 11, 13, 12, 13] {
            tally.add(Stamp { second, nanos: 0 });
        }
        let cursor = tally.cursor("ab");
        assert_eq!((cursor.second, cursor.count), (12, 3));
        assert_eq!(Cursor::parse(&cursor.to_string()).expect("its own words"), cursor);
    }

    proptest! {
        #[test]
        fn any_text_is_a_cursor_or_refused(text in ".{0,150}") {
            if let Ok(cursor) = Cursor::parse(&text) {
                prop_assert_eq!(Cursor::parse(&cursor.to_string()).ok(), Some(cursor));
            }
        }

        #[test]
        fn any_text_is_a_time_or_none(text in ".{0,40}") {
            let _ = stamp(&text);
        }
    }
}
