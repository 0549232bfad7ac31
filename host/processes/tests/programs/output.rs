//! What a program says is kept, bounded, and read on from a cursor.

use crate::support::{sh, world};

#[test]
fn output_is_bounded_and_read_on_from_a_cursor() {
    let Some(world) = world() else { return };
    world.run("one", sh("echo first; echo second >&2; while ! test -e go; do sleep 0.05; done; yes 0123456789 | head -n 30000; echo last"));
    world.until_said("one", "second");
    let cursor = world.processes.log("one", Some("0-0"), 10).unwrap().unwrap().next;
    std::fs::write(world.dir().join("folder/go"), "").unwrap();
    world.until_state("one", "exited");
    let said = world.said("one");
    assert!(said.ends_with("last\n") && said.len() <= 64 * 1024, "{}", said.len());
    let (mut cursor, mut heard, mut lost) = (cursor, 10, 0);
    loop {
        let chunk = world.processes.log("one", Some(&cursor), 10_000).unwrap().unwrap();
        if chunk.bytes.is_empty() {
            break;
        }
        heard += chunk.bytes.len() as u64;
        lost += chunk.lost;
        cursor = chunk.next;
    }
    assert_eq!(heard + lost, "first\nsecond\nlast\n".len() as u64 + 30_000 * 11);
    assert!(lost > 0);
    assert_eq!(world.processes.log("two", None, 10).unwrap(), None);
}

#[test]
fn output_of_several_runs_follows_one_another() {
    let Some(world) = world() else { return };
    world.run("one", sh("echo run; exit 0"));
    world.until_state("one", "exited");
    world.processes.start("one").unwrap();
    world.until_state("one", "exited");
    assert_eq!(world.said("one"), "run\nrun\n");
}
