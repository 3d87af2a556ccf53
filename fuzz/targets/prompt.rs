//! A prompt of a stranger, or the body that holds it, is judged as any other; what is accepted is accepted again after
//! its values were converted; documents come out of the types as they went in.

#![no_main]

use comfyui::needs::Needs;
use comfyui::validate::{Accepted, validate_request};
use comfyui::{Prompt, Verdict, validate};
use fuzz::{OBJECT_INFO, mutation};
use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target};
use serde_json::{Value, json};

fuzz_target!(|document: &[u8]| {
    let Ok(document) = comfyui::from_slice::<Value>(document) else { return };
    judges(&document);
    if let Ok(prompt) = serde_json::from_value::<Prompt>(document) {
        reads_needs(&prompt);
        survives_a_round_trip(&prompt);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutation::mutate(data, size, max_size, seed)
});
fuzz_crossover!(|first: &[u8], second: &[u8], out: &mut [u8], seed: u32| {
    mutation::cross(first, second, out, seed)
});

fn judges(document: &Value) {
    let _ = validate_request(document, &OBJECT_INFO);
    let verdict = validate(document, &OBJECT_INFO, None);
    let whole = validate_request(&json!({"prompt": document}), &OBJECT_INFO);
    assert!(document.is_null() || whole == verdict, "the body {whole:?}, the prompt {verdict:?}");
    assert_eq!(verdict.answer().is_none(), verdict.status() == 500);
    if let Verdict::Accepted(accepted) = verdict {
        stays_accepted(document.clone(), &accepted);
    }
}

fn stays_accepted(mut prompt: Value, accepted: &Accepted) {
    let some = validate(&prompt, &OBJECT_INFO, Some(&accepted.outputs));
    assert!(matches!(&some, Verdict::Accepted(again) if again.outputs == accepted.outputs), "{some:?}");
    accepted.convert(&mut prompt);
    let converted = validate(&prompt, &OBJECT_INFO, None);
    assert!(
        matches!(&converted, Verdict::Accepted(again) if again.outputs == accepted.outputs),
        "{converted:?}"
    );
}

fn reads_needs(prompt: &Prompt) {
    let _ = Needs::of(prompt, None);
    let _ = Needs::with_uploads(prompt, Some(&OBJECT_INFO), |file| file.subfolder.is_empty());
    let needs = Needs::of(prompt, Some(&OBJECT_INFO));
    let written = serde_json::to_vec(&needs).expect("needs are written as JSON");
    let read: Needs = serde_json::from_slice(&written).expect("needs are read as they were written");
    assert_eq!(read, needs);
}

fn survives_a_round_trip(prompt: &Prompt) {
    let written = serde_json::to_vec(prompt).expect("a prompt is written as JSON");
    let read: Prompt = serde_json::from_slice(&written).expect("a prompt is read as it was written");
    assert_eq!(&read, prompt);
}
