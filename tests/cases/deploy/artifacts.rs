//! Software that cannot be had, or is not what it should be; and archives that attack.

use cardcage_tests::{Board, EntryType, FullDisk, Kind, Shelf, gzip, sha256, tar, tar_entry, until, zstd};

/// Small limits, so that what is too long need not be long.
const LIMITS: &str = "[deploy]\nartifact_limit = \"8MiB\"\nunpacked_limit = \"16MiB\"";

#[test]
fn what_cannot_be_had_is_said_with_its_address() {
    for kind in Kind::BOTH {
        let Some(board) = Board::with("software that cannot be had", kind, LIMITS) else { continue };
        let file = vec![7_u8; 100_000];
        let shelves = [
            ("absent", Shelf::Status(404), "404"),
            ("broken", Shelf::Status(500), "500"),
            ("denied", Shelf::Status(403), "403"),
            ("short", Shelf::Short(file.clone().into()), "short"),
            ("too-long", Shelf::Announces(9 << 20), "8388608"),
            ("circle", Shelf::Redirect("/circle".into()), "redirect"),
            ("drops", Shelf::Drops, "drops"),
            ("no-archive", Shelf::File(b"<html>hello</html>".as_slice().into()), "no-archive"),
        ];
        for (name, shelf, word) in shelves {
            board.repository.shelve(name, shelf);
            let reply = board.agent.order(&board.of(name, name)).refused(6, &[&board.repository.url()]);
            assert!(reply.message.contains(word), "no {word:?} in {}", reply.message);
            let failed = board.agent.until_state(name, "FAILED");
            assert_eq!(failed["reason"], reply.message);
        }
        let nobody = cardcage_tests::Order::new(kind.name(), "nobody", "http://127.0.0.1:1", "x");
        board.agent.order(&nobody).refused(6, &["127.0.0.1:1"]);
        // What failed can be ordered again, when it is there.
        board.repository.shelve("absent", Shelf::Redirect(format!("/{}", kind.file())));
        board.agent.order(&board.of("absent", "absent")).done();
        board.agent.until_state("absent", "RUNNING");
    }
}

#[test]
fn what_is_not_what_was_announced_is_not_run() {
    for kind in Kind::BOTH {
        let Some(board) = Board::new("digests", kind) else { continue };
        let order = board.serve("a");
        let wrong = order.clone().option("sha256", sha256(b"something else"));
        board.agent.order(&wrong).refused(6, &["SHA-256", &sha256(b"something else")]);
        assert_eq!(board.remains("a"), Vec::<String>::new());
        board.agent.order(&order.clone().option("sha256", "abc")).refused(1, &["sha256"]);
    }
}

#[test]
fn a_slow_repository_delays_nobody_else() {
    for kind in Kind::BOTH {
        let Some(board) = Board::new("a slow repository", kind) else { continue };
        let whole = match kind {
            Kind::Docker => {
                gzip(&cardcage_tests::image("cardcage-tests:slow", &["sh", "-c", cardcage_tests::SERVE]))
            }
            Kind::Bar => cardcage_tests::script("slow", cardcage_tests::SERVE, ""),
        };
        board.repository.shelve("slow", Shelf::Stalls(whole.into()));
        std::thread::scope(|scope| {
            let (agent, repository) = (&board.agent, &board.repository);
            let slow = board.of("slow", "slow");
            let waiting = scope.spawn(move || agent.order(&slow));
            until("it is being fetched", || (repository.asked("slow") > 0).then_some(()));
            let pending = agent.until_state("slow", "PENDING");
            assert_eq!(pending["cores"].as_array().unwrap().len(), 1, "its core is taken: {pending}");
            agent.order(&board.serve("quick")).done();
            assert_eq!(board.reported("slow")["state"], "PENDING");
            repository.let_go();
            waiting.join().unwrap().done();
        });
    }
}

