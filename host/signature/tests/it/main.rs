//! The crate from outside: files that others sign, keys that others make, and files that nobody should accept.

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod interop;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod signing;
