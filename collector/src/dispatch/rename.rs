//! Texts of a prompt exchanged for others; all that is not exchanged stays as the bytes that came. Pure.

use std::collections::HashMap;

use indexmap::IndexMap;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

type Fields = IndexMap<String, Box<RawValue>>;

/// The prompt with every input of a node that is one of these texts, or holds one, changed. The same prompt where there
/// is nothing to change.
///
/// # Errors
/// When it is no prompt.
pub(super) fn renamed(
    prompt: Box<RawValue>,
    names: &HashMap<&str, String>,
) -> Result<Box<RawValue>, serde_json::Error> {
    if names.is_empty() {
        return Ok(prompt);
    }
    let mut nodes: Fields = serde_json::from_str(prompt.get())?;
    for node in nodes.values_mut() {
        let mut fields: Fields = serde_json::from_str(node.get())?;
        let Some(inputs) = fields.get_mut("inputs") else { continue };
        *inputs = inputs_renamed(inputs, names)?;
        *node = to_raw_value(&fields)?;
    }
    to_raw_value(&nodes)
}

fn inputs_renamed(
    inputs: &RawValue,
    names: &HashMap<&str, String>,
) -> Result<Box<RawValue>, serde_json::Error> {
    let mut inputs: Fields = serde_json::from_str(inputs.get())?;
    for input in inputs.values_mut() {
        let mut value: Value = serde_json::from_str(input.get())?;
        if exchange(&mut value, names) > 0 {
            *input = to_raw_value(&value)?;
        }
    }
    to_raw_value(&inputs)
}

/// How many texts were changed.
fn exchange(value: &mut Value, names: &HashMap<&str, String>) -> usize {
    match value {
        Value::String(text) => match names.get(text.as_str()) {
            Some(name) => {
                text.clone_from(name);
                1
            }
            None => 0,
        },
        Value::Array(items) => items.iter_mut().map(|item| exchange(item, names)).sum(),
        Value::Object(fields) => fields.values_mut().map(|field| exchange(field, names)).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(prompt: &str, names: &[(&'static str, &str)]) -> String {
        let names = names.iter().map(|(from, to)| (*from, (*to).to_owned())).collect();
        renamed(RawValue::from_string(prompt.to_owned()).unwrap(), &names).unwrap().get().to_owned()
    }

    #[test]
    fn only_the_inputs_that_name_a_file_change_and_numbers_stay_as_they_were_written() {
        let prompt = r#"{"2":{"class_type":"L","inputs":{"image":"a/x [output]","seed":123456789012345678901234,"f":1.50e0}},
                         "1":{"_meta":{"title":"a/x [output]"},"class_type":"a/x [output]","inputs":{"many":[{"v":"a/x [output]"},["2",0]]}}}"#;
        let changed = with(prompt, &[("a/x [output]", "x [output]")]);
        let expected = concat!(
            r#"{"2":{"class_type":"L","inputs":{"image":"x [output]","seed":123456789012345678901234,"f":1.50e0}},"#,
            r#""1":{"_meta":{"title":"a/x [output]"},"class_type":"a/x [output]","inputs":{"many":[{"v":"x [output]"},["2",0]]}}}"#
        );
        assert_eq!(changed, expected);
    }

    #[test]
    fn a_prompt_without_such_files_is_sent_as_the_bytes_that_came() {
        let prompt = r#"{ "1": {"class_type" : "L"} }"#;
        assert_eq!(with(prompt, &[]), prompt);
    }
}
