//! What agent and helper say to each other.
//!
//! A frame is `length: u32, number: u32, body`, little-endian; the length counts what follows it. A request's body is a
//! word for its kind and its fields in order; a reply has its request's number, and answers or fails. Strings, buffers and
//! lists are preceded by their length. One request is under way at a time, so a reader never holds more than a frame.

use std::borrow::Cow;
use std::collections::BTreeSet;

use crate::error::{Code, Error};
use crate::grant::Grant;
use crate::limits;
use crate::model::{Argument, Outcome, Signature};
use codec::{Reader, Wire, put_bytes, put_length};

mod codec;
mod values;

/// Changes with every change of the frames: agent and helper are from one build.
pub const VERSION: u32 = 1;

/// Bytes of a frame's length.
const LENGTH: usize = 4;

/// What is not a frame, or not one of this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
    #[error("a frame ends too early")]
    Short,
    #[error("a frame goes on after its end")]
    Long,
    #[error("{0} is nothing known")]
    Unknown(u8),
    #[error("a list of {0} is too long")]
    Many(usize),
    #[error("a text is not UTF-8")]
    Text,
    #[error("the grant cannot be kept")]
    Grant,
}

/// What the agent asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Request<'a> {
    /// The first of all.
    Hello { version: u32, generation: u32, grant: Cow<'a, Grant> },
    /// Loads a library.
    Open { name: Cow<'a, str> },
    /// Looks a function up.
    Function { library: u32, symbol: Cow<'a, str>, signature: Cow<'a, Signature> },
    /// Calls it.
    Call { function: u32, arguments: Cow<'a, [Argument]> },
    /// Forgets a handle's pointer.
    Forget { handle: u64 },
}

/// What the helper answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// To `Hello`.
    Ready { version: u32 },
    /// The number of a library or a function.
    Number(u32),
    /// What a call did.
    Outcome(Outcome),
    /// It is forgotten.
    Forgotten,
}

/// What the helper answers, or why not.
pub type Reply = Result<Answer, Error>;

/// Writes a frame, in place of what the buffer holds.
pub fn encode<M: Message>(message: &M, number: u32, to: &mut Vec<u8>) {
    to.clear();
    to.extend_from_slice(&[0; LENGTH]);
    number.put(to);
    message.body(to);
    // What the limits let through is far shorter than 4 GiB.
    let length = u32::try_from(to.len() - LENGTH).unwrap_or(u32::MAX);
    for (place, byte) in to.iter_mut().zip(length.to_le_bytes()) {
        *place = byte;
    }
}

/// How long the frame is that begins here, with its length. `None` where too little of it is there yet.
///
/// # Errors
/// Where nobody may wait for the rest.
pub fn length(begun: &[u8]) -> Result<Option<usize>, Malformed> {
    let Some(length) = begun.first_chunk::<LENGTH>() else { return Ok(None) };
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    if length > limits::FRAME { Err(Malformed::TooLong(length)) } else { Ok(Some(LENGTH + length)) }
}

/// Reads a whole frame: its number and what it says.
///
/// # Errors
/// Where it is not exactly one.
pub fn decode<M: Message>(frame: &[u8]) -> Result<(u32, M), Malformed> {
    let whole = length(frame)?.ok_or(Malformed::Short)?;
    if frame.len() != whole {
        return Err(if frame.len() < whole { Malformed::Short } else { Malformed::Long });
    }
    let mut reader = Reader::new(frame.get(LENGTH..).unwrap_or_default());
    let number = u32::take(&mut reader)?;
    let message = M::read(&mut reader)?;
    reader.end()?;
    Ok((number, message))
}

/// A frame's body.
pub trait Message: Sized {
    #[doc(hidden)]
    fn body(&self, to: &mut Vec<u8>);
    #[doc(hidden)]
    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed>;
}

impl Message for Request<'_> {
    fn body(&self, to: &mut Vec<u8>) {
        match self {
            Self::Hello { version, generation, grant } => {
                0_u8.put(to);
                version.put(to);
                generation.put(to);
                grant.put(to);
            }
            Self::Open { name } => {
                1_u8.put(to);
                put_bytes(name.as_bytes(), to);
            }
            Self::Function { library, symbol, signature } => {
                2_u8.put(to);
                library.put(to);
                put_bytes(symbol.as_bytes(), to);
                signature.put(to);
            }
            Self::Call { function, arguments } => {
                3_u8.put(to);
                function.put(to);
                put_length(arguments.len(), to);
                arguments.iter().for_each(|argument| argument.put(to));
            }
            Self::Forget { handle } => {
                4_u8.put(to);
                handle.put(to);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match u8::take(from)? {
            0 => Self::Hello {
                version: u32::take(from)?,
                generation: u32::take(from)?,
                grant: Cow::Owned(Grant::take(from)?),
            },
            1 => Self::Open { name: Cow::Owned(String::take(from)?) },
            2 => Self::Function {
                library: u32::take(from)?,
                symbol: Cow::Owned(String::take(from)?),
                signature: Cow::Owned(Signature::take(from)?),
            },
            3 => Self::Call {
                function: u32::take(from)?,
                arguments: Cow::Owned(from.list(limits::PARAMETERS, Argument::take)?),
            },
            4 => Self::Forget { handle: u64::take(from)? },
            unknown => return Err(Malformed::Unknown(unknown)),
        })
    }
}

impl Message for Reply {
    fn body(&self, to: &mut Vec<u8>) {
        match self {
            Ok(Answer::Ready { version }) => {
                0_u8.put(to);
                version.put(to);
            }
            Ok(Answer::Number(number)) => {
                1_u8.put(to);
                number.put(to);
            }
            Ok(Answer::Outcome(outcome)) => {
                2_u8.put(to);
                outcome.put(to);
            }
            Ok(Answer::Forgotten) => 3_u8.put(to),
            Err(error) => {
                4_u8.put(to);
                error.code.put(to);
                error.detail.put(to);
            }
        }
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match u8::take(from)? {
            0 => Ok(Answer::Ready { version: u32::take(from)? }),
            1 => Ok(Answer::Number(u32::take(from)?)),
            2 => Ok(Answer::Outcome(Outcome::take(from)?)),
            3 => Ok(Answer::Forgotten),
            4 => Err(Error::new(Code::take(from)?, String::take(from)?)),
            unknown => return Err(Malformed::Unknown(unknown)),
        })
    }
}

impl Wire for Grant {
    fn put(&self, to: &mut Vec<u8>) {
        put_length(self.iter().len(), to);
        for (library, symbols) in self.iter() {
            library.put(to);
            put_length(symbols.len(), to);
            symbols.iter().for_each(|symbol| symbol.put(to));
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        let libraries = from.list(limits::LIBRARIES, |from| {
            let library = String::take(from)?;
            let symbols: BTreeSet<_> = from.list(limits::GRANT, String::take)?.into_iter().collect();
            Ok((library, symbols))
        })?;
        Self::new(libraries).map_err(|_| Malformed::Grant)
    }
}

#[cfg(test)]
mod tests;
