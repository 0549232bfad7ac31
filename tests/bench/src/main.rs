//! `cardcage-bench`: measures the released executables beside their peers, in one run, and prints ratios. Figures of
//! different runs and machines do not compare; the ratios of one run do.
//!
//! | part      | what is measured                                                    | against                       |
//! |-----------|---------------------------------------------------------------------|-------------------------------|
//! | `sample`  | processor time of one full sample, 64 hwmon sensors in the tree     | a native program, node_exporter |
//! | `calls`   | a call of a vendor's library from a plugin, there and back          | the goal                      |
//! | `answer`  | query datagram to complete POST body; start to first report         |                               |
//! | `plugins` | file moved into the folder to first reading                         |                               |
//! | `memory`  | PSS of the agent after five minutes                                 | node_exporter                 |
//! | `deploys` | start and stop of a container; 30 in one report; 100 starts at once | the engine's own calls         |
//! | `size`    | of the executables on a board                                       |                               |
//! | `reports` | validated reports a second; 3,000 agents answering one query        | a bare hyper and serde server |

mod answer;
mod bare;
mod calls;
mod deploys;
mod figures;
mod load;
mod memory;
mod native;
mod plugins;
mod process;
mod reports;
mod sample;
mod size;
mod tree;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Parser, Subcommand, ValueEnum};
use figures::Figures;
use process::Programs;

/// Measures the executables that lie beside this one.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    peer: Option<Peer>,
    /// Measures this part only; may be given more than once.
    #[arg(long)]
    only: Vec<Part>,
    /// Age of the agent when its memory is measured.
    #[arg(long, default_value_t = 300)]
    memory_after_seconds: u64,
    /// Where the figures go as JSON.
    #[arg(long, default_value = "target/bench.json")]
    output: PathBuf,
}

/// What can be measured by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Sample,
    Calls,
    Answer,
    Plugins,
    Memory,
    Deploys,
    Size,
    Reports,
}

/// Programs that Cardcage is measured against; run by the benchmark itself, each in a process of its own.
#[derive(Subcommand)]
enum Peer {
    /// Takes the same readings natively, with the procfs crate and std::fs.
    Native(native::Arguments),
    /// Parses the same reports on a bare hyper server.
    Bare,
}

type Measure = fn(&Programs, &mut Figures) -> Result<()>;

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.peer {
        Some(Peer::Native(native)) => native::run(native),
        Some(Peer::Bare) => bare::run(),
        None => bench(&arguments),
    }
}

fn bench(arguments: &Arguments) -> Result<()> {
    let programs = Programs::find()?;
    let mut figures = Figures::default();
    let wanted = |part| arguments.only.is_empty() || arguments.only.contains(&part);
    // The five minutes of the memory figure pass while the rest is measured.
    let aging = wanted(Part::Memory).then(|| memory::start(&programs)).transpose()?;
    let parts: [(Part, Measure); 7] = [
        (Part::Size, size::measure),
        (Part::Sample, sample::measure),
        (Part::Calls, calls::measure),
        (Part::Answer, answer::measure),
        (Part::Plugins, plugins::measure),
        (Part::Deploys, deploys::measure),
        (Part::Reports, reports::measure),
    ];
    for (_, measure) in parts.into_iter().filter(|(part, _)| wanted(*part)) {
        measure(&programs, &mut figures)?;
    }
    if let Some(aging) = aging {
        aging.measure(Duration::from_secs(arguments.memory_after_seconds), &mut figures)?;
    }
    figures.print();
    figures.write(&arguments.output)
}
