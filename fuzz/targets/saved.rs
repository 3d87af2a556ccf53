//! A picture or document of a stranger gives documents of the right kind, or an error.

#![no_main]

use comfyui::saved;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    match saved::read(file) {
        Ok(saved) => {
            assert!(saved.workflow.is_some() || saved.prompt.is_some());
            assert!([saved.workflow, saved.prompt].iter().flatten().all(|document| document.is_object()));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
