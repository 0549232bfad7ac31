//! Whether a value fits a schema, and the value with what its schema fills in.
//!
//! A property that is not set and has a default is that default, which is filled in likewise. Nothing else is: a table
//! that is not set and has no default stays absent, whatever its properties' defaults; `default = {}` makes it.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Number, Value};

use crate::schema::{Others, Required, Schema, SettingKind, whole};

/// Most bytes that settings take with what is filled in, roughly. Defaults inside of the items of defaults multiply: a
/// manifest of some kilobytes could ask for all memory that there is.
const ROOM: usize = 1 << 20;
/// What a value counts beside its text.
const VALUE: usize = 32;
/// Most names in a list of what is known.
const KNOWN: usize = 16;
/// What is shown of a value, in characters.
const SHOWN: usize = 64;

/// Why settings do not fit.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The manifest declares no settings at all.
    #[error("it has no settings; leave {path:?} out")]
    NoSettings {
        /// What was set.
        path: String,
    },
    /// The manifest declares no such setting, or no such property of it.
    #[error("there is no setting {path:?}; known are: {known}")]
    Unknown {
        /// What was set.
        path: String,
        /// What could be.
        known: String,
    },
    /// The value is another than the schema takes.
    #[error("the setting {path} is {found}; it must be {rule}")]
    Misfit {
        /// Which one.
        path: String,
        /// What was set.
        found: String,
        /// What it takes.
        rule: String,
    },
    /// It is required and not set.
    #[error("the setting {path} is required")]
    Missing {
        /// Which one.
        path: String,
    },
    /// With all that is filled in.
    #[error("the settings take more than {ROOM} bytes with their defaults filled in; set less")]
    TooLarge,
}

/// What is left of [`ROOM`].
#[derive(Debug)]
pub(crate) struct Room(usize);

impl Default for Room {
    fn default() -> Self {
        Self(ROOM)
    }
}

impl Room {
    fn take(&mut self, text: usize) -> Result<(), SettingsError> {
        self.0 = self.0.checked_sub(VALUE.saturating_add(text)).ok_or(SettingsError::TooLarge)?;
        Ok(())
    }

    /// For a value that no schema looks into.
    fn take_all(&mut self, value: &Value) -> Result<(), SettingsError> {
        match value {
            Value::String(text) => self.take(text.len()),
            Value::Array(items) => items.iter().try_for_each(|item| self.take_all(item)),
            Value::Object(members) => members.iter().try_for_each(|(name, value)| {
                self.take(name.len())?;
                self.take_all(value)
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => self.take(0),
        }
    }
}

/// The way to a value: `rails.in0.limits[1]`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Path<'a> {
    Root,
    Name(&'a Path<'a>, &'a str),
    Item(&'a Path<'a>, usize),
}

impl<'a> Path<'a> {
    pub(crate) const fn name(&'a self, name: &'a str) -> Self {
        Self::Name(self, name)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => Ok(()),
            Self::Name(before, name) => {
                before.fmt(formatter)?;
                if !matches!(before, Self::Root) {
                    formatter.write_str(".")?;
                }
                let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
                match !name.is_empty() && name.bytes().all(bare) {
                    true => formatter.write_str(name),
                    // As in TOML.
                    false => write!(formatter, "{:?}", name.chars().take(SHOWN).collect::<String>()),
                }
            }
            Self::Item(before, index) => write!(formatter, "{before}[{index}]"),
        }
    }
}

/// A value for people, on one line of bounded length.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("a list of {}", items.len()),
        Value::Object(_) => "a table".to_owned(),
        Value::String(text) => format!("{:?}", text.chars().take(SHOWN).collect::<String>()),
        other => other.to_string(),
    }
}

/// 1 and 1.0 are one number.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare(left, right) == Some(Ordering::Equal),
        _ => left == right,
    }
}

