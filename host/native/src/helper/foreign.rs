//! The one place where other people's machine code is loaded and called.
#![allow(
    unsafe_code,
    reason = "no compiler can check what a library does; what it ruins is this process, which is there for that"
)]

use std::ffi::CString;
use std::mem::ManuallyDrop;
use std::os::fd::RawFd;

use cardcage_native::{Code, Error};
use libffi::middle::CodePtr;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

pub use arena::Arena;
pub use call::Callable;

mod arena;
mod call;

/// A library that stays loaded.
pub struct Loaded(ManuallyDrop<Library>);

impl Loaded {
    pub fn open(name: &str) -> Result<Self, Error> {
        // SAFETY: the library's constructors run. The operator granted it, and the process holds nothing but it.
        let library = unsafe { Library::open(Some(name), RTLD_NOW | RTLD_LOCAL) };
        library.map(|library| Self(ManuallyDrop::new(library))).map_err(|error| {
            let said = reason(&error);
            // The loader has no codes. The helper's environment has no language.
            let absent = said.contains("No such file or directory");
            Error::new(
                if absent { Code::Absent } else { Code::Io },
                format!("{name} cannot be loaded: {said}"),
            )
        })
    }

    pub fn symbol(&self, library: &str, symbol: &str) -> Result<CodePtr, Error> {
        let name = CString::new(symbol).map_err(|_| Error::invalid("a symbol holds a NUL"))?;
        // SAFETY: the symbol is only asked for its address, which is one whatever it names.
        let found = unsafe { self.0.get::<*mut std::ffi::c_void>(&name) };
        let absent = |why: String| Error::new(Code::Absent, format!("{library} has no {symbol}: {why}"));
        let address = found.map_err(|error| absent(reason(&error)))?.as_raw_ptr();
        if address.is_null() { Err(absent("it is NULL".to_owned())) } else { Ok(CodePtr::from_ptr(address)) }
    }
}

/// What the loader said.
fn reason(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Closes descriptors by their numbers. They are open, and nothing here owns them.
pub fn close(descriptors: &[RawFd]) {
    for descriptor in descriptors {
        // SAFETY: the caller found them open in a process with one thread, and left out the standard ones, the socket and
        // its own.
        unsafe { rustix::io::close(*descriptor) };
    }
}
