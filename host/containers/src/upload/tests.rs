//! An archive on its way to the engine.

use std::io::Cursor;

use super::*;

#[test]
fn names_are_found_in_what_engines_say() {
    let mut names = Vec::new();
    for line in [
        "Loaded image: a:1\n",
        "Loading layer",
        "Loaded image: a:1\n",
        "Loaded image ID: sha256:12\nLoaded image ID: sha256:13\n",
        "Loaded image: localhost/b:1,localhost/c:2",
        "The image a:1 already exists, renaming the old one with ID sha256:34 to empty string",
    ] {
        loaded(&BuildInfo { stream: Some(line.into()), ..BuildInfo::default() }, &mut names);
    }
    assert_eq!(names, ["a:1", "sha256:12", "sha256:13", "localhost/b:1", "localhost/c:2"]);
}

#[tokio::test(flavor = "current_thread")]
async fn chunks_are_what_was_given_and_a_broken_one_breaks_off() {
    let upload = || Arc::new(Mutex::new(Upload { last: Instant::now(), is_complete: false, failure: None }));
    let given = vec![7; CHUNK * 2 + 5];
    let whole = upload();
    let (give, take) = mpsc::channel(WAITING);
    let mut sink = Sink { give: give.clone(), chunk: Vec::new() };
    let bytes = given.clone();
    tokio::task::spawn_blocking(move || {
        io::copy(&mut Cursor::new(bytes), &mut sink).and_then(|_| sink.flush()).expect("taken");
        give.blocking_send(Ok(Bytes::new())).expect("taken");
    });
    let read: Vec<_> = chunks(take, Arc::clone(&whole)).collect().await;
    let sizes: Vec<usize> = read.iter().map(|chunk| chunk.as_ref().expect("read").len()).collect();
    assert_eq!(sizes, [CHUNK, CHUNK, 5]);
    let read: Vec<u8> = read.into_iter().flat_map(|chunk| chunk.expect("read")).collect();
    assert!(read == given && lock(&whole).is_complete);

    let (give, take) = mpsc::channel(WAITING);
    give.try_send(Err("bad block".to_owned())).expect("room");
    let broken = upload();
    let read: Vec<_> = chunks(take, Arc::clone(&broken)).collect().await;
    assert!(read.len() == 1 && read[0].is_err());
    assert_eq!(lock(&broken).failure.as_deref(), Some("bad block"));

    // A reader that ends without a word is no end of the archive.
    let (give, take) = mpsc::channel::<Piece>(WAITING);
    drop(give);
    let ended = upload();
    let read: Vec<_> = chunks(take, Arc::clone(&ended)).collect().await;
    assert!(read.len() == 1 && read[0].is_err() && !lock(&ended).is_complete);
}

/// Whoever waited is gone: the thread ends, however long the archive is.
#[test]
fn what_nobody_waits_for_is_not_read() {
    struct Endless(Arc<Mutex<u64>>);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            *lock(&self.0) += 1;
            buffer.fill(1);
            Ok(buffer.len())
        }
    }
    let read = Arc::new(Mutex::new(0));
    let (tell, told) = oneshot::channel();
    let (give, _take) = mpsc::channel(WAITING);
    drop(told);
    let counted = Arc::clone(&read);
    pass_on(&move || Ok(Box::new(Endless(Arc::clone(&counted)))), tell, give);
    assert_eq!(*lock(&read), 0);
}
