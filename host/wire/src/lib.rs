//! Bytes to types and back, for every protocol that Cardcage speaks. No I/O, no tasks, no policy: who may say a thing,
//! and what follows from it, is decided by the agent and the manager, each in its `protocol/`.
//!
//! | module      | protocol                                              | source document          |
//! |-------------|-------------------------------------------------------|--------------------------|
//! | [`board`]   | v1.1 between agent and manager                        | `agent-manager-v1.1.zh`  |
//! | [`extension`] | what Cardcage adds to v1.1 where both sides agree   | ours                     |
//!
//! Everything that arrives is hostile. The functions called `parse` bound what they take and say in their error which
//! rule was broken; types that derive `Deserialize` are only reached through them.

pub mod board;
mod bounded;
pub mod extension;
mod lenient;
