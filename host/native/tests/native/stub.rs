//! The stub library, and calls of it in a line.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use cardcage_native::{
    Argument, Backoff, Error, Function, Grant, Library, Native, Outcome, Parameter, Returns, Scalar,
    Signature, Value,
};
use tokio::time::Instant;

pub const HELPER: &str = env!("CARGO_BIN_EXE_cardcage-native");

/// No waiting between restarts.
pub const AT_ONCE: Backoff =
    Backoff { first: Duration::ZERO, most: Duration::ZERO, well_after: Duration::ZERO };

/// Every symbol of the stub but `secret`, which is nowhere, and one that is granted and nowhere.
pub const SYMBOLS: &str = "add add_unsigned multiply most mix halve sum fill reverse total places is_null text_is_null \
    greet no_text latin long_text counter_new counter_next numbered segfault abort_now exit_now hang hang_elsewhere write_past \
    fork_sleeper print_much complain in_a_thread descriptors environment variable folder confined takes \
    dies_first missing";

/// Compiled once in a process.
pub fn library() -> &'static str {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    let path = PATH.get_or_init(|| {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap().keep();
        let path = folder.join("libstub.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/native/stub.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-pthread", "-w", "-o"]).arg(&path).arg(source);
        assert!(cc.status().unwrap().success());
        path
    });
    path.to_str().unwrap()
}

pub fn grant() -> Grant {
    let symbols = SYMBOLS.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let no_library = Path::new(library()).with_file_name("libnowhere.so").to_str().unwrap().to_owned();
    let not_a_library = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml").to_str().unwrap().to_owned();
    Grant::new([(library().to_owned(), symbols), (no_library, Vec::new()), (not_a_library, Vec::new())])
        .unwrap()
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

pub fn native() -> Native {
    Native::new(HELPER, grant()).backoff(AT_ONCE)
}

/// The stub, open.
pub struct Stub {
    pub native: Native,
    pub library: Library,
}

impl Stub {
    pub async fn open() -> Self {
        Self::with(native()).await
    }

    pub async fn with(native: Native) -> Self {
        let library = native.open(library(), soon()).await.unwrap();
        Self { native, library }
    }

    pub async fn again(&mut self) {
        self.library = self.native.open(library(), soon()).await.unwrap();
    }

    pub async fn function(
        &self,
        symbol: &str,
        parameters: &[Parameter],
        returns: Returns,
    ) -> Result<Function, Error> {
        let signature = Signature { parameters: parameters.to_vec(), returns };
        self.native.function(&self.library, symbol, signature, soon()).await
    }

    /// The signature is that of the arguments.
    pub async fn call(
        &self,
        symbol: &str,
        returns: Returns,
        arguments: &[Argument],
    ) -> Result<Outcome, Error> {
        let parameters = arguments.iter().map(parameter).collect::<Vec<_>>();
        let function = self.function(symbol, &parameters, returns).await?;
        self.native.call(&function, arguments, soon()).await
    }

    /// The number that a function returns.
    pub async fn number(&self, symbol: &str, arguments: &[Argument]) -> Result<i32, Error> {
        match self.call(symbol, S32, arguments).await?.returned {
            cardcage_native::Returned::Value(Value::S32(number)) => Ok(number),
            other => panic!("{other:?}"),
        }
    }
}

pub const S32: Returns = Returns::Value(Scalar::S32);

fn parameter(argument: &Argument) -> Parameter {
    match argument {
        Argument::Value(value) => Parameter::Value(value.scalar()),
        Argument::Place(value) => Parameter::Place(value.scalar()),
        Argument::Text(_) => Parameter::Text,
        Argument::Input(_) => Parameter::Input,
        Argument::Output(_) => Parameter::Output,
        Argument::Both(_) => Parameter::Both,
    }
}

pub fn s32(value: i32) -> Argument {
    Argument::Value(Value::S32(value))
}

pub fn u32(value: u32) -> Argument {
    Argument::Value(Value::U32(value))
}

pub fn text(text: &str) -> Argument {
    Argument::Text(Some(text.to_owned()))
}
