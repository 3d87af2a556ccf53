//! How Python converts, compares and prints values, as far as the error documents show it.

use serde_json::{Number, Value};

/// A Python exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Thrown {
    pub(super) kind: &'static str,
    pub(super) message: String,
}

impl Thrown {
    pub(super) fn key_error(key: &Value) -> Self {
        Self { kind: "KeyError", message: repr(key) }
    }

    pub(super) fn index_error() -> Self {
        Self { kind: "IndexError", message: "tuple index out of range".to_owned() }
    }

    pub(super) fn recursion_error() -> Self {
        Self { kind: "RecursionError", message: "maximum recursion depth exceeded".to_owned() }
    }

    fn value_error(message: String) -> Self {
        Self { kind: "ValueError", message }
    }

    fn type_error(message: String) -> Self {
        Self { kind: "TypeError", message }
    }
}

/// `repr(value)`.
pub(super) fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quote(text),
        Value::Array(items) => format!("[{}]", items.iter().map(repr).collect::<Vec<_>>().join(", ")),
        Value::Object(entries) => {
            let shown: Vec<_> =
                entries.iter().map(|(key, value)| format!("{}: {}", quote(key), repr(value))).collect();
            format!("{{{}}}", shown.join(", "))
        }
    }
}

fn quote(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
    if text.contains('\'') && !text.contains('"') {
        format!("\"{escaped}\"")
    } else {
        format!("'{}'", escaped.replace('\'', "\\'"))
    }
}

/// The value as the type `kind` of an input, where ComfyUI converts to that type.
pub(super) fn convert(kind: &str, value: &Value, has_booleans: bool) -> Result<Value, Thrown> {
    match kind {
        "INT" => int(value),
        "FLOAT" => float(value),
        "STRING" => Ok(Value::String(value.as_str().map_or_else(|| repr(value), str::to_owned))),
        "BOOLEAN" if has_booleans => Ok(Value::Bool(is_true(value))),
        _ => Ok(value.clone()),
    }
}

fn int(value: &Value) -> Result<Value, Thrown> {
    match value {
        Value::Bool(flag) => Ok(Value::from(i64::from(*flag))),
        Value::Number(number) if number.is_f64() => Ok(Value::from(truncated(number))),
        Value::Number(_) => Ok(value.clone()),
        Value::String(text) => parse_int(text).ok_or_else(|| {
            Thrown::value_error(format!("invalid literal for int() with base 10: {}", repr(value)))
        }),
        other => Err(Thrown::type_error(format!(
            "int() argument must be a string, a bytes-like object or a real number, not '{}'",
            type_name(other)
        ))),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "int() truncates, and no input is beyond 64 bits")]
fn truncated(number: &Number) -> i64 {
    number.as_f64().unwrap_or_default() as i64
}

fn parse_int(text: &str) -> Option<Value> {
    let text = text.trim();
    text.parse::<i64>().map(Value::from).or_else(|_| text.parse::<u64>().map(Value::from)).ok()
}

fn float(value: &Value) -> Result<Value, Thrown> {
    match value {
        Value::Bool(flag) => Ok(Value::from(f64::from(u8::from(*flag)))),
        Value::Number(number) => Ok(number.as_f64().map_or(Value::Null, Value::from)),
        Value::String(text) => {
            text.trim().parse::<f64>().map(Value::from).map_err(|_| {
                Thrown::value_error(format!("could not convert string to float: {}", repr(value)))
            })
        }
        other => Err(Thrown::type_error(format!(
            "float() argument must be a string or a real number, not '{}'",
            type_name(other)
        ))),
    }
}

fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(entries) => !entries.is_empty(),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_printed_as_python_prints_them() {
        assert_eq!(repr(&json!(["a", "it's", null, true, 1, 2.0])), r#"['a', "it's", None, True, 1, 2.0]"#);
    }

    #[test]
    fn values_are_converted_as_python_converts_them() {
        assert_eq!(convert("INT", &json!(3.9), true), Ok(json!(3)));
        assert_eq!(convert("INT", &json!(" 7 "), true), Ok(json!(7)));
        assert_eq!(convert("FLOAT", &json!(0), true), Ok(json!(0.0)));
        assert_eq!(convert("BOOLEAN", &json!("false"), true), Ok(json!(true)));
        assert_eq!(convert("BOOLEAN", &json!("false"), false), Ok(json!("false")));
        let message = convert("INT", &json!("x"), true).unwrap_err().message;
        assert_eq!(message, "invalid literal for int() with base 10: 'x'");
    }
}
