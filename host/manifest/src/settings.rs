//! What an operator may set for a plugin, and whether what was set fits.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::fit::{Path, Room, SettingsError};
use crate::schema::{self, Budget, Others, Required, Schema, SettingKind};
use crate::{Manifest, ManifestError};

impl Manifest {
    /// Checks what the operator set and fills in the defaults; the result is what the plugin is handed.
    pub fn settings(&self, set: &BTreeMap<String, Value>) -> Result<Value, SettingsError> {
        if let Some(name) = set.keys().next().filter(|_| self.settings.is_empty()) {
            return Err(SettingsError::NoSettings { path: Path::Root.name(name).to_string() });
        }
        let set: Map<String, Value> = set.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        self.whole().fit(&Value::Object(set), &Path::Root, &mut Room::default())
    }

    /// All settings as one JSON Schema 2020-12, for editors and lists.
    pub fn schema(&self) -> Value {
        let mut document = json!(self.whole());
        if let Some(keywords) = document.as_object_mut() {
            keywords.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        }
        document
    }

    /// The settings as the properties of one table.
    fn whole(&self) -> Schema {
        let must = |schema: &Schema| matches!(schema.required, Some(Required::Itself(true)));
        let required: Vec<_> = self.settings.iter().filter(|(_, schema)| must(schema)).collect();
        let required = required.into_iter().map(|(name, _)| name.clone()).collect();
        let mut properties = self.settings.clone();
        for schema in properties.values_mut() {
            // Said by the list around it, which is how JSON Schema says it.
            schema.required = schema.required.take().filter(|of| matches!(of, Required::Properties(_)));
        }
        Schema {
            title: self.name.clone(),
            description: self.description.clone(),
            kind: Some(SettingKind::Object),
            properties: Some(properties),
            additional_properties: Some(Others::Allowed(false)),
            required: Some(Required::Properties(required)),
            ..Schema::default()
        }
    }

