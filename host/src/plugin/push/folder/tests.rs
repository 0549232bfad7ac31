//! What is in the folder before, during and after a push.

use cardcage_signature::{SecretKey, sign};
use tempfile::TempDir;

use super::*;
use crate::config::Config;
use crate::plugin::BUILT_IN;

/// A built-in plugin as a vendor would ship it. Another signature makes another content of it.
fn plugin(keys: &[&SecretKey]) -> Vec<u8> {
    let hwmon = BUILT_IN.iter().find(|plugin| plugin.manifest.contains("name = \"hwmon\"")).unwrap();
    keys.iter().fold(hwmon.wasm.to_vec(), |bytes, key| sign(&bytes, key).unwrap())
}

struct Board {
    key: SecretKey,
    other: SecretKey,
    place: TempDir,
}

impl Board {
    fn new() -> Self {
        let [key, other] = [0, 1].map(|_| SecretKey::generate().unwrap());
        Self { key, other, place: tempfile::tempdir().unwrap() }
    }

    fn folder(&self) -> Folder {
        let trust = format!("[plugins]\npush = true\ntrust = [\"{}\"]", self.key.public());
        let config = Config::parse(&trust).unwrap();
        Folder::new(self.path(""), self.place.path(), config.plugins)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.place.path().join("plugins").join(file)
    }

    fn signed(&self, version: u8) -> Vec<u8> {
        match version {
            1 => plugin(&[&self.key]),
            _ => plugin(&[&self.other, &self.key]),
        }
    }

    fn push(&self, bytes: &[u8]) -> Result<Pushed, PushError> {
        let (pieces, coming) = mpsc::channel(8);
        for piece in bytes.chunks(bytes.len() / 3 + 1) {
            pieces.try_send(Piece::Bytes(piece.to_vec().into())).unwrap();
        }
        pieces.try_send(Piece::End).unwrap();
        self.folder().put(&name(), coming)
    }

    /// What the file holds.
    fn holds(&self) -> Option<Digest> {
        fs::read(self.path("hwmon.wasm")).ok().map(|bytes| Digest::of(&bytes))
    }

    /// Nothing is left of what did not get its place.
    fn is_tidy(&self) {
        assert!(!self.path(".pushed/.new").exists());
    }
}

fn name() -> FileName {
    FileName::parse("hwmon.wasm").unwrap()
}

#[test]
fn a_new_file_is_put_there_and_taken_back() {
    let board = Board::new();
    let bytes = board.signed(1);
    let pushed = board.push(&bytes).unwrap();
    assert_eq!((pushed.name.as_str(), pushed.before), ("hwmon", None));
    assert_eq!(board.holds(), Some(pushed.digest));
    assert_eq!(
        board.folder().held(&name()).unwrap(),
        Held { now: Some(pushed.digest), pushed: Some(pushed.digest) }
    );
    // Only what was pushed, and again and again.
    let other = Digest::of(b"other");
    assert!(matches!(board.folder().take_back(&name(), other), Err(PushError::NotPushed(of)) if of == other));
    for _ in 0..2 {
        assert_eq!(board.folder().take_back(&name(), pushed.digest).unwrap(), None);
        assert_eq!(board.holds(), None);
    }
    board.is_tidy();
}

#[test]
fn what_was_there_comes_back() {
    let board = Board::new();
    let old = board.push(&board.signed(1)).unwrap().digest;
    let new = board.push(&board.signed(2)).unwrap();
    assert_eq!((new.before, board.holds()), (Some(old), Some(new.digest)));
    // The same again changes nothing, also not what is taken back.
    assert_eq!(board.push(&board.signed(2)).unwrap().before, Some(new.digest));
    assert_eq!(board.folder().take_back(&name(), new.digest).unwrap(), Some(old));
    assert_eq!(board.holds(), Some(old));
    assert_eq!(board.folder().take_back(&name(), new.digest).unwrap(), Some(old), "idempotent");
}

