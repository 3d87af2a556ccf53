//! How Python prints, compares, indexes and searches values, as far as error documents show it.
//!
//! The words are those of Python 3.11. Owns nothing of ComfyUI. Values nest no deeper than a JSON parser lets them,
//! which bounds the recursion here.

mod convert;
mod number;
mod print;

use serde_json::{Map, Value};

pub(super) use convert::{Literal, as_type};
pub(super) use number::Number;
pub(super) use print::{repr, text};

/// A Python exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Thrown {
    pub(super) kind: &'static str,
    pub(super) message: String,
}

impl Thrown {
    fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    pub(super) fn key_error(key: &Value) -> Self {
        Self::new("KeyError", repr(key))
    }

    pub(super) fn index_error(message: impl Into<String>) -> Self {
        Self::new("IndexError", message)
    }

    pub(super) fn type_error(message: impl Into<String>) -> Self {
        Self::new("TypeError", message)
    }

    pub(super) fn assertion_error() -> Self {
        Self::new("AssertionError", "")
    }

    pub(super) fn recursion_error() -> Self {
        Self::new("RecursionError", "maximum recursion depth exceeded while calling a Python object")
    }
}

/// `type(value).__name__`.
pub(super) fn type_name(value: &Value) -> &'static str {
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

/// `left == right`: numbers and booleans by their value, whatever their types.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            let same =
                |(key, value): (&String, &Value)| right.get(key).is_some_and(|other| equal(value, other));
            left.len() == right.len() && left.iter().all(same)
        }
        _ => match (Number::of(left), Number::of(right)) {
            (Some(left), Some(right)) => left.compare(&right).is_some_and(std::cmp::Ordering::is_eq),
            _ => left == right,
        },
    }
}

/// `item in container`.
pub(super) fn contains(container: &Value, item: &Value) -> Result<bool, Thrown> {
    match container {
        Value::Array(items) => Ok(match item {
            // A text equals nothing but texts, and a list can be one of thousands of files.
            Value::String(text) => items.iter().any(|each| each.as_str() == Some(text)),
            _ => items.iter().any(|each| equal(each, item)),
        }),
        Value::Object(entries) => Ok(entry(entries, item)?.is_some()),
        Value::String(text) => match item {
            Value::String(part) => Ok(text.contains(part.as_str())),
            other => {
                let kind = type_name(other);
                Err(Thrown::type_error(format!("'in <string>' requires string as left operand, not {kind}")))
            }
        },
        other => Err(Thrown::type_error(format!("argument of type '{}' is not iterable", type_name(other)))),
    }
}

/// `len(container)`, for what has a length.
pub(super) fn length(container: &Value) -> usize {
    match container {
        Value::Array(items) => items.len(),
        Value::Object(entries) => entries.len(),
        Value::String(text) => text.chars().count(),
        _ => 0,
    }
}

/// `inputs[name]` where `name in inputs`, else nothing.
pub(super) fn get<'a>(inputs: &'a Value, name: &str) -> Result<Option<&'a Value>, Thrown> {
    if let Value::Object(entries) = inputs {
        return Ok(entries.get(name));
    }
    if !contains(inputs, &Value::from(name))? {
        return Ok(None);
    }
    Err(Thrown::type_error(match inputs {
        Value::String(_) => "string indices must be integers, not 'str'",
        _ => "list indices must be integers or slices, not str",
    }))
}

/// `entries.get(key)`.
pub(super) fn entry<'a>(entries: &'a Map<String, Value>, key: &Value) -> Result<Option<&'a Value>, Thrown> {
    match key {
        Value::String(key) => Ok(entries.get(key)),
        Value::Array(_) | Value::Object(_) => {
            Err(Thrown::type_error(format!("unhashable type: '{}'", type_name(key))))
        }
        _ => Ok(None),
    }
}

/// `items[index]`. The exception says whether Python knows the items as a `list` or a `tuple`.
pub(super) fn at<'a>(
    items: &'a [Value],
    index: &Value,
    sequence: impl FnOnce() -> &'static str,
) -> Result<&'a Value, Thrown> {
    let position = match index {
        Value::Bool(flag) => i64::from(*flag),
        // What does not fit is out of range in any case.
        Value::Number(number) if !number.is_f64() => number.as_i64().unwrap_or(i64::MAX),
        _ => {
            let (sequence, kind) = (sequence(), type_name(index));
            let message = format!("{sequence} indices must be integers or slices, not {kind}");
            return Err(Thrown::type_error(message));
        }
    };
    let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let position = if position < 0 { position.saturating_add(length) } else { position };
    let found = usize::try_from(position).ok().and_then(|position| items.get(position));
    found.ok_or_else(|| Thrown::index_error(format!("{} index out of range", sequence())))
}

/// `text.strip()`.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(|letter: char| letter.is_whitespace() || ('\x1c'..='\x1f').contains(&letter))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_booleans_are_equal_by_their_value() {
        for (left, right) in [
            (json!(1), json!(1.0)),
            (json!(true), json!(1)),
            (json!([0, {"a": 2}]), json!([false, {"a": 2.0}])),
        ] {
            assert!(equal(&left, &right), "{left} {right}");
        }
        for (left, right) in [
            (json!("1"), json!(1)),
            (json!(null), json!(false)),
            (json!(9_007_199_254_740_993_u64), json!(9_007_199_254_740_992.0)),
            (json!({"a": 1}), json!({"a": 1, "b": 1})),
        ] {
            assert!(!equal(&left, &right), "{left} {right}");
        }
    }

    #[test]
    fn an_index_counts_from_either_end_and_a_boolean_is_one() {
        let items = [json!("a"), json!("b")];
        for (index, expected) in [(json!(1), "b"), (json!(-2), "a"), (json!(true), "b"), (json!(false), "a")]
        {
            assert_eq!(at(&items, &index, || "tuple").unwrap(), expected);
        }
        for (index, message) in [
            (json!(2), "tuple index out of range"),
            (json!(-3), "tuple index out of range"),
            (json!(u64::MAX), "tuple index out of range"),
            (json!(0.0), "tuple indices must be integers or slices, not float"),
            (json!("0"), "tuple indices must be integers or slices, not str"),
            (json!(null), "tuple indices must be integers or slices, not NoneType"),
        ] {
            assert_eq!(at(&items, &index, || "tuple").unwrap_err().message, message);
        }
    }

    #[test]
    fn what_cannot_be_searched_says_so() {
        for (container, item, message) in [
            (json!(null), json!("a"), "argument of type 'NoneType' is not iterable"),
            (json!(1.5), json!("a"), "argument of type 'float' is not iterable"),
            (json!("abc"), json!(1), "'in <string>' requires string as left operand, not int"),
            (json!({}), json!([]), "unhashable type: 'list'"),
        ] {
            assert_eq!(contains(&container, &item).unwrap_err().message, message);
        }
        assert_eq!(contains(&json!("abc"), &json!("b")), Ok(true));
        assert_eq!(contains(&json!({"a": 1}), &json!(1)), Ok(false));
    }

    #[test]
    fn inputs_of_any_type_are_searched_as_python_searches_them() {
        assert_eq!(get(&json!({"a": 1}), "a"), Ok(Some(&json!(1))));
        assert_eq!(get(&json!(["b"]), "a"), Ok(None));
        assert_eq!(get(&json!(["a"]), "a").unwrap_err().kind, "TypeError");
        assert_eq!(
            get(&json!("cat"), "a").unwrap_err().message,
            "string indices must be integers, not 'str'"
        );
    }
}
