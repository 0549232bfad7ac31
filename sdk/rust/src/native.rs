//! Functions of vendors' shared libraries, for what a board tells in no other way.
//!
//! The manifest requests libraries and, for each, the functions that are called; the operator grants them:
//!
//! ```toml
//! [requests.native]
//! "libacme.so.1" = ["acme_open", "acme_temperature", "acme_name"]
//! ```
//!
//! A [`Function`] has its signature in its type: a tuple of [`Parameter`]s, and what it [`Returns`]. What C writes through
//! a pointer is written through a mutable reference here:
//!
//! | in C                                         | in the tuple        | is passed          |
//! |----------------------------------------------|---------------------|--------------------|
//! | `int`, `uint32_t`, an enumeration, `double`, … | `i32`, `u32`, `f64`, … | the number      |
//! | a pointer of the library's, `acme_t`         | [`Handle`], or `Option<Handle>` where it may be NULL | the handle |
//! | `int *`, `acme_t *`                          | [`Place<i32>`](Place), `Place<Option<Handle>>` | `&mut i32`, … |
//! | `const char *`                               | [`Text`]            | `&str`             |
//! | `const void *`                               | [`Input`]           | `&[u8]`            |
//! | `void *`, `char *`, a structure that is filled | [`Output`]        | `&mut [u8]`, which is not passed on, only filled |
//! | a structure that is read and written         | [`Both`]            | `&mut [u8]`        |
//!
//! ```no_run
//! # use cardcage_sdk::{Error, native::{self, Function, Handle, Library, Output, Place, Text}};
//! # fn main() -> Result<(), Error> {
//! let acme = Library::open("libacme.so.1")?;
//! // int acme_open(const char *, acme_t *);
//! let open: Function<(Text, Place<Option<Handle>>), i32> = acme.function("acme_open")?;
//! // int acme_temperature(acme_t, unsigned, double *);
//! let temperature: Function<(Handle, u32, Place<f64>), i32> = acme.function("acme_temperature")?;
//! // int acme_name(acme_t, char *, unsigned);
//! let name: Function<(Handle, Output, u32), i32> = acme.function("acme_name")?;
//!
//! let mut board = None;
//! let opened = open.call(("/dev/acme0", &mut board))?; // an error: it was not called, or the library crashed
//! let board = board.filter(|_| opened == 0).ok_or_else(|| Error::absent("no ACME board"))?;
//!
//! let (mut celsius, mut text) = (0.0, [0; 64]);
//! if temperature.call((board, 0, &mut celsius))? == 0 { /* … */ }
//! if name.call((board, &mut text, 64))? == 0 {
//!     let name = native::text(&text);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A signature is a promise that nobody can check: one that is wrong ruins the process that the library is loaded in. That
//! process is the plugin's alone, and never the agent; when it ends, by a crash or because a call was not back in time, the
//! probe lives on, and everything that it opened is stale: see [`is_gone`]. Open it anew in the next sample.

use alloc::string::String;
use alloc::vec::IntoIter;
use core::fmt;
use core::marker::PhantomData;

use crate::bindings::cardcage::host::native as wit;
use crate::{Error, code};

/// Whether an error means that everything that was opened is gone: the library crashed ([`code::CRASHED`]), a call took too
/// long ([`code::LATE`]), or one of these happened before ([`code::CLOSED`]).
///
/// ```
/// # use cardcage_sdk::{Error, code, native};
/// assert!(native::is_gone(&Error::new(code::CRASHED, "nvmlInit_v2: the helper was ended by SIGSEGV")));
/// assert!(!native::is_gone(&Error::absent("the library has no such function")));
/// ```
pub fn is_gone(error: &Error) -> bool {
    [code::CRASHED, code::LATE, code::CLOSED].iter().any(|code| error.is(code))
}

