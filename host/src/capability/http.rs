//! `wasi:http/outgoing-handler`: requests of a probe to the hosts that it was granted, such as a management controller
//! that speaks Redfish. Nothing else of `wasi:http` is there.
//!
//! ```text
//! guest ─▶ guest.rs: wasi:http ─▶ grant asked ─▶ name looked up ─▶ TCP ─▶ TLS ─▶ one request, one response, closed
//! ```
//! A grant is by name: who answers for the name is up to the board's resolver, so a grant to a name trusts the resolver
//! too, and `https` is what proves who answers. A redirect is an answer like any other, never followed; no variable of
//! the environment names a proxy.
//!
//! What a request may take ends with the call that made it, so nothing of it is left when the call has trapped.

mod grant;
pub mod guest;
mod real;
mod tls;

pub use grant::{Denied, Grant, Trust};
pub use real::{Client, Shared};
