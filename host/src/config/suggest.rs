//! Turns a parser's error into one that names the key, the line, and the nearest known key.

/// The error as an operator reads it. The path is that of the key, empty where there is none.
pub(super) fn explain(error: &toml::de::Error, path: &str, text: &str) -> String {
    let line = error.span().map(|span| {
        let before = text.get(..span.start).unwrap_or_default();
        before.matches('\n').count() + 1
    });
    let mut problem = error.message().trim().replace('\n', " ");
    if let Some(nearest) = nearest_key(&problem) {
        problem.push_str(&format!("; did you mean `{nearest}`?"));
    } else if !problem.starts_with("unknown field ") && !matches!(path, "" | "." | "?") {
        problem = format!("{path}: {problem}");
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
    fn an_unknown_key_of_a_trusted_one_is_named_too() {
        let problem = problem("[plugins]\ntrust = [{ key = \"ed25519:\", plugin = [\"a\"] }]\n");
        assert!(problem.starts_with("line 2: unknown field `plugin`"), "{problem}");
        assert!(problem.ends_with("did you mean `plugins`?"), "{problem}");
    }

    #[test]
    fn a_key_like_no_other_gets_no_suggestion() {
        assert!(!problem("xyzzyplugh = 1\n").contains("did you mean"));
    }

    #[test]
    fn the_example_is_a_configuration() {
        let example = crate::config::EXAMPLE.split("\n\n").nth(1).unwrap();
        let config = Config::parse(example).unwrap();
        assert_eq!(config.board.box_type.as_deref(), Some("计算I型"));
        assert_eq!(config.plugins.grants.len(), 3);
        assert_eq!(config.deploy.memory, Some(12 << 30));
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
        assert!(problem("[managers]\nallow = []").contains("managers.allow is empty"));
        assert!(problem("[board]\nslot_id = 2147483648").contains("board.slot_id is more than 2147483647"));
        assert!(problem("[board]\nbox_type = \"a\\u001b[2J\"").contains("board.box_type"));
        for interfaces in ["\"\"", "\"a-name-that-is-too-long\"", "\"10.0.0.0/24\""] {
            let text = format!("[discovery]\ninterfaces = [{interfaces}]");
            assert!(problem(&text).contains("discovery.interfaces names"), "{interfaces}");
        }
        for path in ["sys/class", "/sys/../etc", "/sys/./class", "/", "/proc", "/proc/self/mem"] {
            let text = format!("[plugins.grants.psu]\nfiles = [\"{path}\"]");
            assert!(problem(&text).starts_with("plugins.grants.psu.files names"), "{path}");
        }
        assert!(problem("[plugins.grants.psu]\nsha256 = \"abc\"").contains("plugins.grants.psu.sha256"));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_named_in_full_with_its_line() {
        for (text, expected) in [
            (
                "# a\n[discovery]\nport = \"x\"",
                "line 3: discovery.port: invalid type: string \"x\", expected u16",
            ),
            ("[board]\nslot_id = -1", "line 2: board.slot_id: invalid value: integer `-1`"),
            ("[service]\nlisten = 23980", "line 2: service.listen: invalid type: integer"),
            ("[discovery]\ninterfaces = \"eth0\"", "line 2: discovery.interfaces: invalid type: string"),
            ("[managers]\nallow = [\"10.0.0.0/99\"]", "line 2: managers.allow[0]: \"10.0.0.0/99\" is not"),
            ("[plugins.grants.psu]\nfiles = 7", "line 2: plugins.grants.psu.files: invalid type"),
            ("state_dir", "line 1: "),
        ] {
            let problem = problem(text);
            assert!(problem.starts_with(expected), "{text}: {problem}");
        }
    }
}
