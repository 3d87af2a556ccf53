//! Compares a recorded document with a simulated one: values, and only types where values must differ.

use serde_json::Value;

/// Keys whose values are of that moment or that machine.
const VOLATILE: [&str; 12] = [
    "timestamp",
    "create_time",
    "execution_start_time",
    "execution_end_time",
    "ram_total",
    "ram_free",
    "vram_total",
    "vram_free",
    "torch_vram_total",
    "torch_vram_free",
    "python_version",
    "argv",
];

/// Lists that the real server makes of sets, in any order.
const UNORDERED: [&str; 5] = ["executed", "current_outputs", "errors", "dependent_outputs", "jobs"];

/// What differs, as lines of path and both values.
pub(crate) fn differences(recorded: &Value, simulated: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", "", recorded, simulated, &mut found);
    found
}

fn compare(path: &str, key: &str, recorded: &Value, simulated: &Value, found: &mut Vec<String>) {
    match (recorded, simulated) {
        _ if kind(recorded) != kind(simulated) => found.push(told(path, recorded, simulated)),
        _ if VOLATILE.contains(&key) || is_volatile(recorded, simulated) => {}
        (Value::Object(left), Value::Object(right)) => {
            for name in left.keys().chain(right.keys().filter(|name| !left.contains_key(*name))) {
                let path = format!("{path}/{name}");
                match (left.get(name), right.get(name)) {
                    (Some(recorded), Some(simulated)) => compare(&path, name, recorded, simulated, found),
                    (recorded, simulated) => found.push(format!("{path}: {recorded:?}, here {simulated:?}")),
                }
            }
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            let (left, right) = (ordered(key, left), ordered(key, right));
            for (at, (recorded, simulated)) in left.iter().zip(&right).enumerate() {
                compare(&format!("{path}/{at}"), "", recorded, simulated, found);
            }
        }
        (recorded, simulated) if recorded == simulated => {}
        (recorded, simulated) => found.push(told(path, recorded, simulated)),
    }
}

fn ordered(key: &str, items: &[Value]) -> Vec<Value> {
    let mut items = items.to_vec();
    if UNORDERED.contains(&key) {
        items.sort_by_key(|item| {
            item.get("priority").unwrap_or(&item["details"]).to_string() + &item.to_string()
        });
    }
    items
}

/// Printed tensors, and the letters that each process chooses for its previews.
fn is_volatile(recorded: &Value, simulated: &Value) -> bool {
    let both =
        |test: fn(&str) -> bool| recorded.as_str().is_some_and(test) && simulated.as_str().is_some_and(test);
    both(|text| text.starts_with("tensor(")) || both(|text| text.starts_with("ComfyUI_temp_"))
}

/// The type, with whole numbers and floats apart: Python writes `1` and `1.0`.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn told(path: &str, recorded: &Value, simulated: &Value) -> String {
    format!("{path}: {recorded}, here {simulated}")
}