/// The text in a buffer that C wrote, up to its NUL. What is not UTF-8 is replaced.
///
/// ```
/// # use cardcage_sdk::native;
/// assert_eq!(native::text(b"H200\0\0\0"), "H200");
/// ```
pub fn text(bytes: &[u8]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

/// A pointer that a library gave, by its number; the pointer itself stays with the library. Never NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(u64);

impl Handle {
    /// Gives its place up: a plugin holds at most 1,024. What it points to is the library's to free, before this.
    pub fn forget(self) -> Result<(), Error> {
        wit::forget(self.0)
    }
}

/// A library that is loaded.
#[derive(Debug)]
pub struct Library(wit::Library);

impl Library {
    /// Loads a library by the name that the manifest requests. [`code::ABSENT`] where the board has no such library.
    pub fn open(name: &str) -> Result<Self, Error> {
        wit::Library::open(name).map(Self)
    }

    /// Looks a function up. [`code::ABSENT`] where this version of the library has no such function.
    pub fn function<P: Parameters, R: Returns>(&self, symbol: &str) -> Result<Function<P, R>, Error> {
        let function = self.0.function(symbol, P::KINDS, R::KIND)?;
        Ok(Function { function, signature: PhantomData })
    }
}

/// A function of a library, with its signature.
pub struct Function<P, R> {
    function: wit::Function,
    signature: PhantomData<fn(P) -> R>,
}

impl<P: Parameters, R: Returns> Function<P, R> {
    /// Calls it. An error says that it was not called, or did not come back; what the function itself thinks of the call is
    /// in what it returns.
    pub fn call(&self, arguments: P::Arguments<'_>) -> Result<R, Error> {
        let passed = P::pass(&arguments);
        let wit::Outcome { returned, outs } = self.function.call(passed.as_ref())?;
        P::take(arguments, &mut outs.into_iter())?;
        R::take(returned).ok_or_else(other)
    }
}

impl<P, R> fmt::Debug for Function<P, R> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_tuple("Function").field(&self.function).finish()
    }
}

/// The agent answered something else than it was asked, which it does not.
fn other() -> Error {
    Error::new(code::IO, "the call brought something else than its signature says")
}

/// A number or a handle: `i32`, `u32`, `i64`, `u64`, `f32`, `f64`, `Option<Handle>`.
pub trait Scalar: Copy + sealed::Sealed + 'static {
    #[doc(hidden)]
    const KIND: wit::Scalar;

    #[doc(hidden)]
    fn into_value(self) -> wit::Value;

    #[doc(hidden)]
    fn from_value(value: wit::Value) -> Option<Self>;
}

macro_rules! scalar {
    ($($type:ty: $kind:ident),+ $(,)?) => { $(
        impl sealed::Sealed for $type {}

        impl Scalar for $type {
            const KIND: wit::Scalar = wit::Scalar::$kind;

            fn into_value(self) -> wit::Value {
                wit::Value::$kind(self)
            }

            fn from_value(value: wit::Value) -> Option<Self> {
                match value {
                    wit::Value::$kind(value) => Some(value),
                    _ => None,
                }
            }
        }
    )+ };
}

scalar!(i32: Signed32, u32: Unsigned32, i64: Signed64, u64: Unsigned64, f32: Float32, f64: Float64);

impl sealed::Sealed for Option<Handle> {}

impl Scalar for Option<Handle> {
    const KIND: wit::Scalar = wit::Scalar::Handle;

    fn into_value(self) -> wit::Value {
        wit::Value::Handle(self.map(|handle| handle.0))
    }

    fn from_value(value: wit::Value) -> Option<Self> {
        match value {
            wit::Value::Handle(handle) => Some(handle.map(Handle)),
            _ => None,
        }
    }
}

/// How a function takes one argument. See the table of the [module](self).
pub trait Parameter: sealed::Sealed + 'static {
    /// What is passed.
    type Argument<'a>;

    #[doc(hidden)]
    const KIND: wit::Parameter;

    #[doc(hidden)]
    fn pass(argument: &Self::Argument<'_>) -> wit::Argument;

    /// Takes what the function left.
    #[doc(hidden)]
    fn take(_: Self::Argument<'_>, _: &mut IntoIter<wit::Out>) -> Result<(), Error> {
        Ok(())
    }
}

impl<T: Scalar> Parameter for T {
    type Argument<'a> = T;
    const KIND: wit::Parameter = wit::Parameter::Value(T::KIND);

    fn pass(argument: &T) -> wit::Argument {
        wit::Argument::Value(argument.into_value())
    }
}

impl sealed::Sealed for Handle {}

impl Parameter for Handle {
    type Argument<'a> = Self;
    const KIND: wit::Parameter = wit::Parameter::Value(wit::Scalar::Handle);

    fn pass(argument: &Self) -> wit::Argument {
        wit::Argument::Value(Some(*argument).into_value())
    }
}

