//! Turns a parser's error into one that names the key, the line, and the nearest known key.

/// The error as an operator reads it.
pub(super) fn explain(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map(|span| {
        let before = text.get(..span.start).unwrap_or_default();
        before.matches('\n').count() + 1
    });
    let mut problem = error.message().trim().replace('\n', " ");
    if let Some(nearest) = nearest_key(&problem) {
        problem.push_str(&format!("; did you mean `{nearest}`?"));
    }
    match line {
        Some(line) => format!("line {line}: {problem}"),
        None => problem,
    }
}

/// serde says "unknown field `x`, expected one of `a`, `b`": the first word is the wrong one, the rest are the known.
fn nearest_key(problem: &str) -> Option<&str> {
    let mut quoted = problem.strip_prefix("unknown field ")?.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    quoted
        .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
        .filter(|(distance, known)| *distance <= known.len().div_ceil(2))
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn problem(text: &str) -> String {
        Config::parse(text).unwrap_err()
    }

    #[test]
    fn an_unknown_key_names_itself_its_line_and_the_nearest_known_key() {
        let problem = problem("state_dir = \"/tmp\"\n[discovery]\ninterface = [\"eth0\"]\n");
        assert!(problem.starts_with("line 3: unknown field `interface`"), "{problem}");
        assert!(problem.ends_with("did you mean `interfaces`?"), "{problem}");
    }

    #[test]
    fn a_key_like_no_other_gets_no_suggestion() {
        assert!(!problem("xyzzyplugh = 1\n").contains("did you mean"));
    }

    #[test]
    fn every_key_has_a_default() {
        let config = Config::parse("").unwrap();
        assert_eq!(config.service.listen.port(), 23980);
        assert_eq!(config.discovery.port, 3980);
    }

    #[test]
    fn values_that_cannot_work_are_named() {
        assert!(problem("[discovery]\ngroup = \"10.0.0.1\"").contains("multicast"));
        assert!(problem("[discovery]\nport = 0").contains("discovery.port"));
        assert!(problem("[managers]\nallow = [\"10.0.0.0/99\"]").contains("10.0.0.0/99"));
        assert!(problem("[plugins.grants.x]\nfile = [\"/a\"]").contains("did you mean `files`?"));
    }
}
