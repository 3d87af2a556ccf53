//! JSON as Python writes it: `NaN`, `Infinity` and `-Infinity` stand where JSON has no word. ComfyUI sends them (a limit
//! of infinity in `object_info`, a figure in an error), and one of them must not cost the whole document.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

/// Reads a document; bare words that only Python knows are read as `null`.
///
/// ```
/// let value: serde_json::Value = comfyui::from_slice(br#"{"max": Infinity, "name": "NaN"}"#)?;
/// assert_eq!(value, serde_json::json!({"max": null, "name": "NaN"}));
/// # Ok::<(), serde_json::Error>(())
/// ```
///
/// # Errors
/// When it is no JSON apart from such words, or not of this type.
pub fn from_slice<T: DeserializeOwned>(document: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(document).or_else(|error| match without_python(document) {
        Cow::Owned(mended) => serde_json::from_slice(&mended),
        Cow::Borrowed(_) => Err(error),
    })
}

const WORDS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];

/// The document with such words outside of strings replaced; borrowed where there is none.
pub(crate) fn without_python(document: &[u8]) -> Cow<'_, [u8]> {
    let (mut mended, mut rest, mut in_string) = (Vec::new(), document, false);
    let mut found = false;
    while let Some(&byte) = rest.first() {
        let word = WORDS.into_iter().find(|word| !in_string && rest.starts_with(word));
        let taken = match word {
            Some(word) => word.len(),
            // An escape and what it escapes: a quote behind it ends no string.
            None if in_string && byte == b'\\' => 2,
            None => 1,
        };
        let (head, tail) = rest.split_at(taken.min(rest.len()));
        mended.extend_from_slice(if word.is_some() { b"null" } else { head });
        found |= word.is_some();
        in_string ^= byte == b'"';
        rest = tail;
    }
    if found { Cow::Owned(mended) } else { Cow::Borrowed(document) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn words_of_python_become_null_and_strings_stay() {
        let text = r#"{"a": NaN, "b": [-Infinity, Infinity, 1.5], "c": "NaN \"Infinity\\", "d": -1}"#;
        let expected = json!({"a": null, "b": [null, null, 1.5], "c": "NaN \"Infinity\\", "d": -1});
        assert_eq!(from_slice::<Value>(text.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn what_is_no_json_otherwise_stays_an_error() {
        for text in ["", "{", r#"{"a": nan}"#, "NaN NaN", r#"{"a": "\"#, "{\"a\": Infinity"] {
            assert!(from_slice::<Value>(text.as_bytes()).is_err(), "{text}");
        }
    }
}
