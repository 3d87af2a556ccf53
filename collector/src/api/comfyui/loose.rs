//! Bodies as ComfyUI takes them: it asks Python whether a value counts as true, and a name may be a number.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Number, Value};

/// Whether Python takes a value for true.
pub(super) fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Null => false,
        Value::Bool(truth) => truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    })
}

/// What Python's `float` takes: a number, or a text that holds one.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let given = Option::<Value>::deserialize(deserializer)?;
    let unreadable = || D::Error::custom("`number` is a number");
    match given {
        None => Ok(None),
        Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| unreadable()),
        Some(other) => other.as_f64().map(Some).ok_or_else(unreadable),
    }
}

/// A text, or a number that is meant as one.
pub(super) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a name is a text")]
    enum Name {
        Text(String),
        Number(Number),
    }
    let given = Option::<Name>::deserialize(deserializer)?;
    Ok(given.map(|name| match name {
        Name::Text(text) => text,
        Name::Number(number) => number.to_string(),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Body {
        #[serde(deserialize_with = "truth")]
        front: bool,
        #[serde(deserialize_with = "number")]
        number: Option<f64>,
        #[serde(deserialize_with = "name")]
        client_id: Option<String>,
    }

    fn read(body: Value) -> Option<Body> {
        serde_json::from_value(body).ok()
    }

    #[test]
    fn what_python_takes_for_true_is_true() {
        for (value, expected) in [
            (json!(true), true),
            (json!("yes"), true),
            (json!(1), true),
            (json!([0]), true),
            (json!({"a": 0}), true),
            (json!(null), false),
            (json!(false), false),
            (json!(0.0), false),
            (json!(""), false),
            (json!([]), false),
        ] {
            assert_eq!(read(json!({"front": value})).unwrap().front, expected, "{value}");
        }
        assert_eq!(read(json!({})), Some(Body::default()));
    }

    #[test]
    fn numbers_may_be_texts_and_names_may_be_numbers() {
        assert_eq!(read(json!({"number": " -7.5 "})).unwrap().number, Some(-7.5));
        assert_eq!(read(json!({"number": null})).unwrap().number, None);
        assert_eq!(read(json!({"number": "x"})), None);
        assert_eq!(read(json!({"client_id": 7})).unwrap().client_id.as_deref(), Some("7"));
        assert_eq!(read(json!({"client_id": null})).unwrap().client_id, None);
        assert_eq!(read(json!({"client_id": []})), None);
    }
}
