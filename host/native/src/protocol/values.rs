//! The model's types on the wire: a word for the kind, then what it holds.

use super::Malformed;
use super::codec::{Reader, Wire, put_length};
use crate::error::Code;
use crate::limits;
use crate::model::{Argument, Handle, Out, Outcome, Parameter, Returned, Returns, Scalar, Signature, Value};

/// The words of scalars; of values too.
const SCALARS: [Scalar; 7] =
    [Scalar::S32, Scalar::U32, Scalar::S64, Scalar::U64, Scalar::F32, Scalar::F64, Scalar::Handle];

/// The word for one of a few.
fn put_choice<T: PartialEq>(choice: &T, of: &[T], to: &mut Vec<u8>) {
    let place = of.iter().position(|other| other == choice);
    place.and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX).put(to);
}

fn take_choice<T: Copy>(of: &[T], from: &mut Reader<'_>) -> Result<T, Malformed> {
    let word = u8::take(from)?;
    of.get(usize::from(word)).copied().ok_or(Malformed::Unknown(word))
}

impl Wire for Code {
    fn put(&self, to: &mut Vec<u8>) {
        put_choice(self, &Self::ALL, to);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        take_choice(&Self::ALL, from)
    }
}

impl Wire for Scalar {
    fn put(&self, to: &mut Vec<u8>) {
        put_choice(self, &SCALARS, to);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        take_choice(&SCALARS, from)
    }
}

impl Wire for Handle {
    fn put(&self, to: &mut Vec<u8>) {
        self.number().put(to);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        u64::take(from).map(Self::from_number)
    }
}

impl Wire for Value {
    fn put(&self, to: &mut Vec<u8>) {
        self.scalar().put(to);
        match self {
            Self::S32(value) => value.put(to),
            Self::U32(value) => value.put(to),
            Self::S64(value) => value.put(to),
            Self::U64(value) => value.put(to),
            Self::F32(value) => value.put(to),
            Self::F64(value) => value.put(to),
            Self::Handle(value) => value.put(to),
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match Scalar::take(from)? {
            Scalar::S32 => Self::S32(i32::take(from)?),
            Scalar::U32 => Self::U32(u32::take(from)?),
            Scalar::S64 => Self::S64(i64::take(from)?),
            Scalar::U64 => Self::U64(u64::take(from)?),
            Scalar::F32 => Self::F32(f32::take(from)?),
            Scalar::F64 => Self::F64(f64::take(from)?),
            Scalar::Handle => Self::Handle(Wire::take(from)?),
        })
    }
}

impl Wire for Parameter {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::Value(scalar) => {
                0_u8.put(to);
                scalar.put(to);
            }
            Self::Place(scalar) => {
                1_u8.put(to);
                scalar.put(to);
            }
            Self::Text => 2_u8.put(to),
            Self::Input => 3_u8.put(to),
            Self::Output => 4_u8.put(to),
            Self::Both => 5_u8.put(to),
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match u8::take(from)? {
            0 => Self::Value(Scalar::take(from)?),
            1 => Self::Place(Scalar::take(from)?),
            2 => Self::Text,
            3 => Self::Input,
            4 => Self::Output,
            5 => Self::Both,
            unknown => return Err(Malformed::Unknown(unknown)),
        })
    }
}

impl Wire for Returns {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::Nothing => 0_u8.put(to),
            Self::Value(scalar) => {
                1_u8.put(to);
                scalar.put(to);
            }
            Self::Text => 2_u8.put(to),
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match u8::take(from)? {
            0 => Self::Nothing,
            1 => Self::Value(Scalar::take(from)?),
            2 => Self::Text,
            unknown => return Err(Malformed::Unknown(unknown)),
        })
    }
}

impl Wire for Signature {
    fn put(&self, to: &mut Vec<u8>) {
        put_length(self.parameters.len(), to);
        self.parameters.iter().for_each(|parameter| parameter.put(to));
        self.returns.put(to);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            parameters: from.list(limits::PARAMETERS, Parameter::take)?,
            returns: Returns::take(from)?,
        })
    }
}

impl Wire for Argument {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::Value(value) => {
                0_u8.put(to);
                value.put(to);
            }
            Self::Place(value) => {
                1_u8.put(to);
                value.put(to);
            }
            Self::Text(text) => {
                2_u8.put(to);
                text.put(to);
            }
            Self::Input(bytes) => {
                3_u8.put(to);
                bytes.put(to);
            }
            Self::Output(length) => {
                4_u8.put(to);
                length.put(to);
            }
            Self::Both(bytes) => {
                5_u8.put(to);
                bytes.put(to);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match u8::take(from)? {
            0 => Self::Value(Value::take(from)?),
            1 => Self::Place(Value::take(from)?),
            2 => Self::Text(Wire::take(from)?),
            3 => Self::Input(Vec::take(from)?),
            4 => Self::Output(u32::take(from)?),
            5 => Self::Both(Vec::take(from)?),
            unknown => return Err(Malformed::Unknown(unknown)),
        })
    }
}

impl Wire for Out {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::Value(value) => {
                0_u8.put(to);
                value.put(to);
            }
            Self::Buffer(bytes) => {
                1_u8.put(to);
                bytes.put(to);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match u8::take(from)? {
            0 => Self::Value(Value::take(from)?),
            1 => Self::Buffer(Vec::take(from)?),
            unknown => return Err(Malformed::Unknown(unknown)),
        })
    }
}

impl Wire for Returned {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::Nothing => 0_u8.put(to),
            Self::Value(value) => {
                1_u8.put(to);
                value.put(to);
            }
            Self::Text(text) => {
                2_u8.put(to);
                text.put(to);
            }
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match u8::take(from)? {
            0 => Self::Nothing,
            1 => Self::Value(Value::take(from)?),
            2 => Self::Text(Wire::take(from)?),
            unknown => return Err(Malformed::Unknown(unknown)),
        })
    }
}

impl Wire for Outcome {
    fn put(&self, to: &mut Vec<u8>) {
        self.returned.put(to);
        put_length(self.outs.len(), to);
        self.outs.iter().for_each(|out| out.put(to));
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { returned: Returned::take(from)?, outs: from.list(limits::PARAMETERS, Out::take)? })
    }
}
