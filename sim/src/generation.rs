//! Which ComfyUI a simulated server is: the recorded generations and what tells them apart.

use std::str::FromStr;

/// A generation of ComfyUI, as recorded in `tests/transcripts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Generation {
    /// 0.8.0 of January 2026: `/api/*`, jobs, feature flags, `progress_state`, `execution_success`; honours
    /// a `prompt_id` in the request.
    #[default]
    V0_8,
    /// March 2024: none of these; ignores a `prompt_id` in the request and a body of `/interrupt`.
    V2024,
}

impl Generation {
    /// Whether it is the one of January 2026, with everything that came since March 2024.
    pub fn is_current(self) -> bool {
        self == Self::V0_8
    }

    pub(crate) fn classes(self) -> &'static str {
        match self {
            Self::V0_8 => include_str!("comfy/classes/0.8.json"),
            Self::V2024 => include_str!("comfy/classes/2024.json"),
        }
    }
}

impl FromStr for Generation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "0.8" => Ok(Self::V0_8),
            "2024" => Ok(Self::V2024),
            other => Err(format!("no generation {other:?}: give 0.8 or 2024")),
        }
    }
}
