//! The fenced blocks of a document.

/// One fenced block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block<'a> {
    pub(super) language: &'a str,
    pub(super) text: String,
}

/// All fenced blocks, in order.
pub(super) fn blocks(document: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for line in document.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some(Block { language, text: String::new() }),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::root;

    #[test]
    fn a_block_has_a_language_and_its_lines() {
        let found = blocks("text\n```sh\na\nb\n```\n`c`\n```\nd\n```\n");
        let sh = Block { language: "sh", text: "a\nb\n".into() };
        assert_eq!(found, [sh, Block { language: "", text: "d\n".into() }]);
    }

    /// Commands and configuration without their comments, which are translated.
    fn typed(document: &str) -> Vec<String> {
        let text = std::fs::read_to_string(root().join(document)).unwrap();
        let blocks = blocks(&text).into_iter().filter(|block| ["sh", "toml"].contains(&block.language));
        let lines = blocks.flat_map(|block| block.text.lines().map(str::to_owned).collect::<Vec<_>>());
        let code = lines.map(|line| match line.find('#') {
            // The first line of a file says which one it is.
            Some(0) if line.starts_with("# /") => line.split(',').next().unwrap().to_owned(),
            Some(comment) => line[..comment].trim_end().to_owned(),
            None => line,
        });
        code.filter(|line| !line.is_empty()).collect()
    }

    #[test]
    fn a_translation_has_the_same_commands() {
        for (english, chinese) in [
            ("README.md", "README.zh-CN.md"),
            ("sdk/guide/write-a-probe.md", "sdk/guide/write-a-probe.zh-CN.md"),
            ("sdk/guide/capabilities.md", "sdk/guide/capabilities.zh-CN.md"),
            ("sdk/guide/write-a-backend.md", "sdk/guide/write-a-backend.zh-CN.md"),
            ("sdk/guide/write-a-task.md", "sdk/guide/write-a-task.zh-CN.md"),
            ("sdk/guide/bar.md", "sdk/guide/bar.zh-CN.md"),
            ("sdk/guide/signing.md", "sdk/guide/signing.zh-CN.md"),
            ("sdk/guide/manifest.md", "sdk/guide/manifest.zh-CN.md"),
            ("sdk/guide/compatibility.md", "sdk/guide/compatibility.zh-CN.md"),
        ] {
            assert_eq!(typed(english), typed(chinese), "{english} and {chinese}");
        }
    }

    #[test]
    fn what_a_document_links_to_is_there() {
        for document in [
            "README.md",
            "README.zh-CN.md",
            "ARCHITECTURE.md",
            "CHANGELOG.md",
            "sdk/guide/write-a-probe.md",
            "sdk/guide/write-a-probe.zh-CN.md",
            "sdk/guide/capabilities.md",
            "sdk/guide/capabilities.zh-CN.md",
            "sdk/guide/write-a-backend.md",
            "sdk/guide/write-a-backend.zh-CN.md",
            "sdk/guide/write-a-task.md",
            "sdk/guide/write-a-task.zh-CN.md",
            "sdk/guide/bar.md",
            "sdk/guide/bar.zh-CN.md",
            "sdk/guide/signing.md",
            "sdk/guide/signing.zh-CN.md",
            "sdk/guide/manifest.md",
            "sdk/guide/manifest.zh-CN.md",
            "sdk/guide/compatibility.md",
            "sdk/guide/compatibility.zh-CN.md",
        ] {
            let file = root().join(document);
            let text = std::fs::read_to_string(&file).unwrap();
            let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            for target in targets.filter(|target| !target.starts_with("https://")) {
                let path = file.with_file_name(target.split('#').next().unwrap());
                assert!(path.exists(), "{document} links to {target}");
            }
        }
    }
}
