//! `latency [HELPER]`: how long a call takes, from the agent's side. `abs` of the C library stands for a getter.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement, not a part of the agent")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cardcage_native::{
    Argument, EXECUTABLE, Function, Grant, Native, Parameter, Returns, Scalar, Signature, Value,
};

const CALLS: usize = 100_000;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    // Examples lie in a folder beside the executables.
    let beside = || std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join(EXECUTABLE);
    let helper = std::env::args_os().nth(1).map_or_else(beside, PathBuf::from);
    let symbols = ["abs", "memfrob"].map(str::to_owned);
    let native = Native::new(helper, Grant::new([("libc.so.6".to_owned(), symbols)]).unwrap());
    let library = native.open("libc.so.6", soon()).await.unwrap();
    let look_up = async |symbol, parameters: &[Parameter], returns| {
        let signature = Signature { parameters: parameters.to_vec(), returns };
        native.function(&library, symbol, signature, soon()).await.unwrap()
    };
    let abs = look_up("abs", &[Parameter::Value(Scalar::S32)], Returns::Value(Scalar::S32)).await;
    measure(&native, "abs(int)", &abs, &[Argument::Value(Value::S32(-7))], CALLS).await;
    let frob = look_up("memfrob", &[Parameter::Both, Parameter::Value(Scalar::U64)], Returns::Nothing).await;
    for length in [1_u32 << 10, 64 << 10] {
        let bytes = vec![7; usize::try_from(length).unwrap()];
        let arguments = [Argument::Both(bytes), Argument::Value(Value::U64(length.into()))];
        measure(&native, &format!("{length} bytes there and back"), &frob, &arguments, CALLS / 10).await;
    }
    native.stop().await;
}

fn soon() -> tokio::time::Instant {
    tokio::time::Instant::now() + Duration::from_secs(2)
}

async fn measure(native: &Native, what: &str, function: &Function, arguments: &[Argument], calls: usize) {
    let mut took = Vec::with_capacity(calls);
    for _ in 0..calls {
        let begun = Instant::now();
        native.call(function, arguments, soon()).await.unwrap();
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    let [half, most, worst] = [calls / 2, calls * 99 / 100, calls - 1].map(|at| took.get(at).unwrap());
    println!("{what}: {calls} calls, p50 {half:?}, p99 {most:?}, worst {worst:?}");
}
