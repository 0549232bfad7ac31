//! What a setting takes: a JSON Schema of the keywords that are checked here. Another keyword is refused when the manifest
//! is read, since to ignore it would be to accept settings that do not fit.

use std::collections::BTreeMap;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor, value};
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::fit::{Path, Room};
use crate::{ManifestError, is_plain, wrong};

/// Deepest schema: a setting is the first level.
const DEPTH_LIMIT: usize = 8;
/// Most schemas in a manifest, those inside others counted.
const NODES_LIMIT: usize = 1024;
/// Most properties, and most values of an `enum`.
const MEMBERS_LIMIT: usize = 256;
/// Longest name of a setting or a property, in bytes.
const NAME_LIMIT: usize = 64;
/// Longest title or description, in bytes.
const TEXT_LIMIT: usize = 1024;

/// A schema. Keywords mean what JSON Schema 2020-12 says, but for what [`SettingKind::Integer`] says.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Schema {
    /// A name for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// What it is for, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What it takes.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<SettingKind>,
    /// What holds where it is not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Values that fit, for people.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub examples: Vec<Value>,
    /// `enum`: these texts, numbers or booleans, and no others.
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<Value>>,
    /// `const`: this one alone.
    #[serde(rename = "const", skip_serializing_if = "Option::is_none")]
    pub only: Option<Value>,
    /// At least.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum: Option<Number>,
    /// At most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum: Option<Number>,
    /// More than.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclusive_minimum: Option<Number>,
    /// Less than.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclusive_maximum: Option<Number>,
    /// Fewest characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_length: Option<u64>,
    /// Most characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_length: Option<u64>,
    /// What each item takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<Box<Schema>>,
    /// Fewest items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_items: Option<u64>,
    /// Most items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_items: Option<u64>,
    /// What the property of each name takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub properties: Option<BTreeMap<String, Schema>>,
    /// What every other property takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_properties: Option<Others>,
    /// What must be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<Required>,
}

/// What a setting takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SettingKind {
    /// Text.
    String,
    /// A whole number. 2.0 is one too, and is handed over as 2; beyond 2^53 it must be written as a whole number.
    Integer,
    /// Any finite number.
    Number,
    /// Yes or no.
    Boolean,
    /// A list.
    Array,
    /// A table.
    Object,
}

impl SettingKind {
    /// For people.
    pub(crate) const fn phrase(self) -> &'static str {
        match self {
            Self::String => "a text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Array => "a list",
            Self::Object => "a table",
        }
    }

    pub(crate) fn fits(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64() || whole(value).is_some(),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
        }
    }
}

/// The whole number that was written as 2.0.
pub(crate) fn whole(value: &Value) -> Option<i64> {
    let float = value.as_f64().filter(|_| value.is_f64())?;
    let exact = float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0;
    // Without a fraction it prints as digits.
    exact.then(|| format!("{float:.0}").parse().ok()).flatten()
}

/// `additionalProperties`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Others {
    /// Any, or none.
    Allowed(bool),
    /// Those that fit.
    Fitting(Box<Schema>),
}

/// `required`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Required {
    /// Of a setting: whether it must be set itself.
    Itself(bool),
    /// Of a table: the properties that must be set.
    Properties(Vec<String>),
}

impl Required {
    pub(crate) fn names(&self) -> &[String] {
        match self {
            Self::Itself(_) => &[],
            Self::Properties(names) => names,
        }
    }
}

