//! Whether the type that an output gives fits the type that an input takes.

use serde_json::Value;

use super::python::{equal, strip};

const ANY: &str = "*";
const MATCHING: &str = "COMFY_MATCHTYPE_V3";
const COMBO: &str = "COMBO";

/// A type is a name, several names with commas between, or a combo's list of options. Two fit if they are equal, if one
/// is any type or one that the web interface matches, if a list meets a combo, or if they have a name in common.
pub(super) fn fits(received: &Value, expected: &Value) -> bool {
    if equal(received, expected) || is_open(received) || is_open(expected) {
        return true;
    }
    match (received, expected) {
        (Value::Array(_), expected) => expected == COMBO,
        (Value::String(received), Value::String(expected)) => have_common_name(received, expected),
        _ => false,
    }
}

fn is_open(kind: &Value) -> bool {
    kind == ANY || kind == MATCHING
}

fn have_common_name(received: &str, expected: &str) -> bool {
    let expected_any = names(expected).any(|name| name == ANY);
    expected_any || names(received).any(|name| name == ANY || names(expected).any(|other| other == name))
}

fn names(kind: &str) -> impl Iterator<Item = &str> {
    kind.split(',').map(strip)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_fit_by_equality_wildcard_or_a_common_name() {
        for (received, expected) in [
            (json!("IMAGE"), json!("IMAGE")),
            (json!("*"), json!("IMAGE")),
            (json!("IMAGE"), json!("COMFY_MATCHTYPE_V3")),
            (json!("STRING, BOOLEAN"), json!("INT,STRING ")),
            (json!("INT"), json!("FLOAT,*")),
            (json!(["a"]), json!("COMBO")),
            (json!(["a"]), json!(["a"])),
        ] {
            assert!(fits(&received, &expected), "{received} {expected}");
        }
        for (received, expected) in [
            (json!("IMAGE"), json!("MASK")),
            (json!("IMAGE"), json!("IMAGES")),
            (json!("COMBO"), json!(["a"])),
            (json!(["a"]), json!(["b"])),
            (json!("COMFY_MATCHTYPE_V3,X"), json!("Y")),
            (json!(null), json!("IMAGE")),
        ] {
            assert!(!fits(&received, &expected), "{received} {expected}");
        }
    }
}
