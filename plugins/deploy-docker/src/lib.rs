//! Deploys of type `docker`: a container from an image archive or a registry.
//!
//! What is decided here: where the image comes from, what the container is called and given, what its states mean. The
//! host has the engine, and puts labels, cores, memory and accelerators on what is made.

#![cfg_attr(target_arch = "wasm32", no_std)]

extern crate alloc;

mod image;
mod options;
mod states;

use alloc::string::ToString as _;
use alloc::vec::Vec;

use cardcage_sdk::containers::{self, Container, Spec};
use cardcage_sdk::deploy::{Backend, Instance, Order};
use cardcage_sdk::{Error, Settings, code};

use options::Options;
use states::instance;

/// Containers.
pub struct Docker;

impl Backend for Docker {
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self)
    }

    fn check(&self, order: &Order) -> Result<(), Error> {
        spec(order)?;
        image::check(order)
    }

    fn start(&self, order: &Order) -> Result<Instance, Error> {
        let container = match usable(order, containers::find()?)? {
            Some(container) => container,
            None => {
                let image = image::obtain(order, Options::of(order)?.sha256.as_deref())?;
                containers::create(&Spec { image, ..spec(order)? })?
            }
        };
        container.start().map_err(|error| match error.code.as_str() {
            // It is the command that is not there, or not right.
            code::ABSENT | code::INVALID => Error::new(code::FAILED, error.detail),
            _ => error,
        })?;
        Ok(instance(&container.info()?))
    }

    fn stop(&self, order: &Order) -> Result<(), Error> {
        // An order that was found without its record may have options of another version.
        let grace = Options::of(order).map_or(options::GRACE, |options| options.grace);
        for container in containers::find()? {
            container.stop(grace)?;
            container.remove()?;
        }
        Ok(())
    }

    fn survey(&self) -> Result<Vec<Instance>, Error> {
        Ok(containers::survey()?.iter().map(instance).collect())
    }
}

/// The container that an earlier attempt at this very order made. Any other of this deployment is in the way.
fn usable(order: &Order, found: Vec<Container>) -> Result<Option<Container>, Error> {
    let mut usable = None;
    for container in found {
        let info = container.info()?;
        let sound = !matches!(info.state.as_str(), "dead" | "removing");
        if sound && info.order == order.digest && usable.is_none() {
            usable = Some(container);
        } else {
            container.remove()?;
        }
    }
    Ok(usable)
}

/// What to make, but for the image.
fn spec(order: &Order) -> Result<Spec, Error> {
    let Options { env, args, ports, mounts, network, restart, init, .. } = Options::of(order)?;
    Ok(Spec {
        name: options::container_name(order)?,
        command: args,
        environment: env.into_iter().collect(),
        ports: ports.iter().map(|text| options::port(text)).collect::<Result<_, _>>()?,
        mounts: mounts.iter().map(|text| options::mount(text)).collect::<Result<_, _>>()?,
        network,
        init,
        restart: restart.unwrap_or_else(|| "no".to_string()),
        ..Spec::default()
    })
}

cardcage_sdk::export_backend!(Docker, no_std);