// Not `#[serde(untagged)]`, which would forget where in the manifest an error is.
impl<'de> Deserialize<'de> for Others {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Others;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("true, false or a schema")
            }

            fn visit_bool<E>(self, allowed: bool) -> Result<Others, E> {
                Ok(Others::Allowed(allowed))
            }

            fn visit_map<A: MapAccess<'de>>(self, schema: A) -> Result<Others, A::Error> {
                Schema::deserialize(value::MapAccessDeserializer::new(schema))
                    .map(Box::new)
                    .map(Others::Fitting)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Required {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Required;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("true, false or a list of properties")
            }

            fn visit_bool<E>(self, required: bool) -> Result<Required, E> {
                Ok(Required::Itself(required))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, names: A) -> Result<Required, A::Error> {
                Vec::deserialize(value::SeqAccessDeserializer::new(names)).map(Required::Properties)
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// What is left of the bounds of one manifest's schemas.
pub(crate) struct Budget {
    nodes: usize,
    room: Room,
}

impl Default for Budget {
    fn default() -> Self {
        Self { nodes: NODES_LIMIT, room: Room::default() }
    }
}

const NUMBERS: &[SettingKind] = &[SettingKind::Integer, SettingKind::Number];

impl Schema {
    /// Checks what the types do not say. The first level is that of settings.
    pub(crate) fn check(
        &self,
        path: &Path<'_>,
        level: usize,
        budget: &mut Budget,
    ) -> Result<(), ManifestError> {
        if level > DEPTH_LIMIT {
            return Err(wrong(path.to_string(), "too deep", format!("at most {DEPTH_LIMIT} schemas deep")));
        }
        let Some(left) = budget.nodes.checked_sub(1) else {
            return Err(wrong("settings", "more", format!("at most {NODES_LIMIT} schemas in all")));
        };
        budget.nodes = left;
        self.check_keywords(path, level)?;
        self.check_choices(path)?;
        self.check_properties(path)?;
        for (name, schema) in self.properties.iter().flatten() {
            schema.check(&path.name("properties").name(name), level + 1, budget)?;
        }
        if let Some(items) = &self.items {
            items.check(&path.name("items"), level + 1, budget)?;
        }
        if let Some(Others::Fitting(others)) = &self.additional_properties {
            others.check(&path.name("additionalProperties"), level + 1, budget)?;
        }
        let defaults = self.default.iter().map(|value| ("default", value));
        let examples = self.examples.iter().map(|value| ("examples", value));
        for (keyword, value) in defaults.chain(examples) {
            // The key is said around it.
            let fitted = self.fit(value, &Path::Root.name(keyword), &mut budget.room);
            fitted
                .map_err(|source| ManifestError::Default { key: path.name(keyword).to_string(), source })?;
        }
        Ok(())
    }

    /// A keyword that says nothing about its type would be taken for a check that there is not.
    fn check_keywords(&self, path: &Path<'_>, level: usize) -> Result<(), ManifestError> {
        use SettingKind::{Array, Object, String};

        if self.kind.is_none() && self.choices.is_none() && self.only.is_none() {
            return Err(wrong(path.name("type"), "absent", "there, or enum or const in its place"));
        }
        if matches!(self.required, Some(Required::Itself(_))) && level > 1 {
            return Err(wrong(path.name("required"), "a boolean", "a list of properties, below a setting"));
        }
        let lists = matches!(self.required, Some(Required::Properties(_)));
        let keywords: [(&str, bool, &[SettingKind]); 13] = [
            ("minimum", self.minimum.is_some(), NUMBERS),
            ("maximum", self.maximum.is_some(), NUMBERS),
            ("exclusiveMinimum", self.exclusive_minimum.is_some(), NUMBERS),
            ("exclusiveMaximum", self.exclusive_maximum.is_some(), NUMBERS),
            ("minLength", self.min_length.is_some(), &[String]),
            ("maxLength", self.max_length.is_some(), &[String]),
            ("items", self.items.is_some(), &[Array]),
            ("minItems", self.min_items.is_some(), &[Array]),
            ("maxItems", self.max_items.is_some(), &[Array]),
            ("properties", self.properties.is_some(), &[Object]),
            ("additionalProperties", self.additional_properties.is_some(), &[Object]),
            ("required", lists, &[Object]),
            ("enum", self.choices.is_some() && self.only.is_some(), &[]),
        ];
        for (keyword, there, kinds) in keywords {
            if there && !self.kind.is_some_and(|kind| kinds.contains(&kind)) {
                let rule = match kinds {
                    [] => "left out beside const",
                    [String] => "left out, or its type \"string\"",
                    [Array] => "left out, or its type \"array\"",
                    [Object] => "left out, or its type \"object\"",
                    _ => "left out, or its type \"integer\" or \"number\"",
                };
                return Err(wrong(path.name(keyword), "there", rule));
            }
        }
        for (keyword, text) in [("title", &self.title), ("description", &self.description)] {
            if text.len() > TEXT_LIMIT || !is_plain(text) {
                let rule = format!("at most {TEXT_LIMIT} bytes that can be shown");
                return Err(wrong(path.name(keyword), format!("{} bytes", text.len()), rule));
            }
        }
        Ok(())
    }

    fn check_choices(&self, path: &Path<'_>) -> Result<(), ManifestError> {
        let count = self.choices.as_ref().map_or(1, Vec::len);
        if !(1..=MEMBERS_LIMIT).contains(&count) {
            return Err(wrong(path.name("enum"), count, format!("1 to {MEMBERS_LIMIT} values")));
        }
        let simple = |value: &&Value| {
            let fits = self.kind.is_none_or(|kind| kind.fits(value));
            fits && (value.is_string() || value.is_number() || value.is_boolean())
        };
        let choices = self.choices.iter().flatten().map(|value| ("enum", value));
        let only = self.only.iter().map(|value| ("const", value));
        let odd = choices.chain(only).find(|(_, value)| !simple(value));
        odd.map_or(Ok(()), |(keyword, value)| {
            let rule = "made of texts, numbers or booleans, of the type beside it";
            Err(wrong(path.name(keyword), crate::fit::shown(value), rule))
        })
    }

    fn check_properties(&self, path: &Path<'_>) -> Result<(), ManifestError> {
        let properties = self.properties.as_ref();
        check_names(&path.name("properties"), properties.into_iter().flatten().map(|(name, _)| name))?;
        let known = |name: &String| properties.is_some_and(|properties| properties.contains_key(name));
        let required = self.required.as_ref().map_or(&[][..], Required::names);
        match required.iter().find(|name| !known(name)) {
            Some(name) => {
                Err(wrong(path.name("required"), format!("{name:?}"), "made of names of properties"))
            }
            None => Ok(()),
        }
    }
}

/// Names of settings or properties.
pub(crate) fn check_names<'a>(
    path: &Path<'_>,
    names: impl Iterator<Item = &'a String> + Clone,
) -> Result<(), ManifestError> {
    let count = names.clone().count();
    if count > MEMBERS_LIMIT {
        return Err(wrong(path.to_string(), count, format!("at most {MEMBERS_LIMIT}")));
    }
    let mut names = names;
    let odd = names.find(|name| !(1..=NAME_LIMIT).contains(&name.len()) || !is_plain(name));
    odd.map_or(Ok(()), |name| {
        let shown: String = name.chars().take(NAME_LIMIT).collect();
        let rule = format!("names of 1 to {NAME_LIMIT} bytes that can be shown");
        Err(wrong(path.to_string(), format!("{shown:?}"), rule))
    })
}
