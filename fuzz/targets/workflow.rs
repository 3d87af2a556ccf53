//! A workflow of a stranger becomes a prompt that holds together, the same one each time, or an error.

#![no_main]

use comfyui::convert::{ConvertError, Interface, LocalTime, Options, convert};
use comfyui::{Prompt, Workflow};
use fuzz::{OBJECT_INFO, mutation};
use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target};

fuzz_target!(|document: &[u8]| {
    let workflow = match Workflow::from_slice(document) {
        Ok(workflow) => workflow,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    for interface in [Interface::V1_35, Interface::V1_58] {
        let options = Options { interface, seed: 7, now: Some(NEW_YEAR) };
        let prompt = convert(&workflow, &OBJECT_INFO, &options);
        match &prompt {
            Ok(prompt) => holds_together(prompt),
            Err(error) => explains_itself(error),
        }
        assert_eq!(convert(&workflow, &OBJECT_INFO, &options), prompt, "the same workflow, another prompt");
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutation::mutate(data, size, max_size, seed)
});
fuzz_crossover!(|first: &[u8], second: &[u8], out: &mut [u8], seed: u32| {
    mutation::cross(first, second, out, seed)
});

const NEW_YEAR: LocalTime = LocalTime { year: 2027, month: 1, day: 1, hour: 0, minute: 0, second: 0 };

fn holds_together(prompt: &Prompt) {
    for (id, node) in &prompt.0 {
        assert!(OBJECT_INFO.0.contains_key(&node.class_type), "node {id} is of a class that no server has");
        for (input, link) in node.links() {
            assert!(
                prompt.0.contains_key(&link.node),
                "node {id}, {input}: a link from {}, left out",
                link.node
            );
        }
    }
}

fn explains_itself(error: &ConvertError) {
    assert!(!error.to_string().is_empty());
    if let ConvertError::UnknownClasses(classes) = error {
        assert!(!classes.is_empty() && classes.iter().all(|class| !class.nodes.is_empty()), "{classes:?}");
        assert!(classes.iter().all(|class| !OBJECT_INFO.0.contains_key(&class.class)), "{classes:?}");
    }
}
