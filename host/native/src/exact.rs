//! Floats in recordings: by their bits, so that what is no number comes back as it was.

macro_rules! by_bits {
    ($module:ident, $float:ty, $bits:ty) => {
        pub mod $module {
            use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

            pub fn serialize<S: Serializer>(float: &$float, serializer: S) -> Result<S::Ok, S::Error> {
                match float.is_finite() {
                    true => float.serialize(serializer),
                    false => format!("{:#x}", float.to_bits()).serialize(serializer),
                }
            }

            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<$float, D::Error> {
                #[derive(serde::Deserialize)]
                #[serde(untagged)]
                enum Said {
                    Number($float),
                    Bits(String),
                }
                match Said::deserialize(deserializer)? {
                    Said::Number(number) => Ok(number),
                    Said::Bits(bits) => {
                        let bits =
                            bits.strip_prefix("0x").and_then(|bits| <$bits>::from_str_radix(bits, 16).ok());
                        bits.map(<$float>::from_bits)
                            .ok_or_else(|| serde::de::Error::custom("neither a number nor bits"))
                    }
                }
            }
        }
    };
}

by_bits!(float32, f32, u32);
by_bits!(float64, f64, u64);
