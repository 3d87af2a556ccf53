//! A text of the command line as the value that an input declares. Pure.

use comfyui::object_info::InputSpec;
use comfyui::prompt::link;
use serde_json::{Number, Value};

/// How many choices an error names.
const CHOICES_SHOWN: usize = 12;

/// Why a text is no value for an input: what it should have been.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum ValueError {
    #[error("{text:?} is no whole number")]
    Integer { text: String },
    #[error("{text:?} is no number")]
    Number { text: String },
    #[error("{text:?} is neither true nor false")]
    Boolean { text: String },
    #[error("{text:?} is none of its choices: {}", some_of(.choices))]
    Choice { text: String, choices: Vec<String> },
    #[error("it takes {kind} from another node: write [\"NODE\", 0] for the first output of that node")]
    Link { kind: String },
}

/// By the declared type; by what stands there now where that is not known.
pub fn typed(text: &str, spec: Option<&InputSpec>, now: Option<&Value>) -> Result<Value, ValueError> {
    let Some(spec) = spec else { return like(text, now) };
    if let Some(choices) = spec.combo() {
        return if spec.takes_uploads() { Ok(text.into()) } else { chosen(text, choices) };
    }
    match spec.kind() {
        Some("STRING") => Ok(text.into()),
        Some(_) | None if is_link(text) => Ok(json(text).unwrap_or_default()),
        Some("INT") => integer(text),
        Some("FLOAT") => number(text),
        Some("BOOLEAN") => boolean(text),
        Some(kind) if is_of_nodes(kind) => Err(ValueError::Link { kind: kind.to_owned() }),
        _ => Ok(json(text).unwrap_or_else(|| text.into())),
    }
}

fn like(text: &str, now: Option<&Value>) -> Result<Value, ValueError> {
    match now {
        Some(Value::String(_)) => Ok(text.into()),
        Some(Value::Number(number)) if number.is_f64() => self::number(text),
        Some(Value::Number(_)) => integer(text).or_else(|_| number(text)),
        Some(Value::Bool(_)) => boolean(text),
        _ => Ok(json(text).unwrap_or_else(|| text.into())),
    }
}

/// Whole numbers keep all of their digits: seeds have up to 2⁶⁴.
fn integer(text: &str) -> Result<Value, ValueError> {
    let signed = text.parse::<i64>().map(Value::from);
    let read = signed.or_else(|_| text.parse::<u64>().map(Value::from));
    read.map_err(|_| ValueError::Integer { text: text.to_owned() })
}

fn number(text: &str) -> Result<Value, ValueError> {
    let read = integer(text).ok().or_else(|| Number::from_f64(text.parse().ok()?).map(Value::Number));
    read.ok_or_else(|| ValueError::Number { text: text.to_owned() })
}

fn boolean(text: &str) -> Result<Value, ValueError> {
    text.parse::<bool>().map(Value::from).map_err(|_| ValueError::Boolean { text: text.to_owned() })
}

/// A choice may be a number, which is written as it is shown.
fn chosen(text: &str, choices: &[Value]) -> Result<Value, ValueError> {
    let choice = choices.iter().find(|choice| shown(choice) == text);
    let choices = || choices.iter().map(shown).collect();
    choice.cloned().ok_or_else(|| ValueError::Choice { text: text.to_owned(), choices: choices() })
}

fn shown(choice: &Value) -> String {
    choice.as_str().map_or_else(|| choice.to_string(), str::to_owned)
}

fn some_of(choices: &[String]) -> String {
    let shown: Vec<&str> = choices.iter().take(CHOICES_SHOWN).map(String::as_str).collect();
    let more = choices.len().saturating_sub(CHOICES_SHOWN);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", if shown.is_empty() { "there are none".to_owned() } else { shown.join(", ") })
}

fn is_link(text: &str) -> bool {
    json(text).is_some_and(|value| link(&value).is_some())
}

/// `MODEL`, `IMAGE`, ...: what no person writes. `*` takes anything.
fn is_of_nodes(kind: &str) -> bool {
    kind.starts_with(|first: char| first.is_ascii_uppercase()) && kind != "COMBO"
}

fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn by_type(kind: Value, text: &str) -> Result<Value, String> {
        typed(text, Some(&InputSpec(json!([kind]))), None).map_err(|error| error.to_string())
    }

    #[test]
    fn a_text_becomes_what_the_input_declares() {
        for (kind, text, value) in [
            (json!("INT"), "18446744073709551615", json!(u64::MAX)),
            (json!("INT"), "-3", json!(-3)),
            (json!("FLOAT"), "4.5", json!(4.5)),
            (json!("FLOAT"), "7", json!(7)),
            (json!("BOOLEAN"), "true", json!(true)),
            (json!("STRING"), "42", json!("42")),
            (json!("STRING"), "[\"4\", 0]", json!("[\"4\", 0]")),
            (json!(["euler", "ddim"]), "ddim", json!("ddim")),
            (json!([1, 2.5, true]), "2.5", json!(2.5)),
            (json!("INT"), "[\"4\", 1]", json!(["4", 1])),
            (json!("MODEL"), "[\"4\", 0]", json!(["4", 0])),
            (json!("*"), "{\"a\": 1}", json!({"a": 1})),
            (json!("*"), "words", json!("words")),
            (json!("COMBO"), "anything", json!("anything")),
        ] {
            assert_eq!(by_type(kind, text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_would() {
        let many: Vec<Value> = (0..20).map(|number| json!(format!("m{number}"))).collect();
        for (kind, text, wanted) in [
            (json!("INT"), "4.5", "\"4.5\" is no whole number"),
            (json!("FLOAT"), "NaN", "is no number"),
            (json!("BOOLEAN"), "yes", "neither true nor false"),
            (json!(["euler", "ddim"]), "eul", "none of its choices: euler, ddim"),
            (json!(many), "x", "m11 and 8 more"),
            (json!([]), "x", "there are none"),
            (json!("MODEL"), "sd15", "it takes MODEL from another node"),
        ] {
            let error = by_type(kind, text).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn an_uploaded_file_may_be_newer_than_the_list_of_choices() {
        let spec = InputSpec(json!([["a.png"], {"image_upload": true}]));
        assert_eq!(typed("b.png", Some(&spec), None), Ok(json!("b.png")));
    }

    #[test]
    fn an_input_that_nobody_declares_takes_what_it_had() {
        for (now, text, value) in [
            (json!("a"), "1", json!("1")),
            (json!(1), "2", json!(2)),
            (json!(1), "2.5", json!(2.5)),
            (json!(1.5), "2", json!(2)),
            (json!(true), "false", json!(false)),
            (json!(null), "[1]", json!([1])),
            (json!(["4", 0]), "word", json!("word")),
        ] {
            assert_eq!(typed(text, None, Some(&now)), Ok(value), "{text}");
        }
        assert!(typed("x", None, Some(&json!(1))).is_err());
    }
}
