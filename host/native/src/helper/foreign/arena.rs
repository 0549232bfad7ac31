//! The memory that libraries see: a call's texts, buffers and places, each followed by a zone that nobody may write to,
//! all between two pages that nobody can.

use std::io;
use std::ptr::{self, NonNull};

use cardcage_native::limits;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect};

/// What nobody may write to behind a buffer.
const ZONE: [u8; 32] = [0xa5; 32];
/// What a C compiler may take for granted of a buffer.
const ALIGNMENT: usize = 16;
/// Each parameter needs its bytes, one for the end of a text, up to an alignment, and a zone.
const SIZE: usize = limits::BUFFERS + limits::PARAMETERS * (1 + ALIGNMENT + ZONE.len());

/// Mapped once; a call starts at its beginning.
pub struct Arena {
    base: NonNull<u8>,
    size: usize,
    used: usize,
}

/// A part of the arena that a parameter points to.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    offset: usize,
    length: usize,
}

impl Arena {
    pub fn new() -> io::Result<Self> {
        let page = rustix::param::page_size();
        let size = SIZE.next_multiple_of(page);
        let (none, private) = (ProtFlags::empty(), MapFlags::PRIVATE);
        // SAFETY: a mapping at an address of the kernel's choice replaces none.
        let whole = unsafe { mmap_anonymous(ptr::null_mut(), size + 2 * page, none, private) }?;
        // SAFETY: the address is within the mapping.
        let middle = unsafe { whole.byte_add(page) };
        // SAFETY: the pages are of the mapping, which nothing refers to yet.
        unsafe { mprotect(middle, size, MprotectFlags::READ | MprotectFlags::WRITE) }?;
        let base = NonNull::new(middle.cast()).ok_or_else(|| io::Error::other("a mapping is at 0"))?;
        Ok(Self { base, size, used: 0 })
    }

    /// For another call. What the last one was given is still mapped: a library that kept a pointer ruins a later call,
    /// not the memory of the helper.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// A part with contents, zero behind them. `None` where there is no room, which the limits rule out.
    pub fn part(&mut self, contents: &[u8], length: usize) -> Option<Part> {
        let offset = self.used.next_multiple_of(ALIGNMENT);
        let end = offset.checked_add(length)?.checked_add(ZONE.len())?;
        let rest = length.checked_sub(contents.len())?;
        if end > self.size {
            return None;
        }
        self.used = end;
        let start = self.at(offset);
        // SAFETY: `offset..end` is within the mapping, and holds the contents, the rest and the zone. No reference into
        // the mapping is ever made, since a thread of a library may write to it at any time.
        unsafe {
            ptr::copy_nonoverlapping(contents.as_ptr(), start, contents.len());
            ptr::write_bytes(start.add(contents.len()), 0, rest);
            ptr::copy_nonoverlapping(ZONE.as_ptr(), start.add(length), ZONE.len());
        }
        Some(Part { offset, length })
    }

    /// What a library is passed.
    pub fn address(&self, part: Part) -> usize {
        self.at(part.offset).expose_provenance()
    }

    /// Whether the zone behind a part is as it was.
    pub fn is_whole(&self, part: Part) -> bool {
        self.copy::<{ ZONE.len() }>(part.offset + part.length) == ZONE
    }

    /// The first eight bytes of a part that has them.
    pub fn word(&self, part: Part) -> u64 {
        u64::from_le_bytes(self.copy(part.offset))
    }

    pub fn bytes(&self, part: Part) -> Vec<u8> {
        let mut bytes = vec![0; part.length];
        // SAFETY: a part is within the mapping, and the vector is of its length.
        unsafe { ptr::copy_nonoverlapping(self.at(part.offset), bytes.as_mut_ptr(), part.length) };
        bytes
    }

    fn copy<const N: usize>(&self, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        debug_assert!(offset + N <= self.size);
        // SAFETY: every caller's range is of a part or the zone behind it, which `part` found within the mapping.
        unsafe { ptr::copy_nonoverlapping(self.at(offset), bytes.as_mut_ptr(), N) };
        bytes
    }

    fn at(&self, offset: usize) -> *mut u8 {
        self.base.as_ptr().wrapping_add(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_that_the_limits_let_through_has_room() {
        let mut arena = Arena::new().unwrap();
        for _ in 0..3 {
            arena.clear();
            let each = limits::BUFFERS / limits::PARAMETERS;
            let parts = (0..limits::PARAMETERS).map(|_| arena.part(&vec![7; each], each + 1).unwrap());
            let parts = parts.collect::<Vec<_>>();
            for part in parts {
                assert!(arena.is_whole(part) && arena.address(part).is_multiple_of(ALIGNMENT));
                assert_eq!(arena.bytes(part), [vec![7; each], vec![0]].concat());
            }
        }
    }

    #[test]
    fn a_byte_too_far_is_seen() {
        let mut arena = Arena::new().unwrap();
        let part = arena.part(&[1; 8], 8).unwrap();
        assert_eq!(arena.word(part), 0x0101_0101_0101_0101);
        // SAFETY: the zone is in the mapping.
        unsafe { arena.at(part.offset + part.length + 31).write(0) };
        assert!(!arena.is_whole(part));
    }
}
