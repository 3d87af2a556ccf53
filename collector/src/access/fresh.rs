//! Secrets made here: 256 random bits, in letters that a URL, a header and a cookie can carry.

use std::fmt::Write;

use data_encoding::BASE64URL_NOPAD;

use super::{Digest, Role};
use crate::limits;
use crate::tenant::Allowance;

/// The system gives no random numbers.
#[derive(Debug, thiserror::Error)]
#[error(
    "the system gives no random numbers ({0}), so no secret can be made; see that /dev/urandom can be read"
)]
pub struct NoRandom(getrandom::Error);

/// A secret of 43 letters.
///
/// # Errors
/// The system gives no random numbers.
pub fn random_text() -> Result<String, NoRandom> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(NoRandom)?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

/// A token that nobody has yet. It can be shown once and is not kept.
pub struct Fresh {
    pub token: String,
    /// What the file of tokens gets.
    pub entry: String,
}

impl Fresh {
    /// `name` is one that the file may hold.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn make(name: &str, role: Role, allowance: &Allowance) -> Result<Self, NoRandom> {
        let token = random_text()?;
        let (role, sha256) = (role.as_str(), Digest::of(token.as_bytes()).hex());
        let mut entry = format!("[[token]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{sha256}\"\n");
        for (key, value) in keys(allowance) {
            // Writing to a text cannot fail.
            let _ = writeln!(entry, "{key} = {value}");
        }
        Ok(Self { token, entry })
    }
}

/// What of an allowance is not what an entry has without a word.
fn keys(allowance: &Allowance) -> impl Iterator<Item = (&'static str, String)> {
    let Allowance { weight, max_waiting, max_running, gpu } = *allowance;
    let window = gpu.map(|gpu| gpu.window).filter(|window| *window != limits::GPU_WINDOW_UNASKED);
    let keys = [
        ("weight", Some(weight).filter(|weight| *weight != 1.0).map(|weight| weight.to_string())),
        ("max_waiting", max_waiting.map(|most| most.to_string())),
        ("max_running", max_running.map(|most| most.to_string())),
        ("gpu_seconds", gpu.map(|gpu| gpu.time.as_secs().to_string())),
        ("gpu_window", window.map(|window| format!("\"{}\"", humantime::format_duration(window)))),
    ];
    keys.into_iter().filter_map(|(key, value)| Some((key, value?)))
}
