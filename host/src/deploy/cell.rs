//! The record of one deployment in memory, never ahead of the one on stable storage.
//!
//! The lock is held for a copy only. One writes at a time: the driver while there is one, else the keeper.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

use super::ledger::{Ledger, NotWritten};
use super::record::Record;
use super::steps::step;

#[derive(Debug)]
pub struct Cell {
    record: Mutex<Record>,
    ledger: Arc<Ledger>,
}

impl Cell {
    /// For a record that was read, or that is to be written first of all.
    pub fn new(record: Record, ledger: Arc<Ledger>) -> Self {
        Self { record: Mutex::new(record), ledger }
    }

    pub fn get(&self) -> Record {
        self.with(Record::clone)
    }

    /// Looks at a part of it.
    pub fn with<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(&self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes it, on stable storage first.
    pub async fn update(&self, change: impl FnOnce(&mut Record)) -> Result<(), NotWritten> {
        let mut record = self.get();
        change(&mut record);
        self.replace(record).await
    }

    /// Puts another in its place, on stable storage first.
    pub async fn replace(&self, record: Record) -> Result<(), NotWritten> {
        step(&format!("record {}: before", record.phase));
        let ledger = Arc::clone(&self.ledger);
        let written = spawn_blocking(move || ledger.write(&record).map(|()| record)).await;
        match written {
            Ok(written) => {
                let record = written?;
                step(&format!("record {}: written", record.phase));
                self.remember(record);
                Ok(())
            }
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// In memory alone: for what a restart would find out by itself.
    pub fn remember(&self, record: Record) {
        *self.record.lock().unwrap_or_else(PoisonError::into_inner) = record;
    }
}
