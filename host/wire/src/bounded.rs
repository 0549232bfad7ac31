//! Lists and maps with an end. A body of a few bytes an item would otherwise become a hundred times its length in
//! memory before anybody can look at it.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Most fields beyond the named ones.
const EXTRAS: usize = 64;

struct List<T, const MOST: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for List<T, MOST> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a list of at most {MOST}")
    }

    // Agents without any write `null` for a list.
    fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            if list.len() == MOST {
                return Err(A::Error::invalid_length(MOST + 1, &self));
            }
            list.push(item);
        }
        Ok(list)
    }
}

/// For `#[serde(deserialize_with = "bounded::list::<_, _, 64>")]`.
pub(crate) fn list<'de, T, D, const MOST: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(List::<T, MOST>(PhantomData))
}

struct Extras;

impl<'de> Visitor<'de> for Extras {
    type Value = BTreeMap<String, Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "at most {EXTRAS} texts, numbers and truth values by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut extras = BTreeMap::new();
        while let Some((name, value)) = fields.next_entry()? {
            if let Plain(Some(value)) = value
                && extras.len() < EXTRAS
            {
                extras.insert(name, value);
            }
        }
        Ok(extras)
    }
}

/// The fields beyond the named ones.
pub(crate) fn extras<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Value>, D::Error> {
    deserializer.deserialize_map(Extras)
}

/// A JSON value that holds no others; what holds others is passed over.
struct Plain(Option<Value>);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PlainVisitor;
        impl<'de> Visitor<'de> for PlainVisitor {
            type Value = Plain;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("any value")
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<Plain, E> {
                Ok(Plain(Some(value.into())))
            }
            fn visit_i64<E: Error>(self, value: i64) -> Result<Plain, E> {
                Ok(Plain(Some(value.into())))
            }
            fn visit_u64<E: Error>(self, value: u64) -> Result<Plain, E> {
                Ok(Plain(Some(value.into())))
            }
            fn visit_f64<E: Error>(self, value: f64) -> Result<Plain, E> {
                Ok(Plain(Some(value.into())))
            }
            fn visit_str<E: Error>(self, value: &str) -> Result<Plain, E> {
                Ok(Plain(Some(value.into())))
            }
            fn visit_unit<E: Error>(self) -> Result<Plain, E> {
                Ok(Plain(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Plain, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Plain(None))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Plain, A::Error> {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Plain(None))
            }
        }
        deserializer.deserialize_any(PlainVisitor)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::board::{Heartbeat, ResourceReport};

    fn resource(sensors: usize, extra: &serde_json::Value) -> Result<ResourceReport, String> {
        let body = json!({"api_version": 1, "data": {
            "host_ip": "10.0.0.1",
            "resource": {"cpu": {}, "memory": {}, "network": null},
            "cardcage": {"readings": {"sensors": vec![json!({}); sensors], "cpu": {"extra": extra}}},
        }});
        ResourceReport::parse(body.to_string().as_bytes())
            .map_err(|error| std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default())
    }

    #[test]
    fn a_list_has_an_end() {
        assert!(resource(4096, &json!({})).is_ok());
        assert!(resource(4097, &json!({})).unwrap_err().contains("at most 4096"));
    }

    #[test]
    fn further_fields_are_few_and_flat() {
        let kept = |extra| {
            let report = resource(0, &extra).unwrap().cardcage.unwrap();
            report.readings.cpu.unwrap().extra
        };
        let flat = json!({"a": 1, "b": "x", "c": true, "d": 1.5});
        assert_eq!(json!(kept(flat.clone())), flat);
        assert_eq!(kept(json!({"a": [1], "b": {"c": [{}]}, "d": null})).len(), 0);
        let many: serde_json::Map<_, _> = (0..100).map(|n| (n.to_string(), json!(n))).collect();
        assert_eq!(kept(many.into()).len(), super::EXTRAS);
    }

    #[test]
    fn a_heartbeat_lists_a_bounded_number_of_accelerators() {
        let body = |gpus: usize| {
            json!({"api_version": 1, "data": {
                "box_id": 1, "slot_id": 1, "cpu_id": 1, "srio_id": 0, "host_ip": "10.0.0.1", "hostname": "h",
                "service_port": 1, "gpu": vec![json!({"index": 0}); gpus],
            }})
        };
        assert!(Heartbeat::parse(body(256).to_string().as_bytes()).is_ok());
        assert!(Heartbeat::parse(body(257).to_string().as_bytes()).is_err());
    }
}
