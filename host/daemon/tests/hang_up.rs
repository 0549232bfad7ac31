//! SIGHUP, in a process of its own: a token that was replaced is taken at once.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use cardcage_daemon::signals::Signals;
use cardcage_daemon::token::Token;
use hyper::header::HeaderValue;
use nix::sys::signal::{Signal, raise};
use tokio::time::timeout;

#[tokio::test]
async fn a_process_that_is_hung_up_on_takes_the_new_token_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("token");
    let write = |token: &str| {
        let draft = dir.path().join("new");
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft).unwrap();
        file.write_all(token.as_bytes()).unwrap();
        fs::rename(draft, &path).unwrap();
    };
    write("0123456789abcdef");
    let token = Token::load(&path).unwrap();
    let signals = tokio::spawn(Signals::catch().unwrap().first());
    write("fedcba9876543210");
    let new = HeaderValue::from_static("Bearer fedcba9876543210");
    raise(Signal::SIGHUP).unwrap();
    let taken = async {
        while !token.matches(Some(&new)).await {
            tokio::task::yield_now().await;
        }
    };
    // Sooner than it would be looked at otherwise.
    timeout(Duration::from_secs(8), taken).await.expect("the old token stays");
    signals.abort();
}
