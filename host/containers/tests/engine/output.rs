//! Logs, piece by piece.

use cardcage_containers::{Chunk, Position, Stream};
use tokio::time::{Duration, Instant, sleep};

use crate::support::{BACKEND, Board};

impl Board {
    pub async fn chunk(&self, uuid: &str, from: Position<'_>, limit: usize) -> Chunk {
        self.engine.logs(uuid, BACKEND, from, limit).await.expect("read").expect("there")
    }

    /// Everything, of both streams.
    pub async fn output(&self, uuid: &str) -> String {
        text(&self.chunk(uuid, Position::Last(10_000), 1 << 20).await)
    }

    pub async fn wait_for_output(&self, uuid: &str, word: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        while !self.output(uuid).await.contains(word) {
            assert!(Instant::now() < end, "it never said {word}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// From the cursor to the end, in pieces.
    async fn rest(&self, uuid: &str, mut next: String, limit: usize) -> (String, String) {
        let mut all = String::new();
        loop {
            let chunk = self.chunk(uuid, Position::After(&next), limit).await;
            next = chunk.next.clone();
            if chunk.lines.is_empty() {
                return (all, next);
            }
            all += &text(&chunk);
        }
    }
}

fn text(chunk: &Chunk) -> String {
    chunk.lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
}

#[tokio::test(flavor = "current_thread")]
async fn pieces_put_together_are_the_whole() {
    let Some(board) = Board::docker() else { return };
    let id = board.started("u1", &["sh", "-c", "seq 1 3000"]).await;
    board.ended(&id).await;
    let whole: String = (1..=3000).map(|number| format!("{number}\n")).collect();
    for limit in [700, 5_000, 1 << 20] {
        let begin = board.chunk("u1", Position::Last(0), limit).await;
        assert!(begin.lines.is_empty());
        assert!(board.chunk("u1", Position::After(&begin.next), limit).await.lines.is_empty());
        let last = board.chunk("u1", Position::Last(3), limit).await;
        assert_eq!(text(&last), "2998\n2999\n3000\n");
        // The cursor of another container begins at the beginning.
        let (all, next) = board.rest("u1", "ffffffffffff.9.9.9.9".into(), limit).await;
        assert_eq!(all, whole, "in pieces of {limit}");
        assert_eq!(board.rest("u1", next, limit).await.0, "");
    }
}

#[tokio::test(flavor = "current_thread")]
async fn what_is_written_later_comes_later() {
    let Some(board) = Board::docker() else { return };
    let script =
        "echo one; echo two >&2; while [ ! -e /tmp/go ]; do sleep 0.1; done; seq 1 200; seq 201 400 >&2";
    let id = board.started("u1", &["sh", "-c", script]).await;
    board.wait_for_output("u1", "two").await;
    let first = board.chunk("u1", Position::Last(100), 1 << 20).await;
    let streams: Vec<(Stream, &[u8])> =
        first.lines.iter().map(|line| (line.stream, &line.text[..])).collect();
    assert!(streams.contains(&(Stream::Output, b"one\n")) && streams.contains(&(Stream::Error, b"two\n")));
    board.does(&["exec", &id, "touch", "/tmp/go"]);
    // While it writes, and after it ended.
    let (mut all, next) = board.rest("u1", first.next, 300).await;
    board.ended(&id).await;
    all += &board.rest("u1", next, 300).await.0;
    let mut numbers: Vec<u32> = all.lines().map(|line| line.parse().expect("a number")).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=400).collect::<Vec<_>>());
}

#[tokio::test(flavor = "current_thread")]
async fn a_long_line_comes_in_parts_and_whole() {
    let Some(board) = Board::docker() else { return };
    let id = board.started("u1", &["sh", "-c", "head -c 50000 /dev/zero | tr '\\0' x; echo; echo end"]).await;
    board.ended(&id).await;
    let (all, _) = board.rest("u1", "00.0.0.0.0".into(), 10).await;
    assert_eq!(all, format!("{}\nend\n", "x".repeat(50_000)));
}

#[tokio::test(flavor = "current_thread")]
async fn no_container_is_no_log_and_no_cursor_is_refused() {
    let Some(board) = Board::docker() else { return };
    let none = board.engine.logs("u1", BACKEND, Position::Last(5), 100).await.expect("asked");
    assert!(none.is_none());
    let error =
        board.engine.logs("u1", BACKEND, Position::After("yesterday"), 100).await.expect_err("no cursor");
    assert_eq!(error.code(), "invalid");
}
