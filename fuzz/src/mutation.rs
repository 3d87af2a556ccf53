//! Changes to JSON documents. Flipped bits rarely leave a document that parses, and hardly ever one whose links still
//! lead somewhere; moving, copying and replacing whole values does.

use std::mem;

use fastrand::Rng;
use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Map, Value, json};

use crate::OBJECT_INFO;

/// A mutator for `fuzz_mutator!`: mostly changes the document as a tree, else (and where it is no JSON) its bytes.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = Rng::with_seed(seed.into());
    let document =
        data.get(..size).filter(|_| random.u8(..8) > 0).and_then(|text| changed(text, &mut random));
    match document {
        Some(document) if document.len() <= max_size => write(&document, data),
        _ => fuzzer_mutate(data, size, max_size),
    }
}

/// A crossover for `fuzz_crossover!`: the first document with a value of the second in it.
pub fn cross(first: &[u8], second: &[u8], out: &mut [u8], seed: u32) -> usize {
    let mut random = Rng::with_seed(seed.into());
    let document = crossed(first, second, &mut random).filter(|document| document.len() <= out.len());
    write(document.as_deref().unwrap_or_default(), out)
}

fn write(document: &[u8], out: &mut [u8]) -> usize {
    out[..document.len()].copy_from_slice(document);
    document.len()
}

fn changed(text: &[u8], random: &mut Rng) -> Option<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(text).ok()?;
    for _ in 0..random.u8(1..=4) {
        let other = any(&mut document, random).clone();
        change(any(&mut document, random), other, random);
    }
    serde_json::to_vec(&document).ok()
}

fn crossed(first: &[u8], second: &[u8], random: &mut Rng) -> Option<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(first).ok()?;
    let mut donor: Value = serde_json::from_slice(second).ok()?;
    *any(&mut document, random) = any(&mut donor, random).take();
    serde_json::to_vec(&document).ok()
}

/// Some value of the document, at any depth.
fn any<'a>(document: &'a mut Value, random: &mut Rng) -> &'a mut Value {
    let mut left = random.usize(..count(document));
    nth(document, &mut left).expect("there are as many values as were counted")
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(entries) => entries.values().map(count).sum(),
        _ => 0,
    }
}

fn nth<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, left)),
        Value::Object(entries) => entries.values_mut().find_map(|entry| nth(entry, left)),
        _ => None,
    }
}

fn change(value: &mut Value, other: Value, random: &mut Rng) {
    if random.u8(..4) == 0 {
        *value = replacement(other, random);
        return;
    }
    match value {
        Value::Array(items) => change_array(items, other, random),
        Value::Object(entries) => change_object(entries, other, random),
        Value::Number(number) => {
            *value = json!(number.as_i64().unwrap_or(0).wrapping_add(random.i64(-2..=2)))
        }
        Value::Bool(is_so) => *is_so = !*is_so,
        Value::String(text) => *text = changed_text(text, random),
        Value::Null => *value = replacement(other, random),
    }
}

fn replacement(other: Value, random: &mut Rng) -> Value {
    match random.u8(..8) {
        0..4 => other,
        4 => json!(word(random)),
        5 => json!([other]),
        6 => json!({word(random): other}),
        _ => scalar(random),
    }
}

fn change_array(items: &mut Vec<Value>, other: Value, random: &mut Rng) {
    if items.is_empty() {
        return items.push(other);
    }
    let (place, second) = (random.usize(..items.len()), random.usize(..items.len()));
    match random.u8(..4) {
        0 => drop(items.remove(place)),
        1 => items.insert(place, items[second].clone()),
        2 => items.swap(place, second),
        _ => items.insert(place, other),
    }
}

fn change_object(entries: &mut Map<String, Value>, other: Value, random: &mut Rng) {
    let place = random.usize(..entries.len().max(1));
    let key = entries.keys().nth(place).cloned().unwrap_or_default();
    match random.u8(..4) {
        0 => drop(entries.shift_remove(&key)),
        1 => {
            let value = entries.get_mut(&key).map(mem::take).unwrap_or_default();
            entries.insert(changed_text(&key, random), value);
        }
        2 => drop(entries.insert(changed_text(&key, random), other)),
        _ => drop(entries.insert(word(random), other)),
    }
}

fn changed_text(text: &str, random: &mut Rng) -> String {
    match random.u8(..6) {
        0 => String::new(),
        1 => format!("{text}{}", word(random)),
        2 => text.chars().skip(1).collect(),
        3 => random.i32(-12..100).to_string(),
        _ => word(random),
    }
}

/// What the library treats in a way of its own, and the names of classes.
fn word(random: &mut Rng) -> String {
    const WORDS: &str = "nodes links definitions subgraphs inputs outputs extra groupNodes class_type mode link widget \
        properties widgets_values proxyWidgets inputNode outputNode origin_id target_id origin_slot type id name label \
        Reroute PrimitiveNode Note MarkdownNote workflow> workflow>a * -1 -10 -20 0 1 COMBO INT FLOAT STRING BOOLEAN \
        IMAGE MODEL LATENT image upload seed noise_seed control_after_generate fixed randomize increment decrement \
        required optional hidden 1:2 76:8 a.b a.b0 %date:yyyy-MM-dd% %KSampler.seed% {a|b} {{}|{ \\{ [input] a.png \
        x.safetensors ckpt_name steps denoise width height batch_size sigmas sampler samples latent_image NaN 1e400 \
        prompt_id data status exec_info node value max nodes executed timestamp partial_execution_targets prompt é";
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let classes = &OBJECT_INFO.0;
    match classes.get_index(random.usize(..classes.len())) {
        Some((class, _)) if random.u8(..4) == 0 => class.clone(),
        _ => words[random.usize(..words.len())].to_owned(),
    }
}

fn scalar(random: &mut Rng) -> Value {
    let numbers = [0, 1, 2, 4, -1, -10, -20, 9_007_199_254_740_993, i64::MAX, i64::MIN, 1 << 31];
    match random.u8(..8) {
        0 => Value::Null,
        1 => json!([]),
        2 => json!({}),
        3 => json!(random.f64()),
        4 => json!(u64::MAX),
        5 => json!(["1", 0]),
        6 => json!(-1e300),
        _ => json!(numbers[random.usize(..numbers.len())]),
    }
}
