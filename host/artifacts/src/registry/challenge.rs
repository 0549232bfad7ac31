//! `WWW-Authenticate`: how a registry wants to be told who asks. Several challenges may stand in one line, with commas
//! between them and between their parameters.

use std::iter::Peekable;
use std::str::Chars;

/// One way that is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Challenge {
    /// In lower case.
    pub(super) scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What cannot be read is left out.
    pub(super) fn read(line: &str) -> Vec<Self> {
        let mut rest = line.chars().peekable();
        let mut found: Vec<Self> = Vec::new();
        loop {
            skip(&mut rest, |letter| letter == ',' || letter.is_ascii_whitespace());
            let word = word(&mut rest).to_ascii_lowercase();
            if word.is_empty() {
                // The end, or something that is in no challenge.
                match rest.next() {
                    Some(_) => continue,
                    None => return found,
                }
            }
            skip(&mut rest, |letter| letter.is_ascii_whitespace());
            match (rest.next_if_eq(&'='), found.last_mut()) {
                (Some(_), Some(challenge)) => challenge.parameters.push((word, value(&mut rest))),
                (Some(_), None) => drop(value(&mut rest)),
                (None, _) => found.push(Self { scheme: word, parameters: Vec::new() }),
            }
        }
    }
}

fn skip(rest: &mut Peekable<Chars<'_>>, is: impl Fn(char) -> bool) {
    while rest.next_if(|letter| is(*letter)).is_some() {}
}

fn word(rest: &mut Peekable<Chars<'_>>) -> String {
    let is_end = |letter: char| letter.is_ascii_whitespace() || ",=\"".contains(letter);
    std::iter::from_fn(|| rest.next_if(|letter| !is_end(*letter))).collect()
}

fn value(rest: &mut Peekable<Chars<'_>>) -> String {
    skip(rest, |letter| letter.is_ascii_whitespace());
    if rest.next_if_eq(&'"').is_none() {
        return word(rest);
    }
    let mut value = String::new();
    while let Some(letter) = rest.next() {
        match letter {
            '"' => break,
            '\\' => value.extend(rest.next()),
            letter => value.push(letter),
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn several_challenges_stand_in_one_line() {
        let line = r#"Bearer realm="https://auth.example/token?a=b,c", service=reg , scope="repository:a:pull,push", Basic realm="say \"who\"""#;
        let found = Challenge::read(line);
        assert_eq!(found.iter().map(|one| one.scheme.as_str()).collect::<Vec<_>>(), ["bearer", "basic"]);
        assert_eq!(found[0].parameter("realm"), Some("https://auth.example/token?a=b,c"));
        assert_eq!(found[0].parameter("service"), Some("reg"));
        assert_eq!(found[1].parameter("realm"), Some("say \"who\""));
        assert_eq!(found[1].parameter("service"), None);
    }

    #[test]
    fn nonsense_is_left_out() {
        for (line, schemes) in [
            ("", 0),
            ("=", 0),
            ("a=b", 0),
            ("\"Bearer\"", 1),
            ("Negotiate abc==, Basic", 2),
            (",,Basic,,", 1),
        ] {
            let found = Challenge::read(line);
            assert!(found.len() >= schemes, "{line}: {found:?}");
        }
        assert_eq!(Challenge::read("Bearer realm=\"open")[0].parameter("realm"), Some("open"));
    }

    proptest! {
        #[test]
        fn it_ends(line in "\\PC{0,60}") {
            let _ = Challenge::read(&line);
        }
    }
}