fn compare(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i128(), right.as_i128()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

impl Schema {
    /// The value with its defaults filled in, or where it does not fit; of several places the first by name.
    pub(crate) fn fit(
        &self,
        value: &Value,
        path: &Path<'_>,
        room: &mut Room,
    ) -> Result<Value, SettingsError> {
        if let Some(rule) = self.broken(value) {
            return Err(SettingsError::Misfit { path: path.to_string(), found: shown(value), rule });
        }
        match value {
            Value::Array(items) => {
                room.take(0)?;
                let fit = |(index, item)| self.item(item, &Path::Item(path, index), room);
                items.iter().enumerate().map(fit).collect::<Result<_, _>>().map(Value::Array)
            }
            Value::Object(members) => self.members(members, path, room).map(Value::Object),
            value => {
                room.take_all(value)?;
                let integer = self.kind == Some(SettingKind::Integer);
                // A guest that reads a whole number does not read 2.0.
                Ok(whole(value).filter(|_| integer).map_or_else(|| value.clone(), Value::from))
            }
        }
    }

    fn item(&self, item: &Value, path: &Path<'_>, room: &mut Room) -> Result<Value, SettingsError> {
        match &self.items {
            Some(schema) => schema.fit(item, path, room),
            None => room.take_all(item).map(|()| item.clone()),
        }
    }

    fn members(
        &self,
        set: &Map<String, Value>,
        path: &Path<'_>,
        room: &mut Room,
    ) -> Result<Map<String, Value>, SettingsError> {
        room.take(0)?;
        let required = self.required.as_ref().map_or(&[][..], Required::names);
        let declared = self.properties.iter().flatten().map(|(name, _)| name);
        // In the order of their names, so that the first error is the same each time.
        let names: BTreeSet<&String> = set.keys().chain(declared).collect();
        let mut filled = Map::new();
        for name in names {
            let (at, schema) = (path.name(name), self.properties.as_ref().and_then(|all| all.get(name)));
            let default = schema.and_then(|schema| schema.default.as_ref());
            let value = match (set.get(name).or(default), schema) {
                (Some(value), Some(schema)) => schema.fit(value, &at, room)?,
                (Some(value), None) => self.other(value, &at, room)?,
                (None, _) if required.contains(name) => {
                    return Err(SettingsError::Missing { path: at.to_string() });
                }
                (None, _) => continue,
            };
            room.take(name.len())?;
            filled.insert(name.clone(), value);
        }
        Ok(filled)
    }

    /// A property that the schema does not name.
    fn other(&self, value: &Value, path: &Path<'_>, room: &mut Room) -> Result<Value, SettingsError> {
        match &self.additional_properties {
            Some(Others::Fitting(schema)) => schema.fit(value, path, room),
            Some(Others::Allowed(false)) => {
                let names: Vec<_> = self.properties.iter().flatten().map(|(name, _)| name.as_str()).collect();
                let more = if names.len() > KNOWN { ", …" } else { "" };
                let known = match names.is_empty() {
                    true => "none".to_owned(),
                    false => names.iter().take(KNOWN).copied().collect::<Vec<_>>().join(", ") + more,
                };
                Err(SettingsError::Unknown { path: path.to_string(), known })
            }
            Some(Others::Allowed(true)) | None => room.take_all(value).map(|()| value.clone()),
        }
    }

    /// The rule that the value itself breaks, whatever is inside of it.
    fn broken(&self, value: &Value) -> Option<String> {
        if let Some(kind) = self.kind.filter(|kind| !kind.fits(value)) {
            return Some(kind.phrase().to_owned());
        }
        if let Some(choices) = self.choices.as_ref().filter(|all| !all.iter().any(|one| same(one, value))) {
            let some: Vec<_> = choices.iter().take(KNOWN).map(shown).collect();
            let more = if choices.len() > KNOWN { ", …" } else { "" };
            return Some(format!("one of {}{more}", some.join(", ")));
        }
        if let Some(only) = self.only.as_ref().filter(|only| !same(only, value)) {
            return Some(shown(only));
        }
        match value {
            Value::Number(number) => self.out_of_range(number),
            Value::String(text) => {
                outside(text.chars().count(), self.min_length, self.max_length, "characters")
            }
            Value::Array(items) => outside(items.len(), self.min_items, self.max_items, "items"),
            _ => None,
        }
    }

    fn out_of_range(&self, number: &Number) -> Option<String> {
        use Ordering::{Equal, Greater, Less};

        let rules: [(&Option<Number>, &[Ordering], &str); 4] = [
            (&self.minimum, &[Greater, Equal], "at least"),
            (&self.exclusive_minimum, &[Greater], "more than"),
            (&self.maximum, &[Less, Equal], "at most"),
            (&self.exclusive_maximum, &[Less], "less than"),
        ];
        rules.into_iter().find_map(|(bound, fitting, words)| {
            let bound = bound.as_ref()?;
            let fits = compare(number, bound).is_some_and(|order| fitting.contains(&order));
            (!fits).then(|| format!("{words} {bound}"))
        })
    }
}

fn outside(count: usize, least: Option<u64>, most: Option<u64>, what: &str) -> Option<String> {
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    match (least, most) {
        (Some(least), _) if count < least => Some(format!("at least {least} {what} long")),
        (_, Some(most)) if count > most => Some(format!("at most {most} {what} long")),
        _ => None,
    }
}
