//! Too much memory, and memory that is not there.

use cardcage_sdk::{Identity, Sample};

/// Takes a mebibyte after the other, and touches it.
pub(crate) fn grow() {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(vec![1; 1 << 20]);
        std::hint::black_box(&hoard);
    }
}

pub(crate) fn gigabyte_string() -> Sample {
    serial("x".repeat(1 << 30))
}

pub(crate) fn long_string() -> Sample {
    serial("x".repeat(32 << 20))
}

/// Undefined behaviour in Rust, and exactly what the agent must survive: a guest may hand over any address and length.
pub(crate) fn string_outside() -> Sample {
    let length = 1 << 30;
    #[expect(unsafe_code, reason = "no safe code hands over what it does not have")]
    // SAFETY: there is none. The guest is over as soon as the agent looks at it.
    serial(unsafe { String::from_raw_parts(std::ptr::without_provenance_mut(1 << 16), length, length) })
}

fn serial(text: String) -> Sample {
    let identity = Identity { serial: Some(text), ..Identity::default() };
    Sample { identity: Some(identity), ..Sample::default() }
}
