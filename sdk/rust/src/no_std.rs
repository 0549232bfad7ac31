//! What [`crate::export_probe!`] gives a guest without std in place of it: an allocator, the way for the host to use it,
//! and a last word in the log when the guest panics.

use alloc::alloc::{Layout, alloc, realloc};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

pub use rlsf::SmallGlobalTlsf as Allocator;

/// Set by the first panic: to log it takes memory, and where there is none left that is the next panic.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Logs where and why the guest panicked, and traps.
pub fn panicked(panic: &PanicInfo<'_>) -> ! {
    if let Some(place) = panic.location()
        && !PANICKED.swap(true, Ordering::Relaxed)
    {
        crate::error!("panicked at {place}: {}", panic.message());
    }
    core::arch::wasm32::unreachable()
}

/// The body of `cabi_realloc`, with which the host makes room for what it hands over. In other guests it comes with the
/// C library.
///
/// # Safety
///
/// As the canonical ABI calls it: `old` is null and `old_size` 0, or both are those of an allocation that was made here
/// with the same `align`, a power of two.
#[expect(unsafe_code, reason = "the canonical ABI allocates through pointers")]
pub unsafe fn reallocate(old: *mut u8, old_size: usize, align: usize, new_size: usize) -> *mut u8 {
    if new_size == 0 {
        return core::ptr::without_provenance_mut(align);
    }
    // SAFETY: sizes are not 0, and the caller vouches for the rest.
    let new = unsafe {
        match old_size {
            0 => alloc(Layout::from_size_align_unchecked(new_size, align)),
            _ => realloc(old, Layout::from_size_align_unchecked(old_size, align), new_size),
        }
    };
    if new.is_null() {
        core::arch::wasm32::unreachable();
    }
    new
}

// core compares memory with the C library's `memcmp` on this target; std would link the library.
#[expect(unsafe_code, reason = "an empty block: it only names the library")]
#[link(name = "c")]
unsafe extern "C" {}
