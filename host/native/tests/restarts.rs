//! A thousand ends leave nothing behind. Alone in its process: it counts the process's children and descriptors.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic, that is how it fails")]

use std::time::Duration;

use cardcage_native::{Code, Returns};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use stub::{Stub, s32, soon};
use tokio::time::{Instant, timeout};

#[path = "native/stub.rs"]
mod stub;

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Dead or alive.
fn has_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    !matches!(waitid(WaitId::All, options), Err(rustix::io::Errno::CHILD))
}

#[tokio::test]
async fn a_thousand_restarts_leave_nothing_behind() {
    let mut stub = Stub::open().await;
    let mut before = None;
    for number in 0..1_000 {
        let code = match number % 5 {
            0 => stub.call("segfault", Returns::Nothing, &[]).await.map_err(|error| error.code),
            1 => stub.call("exit_now", Returns::Nothing, &[s32(1)]).await.map_err(|error| error.code),
            2 => {
                let hang = stub.function("hang", &[], Returns::Nothing).await.unwrap();
                stub.native
                    .call(&hang, &[], Instant::now() + Duration::from_millis(1))
                    .await
                    .map_err(|error| error.code)
            }
            3 => {
                // Given up.
                let hang = stub.function("hang", &[], Returns::Nothing).await.unwrap();
                let call = stub.native.call(&hang, &[], soon());
                assert!(timeout(Duration::ZERO, call).await.is_err());
                Err(Code::Closed)
            }
            _ => {
                stub.native.stop().await;
                stub.call("segfault", Returns::Nothing, &[]).await.map_err(|error| error.code)
            }
        };
        let expected = [Code::Crashed, Code::Crashed, Code::Late, Code::Closed, Code::Closed];
        assert_eq!(code, Err(expected[number % 5]));
        stub.again().await;
        if number == 9 {
            before = Some(descriptors());
        }
    }
    stub.native.stop().await;
    stub.again().await;
    let quiet = async {
        while descriptors() > before.unwrap() {
            tokio::task::yield_now().await;
        }
        drop(stub);
        while has_children() {
            tokio::task::yield_now().await;
        }
    };
    assert!(timeout(Duration::from_secs(30), quiet).await.is_ok(), "{} descriptors", descriptors());
}