/// A pointer to a scalar that the function reads and writes: `int *`.
#[derive(Debug)]
pub struct Place<T>(PhantomData<T>);

impl<T> sealed::Sealed for Place<T> {}

impl<T: Scalar> Parameter for Place<T> {
    type Argument<'a> = &'a mut T;
    const KIND: wit::Parameter = wit::Parameter::Place(T::KIND);

    fn pass(argument: &&mut T) -> wit::Argument {
        wit::Argument::Place(argument.into_value())
    }

    fn take(argument: &mut T, outs: &mut IntoIter<wit::Out>) -> Result<(), Error> {
        match outs.next() {
            Some(wit::Out::Value(value)) => *argument = T::from_value(value).ok_or_else(other)?,
            _ => return Err(other()),
        }
        Ok(())
    }
}

/// `const char *`: a text without a NUL in it.
#[derive(Debug)]
pub enum Text {}

impl sealed::Sealed for Text {}

impl Parameter for Text {
    type Argument<'a> = &'a str;
    const KIND: wit::Parameter = wit::Parameter::Text;

    fn pass(argument: &&str) -> wit::Argument {
        wit::Argument::Text(Some((*argument).into()))
    }
}

/// `const void *`: bytes that the function reads. None of them is NULL.
#[derive(Debug)]
pub enum Input {}

impl sealed::Sealed for Input {}

impl Parameter for Input {
    type Argument<'a> = &'a [u8];
    const KIND: wit::Parameter = wit::Parameter::Input;

    fn pass(argument: &&[u8]) -> wit::Argument {
        wit::Argument::Input(argument.to_vec())
    }
}

/// `void *`: bytes that the function writes, all 0 before. None of them is NULL.
#[derive(Debug)]
pub enum Output {}

impl sealed::Sealed for Output {}

impl Parameter for Output {
    type Argument<'a> = &'a mut [u8];
    const KIND: wit::Parameter = wit::Parameter::Output;

    fn pass(argument: &&mut [u8]) -> wit::Argument {
        // A buffer of 4 GiB is refused by the host, as one of 64 KiB is already.
        wit::Argument::Output(u32::try_from(argument.len()).unwrap_or(u32::MAX))
    }

    fn take(argument: &mut [u8], outs: &mut IntoIter<wit::Out>) -> Result<(), Error> {
        fill(argument, outs.next())
    }
}

/// `void *`: bytes that the function reads and writes. None of them is NULL.
#[derive(Debug)]
pub enum Both {}

impl sealed::Sealed for Both {}

impl Parameter for Both {
    type Argument<'a> = &'a mut [u8];
    const KIND: wit::Parameter = wit::Parameter::Both;

    fn pass(argument: &&mut [u8]) -> wit::Argument {
        wit::Argument::Both(argument.to_vec())
    }

    fn take(argument: &mut [u8], outs: &mut IntoIter<wit::Out>) -> Result<(), Error> {
        fill(argument, outs.next())
    }
}

fn fill(argument: &mut [u8], out: Option<wit::Out>) -> Result<(), Error> {
    match out {
        Some(wit::Out::Bytes(bytes)) if bytes.len() == argument.len() => {
            argument.copy_from_slice(&bytes);
            Ok(())
        }
        _ => Err(other()),
    }
}

/// A tuple of up to eight [`Parameter`]s.
pub trait Parameters: sealed::Sealed + 'static {
    /// A tuple of what is passed.
    type Arguments<'a>;

    #[doc(hidden)]
    type Passed: AsRef<[wit::Argument]>;

    #[doc(hidden)]
    const KINDS: &'static [wit::Parameter];

    #[doc(hidden)]
    fn pass(arguments: &Self::Arguments<'_>) -> Self::Passed;

    #[doc(hidden)]
    fn take(arguments: Self::Arguments<'_>, outs: &mut IntoIter<wit::Out>) -> Result<(), Error>;
}

macro_rules! parameters {
    ($number:literal: $($name:ident)*) => {
        impl<$($name: Parameter),*> sealed::Sealed for ($($name,)*) {}

        impl<$($name: Parameter),*> Parameters for ($($name,)*) {
            type Arguments<'a> = ($($name::Argument<'a>,)*);

            type Passed = [wit::Argument; $number];
            const KINDS: &'static [wit::Parameter] = &[$($name::KIND),*];

            #[allow(non_snake_case, reason = "each variable is called as its type")]
            fn pass(($($name,)*): &Self::Arguments<'_>) -> Self::Passed {
                [$($name::pass($name)),*]
            }

            #[allow(non_snake_case, unused_variables, reason = "each is called as its type; there may be none")]
            fn take(($($name,)*): Self::Arguments<'_>, outs: &mut IntoIter<wit::Out>) -> Result<(), Error> {
                $($name::take($name, outs)?;)*
                Ok(())
            }
        }
    };
}

