//! The words of the contract and those of the helper: the same, spelled twice, so that `host/native` knows no runtime.

use cardcage_native::{Argument, Handle, Out, Outcome, Parameter, Returned, Returns, Scalar, Value};

use crate::plugin::bindings::cardcage::host::native as wit;
use crate::plugin::bindings::cardcage::types::errors::Error;

impl From<wit::Scalar> for Scalar {
    fn from(scalar: wit::Scalar) -> Self {
        match scalar {
            wit::Scalar::Signed32 => Self::S32,
            wit::Scalar::Unsigned32 => Self::U32,
            wit::Scalar::Signed64 => Self::S64,
            wit::Scalar::Unsigned64 => Self::U64,
            wit::Scalar::Float32 => Self::F32,
            wit::Scalar::Float64 => Self::F64,
            wit::Scalar::Handle => Self::Handle,
        }
    }
}

impl From<wit::Value> for Value {
    fn from(value: wit::Value) -> Self {
        match value {
            wit::Value::Signed32(number) => Self::S32(number),
            wit::Value::Unsigned32(number) => Self::U32(number),
            wit::Value::Signed64(number) => Self::S64(number),
            wit::Value::Unsigned64(number) => Self::U64(number),
            wit::Value::Float32(number) => Self::F32(number),
            wit::Value::Float64(number) => Self::F64(number),
            wit::Value::Handle(handle) => Self::Handle(handle.map(Handle::from_number)),
        }
    }
}

impl From<Value> for wit::Value {
    fn from(value: Value) -> Self {
        match value {
            Value::S32(number) => Self::Signed32(number),
            Value::U32(number) => Self::Unsigned32(number),
            Value::S64(number) => Self::Signed64(number),
            Value::U64(number) => Self::Unsigned64(number),
            Value::F32(number) => Self::Float32(number),
            Value::F64(number) => Self::Float64(number),
            Value::Handle(handle) => Self::Handle(handle.map(Handle::number)),
        }
    }
}

impl From<wit::Parameter> for Parameter {
    fn from(parameter: wit::Parameter) -> Self {
        match parameter {
            wit::Parameter::Value(scalar) => Self::Value(scalar.into()),
            wit::Parameter::Place(scalar) => Self::Place(scalar.into()),
            wit::Parameter::Text => Self::Text,
            wit::Parameter::Input => Self::Input,
            wit::Parameter::Output => Self::Output,
            wit::Parameter::Both => Self::Both,
        }
    }
}

impl From<wit::Returns> for Returns {
    fn from(returns: wit::Returns) -> Self {
        match returns {
            wit::Returns::Nothing => Self::Nothing,
            wit::Returns::Value(scalar) => Self::Value(scalar.into()),
            wit::Returns::Text => Self::Text,
        }
    }
}

impl From<wit::Argument> for Argument {
    fn from(argument: wit::Argument) -> Self {
        match argument {
            wit::Argument::Value(value) => Self::Value(value.into()),
            wit::Argument::Place(value) => Self::Place(value.into()),
            wit::Argument::Text(text) => Self::Text(text),
            wit::Argument::Input(bytes) => Self::Input(bytes),
            wit::Argument::Output(length) => Self::Output(length),
            wit::Argument::Both(bytes) => Self::Both(bytes),
        }
    }
}

impl From<Outcome> for wit::Outcome {
    fn from(outcome: Outcome) -> Self {
        let returned = match outcome.returned {
            Returned::Nothing => wit::Returned::Nothing,
            Returned::Value(value) => wit::Returned::Value(value.into()),
            Returned::Text(text) => wit::Returned::Text(text),
        };
        let out = |out| match out {
            Out::Value(value) => wit::Out::Value(value.into()),
            Out::Buffer(bytes) => wit::Out::Bytes(bytes),
        };
        Self { returned, outs: outcome.outs.into_iter().map(out).collect() }
    }
}

impl From<cardcage_native::Error> for Error {
    fn from(error: cardcage_native::Error) -> Self {
        Self::new(error.code.word(), error.detail)
    }
}