#[test]
fn archives_are_known_by_what_they_hold() {
    let Some(board) = Board::new("formats", Kind::Docker) else { return };
    let image = cardcage_tests::image("cardcage-tests:serve", &["sh", "-c", cardcage_tests::SERVE]);
    for (name, file) in [("plain", image.clone()), ("gzip", gzip(&image)), ("zstd", zstd(&image))] {
        board.repository.put(name, file);
        let id = board.agent.order(&board.of(name, name)).done().id;
        board.agent.deploy(&board.of(name, name).stop(&id)).done();
    }
    // Without an image, with a broken one, and with one that is not all there.
    for (name, file, word) in [
        ("no-image", tar(&[("readme", b"hello".as_slice())]), "no-image"),
        ("broken", tar(&[("manifest.json", b"[{]".as_slice())]), ""),
        ("cut", image[..image.len() / 2].to_vec(), ""),
    ] {
        board.repository.put(name, file);
        board.agent.order(&board.of(name, name)).refused(6, &[word]);
    }
}

#[test]
fn an_archive_writes_nothing_outside_its_folder_and_no_more_than_it_may() {
    let Some(board) = Board::with("archives that attack", Kind::Bar, LIMITS) else { return };
    let outside = board.world.folder().join("outside");
    let target = outside.to_str().unwrap();
    let regular = EntryType::Regular;
    let through = |first: Vec<u8>, second: Vec<u8>| {
        // Two archives one after the other: the end of the first is two blocks of zeros.
        [&first[..first.len() - 1024], second.as_slice()].concat()
    };
    let bomb = gzip(&tar(&[("zeros", &vec![0_u8; 32 << 20])]));
    assert!(bomb.len() < 1 << 20);
    let attacks = [
        ("parent", tar_entry("../../../../../outside", regular, "", b"x")),
        ("parent-inside", tar_entry("a/../../../outside", regular, "", b"x")),
        ("absolute", tar_entry(target, regular, "", b"x")),
        ("device", tar_entry("device", EntryType::Char, "", b"")),
        ("pipe", tar_entry("pipe", EntryType::Fifo, "", b"")),
        ("link-out", tar_entry("link", EntryType::Symlink, "/etc/passwd", b"")),
        ("hard-link-out", tar_entry("link", EntryType::Link, "/etc/passwd", b"")),
        (
            "through-a-link",
            through(
                tar_entry("link", EntryType::Symlink, board.world.folder().to_str().unwrap(), b""),
                tar_entry("link/outside", regular, "", b"x"),
            ),
        ),
        ("bomb", bomb),
    ];
    for (name, archive) in attacks {
        // With a manifest in front, so that it would be run.
        let archive = if name == "bomb" { archive } else { through(with_manifest(), archive) };
        let archive = if name == "bomb" { archive } else { gzip(&archive) };
        board.repository.put(name, archive);
        let reply = board.agent.order(&board.of(name, name));
        assert_ne!(reply.result, 0, "{name}: {reply:?}");
        assert!([1, 6, 7].contains(&reply.result), "{name}: {reply:?}");
        board.agent.until_state(name, "FAILED");
        assert!(!outside.exists(), "{name} wrote outside");
    }
    assert_eq!(board.remains_of_programs(), Vec::<String>::new());
}

fn with_manifest() -> Vec<u8> {
    tar(&[("bar.toml", b"name = \"x\"\nversion = \"1\"\ncommand = [\"/bin/true\"]\n".as_slice())])
}

#[test]
fn a_full_disk_refuses_and_is_no_end() {
    for kind in Kind::BOTH {
        let mut disk = None;
        let board = Board::set_up("a full disk", kind, |world| {
            disk = FullDisk::with_room("a full disk", &world.folder().join("agent-1/state"), 64);
            String::new()
        });
        let (Some(board), Some(disk)) = (board, disk) else { continue };
        disk.fill();
        board.repository.put("large", gzip(&incompressible()));
        board.agent.order(&board.of("a", "large")).refused(11, &["space"]);
        disk.empty();
        board.agent.order(&board.serve("b")).done();
        board.agent.until_state("b", "RUNNING");
    }
}

/// More than is left of a full disk, and no less when it is packed.
fn incompressible() -> Vec<u8> {
    let mut state = 1_u64;
    let byte = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..256 << 10).map(byte).collect()
}
