//! Deploy backends that vendors and enemies ship: files in a folder, nothing of the agent is built again.

mod computes; // too much of it, and none that ends
mod reaches; // for what was not granted
mod tells; // what is not so
mod vendor; // a new type of software
mod yard; // what is watched meanwhile
