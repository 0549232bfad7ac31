//! What a probe is, and how it becomes a component.

use alloc::string::String;

use crate::{Error, Sample, Settings};

/// A plugin that reads a board's sensors or knows its identity. The crate's documentation has a complete one.
///
/// One instance serves many samples, so state such as the counters of the last sample is a field. The host may end an
/// instance at any time and start another, and ends it when a call panics or misses its deadline (two seconds, unless
/// the manifest asks for less): keep nothing that cannot be measured again.
pub trait Probe: Sized + 'static {
    /// Takes the operator's settings and looks at the board. An error sets the plugin aside, with its text in the
    /// agent's list of plugins, until it is loaded anew.
    fn configure(settings: &Settings) -> Result<Self, Error>;

    /// How well this probe knows the board that it finds itself on. Asked once, after [`Probe::configure`].
    fn support(&self) -> Support {
        Support::Generic
    }

    /// What it found on this board, or looked for in vain, in one sentence for the operator: `plugin list` shows it. Asked
    /// once, after [`Probe::configure`]; at most 256 bytes are taken.
    fn note(&self) -> Option<String> {
        None
    }

    /// Takes the readings. An error means that there is no sample this time; where a part could be read, return that
    /// part, and the rest as [`Sample::faults`].
    fn sample(&mut self) -> Result<Sample, Error>;
}

/// How well a probe knows a board. Where two probes give the same reading, the more specific one wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Support {
    /// There is nothing to do on this board: the host sets the plugin aside.
    Nothing = 0,
    /// Any board of the kind.
    Generic = 1,
    /// This family of boards.
    Family = 2,
    /// Exactly this board.
    Board = 3,
}

/// Makes a [`Probe`] the export of this component.
///
/// ```
/// # use cardcage_sdk::{Error, Probe, Sample, Settings};
/// pub struct Silent;
///
/// impl Probe for Silent {
///     fn configure(_: &Settings) -> Result<Self, Error> {
///         Ok(Self)
///     }
///
///     fn sample(&mut self) -> Result<Sample, Error> {
///         Ok(Sample::default())
///     }
/// }
///
/// cardcage_sdk::export_probe!(Silent);
/// # fn main() {}
/// ```
///
/// On other targets than WebAssembly it only checks that the type is a probe, so that a workspace with plugins in it
/// builds and tests natively.
///
/// `export_probe!(Silent, no_std)` does the same for a crate that is `no_std` on WebAssembly, and gives it an allocator
/// and a panic handler: see [Without std](crate#without-std).
#[macro_export]
macro_rules! export_probe {
    ($probe:ty) => {
        const _: fn() = $crate::export::require_probe::<$probe>;

        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the exported names of the canonical ABI")]
        const _: () = {
            static INSTANCE: $crate::export::Instance<$probe> = $crate::export::Instance::new();

            struct Component;

            impl $crate::bindings::exports::cardcage::probe::sampler::Guest for Component {
                fn configure(
                    settings: $crate::export::String,
                ) -> ::core::result::Result<$crate::export::Finding, $crate::Error> {
                    INSTANCE.configure(settings)
                }

                fn sample() -> ::core::result::Result<$crate::Sample, $crate::Error> {
                    INSTANCE.sample()
                }
            }

    $crate::bindings::export_sampler!(Component with_types_in $crate::bindings);
        };
    };
    ($probe:ty, no_std) => {
        $crate::export_probe!($probe);
        $crate::no_std_guest!();
    };
}

/// What a guest without std has in place of it. The export macros expand to it.
#[doc(hidden)]
#[macro_export]
macro_rules! no_std_guest {
    () => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, reason = "the exported names of the canonical ABI")]
        const _: () = {
            #[global_allocator]
            static ALLOCATOR: $crate::no_std::Allocator = $crate::no_std::Allocator::new();

            #[panic_handler]
            fn panicked(panic: &::core::panic::PanicInfo<'_>) -> ! {
                $crate::no_std::panicked(panic)
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn cabi_realloc(
                old: *mut u8,
                old_size: usize,
                align: usize,
                new_size: usize,
            ) -> *mut u8 {
                // SAFETY: the host calls it as the canonical ABI says.
                unsafe { $crate::no_std::reallocate(old, old_size, align, new_size) }
            }
        };
    };
}
