//! `repr(value)` and `str(value)`.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::Number;

/// `str(value)`: as `repr`, but a string is itself.
pub(in crate::validate) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| repr(value), str::to_owned)
}

/// `repr(value)`.
pub(in crate::validate) fn repr(value: &Value) -> String {
    let mut out = String::new();
    print(value, &mut out);
    out
}

fn print(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Number(number) => out.push_str(&Number::from(number).to_string()),
        Value::String(text) => quote(text, out),
        Value::Array(items) => list(items, out),
        Value::Object(entries) => dictionary(entries, out),
    }
}

fn list(items: &[Value], out: &mut String) {
    out.push('[');
    for (position, item) in items.iter().enumerate() {
        out.push_str(if position == 0 { "" } else { ", " });
        print(item, out);
    }
    out.push(']');
}

fn dictionary(entries: &Map<String, Value>, out: &mut String) {
    out.push('{');
    for (position, (key, value)) in entries.iter().enumerate() {
        out.push_str(if position == 0 { "" } else { ", " });
        quote(key, out);
        out.push_str(": ");
        print(value, out);
    }
    out.push('}');
}

fn quote(text: &str, out: &mut String) {
    let mark = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(mark);
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            _ if letter == mark => out.extend(['\\', letter]),
            _ if is_printable(letter) => out.push(letter),
            _ => escape(letter, out),
        }
    }
    out.push(mark);
}

/// `letter.isprintable()`. Rust's escapes for debugging go by the same categories of Unicode, except that a combining
/// mark is escaped too where a string begins with it.
fn is_printable(letter: char) -> bool {
    if letter.is_ascii() {
        return !letter.is_ascii_control();
    }
    let mut bytes = [0; 4];
    let behind_another = ["a", letter.encode_utf8(&mut bytes)].concat();
    behind_another.escape_debug().nth(1) == Some(letter)
}

fn escape(letter: char, out: &mut String) {
    let code = u32::from(letter);
    // Writing to a string cannot fail.
    let _ = match code {
        0..=0xff => write!(out, "\\x{code:02x}"),
        0x100..=0xffff => write!(out, "\\u{code:04x}"),
        _ => write!(out, "\\U{code:08x}"),
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_printed_as_python_prints_them() {
        for (value, expected) in [
            (json!(["a", "it's", null, true, 1, 2.0]), r#"['a', "it's", None, True, 1, 2.0]"#),
            (json!({"a": {"b": []}, "c": false}), "{'a': {'b': []}, 'c': False}"),
            (json!("it's \"so\""), r#"'it\'s "so"'"#),
            (json!("a\\b\n\r\t\u{1}\u{7f}"), r"'a\\b\n\r\t\x01\x7f'"),
            (
                json!("é\u{301}\u{200b}\u{a0}\u{e000}😀\u{e0001}"),
                "'é\u{301}\\u200b\\xa0\\ue000😀\\U000e0001'",
            ),
            (json!("\u{301}"), "'\u{301}'"),
        ] {
            assert_eq!(repr(&value), expected);
        }
        assert_eq!(text(&json!("it's")), "it's");
        assert_eq!(text(&json!(null)), "None");
    }
}
