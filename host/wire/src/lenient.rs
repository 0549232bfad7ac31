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
        T::from_whole(value.into()).ok_or_else(|| E::custom(format_args!("{value} is not {}", T::EXPECTED)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<T, E> {
        T::from_whole(value.into()).ok_or_else(|| E::custom(format_args!("{value} is not {}", T::EXPECTED)))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<T, E> {
        T::from_real(value).ok_or_else(|| E::custom(format_args!("{value} is not {}", T::EXPECTED)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text.trim()).ok_or_else(|| E::custom(format_args!("{text:?} is not {}", T::EXPECTED)))
    }
}

/// For `#[serde(deserialize_with = "lenient::number")]`.
pub(crate) fn number<'de, T: Number, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_any(Lenient(PhantomData))
}

/// The same for a field that may be absent or `null`.
pub(crate) fn optional<'de, T: Number, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
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

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Value, json};

    #[derive(Deserialize)]
    struct Whole(#[serde(deserialize_with = "super::number")] u16);

    #[derive(Deserialize)]
    struct Signed(#[serde(deserialize_with = "super::number")] i32);

    #[derive(Deserialize)]
    struct Counter(#[serde(deserialize_with = "super::number")] u64);

    #[derive(Deserialize)]
    struct Real(#[serde(deserialize_with = "super::number")] f64);

    #[derive(Deserialize)]
    struct Maybe {
        #[serde(default, deserialize_with = "super::optional")]
        value: Option<u32>,
    }

    fn whole(value: Value) -> Option<u16> {
        serde_json::from_value(value).ok().map(|Whole(n)| n)
    }

    fn real(value: Value) -> Option<f64> {
        serde_json::from_value(value).ok().map(|Real(n)| n)
    }

    fn maybe(value: Value) -> Option<Option<u32>> {
        serde_json::from_value(value).ok().map(|maybe: Maybe| maybe.value)
    }

    #[test]
    fn a_whole_number_may_be_a_number_a_string_or_end_in_point_zero() {
        for value in [json!(3926), json!("3926"), json!(" 3926 "), json!(3926.0)] {
            assert_eq!(whole(value.clone()), Some(3926), "{value}");
        }
        let Signed(negative) = serde_json::from_value(json!("-1")).unwrap();
        assert_eq!(negative, -1);
        let Counter(counter) = serde_json::from_value(json!("18446744073709551615")).unwrap();
        assert_eq!(counter, u64::MAX);
    }

    #[test]
    fn what_is_not_a_whole_number_of_the_type_is_refused() {
        for value in [
            json!(65536),
            json!(-1),
            json!(1.5),
            json!(1e300),
            json!("65536"),
            json!("1.0"),
            json!("0x10"),
            json!("3926, int 上报的端口"),
            json!(""),
            json!(true),
            json!(null),
            json!([1]),
            json!({"a": 1}),
        ] {
            assert_eq!(whole(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn a_real_number_may_be_a_string_but_must_be_finite() {
        assert_eq!(real(json!("36.5")), Some(36.5));
        assert_eq!(real(json!(36)), Some(36.0));
        assert_eq!(real(json!(-40)), Some(-40.0));
        for text in ["NaN", "inf", "-infinity", "1e999", ""] {
            assert_eq!(real(json!(text)), None, "{text}");
        }
    }

    #[test]
    fn an_optional_number_may_be_absent_or_null_but_not_wrong() {
        assert_eq!(maybe(json!({})), Some(None));
        assert_eq!(maybe(json!({"value": null})), Some(None));
        assert_eq!(maybe(json!({"value": "7"})), Some(Some(7)));
        assert_eq!(maybe(json!({"value": "seven"})), None);
    }
}
