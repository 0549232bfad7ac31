//! End to end: what an operator and a manager see, and nothing else. One file a subject.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic, that is how it fails")]

mod backend; // backends that vendors and enemies ship
mod bomb; // a plugin that takes long to compile
mod compiled; // what it takes to compile a plugin, and which code is trusted
mod console; // what documents tell people to type
mod damage; // boards whose kernel says nonsense
mod deploy; // what is started and stopped on boards
mod fleet; // a manager and its boards
mod folder; // files that are no plugins
mod hostile; // plugins that misbehave
mod http; // what probes ask over the network
mod lab; // kernels that are not here
mod live; // files that come, change and go
mod native; // libraries that plugins call
mod networks; // several machines, several networks
mod process; // the agent's command line, signals and files
mod projects; // from nothing to a reading
mod pull; // plugins out of registries
mod push; // plugins that a manager brings
mod queries; // which query is answered
mod record; // what probes were told, played back
mod replay; // boards that are not here
mod reports; // what a report says
mod siege; // what is watched meanwhile
mod task; // what can be asked of a board
mod trust; // who may bring plugins
mod vendor; // a new board by dropping a file
mod versions; // plugins of other times
