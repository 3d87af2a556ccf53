//! What a class's own Python code checks, which only the server that has the code can do.

use serde_json::Value;

/// What is known of the checks that classes make themselves (`VALIDATE_INPUTS`, `validate_inputs`).
///
/// ComfyUI leaves out its own check of a value's range and list where the class names that input in its check, and its
/// check of links' types where the class asks for them. `object_info` does not tell which classes do.
pub trait Validators {
    /// Whether the class checks the value of this input itself.
    fn checks_value(&self, class: &str, input: &str) -> bool;

    /// Whether the class checks the types of its links itself.
    fn checks_types(&self, class: &str) -> bool;

    /// What the class says of a node with these inputs, values as they were given; nothing if it is content or nobody
    /// knows.
    fn complaints(&self, class: &str, inputs: &Value) -> Vec<Complaint>;
}

/// What a class says against a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The input that it speaks of.
    pub input: String,
    /// The reason, if it gives one.
    pub said: Option<String>,
}

/// The classes of ComfyUI 0.8.0 that check inputs themselves, taken to be content with them: whether a file is there,
/// and what other classes check, is left to the server.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeftToServer;

const CHECKED_VALUES: [(&str, &[&str]); 10] = [
    ("CustomCombo", &["choice"]),
    ("FluxProUltraImageNode", &["aspect_ratio"]),
    ("KlingCameraControls", &["horizontal_movement", "vertical_movement", "pan", "tilt", "roll", "zoom"]),
    ("LoadAudio", &["audio"]),
    ("LoadImage", &["image"]),
    ("LoadImageMask", &["image"]),
    ("LoadImageOutput", &["image"]),
    ("LoadLatent", &["latent"]),
    ("LoadVideo", &["file"]),
    ("WebcamCapture", &["image"]),
];

const CHECKED_TYPES: [&str; 1] = ["TripoConversionNode"];

impl Validators for LeftToServer {
    fn checks_value(&self, class: &str, input: &str) -> bool {
        CHECKED_VALUES.iter().any(|(name, inputs)| *name == class && inputs.contains(&input))
    }

    fn checks_types(&self, class: &str) -> bool {
        CHECKED_TYPES.contains(&class)
    }

    fn complaints(&self, _class: &str, _inputs: &Value) -> Vec<Complaint> {
        Vec::new()
    }
}
