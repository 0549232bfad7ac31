//! A probe that is a backend too: which of both would it be granted for?

use cardcage_sdk::deploy::{Backend, Instance, Order};
use cardcage_sdk::{Error, Probe, Sample, Settings};

/// Both of them.
pub struct TwoRoles;

impl Probe for TwoRoles {
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self)
    }

    fn sample(&mut self) -> Result<Sample, Error> {
        Ok(Sample::default())
    }
}

impl Backend for TwoRoles {
    fn configure(_: &Settings) -> Result<Self, Error> {
        Ok(Self)
    }

    fn start(&self, _: &Order) -> Result<Instance, Error> {
        Err(Error::invalid("it never runs"))
    }

    fn stop(&self, _: &Order) -> Result<(), Error> {
        Ok(())
    }

    fn survey(&self) -> Result<Vec<Instance>, Error> {
        Ok(Vec::new())
    }
}

cardcage_sdk::export_probe!(TwoRoles);
cardcage_sdk::export_backend!(TwoRoles);
