//! Numbers as the documents' own examples write them: `3926`, `"3926"`, and `3926.0` for a whole number.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserializer;
use serde::de::{Error, Visitor};

/// A number type that can be read leniently.
pub(crate) trait Number: Sized {
    const EXPECTED: &'static str;
    fn from_whole(value: i128) -> Option<Self>;
    fn from_real(value: f64) -> Option<Self>;
    fn from_text(text: &str) -> Option<Self>;
}

macro_rules! whole_number {
    ($($type:ty),*) => {$(
        impl Number for $type {
            const EXPECTED: &'static str = concat!("a whole number (", stringify!($type), ")");
            fn from_whole(value: i128) -> Option<Self> {
                value.try_into().ok()
            }
            fn from_real(value: f64) -> Option<Self> {
                // Above 2^53 a double no longer tells neighbours apart, so it is not a whole number to us.
                const EXACT: f64 = 9_007_199_254_740_992.0;
                if value.fract() != 0.0 || value.abs() > EXACT {
                    return None;
                }
                #[expect(clippy::cast_possible_truncation, reason = "the range was checked above")]
                Self::from_whole(value as i128)
            }
            fn from_text(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )*};
}
whole_number!(u16, u32, i32, i64, u64);

impl Number for f64 {
    const EXPECTED: &'static str = "a finite number";
    fn from_whole(value: i128) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "a reading, not an identifier")]
        Some(value as f64)
    }
    fn from_real(value: f64) -> Option<Self> {
        value.is_finite().then_some(value)
    }
    fn from_text(text: &str) -> Option<Self> {
        text.parse().ok().and_then(Self::from_real)
    }
}

struct Lenient<T>(PhantomData<T>);

impl<T: Number> Visitor<'_> for Lenient<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(T::EXPECTED)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<T, E> {
        T::from_whole(value.into())
            .ok_or_else(|| E::custom(format_args!("{value} is not {}", T::EXPECTED)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        T::from_whole(value.into())
            .ok_or_else(|| E::custom(format_args!("{value} is not {}", T::EXPECTED)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        T::from_real(value).ok_or_else(|| E::custom(format_args!("{value} is not {}", T::EXPECTED)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text.trim())
            .ok_or_else(|| E::custom(format_args!("{text:?} is not {}", T::EXPECTED)))
    }
}

/// For `#[serde(deserialize_with = "lenient::number")]`.
pub(crate) fn number<'de, T: Number, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Lenient(PhantomData))
}

/// The same for a field that may be absent or `null`.
pub(crate) fn optional<'de, T: Number, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    struct Optional<T>(PhantomData<T>);
    impl<'de, T: Number> Visitor<'de> for Optional<T> {
        type Value = Option<T>;
        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str(T::EXPECTED)
        }
        fn visit_none<E: Error>(self) -> Result<Option<T>, E> {
            Ok(None)
        }
        fn visit_unit<E: Error>(self) -> Result<Option<T>, E> {
            Ok(None)
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<T>, D::Error> {
            number(deserializer).map(Some)
        }
    }
    deserializer.deserialize_option(Optional(PhantomData))
}
