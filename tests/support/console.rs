//! The `console` blocks of the documents: commands, and what they say. Each is typed by a test that has what it needs; the
//! others, `sh` blocks, are one script, which `cargo xtask test documents` runs.

use std::path::Path;

use serde_json::Value;

/// A command with its further lines, and what it says.
#[derive(Debug, PartialEq, Eq)]
pub struct Typed {
    pub command: String,
    pub says: String,
}

/// The `console` blocks of a document.
pub fn typed(document: &str) -> Vec<Typed> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(document);
    // Whether a shell would ask for more.
    let is_open = |command: &str| command.ends_with('\\') || command.matches('\'').count() % 2 == 1;
    let (mut all, mut inside) = (Vec::<Typed>::new(), false);
    for line in std::fs::read_to_string(file).unwrap().lines() {
        if let Some(language) = line.strip_prefix("```") {
            inside = language == "console";
        } else if let (true, Some(command)) = (inside, line.strip_prefix("$ ")) {
            all.push(Typed { command: command.to_owned(), says: String::new() });
        } else if inside {
            match all.last_mut().unwrap() {
                last if is_open(&last.command) => last.command += &format!("\n{line}"),
                last => last.says += &format!("{line}\n"),
            }
        }
    }
    all
}

/// The only command of a document that begins with these words.
#[track_caller]
pub fn typed_as(document: &str, begins: &str) -> Typed {
    let mut found = typed(document).into_iter().filter(|one| one.command.starts_with(begins));
    let one = found.next().unwrap_or_else(|| panic!("{document} does not say {begins}"));
    assert_eq!(found.next(), None, "{document} says {begins} again");
    one
}

/// What a command says, without what is measured: a reply, or lines of words.
pub fn shape(text: &str) -> Value {
    let words = |line: &str| {
        let words = line.split_whitespace().map(|word| match word {
            "B" | "KiB" => "MiB",
            word => word.parse::<f64>().map_or(word, |_| "0"),
        });
        words.collect::<Value>()
    };
    serde_json::from_str(text).unwrap_or_else(|_| text.lines().map(words).collect())
}
