//! What is open is asked about again: the reply was lost, the agent said that it is not done yet, the board was away, or
//! the manager was restarted in between. Nothing else is touched: what failed or was refused stays so until somebody
//! orders again, and what somebody else runs is theirs.

use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval, timeout};

use super::Deployments;

/// How often it is looked at what is due.
const TICK: Duration = Duration::from_millis(500);

/// Requests that begin at one tick.
const AT_ONCE: usize = 64;

/// Longest time for requests to break off.
const END_DEADLINE: Duration = Duration::from_secs(3);

impl Deployments {
    /// Asks until it is told to stop, and then breaks off what is under way and closes the store. What is open stays so.
    pub async fn run(self, stop: tokio_util::sync::CancellationToken) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => self.ask_what_is_due(),
            }
        }
        self.0.stop.cancel();
        self.0.tasks.close();
        let _ = timeout(END_DEADLINE, self.0.tasks.wait()).await;
        self.0.orders.close().await;
    }

    fn ask_what_is_due(&self) {
        let most = self.0.requests.available_permits().min(AT_ONCE);
        let due = self.book().due(Instant::now(), most);
        for uuid in due {
            let this = self.clone();
            self.0.tasks.spawn(async move { this.attempt(&uuid).await });
        }
    }
}
