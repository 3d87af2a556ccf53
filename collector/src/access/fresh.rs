//! Secrets made here: 256 random bits, in letters that a URL, a header and a cookie can carry.

use std::fmt::Write;

use data_encoding::BASE64URL_NOPAD;

use super::{Digest, Role};

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
    pub fn make(name: &str, role: Role, max_waiting: Option<usize>) -> Result<Self, NoRandom> {
        let token = random_text()?;
        let (role, sha256) = (role.as_str(), Digest::of(token.as_bytes()).hex());
        let mut entry = format!("[[token]]\nname = \"{name}\"\nrole = \"{role}\"\nsha256 = \"{sha256}\"\n");
        if let Some(most) = max_waiting {
            // Writing to a text cannot fail.
            let _ = writeln!(entry, "max_waiting = {most}");
        }
        Ok(Self { token, entry })
    }
}
