//! SIGTERM and SIGINT: the first one stops the process in order, the second one at once. SIGHUP ends nothing: it opens the
//! log anew, and has certificates and tokens looked at.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::{log, watched};

/// Exit status after a second signal, as a shell gives it for SIGINT.
const CUT_SHORT: i32 = 130;

/// Both signals, caught from here on.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Catches them. To be called within a runtime.
    pub fn catch() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return "SIGTERM",
                _ = self.interrupt.recv() => return "SIGINT",
                _ = self.hang_up.recv() => {
                    log::reopen();
                    watched::look_again();
                    info!("told to open the log, certificates and tokens anew");
                }
            }
        }
    }

    /// Ready at the first signal. The second one ends the process.
    pub async fn first(mut self) {
        let signal = self.next().await;
        info!(signal, "told to stop; a second signal stops at once");
        tokio::spawn(async move {
            let signal = self.next().await;
            warn!(signal, "stopping at once");
            std::process::exit(CUT_SHORT);
        });
    }
}
