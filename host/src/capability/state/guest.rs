//! The guest side. The real side is the record itself: a value is on stable storage when the call comes back.

use crate::capability::deploys::{Call, Deploys};
use crate::error::chain;
use crate::plugin::bindings::cardcage::types::errors::Error;
use crate::plugin::bindings::deploy::cardcage::host::state as wit;

impl Call {
    async fn change_record(
        &self,
        change: impl FnOnce(&mut crate::deploy::Record) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let cell = &self.work()?.cell;
        let mut record = cell.get();
        change(&mut record)?;
        cell.replace(record).await.map_err(|error| Error::new("no-space", chain(&error)))
    }
}

impl wit::Host for Deploys {
    async fn get(&mut self, key: String) -> Result<Option<String>, Error> {
        Ok(self.call()?.work()?.cell.with(|record| record.notes.get(&key).cloned()))
    }

    async fn set(&mut self, key: String, value: String) -> Result<(), Error> {
        let call = self.call()?;
        let set = call.change_record(|record| {
            record.note(&key, value).map_err(|error| Error::new("too-large", error.to_string()))
        });
        let set = set.await;
        self.breathe();
        set
    }

    async fn remove(&mut self, key: String) -> Result<(), Error> {
        let call = self.call()?;
        let removed = call.change_record(|record| {
            record.notes.remove(&key);
            Ok(())
        });
        let removed = removed.await;
        self.breathe();
        removed
    }
}
