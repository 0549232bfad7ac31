//! One call through libffi: words out of arguments, an outcome out of what the function left.

use std::ffi::c_void;
use std::io::Write as _;
use std::ptr;

use cardcage_native::{
    Argument, Error, Out, Outcome, Parameter, Returned, Returns, Scalar, Signature, Value, limits,
};
use libffi::middle::{Cif, CodePtr, Type};
use libffi::raw::ffi_call;

use super::arena::{Arena, Part};
use crate::helper::handles::Handles;

/// A function, prepared for its calls.
pub struct Callable {
    code: CodePtr,
    cif: Cif,
}

/// Registers are 64 bits wide, and the narrow end of a word comes first.
const _: () = assert!(cfg!(all(target_pointer_width = "64", target_endian = "little")));

impl Callable {
    pub fn new(code: CodePtr, signature: &Signature) -> Result<Self, Error> {
        let parameters = signature.parameters.iter().map(|parameter| match parameter {
            Parameter::Value(scalar) => kind(*scalar),
            _ => Type::pointer(),
        });
        let returns = match signature.returns {
            Returns::Nothing => Type::void(),
            Returns::Value(scalar) => kind(scalar),
            Returns::Text => Type::pointer(),
        };
        let cif = Cif::try_new(parameters, returns);
        let cif =
            cif.map_err(|error| Error::invalid(format!("the signature cannot be called: {error:?}")))?;
        Ok(Self { code, cif })
    }

    /// Calls it with arguments that fit its signature.
    pub fn call(
        &self,
        signature: &Signature,
        arguments: &[Argument],
        arena: &mut Arena,
        handles: &mut Handles,
    ) -> Result<Outcome, Error> {
        let mut words = [0_u64; limits::PARAMETERS];
        let mut parts = [None; limits::PARAMETERS];
        arena.clear();
        for ((argument, word), part) in arguments.iter().zip(&mut words).zip(&mut parts) {
            (*word, *part) = prepare(argument, arena, handles)?;
        }
        let mut pointers = words.each_mut().map(|word| ptr::from_mut(word).cast::<c_void>());
        // Two registers, more than any result here needs.
        let mut result = [0_u64; 2];
        // SAFETY: the interface was prepared for this many arguments, each pointer is to a word that holds its argument,
        // and the result has room for a register. That the function is of this type is what the guest promised.
        unsafe {
            ffi_call(
                self.cif.as_raw_ptr(),
                Some(*self.code.as_safe_fun()),
                result.as_mut_ptr().cast(),
                pointers.as_mut_ptr(),
            );
        }
        let parts = parts.iter().zip(arguments);
        let mut outs = Vec::new();
        for (number, (part, argument)) in (1..).zip(parts) {
            if part.is_some_and(|part| !arena.is_whole(part)) {
                ruined(number);
            }
            outs.extend(out(argument, *part, arena, handles));
        }
        let [word, _] = result;
        let returned = match signature.returns {
            Returns::Nothing => Returned::Nothing,
            Returns::Value(scalar) => Returned::Value(value(scalar, word, handles)),
            Returns::Text => Returned::Text(text(word)?),
        };
        Ok(Outcome { returned, outs })
    }
}

fn kind(scalar: Scalar) -> Type {
    match scalar {
        Scalar::S32 => Type::i32(),
        Scalar::U32 => Type::u32(),
        Scalar::S64 => Type::i64(),
        Scalar::U64 => Type::u64(),
        Scalar::F32 => Type::f32(),
        Scalar::F64 => Type::f64(),
        Scalar::Handle => Type::pointer(),
    }
}

/// The word that is passed, and what it points to where that is of the arena.
fn prepare(argument: &Argument, arena: &mut Arena, handles: &Handles) -> Result<(u64, Option<Part>), Error> {
    let part = match argument {
        Argument::Value(value) => return Ok((word(*value, handles)?, None)),
        Argument::Place(value) => arena.part(&word(*value, handles)?.to_le_bytes(), size_of::<u64>()),
        Argument::Text(Some(text)) => arena.part(text.as_bytes(), text.len() + 1),
        Argument::Input(bytes) | Argument::Both(bytes) if !bytes.is_empty() => arena.part(bytes, bytes.len()),
        Argument::Output(length @ 1..) => arena.part(&[], usize::try_from(*length).unwrap_or(usize::MAX)),
        Argument::Text(None) | Argument::Input(_) | Argument::Both(_) | Argument::Output(0) => {
            return Ok((0, None));
        }
    };
    let part = part.ok_or_else(|| Error::too_large("the arguments have no room"))?;
    Ok((arena.address(part) as u64, Some(part)))
}

/// A value as a register holds it.
fn word(value: Value, handles: &Handles) -> Result<u64, Error> {
    Ok(match value {
        Value::S32(value) => u64::from(value.cast_unsigned()),
        Value::U32(value) => u64::from(value),
        Value::S64(value) => value.cast_unsigned(),
        Value::U64(value) => value,
        Value::F32(value) => u64::from(value.to_bits()),
        Value::F64(value) => value.to_bits(),
        Value::Handle(handle) => handles.pointer(handle)? as u64,
    })
}

/// What a register holds. The upper half of a narrow value is whatever the function left there.
#[expect(clippy::cast_possible_truncation, reason = "a word is as wide as a pointer, and halves are meant")]
fn value(scalar: Scalar, word: u64, handles: &mut Handles) -> Value {
    let half = word as u32;
    match scalar {
        Scalar::S32 => Value::S32(half.cast_signed()),
        Scalar::U32 => Value::U32(half),
        Scalar::S64 => Value::S64(word.cast_signed()),
        Scalar::U64 => Value::U64(word),
        Scalar::F32 => Value::F32(f32::from_bits(half)),
        Scalar::F64 => Value::F64(f64::from_bits(word)),
        Scalar::Handle => Value::Handle(handles.hold(word as usize)),
    }
}

/// What the function left for an argument that it may write.
fn out(argument: &Argument, part: Option<Part>, arena: &Arena, handles: &mut Handles) -> Option<Out> {
    match argument {
        Argument::Place(first) => {
            part.map(|part| Out::Value(value(first.scalar(), arena.word(part), handles)))
        }
        Argument::Output(_) | Argument::Both(_) => {
            Some(Out::Buffer(part.map_or_else(Vec::new, |part| arena.bytes(part))))
        }
        Argument::Value(_) | Argument::Text(_) | Argument::Input(_) => None,
    }
}

/// A text that the library keeps, copied.
fn text(word: u64) -> Result<Option<String>, Error> {
    let mut address = ptr::with_exposed_provenance::<u8>(usize::try_from(word).unwrap_or(0));
    if address.is_null() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    loop {
        // SAFETY: the function promised a text that ends with a NUL, and none before this byte was one.
        let byte = unsafe { address.read_volatile() };
        if byte == 0 {
            return Ok(Some(String::from_utf8_lossy(&bytes).into_owned()));
        }
        if bytes.len() >= limits::TEXT {
            return Err(Error::too_large(format!(
                "the text that it returned has more than {} bytes",
                limits::TEXT
            )));
        }
        bytes.push(byte);
        address = address.wrapping_add(1);
    }
}

/// A function that wrote behind a buffer may have written anywhere.
fn ruined(number: usize) -> ! {
    let _ = writeln!(std::io::stderr(), "the function wrote behind the end of argument {number}");
    std::process::abort()
}
