//! The pointers that libraries gave, by the numbers that the guest sees.

use std::collections::HashMap;

use cardcage_native::{Error, Handle, limits};

/// A pointer has one number for as long as it is held, and a number names one pointer ever.
#[derive(Debug)]
pub struct Handles {
    generation: u32,
    next: u32,
    pointers: HashMap<u32, usize>,
    numbers: HashMap<usize, u32>,
}

impl Handles {
    pub fn new(generation: u32) -> Self {
        Self { generation, next: 0, pointers: HashMap::new(), numbers: HashMap::new() }
    }

    /// Whether so many more can be held. Asked before a call: one that has happened cannot be refused.
    pub fn room(&self, more: usize) -> Result<(), Error> {
        if self.pointers.len() + more > limits::HANDLES {
            let most = limits::HANDLES;
            return Err(Error::too_large(format!("at most {most} handles are held: forget some")));
        }
        Ok(())
    }

    /// The handle of a pointer; NULL has none.
    pub fn hold(&mut self, pointer: usize) -> Option<Handle> {
        if pointer == 0 {
            return None;
        }
        let index = *self.numbers.entry(pointer).or_insert_with(|| {
            let index = self.next;
            self.next = self.next.wrapping_add(1);
            self.pointers.insert(index, pointer);
            index
        });
        Some(Handle::new(self.generation, index))
    }

    /// What a handle points to.
    pub fn pointer(&self, handle: Option<Handle>) -> Result<usize, Error> {
        let Some(handle) = handle else { return Ok(0) };
        let known = self.pointers.get(&handle.index()).filter(|_| handle.generation() == self.generation);
        known.copied().ok_or_else(|| unknown(handle))
    }

    pub fn forget(&mut self, handle: Handle) -> Result<(), Error> {
        let pointer = self.pointer(Some(handle))?;
        self.pointers.remove(&handle.index());
        self.numbers.remove(&pointer);
        Ok(())
    }
}

fn unknown(handle: Handle) -> Error {
    Error::invalid(format!("no library gave the handle {}, or it is forgotten", handle.number()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_one_pointer_ever() {
        let mut handles = Handles::new(3);
        let first = handles.hold(0x1000).unwrap();
        assert_eq!((handles.hold(0x1000), handles.hold(0)), (Some(first), None));
        assert_eq!((handles.pointer(Some(first)), handles.pointer(None)), (Ok(0x1000), Ok(0)));
        handles.forget(first).unwrap();
        let second = handles.hold(0x1000).unwrap();
        assert_ne!(first, second);
        for forged in [first, Handle::new(2, second.index()), Handle::new(3, second.index() + 1)] {
            assert!(handles.pointer(Some(forged)).is_err() && handles.forget(forged).is_err());
        }
        assert!(handles.room(limits::HANDLES - 1).is_ok() && handles.room(limits::HANDLES).is_err());
    }
}
