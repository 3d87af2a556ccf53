//! `int(value)`, `float(value)`, `str(value)` and `bool(value)`.
//!
//! Digits of other scripts, which Python reads as numbers too, are not read here.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use super::{Number, Thrown, repr, text, type_name};

/// A value of a prompt, converted or as it was given.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::validate) enum Literal<'a> {
    Given(&'a Value),
    Number(Number),
    Text(String),
    Flag(bool),
}

impl Literal<'_> {
    /// `str(value)`.
    pub(in crate::validate) fn text(&self) -> String {
        match self {
            Self::Given(value) => text(value),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::Flag(flag) => text(&Value::from(*flag)),
        }
    }

    /// Its JSON; `None` where JSON has none.
    pub(in crate::validate) fn to_json(&self) -> Option<Value> {
        match self {
            Self::Given(value) => Some((*value).clone()),
            Self::Number(number) => number.to_json(),
            Self::Text(text) => Some(Value::from(text.as_str())),
            Self::Flag(flag) => Some(Value::from(*flag)),
        }
    }

    /// How it compares with a bound. `sign` is the operator, for the exception where the two do not compare.
    pub(in crate::validate) fn compare(&self, bound: &Value, sign: char) -> Result<Option<Ordering>, Thrown> {
        if let (Some(number), Some(bound)) = (self.number(), Number::of(bound)) {
            return Ok(number.compare(&bound));
        }
        match (self.str(), bound) {
            (Some(text), Value::String(bound)) => Ok(Some(text.cmp(bound.as_str()))),
            _ => Err(Thrown::type_error(format!(
                "'{sign}' not supported between instances of '{}' and '{}'",
                self.type_name(),
                type_name(bound)
            ))),
        }
    }

    fn number(&self) -> Option<Cow<'_, Number>> {
        match self {
            Self::Given(value) => Number::of(value).map(Cow::Owned),
            Self::Number(number) => Some(Cow::Borrowed(number)),
            Self::Flag(flag) => Some(Cow::Owned(Number::Int(i128::from(*flag)))),
            Self::Text(_) => None,
        }
    }

    fn str(&self) -> Option<&str> {
        match self {
            Self::Given(value) => value.as_str(),
            Self::Text(text) => Some(text),
            Self::Number(_) | Self::Flag(_) => None,
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Given(value) => type_name(value),
            Self::Number(number) if number.is_float() => "float",
            Self::Number(_) => "int",
            Self::Text(_) => "str",
            Self::Flag(_) => "bool",
        }
    }
}

/// The value as the type of an input: converted where ComfyUI converts to that type, else as it is.
pub(in crate::validate) fn as_type<'a>(kind: &Value, value: &'a Value) -> Result<Literal<'a>, Thrown> {
    Ok(match kind.as_str() {
        Some("INT") => Literal::Number(int(value)?),
        Some("FLOAT") => Literal::Number(float(value)?),
        Some("STRING") if !value.is_string() => Literal::Text(repr(value)),
        Some("BOOLEAN") => Literal::Flag(is_true(value)),
        _ => Literal::Given(value),
    })
}

fn int(value: &Value) -> Result<Number, Thrown> {
    match (value, Number::of(value)) {
        (_, Some(Number::Float(float))) if float.is_finite() => Ok(Number::truncated(float)),
        (_, Some(whole)) => Ok(whole),
        (Value::String(text), _) => parse_int(text),
        (other, _) => Err(Thrown::type_error(format!(
            "int() argument must be a string, a bytes-like object or a real number, not '{}'",
            type_name(other)
        ))),
    }
}

/// Python reads no longer number than this, lest it take too long.
const MOST_DIGITS: usize = 4300;
/// The message about a text that is no number shows no more of it.
const SHOWN_LETTERS: usize = 200;

fn parse_int(text: &str) -> Result<Number, Thrown> {
    let bare = trimmed(text);
    let digits = bare.strip_prefix(['+', '-']).unwrap_or(bare);
    let is_number = digits.chars().all(|letter| letter.is_ascii_digit() || letter == '_');
    let joined = without_underscores(bare).filter(|_| is_number && !digits.is_empty());
    let Some(joined) = joined else {
        let shown: String = repr(&Value::from(text)).chars().take(SHOWN_LETTERS).collect();
        return Err(Thrown::new("ValueError", format!("invalid literal for int() with base 10: {shown}")));
    };
    let count = joined.chars().filter(char::is_ascii_digit).count();
    if count > MOST_DIGITS {
        return Err(Thrown::new(
            "ValueError",
            format!(
                "Exceeds the limit ({MOST_DIGITS} digits) for integer string conversion: value has {count} digits; \
                 use sys.set_int_max_str_digits() to increase the limit"
            ),
        ));
    }
    Ok(Number::of_digits(&joined))
}

fn float(value: &Value) -> Result<Number, Thrown> {
    match (value, Number::of(value)) {
        (_, Some(number)) => Ok(Number::Float(number.to_f64())),
        (Value::String(text), _) => parse_float(text),
        (other, _) => Err(Thrown::type_error(format!(
            "float() argument must be a string or a real number, not '{}'",
            type_name(other)
        ))),
    }
}

