//! What can be wrong with a file, and what to do about it.

use std::path::PathBuf;

use crate::limits::TOKEN_CHARS;

/// Why a file of the token, the certificate or the key cannot be used. No text of the file is told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read, or holds no certificate or key.
    #[error(transparent)]
    File(#[from] door::files::Error),
    /// Its first line is no token.
    #[error(
        "the first line of {path} (--token-file) {what}; write a token of {TOKEN_CHARS} or more letters, digits and signs \
         there, such as `openssl rand -hex 32` makes"
    )]
    Token {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
}
