//! Signatures, what is passed, and what comes back.

use crate::error::Error;
use crate::limits;

/// What one machine word or less holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    S32,
    U32,
    S64,
    U64,
    F32,
    F64,
    /// A pointer that the library gave.
    Handle,
}

/// A scalar and its type. A handle that is `None` is NULL.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Value {
    S32(i32),
    U32(u32),
    S64(i64),
    U64(u64),
    #[cfg_attr(feature = "serde", serde(with = "crate::exact::float32"))]
    F32(f32),
    #[cfg_attr(feature = "serde", serde(with = "crate::exact::float64"))]
    F64(f64),
    Handle(Option<Handle>),
}

impl Value {
    /// Its type.
    #[must_use]
    pub fn scalar(self) -> Scalar {
        match self {
            Self::S32(_) => Scalar::S32,
            Self::U32(_) => Scalar::U32,
            Self::S64(_) => Scalar::S64,
            Self::U64(_) => Scalar::U64,
            Self::F32(_) => Scalar::F32,
            Self::F64(_) => Scalar::F64,
            Self::Handle(_) => Scalar::Handle,
        }
    }
}

/// The number of a pointer that a library gave; the pointer stays in the helper.
///
/// It holds the number of the helper's life, so that a number from before a restart never names another pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Handle {
    /// Which life of the helper; never 0.
    pub(crate) generation: u32,
    /// Which pointer in it.
    pub(crate) index: u32,
}

impl Handle {
    /// In the life of a helper.
    #[must_use]
    pub fn new(generation: u32, index: u32) -> Self {
        Self { generation, index }
    }

    /// As the guest wrote it. What it means is seen when it is used.
    #[must_use]
    pub fn from_number(number: u64) -> Self {
        let [generation, index] = [number >> 32, number & u64::from(u32::MAX)];
        // Both halves fit.
        Self { generation: generation.try_into().unwrap_or(0), index: index.try_into().unwrap_or(0) }
    }

    /// As the guest sees it.
    #[must_use]
    pub fn number(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// Which life of the helper.
    #[must_use]
    pub fn generation(self) -> u32 {
        self.generation
    }

    /// Which pointer in it.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }
}

/// How a function takes one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Parameter {
    /// By value.
    Value(Scalar),
    /// A pointer to a scalar that the function may read and write.
    Place(Scalar),
    /// `const char *`.
    Text,
    /// `const void *`.
    Input,
    /// `void *`, written by the function.
    Output,
    /// `void *`, read and written.
    Both,
}

/// What a function returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Returns {
    Nothing,
    Value(Scalar),
    /// `const char *`, copied.
    Text,
}

/// A function's type, as the guest declares it. Nobody can check it: one that is wrong ruins the helper.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Signature {
    pub parameters: Vec<Parameter>,
    pub returns: Returns,
}

/// What is passed for a parameter. An empty buffer and a text of `None` are NULL.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    Value(Value),
    /// What stands in the place at first.
    Place(Value),
    Text(Option<String>),
    Input(Vec<u8>),
    /// So many bytes, zero at first.
    Output(u32),
    Both(Vec<u8>),
}

/// What a function left in a place or a buffer.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Out {
    Value(Value),
    Buffer(Vec<u8>),
}

/// What a function returned. A text of `None` was NULL; bytes that are not UTF-8 are replaced.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Returned {
    Nothing,
    Value(Value),
    Text(Option<String>),
}

/// What a call did.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Outcome {
    pub returned: Returned,
    /// One for each place, output and buffer of both kinds, in the order of the parameters.
    pub outs: Vec<Out>,
}

impl Signature {
    /// Whether it is within the limits.
    ///
    /// # Errors
    /// `too-large`.
    pub fn check(&self) -> Result<(), Error> {
        if self.parameters.len() > limits::PARAMETERS {
            let most = limits::PARAMETERS;
            return Err(Error::too_large(format!("a function takes at most {most} parameters")));
        }
        Ok(())
    }

    /// Whether arguments fit, in number, type and size.
    ///
    /// # Errors
    /// `invalid` or `too-large`.
    pub fn fits(&self, arguments: &[Argument]) -> Result<(), Error> {
        let (wanted, given) = (self.parameters.len(), arguments.len());
        if wanted != given {
            return Err(Error::invalid(format!("the function takes {wanted} arguments, not {given}")));
        }
        let mut bytes = 0_usize;
        for (number, (parameter, argument)) in (1..).zip(self.parameters.iter().zip(arguments)) {
            let length = parameter.length(argument).map_err(|why| {
                Error::invalid(format!("argument {number} {why}; the parameter is {parameter:?}"))
            })?;
            bytes = bytes.saturating_add(length);
        }
        if bytes > limits::BUFFERS {
            let most = limits::BUFFERS;
            return Err(Error::too_large(format!(
                "the buffers and texts of a call have at most {most} bytes, not {bytes}"
            )));
        }
        Ok(())
    }

    /// How many handles a call may bring.
    #[must_use]
    pub fn handles(&self) -> usize {
        let places = self.parameters.iter().filter(|of| **of == Parameter::Place(Scalar::Handle));
        places.count() + usize::from(self.returns == Returns::Value(Scalar::Handle))
    }
}

impl Parameter {
    /// How many bytes an argument needs beside its word.
    fn length(self, argument: &Argument) -> Result<usize, &'static str> {
        match (self, argument) {
            (Self::Value(wanted), Argument::Value(value)) | (Self::Place(wanted), Argument::Place(value)) => {
                if value.scalar() == wanted {
                    Ok(0)
                } else {
                    Err("has another type")
                }
            }
            (Self::Text, Argument::Text(None)) => Ok(0),
            (Self::Text, Argument::Text(Some(text))) if text.contains('\0') => Err("holds a NUL"),
            (Self::Text, Argument::Text(Some(text))) => Ok(text.len()),
            (Self::Input, Argument::Input(bytes)) | (Self::Both, Argument::Both(bytes)) => Ok(bytes.len()),
            (Self::Output, Argument::Output(length)) => Ok(usize::try_from(*length).unwrap_or(usize::MAX)),
            _ => Err("is passed in another way"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn arguments_fit_or_the_error_says_which_does_not() {
        let signature = Signature {
            parameters: vec![Parameter::Value(Scalar::U32), Parameter::Text, Parameter::Output],
            returns: Returns::Nothing,
        };
        let with = |first, text: &str, length| {
            signature.fits(&[first, Argument::Text(Some(text.to_owned())), Argument::Output(length)])
        };
        let one = || Argument::Value(Value::U32(1));
        let most = u32::try_from(limits::BUFFERS).unwrap();
        assert_eq!(with(one(), "four", most - 4), Ok(()));
        assert_eq!(with(one(), "four", most - 3).unwrap_err().code, Code::TooLarge);
        assert_eq!(with(one(), "fo\0ur", 1).unwrap_err().code, Code::Invalid);
        let error = with(Argument::Value(Value::S32(1)), "", 1).unwrap_err();
        assert_eq!(error.detail, "argument 1 has another type; the parameter is Value(U32)");
        assert_eq!(with(Argument::Place(Value::U32(1)), "", 1).unwrap_err().code, Code::Invalid);
        assert_eq!(signature.fits(&[one()]).unwrap_err().code, Code::Invalid);
    }

    #[test]
    fn a_handle_is_its_number() {
        for handle in [Handle::new(1, 0), Handle::new(u32::MAX, u32::MAX), Handle::new(7, 9)] {
            assert_eq!(Handle::from_number(handle.number()), handle);
        }
    }
}
