//! The extended header of one entry: `LENGTH KEY=VALUE\n` again and again. Taken are the path, the link and the size; what
//! would make the entry something else (a sparse file) is refused, and nothing else is passed on.

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
}

const MALFORMED: &str = "a malformed extended header";

impl Extended {
    pub(super) fn parse(mut text: &[u8]) -> Result<Self, &'static str> {
        let mut extended = Self::default();
        while !text.is_empty() {
            let (record, rest) = split(text).ok_or(MALFORMED)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or(MALFORMED)?;
            let (key, value) = record.split_at(equals);
            extended.take(key, value.get(1..).unwrap_or_default())?;
            text = rest;
        }
        Ok(extended)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(number(value).ok_or("an extended header whose size is no number")?),
            key if key.starts_with(b"GNU.sparse.") => return Err("a sparse file"),
            _ => {}
        }
        Ok(())
    }
}

/// The first record without its length, and what follows it.
fn split(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let blank = text.iter().position(|byte| *byte == b' ').filter(|at| (1..=9).contains(at))?;
    let length = usize::try_from(number(text.get(..blank)?)?).ok()?;
    let record = text.get(blank + 1..length)?.strip_suffix(b"\n")?;
    Some((record, text.get(length..)?))
}

fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn records_are_read_and_others_passed_over() {
        let text = b"12 path=a/b\n15 linkpath=c\xff\n10 size=7\n13 mtime=1.5\n";
        let expected = Extended { path: Some(b"a/b".to_vec()), link: Some(b"c\xff".to_vec()), size: Some(7) };
        assert_eq!(Extended::parse(text), Ok(expected));
        for text in [
            "x",
            "5 a=b",
            "0 a=b\n",
            "6 ab=\n\n",
            "99999999999 a=b\n",
            "5 ab\n",
            "11 size=+7\n",
            "22 GNU.sparse.major=1\n",
        ] {
            assert!(Extended::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_or_run_for_ever(text in "([0-9]{1,3} [a-z]{0,4}=?[a-z]{0,4}\n?){0,6}") {
            let _ = Extended::parse(text.as_bytes());
        }
    }
}
