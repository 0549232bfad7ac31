//! Hands the target's name to the crate: code compiled for one target never stands in for another's.

fn main() {
    println!("cargo::rustc-env=CARDCAGE_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    println!("cargo::rerun-if-changed=build.rs");
}