fn parse_float(text: &str) -> Result<Number, Thrown> {
    let parsed = without_underscores(trimmed(text)).and_then(|joined| joined.parse().ok());
    parsed.map(Number::Float).ok_or_else(|| {
        let shown = repr(&Value::from(text));
        Thrown::new("ValueError", format!("could not convert string to float: {shown}"))
    })
}

/// Without the space around a number. The control characters that Python otherwise takes for space are none here.
fn trimmed(text: &str) -> &str {
    text.trim()
}

/// The text without the underscores between digits; `None` if there are others.
fn without_underscores(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('_') {
        return Some(Cow::Borrowed(text));
    }
    let parts: Vec<&str> = text.split('_').collect();
    let ends_well = parts.iter().skip(1).all(|part| part.starts_with(|first: char| first.is_ascii_digit()));
    let begins_well =
        parts.iter().rev().skip(1).all(|part| part.ends_with(|last: char| last.is_ascii_digit()));
    (ends_well && begins_well).then(|| Cow::Owned(parts.concat()))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn converted(kind: &str, value: &Value) -> Result<Option<Value>, String> {
        let kind = json!(kind);
        as_type(&kind, value).map(|literal| literal.to_json()).map_err(|thrown| thrown.message)
    }

    #[test]
    fn values_are_converted_as_python_converts_them() {
        for (kind, value, expected) in [
            ("INT", json!(3.9), json!(3)),
            ("INT", json!(-3.9), json!(-3)),
            ("INT", json!(" +1_000\n"), json!(1000)),
            ("INT", json!("007"), json!(7)),
            ("INT", json!(true), json!(1)),
            ("INT", json!("18446744073709551615"), json!(u64::MAX)),
            ("INT", json!("18446744073709551616"), json!(18_446_744_073_709_551_616.0)),
            ("FLOAT", json!(0), json!(0.0)),
            ("FLOAT", json!(false), json!(0.0)),
            ("FLOAT", json!(" 1_0.5e-1_0 "), json!(10.5e-10)),
            ("FLOAT", json!(".5"), json!(0.5)),
            ("STRING", json!(0.00001), json!("1e-05")),
            ("STRING", json!({"a": [null, "b"]}), json!("{'a': [None, 'b']}")),
            ("STRING", json!("as it is"), json!("as it is")),
            ("BOOLEAN", json!("false"), json!(true)),
            ("BOOLEAN", json!(0.0), json!(false)),
            ("BOOLEAN", json!({}), json!(false)),
            ("IMAGE", json!("1"), json!("1")),
        ] {
            assert_eq!(converted(kind, &value), Ok(Some(expected)), "{kind} {value}");
        }
    }

    #[test]
    fn what_json_cannot_hold_has_none() {
        for text in ["nan", "-Infinity", "1e999"] {
            assert_eq!(converted("FLOAT", &json!(text)), Ok(None));
        }
    }

    #[test]
    fn what_cannot_be_converted_says_why_in_pythons_words() {
        let int_of = "int() argument must be a string, a bytes-like object or a real number, not";
        let no_int = "invalid literal for int() with base 10:";
        for (kind, value, expected) in [
            ("INT", json!("7.5"), format!("{no_int} '7.5'")),
            ("INT", json!("it's"), format!("{no_int} \"it's\"")),
            ("INT", json!("1__0"), format!("{no_int} '1__0'")),
            ("INT", json!("_1"), format!("{no_int} '_1'")),
            ("INT", json!("+"), format!("{no_int} '+'")),
            ("INT", json!("\u{1c}7"), format!("{no_int} '\\x1c7'")),
            ("INT", json!("x".repeat(300)), format!("{no_int} '{}", "x".repeat(199))),
            ("INT", json!(null), format!("{int_of} 'NoneType'")),
            ("INT", json!({}), format!("{int_of} 'dict'")),
            ("FLOAT", json!([]), "float() argument must be a string or a real number, not 'list'".to_owned()),
            ("FLOAT", json!("1_.0"), "could not convert string to float: '1_.0'".to_owned()),
            ("FLOAT", json!(""), "could not convert string to float: ''".to_owned()),
        ] {
            assert_eq!(converted(kind, &value), Err(expected), "{kind} {value}");
        }
        let long = converted("INT", &json!("9".repeat(4301))).unwrap_err();
        assert!(
            long.starts_with("Exceeds the limit (4300 digits)") && long.contains("has 4301 digits"),
            "{long}"
        );
    }

    #[test]
    fn what_does_not_compare_with_a_bound_says_so() {
        let value = json!("a");
        let thrown = Literal::Given(&value).compare(&json!(1), '<').unwrap_err();
        assert_eq!(thrown.message, "'<' not supported between instances of 'str' and 'int'");
        assert_eq!(Literal::Given(&value).compare(&json!("b"), '<'), Ok(Some(Ordering::Less)));
        assert_eq!(Literal::Flag(true).compare(&json!(0.5), '<'), Ok(Some(Ordering::Greater)));
    }
}