    pub(crate) fn check_settings(&self) -> Result<(), ManifestError> {
        let (root, mut budget) = (Path::Root, Budget::default());
        let path = root.name("settings");
        schema::check_names(&path, self.settings.keys())?;
        self.settings.iter().try_for_each(|(name, schema)| schema.check(&path.name(name), 1, &mut budget))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RAILS: &str = r#"
        [settings.bus]
        type = "integer"
        required = true
        minimum = 0
        [settings.mode]
        enum = ["fast", "slow", 3]
        default = "fast"
        [settings.names]
        type = "array"
        items = { type = "string", minLength = 1, maxLength = 3 }
        maxItems = 2
        [settings.rails]
        type = "object"
        default = {}
        description = "Channels by their name"
        [settings.rails.additionalProperties]
        type = "object"
        required = ["chip"]
        additionalProperties = false
        [settings.rails.additionalProperties.properties]
        chip = { type = "string" }
        scale = { type = "number", default = 1, exclusiveMinimum = 0 }
        limits = { type = "object", default = {}, properties = { high = { type = "number", default = 9.5 } } }
    "#;

    fn parse(settings: &str) -> Result<Manifest, String> {
        let parsed = Manifest::parse(&format!("name = \"a\"\nversion = \"1\"\n{settings}"));
        parsed.map_err(|error| match error {
            ManifestError::Default { ref source, .. } => format!("{error}: {source}"),
            _ => error.to_string(),
        })
    }

    fn settings(set: Value) -> Result<Value, String> {
        let set = serde_json::from_value(set).unwrap();
        parse(RAILS).unwrap().settings(&set).map_err(|error| error.to_string())
    }

    #[test]
    fn defaults_are_filled_in_however_deep() {
        assert_eq!(settings(json!({"bus": 3})), Ok(json!({"bus": 3, "mode": "fast", "rails": {}})));
        let rail = json!({"chip": "ina", "scale": 1, "limits": {"high": 9.5}});
        assert_eq!(
            settings(json!({"bus": 3.0, "mode": 3.0, "names": ["a"], "rails": {"in0": {"chip": "ina"}}})),
            // A whole number however it was written: a guest that reads one does not read 3.0.
            Ok(json!({"bus": 3, "mode": 3.0, "names": ["a"], "rails": {"in0": rail}}))
        );
    }

    #[test]
    fn what_does_not_fit_is_named_with_what_it_is_and_what_it_takes() {
        for (set, says) in [
            (json!({}), "the setting bus is required"),
            (json!({"bus": "x"}), "the setting bus is \"x\"; it must be a whole number"),
            (json!({"bus": 1.5}), "the setting bus is 1.5; it must be a whole number"),
            (json!({"bus": -1}), "the setting bus is -1; it must be at least 0"),
            (
                json!({"bus": 1, "rials": {}}),
                "there is no setting \"rials\"; known are: bus, mode, names, rails",
            ),
            (
                json!({"bus": 1, "mode": "f"}),
                "the setting mode is \"f\"; it must be one of \"fast\", \"slow\", 3",
            ),
            (json!({"bus": 1, "names": "a"}), "the setting names is \"a\"; it must be a list"),
            (
                json!({"bus": 1, "names": ["a", ""]}),
                "the setting names[1] is \"\"; it must be at least 1 characters long",
            ),
            (
                json!({"bus": 1, "names": ["节节节节"]}),
                "the setting names[0] is \"节节节节\"; it must be at most 3 characters long",
            ),
            (
                json!({"bus": 1, "names": ["a", "a", "a"]}),
                "the setting names is a list of 3; it must be at most 2 items long",
            ),
            (json!({"bus": 1, "rails": {"in0": 1}}), "the setting rails.in0 is 1; it must be a table"),
            (json!({"bus": 1, "rails": {"in 0": {}}}), "the setting rails.\"in 0\".chip is required"),
            (
                json!({"bus": 1, "rails": {"in0": {"chip": "c", "scale": "x"}}}),
                "the setting rails.in0.scale is \"x\"; it must be a number",
            ),
            (
                json!({"bus": 1, "rails": {"in0": {"chip": "c", "scale": 0}}}),
                "the setting rails.in0.scale is 0; it must be more than 0",
            ),
            (
                json!({"bus": 1, "rails": {"in0": {"chip": "c", "scael": 1}}}),
                "there is no setting \"rails.in0.scael\"; known are: chip, limits, scale",
            ),
        ] {
            assert_eq!(settings(set.clone()), Err(says.to_owned()), "{set}");
        }
        let none = parse("").unwrap().settings(&BTreeMap::from([("a".to_owned(), json!(1))]));
        assert_eq!(none.unwrap_err().to_string(), "it has no settings; leave \"a\" out");
    }

    #[test]
    fn a_schema_that_would_not_be_checked_is_refused_with_its_place() {
        for (schema, says) in [
            ("a = { type = \"string\", pattern = \"x\" }", "settings.a.pattern: unknown field `pattern`"),
            ("a.type = \"strings\"", "settings.a.type: unknown variant `strings`, expected one of `string`"),
            ("a = {}", "settings.a.type is absent"),
            ("a = { type = \"array\", items = {} }", "settings.a.items.type is absent"),
            (
                "a = { type = \"object\", properties = { b = { type = \"array\", items = { \"$ref\" = \"#\" } } } }",
                "settings.a.properties.b.items.$ref: unknown field `$ref`",
            ),
            (
                "a = { type = \"object\", additionalProperties = { anyOf = [] } }",
                "settings.a.additionalProperties.anyOf: unknown field",
            ),
            ("a = { type = \"object\", additionalProperties = 1 }", "expected true, false or a schema"),
            (
                "a = { type = \"string\", minimum = 1 }",
                "settings.a.minimum is there; it must be left out, or its type",
            ),
            ("a = { enum = [1], maxLength = 1 }", "settings.a.maxLength is there"),
            ("a = { enum = [] }", "settings.a.enum is 0"),
            ("a = { type = \"integer\", enum = [1, \"x\"] }", "settings.a.enum is \"x\""),
            ("a = { enum = [[1]] }", "settings.a.enum is a list of 1"),
            ("a = { enum = [1], const = 1 }", "settings.a.enum is there; it must be left out beside const"),
            ("a = { type = \"object\", required = [\"b\"] }", "settings.a.required is \"b\""),
            (
                "a = { type = \"array\", items = { type = \"string\", required = true } }",
                "settings.a.items.required is a boolean",
            ),
            ("a = { type = \"string\", minLength = -1 }", "settings.a.minLength: invalid value"),
            ("a = { type = \"number\", maximum = nan }", "settings.a.maximum: "),
            ("a = { type = \"number\", default = nan }", "the setting default is null; it must be a number"),
            ("a = { type = \"integer\", default = \"x\" }", "settings.a.default does not fit its own schema"),
            ("a = { type = \"integer\", examples = [1, \"x\"] }", "settings.a.examples does not fit"),
            (
                "a = { type = \"array\", default = [1, \"x\"], items = { type = \"integer\" } }",
                "settings.a.default does not fit its own schema: the setting default[1] is \"x\"; it must be a whole number",
            ),
            ("\"\" = { type = \"string\" }", "settings is \"\""),
            ("\"a\\u001b\" = { type = \"string\" }", "settings is \"a\\u{1b}\""),
            ("a = { type = \"string\", description = \"a\\u0007\" }", "settings.a.description is 2 bytes"),
        ] {
            let error = parse(&format!("[settings]\n{schema}")).unwrap_err();
            assert!(error.contains(says), "{schema}: {error}");
        }
    }

    #[test]
    fn schemas_have_an_end() {
        let deep = |levels: usize| {
            let (open, close) = ("type = \"array\", items = { ", " }");
            let inner = format!("{}type = \"string\"{}", open.repeat(levels), close.repeat(levels));
            parse(&format!("[settings]\na = {{ {inner} }}"))
        };
        assert!(deep(7).is_ok());
        assert!(deep(8).unwrap_err().contains("too deep"));
        assert!(deep(60).unwrap_err().contains("too deep"));
        assert!(deep(1000).unwrap_err().contains("recur"));
        let dotted = format!("[settings.a{}]\ntype = \"string\"", ".items".repeat(70));
        assert!(parse(&dotted).is_err());
        let wide = |count: usize| {
            let of = |name| format!("[settings.{name}.properties]\n");
            let members: String = (0..count).map(|n| format!("p{n} = {{ const = 1 }}\n")).collect();
            let kind = |name| format!("[settings.{name}]\ntype = \"object\"\n");
            parse(&["a", "b", "c", "d"].map(|name| kind(name) + &of(name) + &members).concat())
        };
        assert!(wide(255).is_ok());
        assert!(wide(256).unwrap_err().contains("at most 1024 schemas"));
        assert!(wide(257).unwrap_err().contains("at most 256"));
    }

    #[test]
    fn defaults_that_multiply_are_refused_before_they_fill_the_memory() {
        let items = "{},".repeat(1000);
        let text = "x".repeat(8000);
        let schema = format!(
            "[settings.a]\ntype = \"array\"\ndefault = [{items}]\n[settings.a.items]\ntype = \"object\"\n\
             [settings.a.items.properties.t]\ntype = \"string\"\ndefault = \"{text}\""
        );
        assert!(parse(&schema).unwrap_err().contains("take more than 1048576 bytes"));
        let set = BTreeMap::from([("a".to_owned(), json!(vec![json!({}); 1000]))]);
        let without = schema.replace(&format!("default = [{items}]\n"), "");
        assert_eq!(parse(&without).unwrap().settings(&set), Err(SettingsError::TooLarge));
    }

    #[test]
    fn the_settings_are_one_schema() {
        let schema = parse(RAILS).unwrap().schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!((&schema["required"], &schema["additionalProperties"]), (&json!(["bus"]), &json!(false)));
        assert_eq!(schema["properties"]["bus"], json!({"type": "integer", "minimum": 0}));
        assert_eq!(schema["properties"]["mode"], json!({"enum": ["fast", "slow", 3], "default": "fast"}));
        let rail = &schema["properties"]["rails"]["additionalProperties"];
        assert_eq!(
            (&rail["required"], &rail["properties"]["scale"]["exclusiveMinimum"]),
            (&json!(["chip"]), &json!(0))
        );
    }

    /// What `jsonschema` (a crate with sixty others behind it) says of made-up schemas and values.
    #[test]
    fn a_value_fits_where_json_schema_says_so() {
        #[derive(serde::Deserialize)]
        struct Case {
            schema: Value,
            value: Value,
            fits: bool,
        }

        for line in include_str!("../tests/verdicts.jsonl").lines() {
            let Case { schema, value, fits } = serde_json::from_str(line).unwrap();
            let schema: Schema = serde_json::from_value(schema).unwrap();
            schema.check(&Path::Root, 1, &mut Budget::default()).unwrap();
            let fitted = schema.fit(&value, &Path::Root, &mut Room::default());
            assert_eq!(fitted.is_ok(), fits, "{line}: {fitted:?}");
        }
    }

    fn toml() -> impl Strategy<Value = String> {
        let word = "(type|default|enum|const|items|properties|required|minimum|additionalProperties|boards|requests)";
        let value =
            "(\"(string|object|array|integer|x)\"|true|-1|1.5|nan|\\[\\]|\\{\\}|\\[1, \"a\"\\]|1979-05-27)";
        let line = format!("(\\[settings\\.{word}(\\.{word}){{0,4}}\\]|{word} = {value})\n");
        proptest::collection::vec(proptest::string::string_regex(&line).unwrap(), 0..12)
            .prop_map(|l| l.concat())
    }

    proptest! {
        #[test]
        fn no_schema_makes_the_parser_panic(text in toml()) {
            let _ = parse(&text).map(|manifest| manifest.settings(&BTreeMap::new()));
        }

        #[test]
        fn what_was_filled_in_fits_and_stays_as_it_is(scale in any::<f64>(), name in ".{0,4}", bus in any::<u32>()) {
            let set = json!({"bus": bus, "names": [name], "rails": {&name: {"chip": name, "scale": scale}}});
            if let Ok(filled) = settings(set) {
                prop_assert_eq!(settings(filled.clone()), Ok(filled));
            }
        }
    }
}
