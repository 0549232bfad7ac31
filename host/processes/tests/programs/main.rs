//! Programs for real: processes, control groups, signals. What needs root says so and is skipped without it.

#![expect(clippy::unwrap_used, reason = "a test may panic, that is how it fails")]

mod damage;
mod health;
mod life;
mod limits;
mod lost;
mod output;
mod restart;
mod stop;
mod support;
mod unprivileged;
