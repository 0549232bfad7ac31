//! Deploys of type `bar`: a package with a program in it, run on the board itself.
//!
//! What is decided here: what is run of a package (`program`), what an order may change of it (`options`), what the states of
//! a program mean. What a package says is the crate `cardcage-bar`. The host fetches, unpacks and supervises.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

mod options;
mod program;
mod states;

use alloc::format;
use alloc::vec::Vec;

use cardcage_bar::{FILE, Manifest};
use cardcage_sdk::artifacts::{self, Artifact};
use cardcage_sdk::deploy::{Backend, Instance, Order};
use cardcage_sdk::processes::{self, Process};
use cardcage_sdk::{Error, Settings, code};

use options::Options;
use states::instance;

/// Packages of programs.
pub struct Bar;

impl Backend for Bar {
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self)
    }

    fn check(&self, order: &Order) -> Result<(), Error> {
        Options::of(order)?;
        address(order).map(|_| ())
    }

    fn start(&self, order: &Order) -> Result<Instance, Error> {
        let process = match usable(order, processes::find()?)? {
            Some(process) => process,
            None => create(order)?,
        };
        // What ended by itself since the board came up stays ended.
        if matches!(process.info()?.state.as_str(), "created" | "lost") {
            process.start().map_err(cannot_run)?;
        }
        Ok(instance(&process.info()?))
    }

    fn stop(&self, _: &Order) -> Result<(), Error> {
        match processes::find()? {
            Some(process) => remove(&process),
            None => Ok(()),
        }
    }

    fn survey(&self) -> Result<Vec<Instance>, Error> {
        Ok(processes::survey()?.iter().map(instance).collect())
    }
}

/// The program that an earlier attempt at this very order made; that of another order is in the way.
fn usable(order: &Order, found: Option<Process>) -> Result<Option<Process>, Error> {
    let Some(process) = found else { return Ok(None) };
    if process.info()?.order == order.digest {
        return Ok(Some(process));
    }
    remove(&process).map(|()| None)
}

fn remove(process: &Process) -> Result<(), Error> {
    process.stop()?;
    process.remove()
}

fn create(order: &Order) -> Result<Process, Error> {
    let options = Options::of(order)?;
    let address = address(order)?;
    let package = artifacts::fetch(&address, options.sha256.as_deref()).map_err(|error| {
        // The address is sound; it is what the repository makes of it that is not.
        if error.is(code::INVALID) { Error::new(code::ARTIFACT, error.detail) } else { error }
    })?;
    let manifest = read(&package, &address)?;
    let mut program = options.change(program::of(&manifest));
    // A uuid stands for a name where none was ordered; the package's says more.
    if order.name != order.uuid {
        program.name.clone_from(&order.name);
    }
    processes::create(&package.unpack()?, &program).map_err(cannot_run)
}

/// The package is there; it is its command or its user that is not, or not right.
fn cannot_run(error: Error) -> Error {
    match error.code.as_str() {
        code::ABSENT | code::INVALID => Error::new(code::FAILED, error.detail),
        _ => error,
    }
}

fn read(package: &Artifact, address: &str) -> Result<Manifest, Error> {
    let broken = |what: &str| Error::new(code::ARTIFACT, format!("{address} {what}"));
    let text = match package.read(FILE) {
        Ok(text) => text,
        Err(error) if error.is(code::ABSENT) => {
            return Err(broken("has no bar.toml at its root, so it is no .bar"));
        }
        Err(error) if error.is(code::INVALID) => {
            return Err(broken(&format!("is no .bar: {}", error.detail)));
        }
        Err(error) => return Err(error),
    };
    let text = core::str::from_utf8(&text).map_err(|_| broken("has a bar.toml that is not UTF-8"))?;
    Manifest::parse(text).map_err(|error| broken(&format!("has a bar.toml that is not right: {error}")))
}

fn address(order: &Order) -> Result<alloc::string::String, Error> {
    let (url, file) = (order.url.trim().trim_end_matches('/'), order.file.trim().trim_start_matches('/'));
    let web = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    match web.is_some_and(|host| !host.is_empty()) && !file.is_empty() {
        true => Ok(format!("{url}/{file}")),
        false => Err(Error::invalid(format!(
            "url is {:?}, file {:?}; a package is fetched from http:// or https://",
            order.url, order.file
        ))),
    }
}

cardcage_sdk::export_backend!(Bar, no_std);
