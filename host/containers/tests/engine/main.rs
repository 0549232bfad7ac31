//! The real engines of this machine: docker, and podman behind a socket of its own.
//!
//! Every test has an agent's name and an image of its own, and removes what it made. Without an engine a test says so and
//! passes, except where CARDCAGE_CI is set.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test may panic, that is how it fails; one that does nothing says so"
)]

mod archives;
mod bench;
mod images;
mod life;
mod limits;
mod output;
mod podman;
mod refusals;
mod support;
mod usage;