#[test]
fn what_was_accepted_is_another_place_to_find_it() {
    let board = Board::new();
    let bytes = board.signed(1);
    let old = board.push(&bytes).unwrap().digest;
    let new = board.push(&board.signed(2)).unwrap().digest;
    fs::write(board.path(".pushed/hwmon.wasm"), "spoilt").unwrap();
    assert!(matches!(board.folder().take_back(&name(), new), Err(PushError::Lost)));
    assert_eq!(board.holds(), Some(new));
    let accepted = board.place.path().join("accepted");
    fs::create_dir(&accepted).unwrap();
    fs::write(accepted.join(format!("{old}.wasm")), &bytes).unwrap();
    assert_eq!(board.folder().take_back(&name(), new).unwrap(), Some(old));
    assert_eq!(board.holds(), Some(old));
    board.is_tidy();
}

#[test]
fn what_somebody_else_put_there_since_is_left_alone() {
    let board = Board::new();
    let pushed = board.push(&board.signed(1)).unwrap().digest;
    fs::write(board.path("hwmon.wasm"), "an operator's").unwrap();
    assert!(matches!(board.folder().take_back(&name(), pushed), Err(PushError::Changed)));
    assert_eq!(board.holds(), Some(Digest::of(b"an operator's")));
}

#[test]
fn what_no_trusted_key_signed_or_is_no_plugin_never_gets_its_place() {
    let board = Board::new();
    let old = board.push(&board.signed(1)).unwrap().digest;
    let stranger = SecretKey::generate().unwrap();
    let mut changed = board.signed(2);
    let end = changed.len() - 1;
    changed[end] ^= 1;
    for bytes in [plugin(&[]), plugin(&[&stranger]), changed, b"hello".to_vec(), Vec::new()] {
        let refused = board.push(&bytes);
        assert!(matches!(refused, Err(PushError::Refused(_) | PushError::Package(_))), "{refused:?}");
        assert_eq!(board.holds(), Some(old));
        board.is_tidy();
    }
}

#[test]
fn a_body_that_breaks_off_or_never_ends_leaves_nothing() {
    let board = Board::new();
    let (pieces, coming) = mpsc::channel(1);
    pieces.try_send(Piece::Bytes(vec![0; 9].into())).unwrap();
    drop(pieces);
    assert!(matches!(board.folder().put(&name(), coming), Err(PushError::Broken)));
    let (pieces, coming) = mpsc::channel(4);
    let half = bytes::Bytes::from(vec![0; usize::try_from(PLUGIN_LIMIT / 2 + 1).unwrap()]);
    (0..2).for_each(|_| pieces.try_send(Piece::Bytes(half.clone())).unwrap());
    assert!(matches!(board.folder().put(&name(), coming), Err(PushError::TooLarge)));
    assert_eq!(board.holds(), None);
    board.is_tidy();
}

#[test]
fn a_full_folder_takes_no_new_file_and_a_folder_is_no_file() {
    let board = Board::new();
    fs::create_dir_all(board.path("")).unwrap();
    (0..FILES_LIMIT).for_each(|number| fs::write(board.path(&format!("{number}.wasm")), "").unwrap());
    assert!(matches!(board.push(&board.signed(1)), Err(PushError::Full(FILES_LIMIT))));
    fs::create_dir(board.path("hwmon.wasm")).unwrap();
    assert!(matches!(board.push(&board.signed(1)), Err(PushError::Io { .. })));
    board.is_tidy();
}

#[test]
fn a_record_that_is_damaged_is_no_record() {
    let board = Board::new();
    let pushed = board.push(&board.signed(1)).unwrap().digest;
    let forged = format!("{pushed}  -  ../victim.wasm\nzz  -  hwmon.wasm\n\n{pushed}  hwmon.wasm");
    fs::write(board.place.path().join("pushed"), forged).unwrap();
    assert!(board.folder().lines().is_empty());
    assert!(matches!(board.folder().take_back(&name(), pushed), Err(PushError::NotPushed(_))));
    assert_eq!(board.holds(), Some(pushed));
}
