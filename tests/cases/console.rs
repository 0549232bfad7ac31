//! Every command of a `console` block is typed by a test, in one language for both.

use cardcage_tests::typed;

/// The documents, each with how its commands begin, and where they are typed.
const DOCUMENTS: [(&str, &[(&str, &str)]); 6] = [
    (
        "README",
        &[
            ("cardcage deploy ", "deploy/documents.rs"),
            ("cardcage ps", "deploy/documents.rs"),
            ("cardcage logs ", "deploy/documents.rs"),
            ("cardcage stop ", "deploy/documents.rs"),
            ("curl ", "deploy/documents.rs"),
            ("cardcage plugins ", "push.rs"),
        ],
    ),
    ("sdk/guide/bar", &[("cardcage deploy ", "deploy/documents.rs")]),
    (
        "sdk/guide/signing",
        &[
            ("wkg oci push ", "pull.rs"),
            ("oras push ", "pull.rs"),
            ("sudo cardcage-agent plugin pull ", "pull.rs"),
        ],
    ),
    ("sdk/guide/write-a-backend", &[("cardcage deploy ", "backend/vendor.rs")]),
    ("sdk/guide/write-a-probe", &[("", "projects.rs")]),
    ("sdk/guide/write-a-task", &[("curl ", "task.rs")]),
];

#[test]
fn every_command_of_a_document_is_typed_by_a_test() {
    let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    for (document, tests) in DOCUMENTS {
        let all = typed(&format!("{document}.md"));
        assert_eq!(
            all,
            typed(&format!("{document}.zh-CN.md")),
            "the commands of both languages of {document}"
        );
        for (begins, test) in tests {
            assert!(all.iter().any(|one| one.command.starts_with(begins)), "no {begins}in {document}");
            let test = std::fs::read_to_string(cases.join(test)).unwrap();
            assert!(test.contains(&format!("{document}.md")), "no {document} is typed there");
        }
        for one in all {
            assert!(tests.iter().any(|(begins, _)| one.command.starts_with(begins)), "{document}: {one:?}");
        }
    }
    let guides = std::fs::read_dir(cases.join("../../sdk/guide")).unwrap();
    let names = guides.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    for guide in names.filter(|name| name.ends_with(".md") && !name.ends_with(".zh-CN.md")) {
        let guide = format!("sdk/guide/{guide}");
        let is_known = DOCUMENTS.iter().any(|(document, _)| guide == format!("{document}.md"));
        assert!(is_known || typed(&guide).is_empty(), "nobody types what {guide} says");
    }
}
