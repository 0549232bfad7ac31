//! The board's container engine: what the agent does with it for deploys.
//!
//! ```text
//! archive ──load──▶ image ──create──▶ container ──start──▶ … ──stop──▶ remove
//! registry ─pull──▶   │                  │ labels say whose it is
//!                     immutable id       └─ find, survey, inspect, logs
//! ```
//!
//! The engine keeps all the state: every container carries labels that say which agent made it, for which deployment and
//! order. So nothing is lost when the agent ends, and no container of anybody else is ever touched. What is kept here are
//! shortcuts only: which archive became which image, and what is known of a container that has not changed.
//!
//! The engine is asked through its socket, which gives whoever has it the whole board; so it is trusted as far as the kernel
//! is. What passes through it is not: names, images, registries, programs' output. The word for every failure is in `error`.

mod error; // every failure, and the engine's answers put into its words

mod reference; // names of images
mod spec; // what may be asked for, and whether it is well formed

mod connection; // the socket, who listens there, the deadlines
mod engine; // the handle: start here

mod archive; // archives of images, made harmless
mod load; // images out of archives
mod pull; // images out of registries
mod remembered; // which archive became which images
mod upload; // an archive on its way into the engine

mod create; // a specification in the engine's words
mod gpus; // accelerators in the engine's words
mod life; // start, stop, remove, and only what is ours

mod between; // states that the client does not know
mod look; // find, survey, inspect
mod usage; // what a container uses

mod logs; // what a container wrote

pub use engine::{Config, Credentials, Engine};
pub use error::Error;
pub use logs::{Chunk, Line, Position, Stream};
pub use look::Info;
pub use spec::{Gpu, Limits, Mount, Owner, Port, Spec};
pub use usage::Usage;
