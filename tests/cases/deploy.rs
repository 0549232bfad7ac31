//! Deploys with the real engine and real programs: what a manager orders, what really runs, what is said about it.
//!
//! Most holds for both backends, so most cases try both. What runs is looked for with the kernel and the engine, not with
//! the agent.

mod artifacts; // software that cannot be had, archives that attack
mod crash; // agents, programs and records that are lost
mod documents; // what the README tells people to type
mod engine; // a container engine that is away for a while
mod input; // orders that are wrong
mod life; // started, started again, stopped, in order
mod limits; // cores and memory, kept and counted
mod matrix; // killed at every step
mod options; // what only one backend understands
mod registry; // images from a registry
mod security; // who may deploy
mod state; // what is reported
