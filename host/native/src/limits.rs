//! Every bound, kept on both sides.

use std::time::Duration;

/// Libraries that a grant names.
pub const LIBRARIES: usize = 16;
/// Functions that are looked up in one life of the helper.
pub const FUNCTIONS: usize = 256;
/// Pointers that are held for the guest at once.
pub const HANDLES: usize = 1_024;
/// Parameters of a function.
pub const PARAMETERS: usize = 16;
/// Bytes of all buffers and texts of a call.
pub const BUFFERS: usize = 64 << 10;
/// Bytes of a text that a function returns.
pub const TEXT: usize = 4 << 10;

/// Bytes of writable memory of the helper, all its libraries together. What would take more is refused to the library, which
/// may crash of it.
pub const MEMORY: u64 = 512 << 20;

/// Bytes of a library's name.
pub const NAME: usize = 1_024;
/// Bytes of a symbol.
pub const SYMBOL: usize = 256;
/// Bytes of all names of a grant.
pub const GRANT: usize = 128 << 10;
/// Bytes of a frame after its length. The longest are a grant, and a call's buffers with a text of replacement characters.
pub const FRAME: usize = 192 << 10;
/// Bytes of the detail of an error that the helper sends.
pub const DETAIL: usize = 1 << 10;

/// Bytes of a line that a library prints; what is longer is cut.
pub const LINE: usize = 512;
/// Lines of a library that are handed on in [`LINES_EVERY`].
pub const LINES: u32 = 50;
/// See [`LINES`].
pub const LINES_EVERY: Duration = Duration::from_secs(10);

/// How long a killed helper may take to be gone before the answer is given without it: longer only in the kernel.
pub const REAP: Duration = Duration::from_millis(200);
