//! Other values for inputs of a prompt, by the names that people give them: `3.seed`, `KSampler.seed`, `Positive.text`.
//! Pure.

mod place;
mod value;

use comfyui::{ObjectInfo, Prompt};
use indexmap::IndexMap;

pub use self::place::{Place, PlaceError, find};
pub use self::value::{ValueError, typed};

/// Why a value cannot be set.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum EditError {
    #[error("{target}: {reason}")]
    Place { target: String, reason: PlaceError },
    #[error("{target}: {reason}")]
    Value { target: String, reason: ValueError },
}

/// Sets each input to what its text is by the declared type, in that order.
///
/// # Errors
/// Of the first that names no input or is no value for it; what came before it is set.
pub fn edit(
    prompt: &mut Prompt,
    edits: &IndexMap<String, String>,
    info: &ObjectInfo,
) -> Result<(), EditError> {
    for (target, text) in edits {
        let place = find(target, prompt, info);
        let place = place.map_err(|reason| EditError::Place { target: target.clone(), reason })?;
        let value = typed(text, place.spec(prompt, info), place.now(prompt));
        let value = value.map_err(|reason| EditError::Value { target: target.clone(), reason })?;
        if let Some(node) = prompt.0.get_mut(&place.node) {
            node.inputs.insert(place.input, value);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn inputs_get_their_values_in_order_and_the_first_that_is_wrong_is_told() {
        let graph = json!({"3": {"class_type": "KSampler", "inputs": {"seed": 1, "cfg": 7.5}}});
        let mut prompt: Prompt = serde_json::from_value(graph).unwrap();
        let edits =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(at, text)| ((*at).into(), (*text).into())).collect();
        let info = ObjectInfo::default();
        let seed = u64::MAX.to_string();
        edit(&mut prompt, &edits(&[("3.seed", &seed), ("KSampler.cfg", "4")]), &info).unwrap();
        assert_eq!(json!(prompt.0["3"].inputs), json!({"seed": u64::MAX, "cfg": 4}));
        let error = edit(&mut prompt, &edits(&[("3.seed", "2"), ("3.cfg", "much"), ("9.x", "1")]), &info);
        assert_eq!(error.unwrap_err().to_string(), "3.cfg: \"much\" is no number");
        assert_eq!(prompt.0["3"].inputs["seed"], 2);
    }
}
