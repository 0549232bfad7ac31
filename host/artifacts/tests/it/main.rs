//! The crate from outside: real sockets, real folders. `server` is the repository, `tarball` makes archives that no tool
//! would make.

#[cfg(test)]
mod archive;
#[cfg(test)]
mod bench;
#[cfg(test)]
mod bombs;
#[cfg(test)]
mod broken;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod fetch;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod pull;
#[cfg(test)]
mod redirects;
#[cfg(test)]
mod registry;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tarball;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod together;
#[cfg(test)]
mod unpack;
