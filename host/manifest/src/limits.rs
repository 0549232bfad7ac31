//! What a plugin may use of the board, where it is content with less than the host allows.

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// Bounds of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Linear memory in bytes: a number, or a text such as `"16MiB"`.
    #[serde(deserialize_with = "memory")]
    pub memory: usize,
}

impl Limits {
    /// The most that the host gives to an instance, and what it gives where the manifest does not say.
    pub const MOST_MEMORY: usize = 64 << 20;
    /// Less is no memory at all: a page of WebAssembly.
    const LEAST_MEMORY: usize = 64 << 10;
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: Self::MOST_MEMORY }
    }
}

fn memory<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    struct Bytes;

    impl Bytes {
        fn checked<E: Error>(bytes: Option<usize>, shown: &str) -> Result<usize, E> {
            let allowed = Limits::LEAST_MEMORY..=Limits::MOST_MEMORY;
            bytes.filter(|bytes| allowed.contains(bytes)).ok_or_else(|| {
                E::custom(format!(
                    "it is {shown}; it must be between \"64KiB\" and \"64MiB\", which the host gives"
                ))
            })
        }
    }

    impl Visitor<'_> for Bytes {
        type Value = usize;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("bytes, such as \"16MiB\" or 16777216")
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<usize, E> {
            Self::checked(usize::try_from(number).ok(), &number.to_string())
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<usize, E> {
            Self::checked(usize::try_from(number).ok(), &number.to_string())
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<usize, E> {
            let shown: String = text.chars().take(32).collect();
            Self::checked(bytes(text), &format!("{shown:?}"))
        }
    }

    deserializer.deserialize_any(Bytes)
}

/// `16MiB`, `512KiB`, `65536`. No more than ten digits, so nothing overflows.
fn bytes(text: &str) -> Option<usize> {
    let suffix = |suffix: &str| text.strip_suffix(suffix).map(str::trim_end);
    let (digits, unit) = match (suffix("KiB"), suffix("MiB")) {
        (Some(digits), _) => (digits, 1_u64 << 10),
        (_, Some(digits)) => (digits, 1 << 20),
        _ => (text, 1),
    };
    let plain = (1..=10).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| plain)?;
    usize::try_from(number.checked_mul(unit)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Manifest;

    fn limits(memory: &str) -> Result<usize, String> {
        let text = format!("name = \"a\"\nversion = \"1\"\n[limits]\nmemory = {memory}");
        Manifest::parse(&text).map(|manifest| manifest.limits.memory).map_err(|error| error.to_string())
    }

    #[test]
    fn memory_is_a_number_or_a_text() {
        assert_eq!(limits("\"16MiB\""), Ok(16 << 20));
        assert_eq!(limits("\"512 KiB\""), Ok(512 << 10));
        assert_eq!(limits("67108864"), Ok(Limits::MOST_MEMORY));
        assert_eq!(limits("\"65536\""), Ok(65536));
    }

    #[test]
    fn more_than_the_host_gives_is_refused_with_the_rule() {
        for memory in
            ["\"65MiB\"", "67108865", "\"1GiB\"", "\"99999999999999999999MiB\"", "0", "-1", "\"\"", "\"MiB\""]
        {
            let error = limits(memory).unwrap_err();
            assert!(error.contains("limits.memory") && error.contains("64MiB"), "{memory}: {error}");
        }
        assert!(limits("1.5").unwrap_err().contains("bytes, such as"));
    }
}
