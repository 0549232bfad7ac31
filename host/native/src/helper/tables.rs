//! What is loaded, looked up and held, and the second look at the grant.

use std::io;

use cardcage_native::{Argument, Error, Grant, Handle, Outcome, Signature, limits};

use super::foreign::{Arena, Callable, Loaded};
use super::handles::Handles;

/// Everything that numbers on the wire name. Nothing is unloaded: code of the library may still be running in its threads.
pub struct Tables {
    grant: Grant,
    libraries: Vec<(String, Loaded)>,
    functions: Vec<Function>,
    handles: Handles,
    arena: Arena,
}

struct Function {
    library: u32,
    symbol: String,
    signature: Signature,
    callable: Callable,
}

impl Tables {
    pub fn new(generation: u32, grant: Grant) -> io::Result<Self> {
        Ok(Self {
            grant,
            libraries: Vec::new(),
            functions: Vec::new(),
            handles: Handles::new(generation),
            arena: Arena::new()?,
        })
    }

    pub fn open(&mut self, name: &str) -> Result<u32, Error> {
        self.grant.library(name)?;
        if let Some(open) = self.libraries.iter().position(|(open, _)| open == name) {
            return number(open);
        }
        if self.libraries.len() >= limits::LIBRARIES {
            return Err(Error::too_large(format!("at most {} libraries are open", limits::LIBRARIES)));
        }
        self.libraries.push((name.to_owned(), Loaded::open(name)?));
        number(self.libraries.len() - 1)
    }

    pub fn function(&mut self, library: u32, symbol: &str, signature: &Signature) -> Result<u32, Error> {
        let (name, loaded) = get(&self.libraries, library, "library")?;
        self.grant.symbol(name, symbol)?;
        signature.check()?;
        let known =
            |of: &Function| of.library == library && of.symbol == symbol && of.signature == *signature;
        if let Some(known) = self.functions.iter().position(known) {
            return number(known);
        }
        if self.functions.len() >= limits::FUNCTIONS {
            return Err(Error::too_large(format!("at most {} functions are looked up", limits::FUNCTIONS)));
        }
        let callable = Callable::new(loaded.symbol(name, symbol)?, signature)?;
        let (symbol, signature) = (symbol.to_owned(), signature.clone());
        self.functions.push(Function { library, symbol, signature, callable });
        number(self.functions.len() - 1)
    }

    pub fn call(&mut self, function: u32, arguments: &[Argument]) -> Result<Outcome, Error> {
        let function = get(&self.functions, function, "function")?;
        function.signature.fits(arguments)?;
        self.handles.room(function.signature.handles())?;
        function.callable.call(&function.signature, arguments, &mut self.arena, &mut self.handles)
    }

    pub fn forget(&mut self, handle: u64) -> Result<(), Error> {
        self.handles.forget(Handle::from_number(handle))
    }
}

fn number(index: usize) -> Result<u32, Error> {
    u32::try_from(index).map_err(|_| Error::too_large("too many"))
}

fn get<'a, T>(table: &'a [T], index: u32, what: &str) -> Result<&'a T, Error> {
    let found = usize::try_from(index).ok().and_then(|index| table.get(index));
    found.ok_or_else(|| Error::invalid(format!("there is no {what} {index}")))
}