parameters!(0:);
parameters!(1: A);
parameters!(2: A B);
parameters!(3: A B C);
parameters!(4: A B C D);
parameters!(5: A B C D E);
parameters!(6: A B C D E F);
parameters!(7: A B C D E F G);
parameters!(8: A B C D E F G H);

/// What a function returns: `()` for `void`, a [`Scalar`], or `Option<String>` for `const char *`, which is copied and not
/// freed.
pub trait Returns: sealed::Returned + Sized + 'static {
    #[doc(hidden)]
    const KIND: wit::Returns;

    #[doc(hidden)]
    fn take(returned: wit::Returned) -> Option<Self>;
}

impl<T: Scalar> sealed::Returned for T {}

impl<T: Scalar> Returns for T {
    const KIND: wit::Returns = wit::Returns::Value(T::KIND);

    fn take(returned: wit::Returned) -> Option<Self> {
        match returned {
            wit::Returned::Value(value) => T::from_value(value),
            _ => None,
        }
    }
}

impl sealed::Returned for () {}

impl Returns for () {
    const KIND: wit::Returns = wit::Returns::Nothing;

    fn take(returned: wit::Returned) -> Option<Self> {
        matches!(returned, wit::Returned::Nothing).then_some(())
    }
}

impl sealed::Returned for Option<String> {}

impl Returns for Option<String> {
    const KIND: wit::Returns = wit::Returns::Text;

    fn take(returned: wit::Returned) -> Option<Self> {
        match returned {
            wit::Returned::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// The set of types is the contract's.
mod sealed {
    pub trait Sealed {}
    pub trait Returned {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_in_the_type() {
        type Signature = (Handle, u32, Place<f64>, Text, Output);
        assert_eq!(
            Signature::KINDS,
            [
                wit::Parameter::Value(wit::Scalar::Handle),
                wit::Parameter::Value(wit::Scalar::Unsigned32),
                wit::Parameter::Place(wit::Scalar::Float64),
                wit::Parameter::Text,
                wit::Parameter::Output,
            ]
        );
        assert!(<() as Parameters>::KINDS.is_empty());
        assert_eq!(<i32 as Returns>::KIND, wit::Returns::Value(wit::Scalar::Signed32));
    }

    #[test]
    fn what_a_function_leaves_is_in_what_was_lent_to_it() {
        type Signature = (Place<Option<Handle>>, i32, Both, Output);
        let (mut handle, mut both, mut output) = (None, [1, 2], [9; 3]);
        let arguments = (&mut handle, -1, &mut both[..], &mut output[..]);
        assert_eq!(
            Signature::pass(&arguments),
            [
                wit::Argument::Place(wit::Value::Handle(None)),
                wit::Argument::Value(wit::Value::Signed32(-1)),
                wit::Argument::Both(vec![1, 2]),
                wit::Argument::Output(3),
            ]
        );
        let outs = vec![
            wit::Out::Value(wit::Value::Handle(Some(7))),
            wit::Out::Bytes(vec![3, 4]),
            wit::Out::Bytes(vec![5, 6, 7]),
        ];
        Signature::take(arguments, &mut outs.into_iter()).unwrap();
        assert_eq!((handle, both, output), (Some(Handle(7)), [3, 4], [5, 6, 7]));
    }

    #[test]
    fn an_answer_to_something_else_is_an_error_and_no_panic() {
        let mut output = [0; 4];
        let outs = vec![wit::Out::Bytes(vec![1; 3])];
        assert!(<(Output,)>::take((&mut output,), &mut outs.into_iter()).unwrap_err().is(code::IO));
        assert!(<(Output,)>::take((&mut output,), &mut Vec::new().into_iter()).is_err());
        assert_eq!(<i32 as Returns>::take(wit::Returned::Value(wit::Value::Unsigned32(1))), None);
        assert_eq!(<Option<String> as Returns>::take(wit::Returned::Text(None)), Some(None));
    }
}
