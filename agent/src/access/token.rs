//! The token: what of its file counts, and the comparison that tells nothing about it.

use std::path::Path;

use door::files::{self, Kind};
use subtle::ConstantTimeEq;

use super::Error;
use crate::limits::TOKEN_CHARS;

/// A bearer token. It is shown nowhere.
pub(crate) struct Token(Vec<u8>);

impl Token {
    #[cfg(test)]
    pub(crate) fn new(token: &str) -> Self {
        Self(token.as_bytes().to_owned())
    }

    /// Whether this is it, in a time that tells of its length at most.
    pub(crate) fn is(&self, given: &[u8]) -> bool {
        self.0.ct_eq(given).into()
    }
}

/// The token of the first line.
pub(super) fn read(path: &Path) -> Result<Token, Error> {
    let content = files::read_secret(Kind::Token, path)?;
    parse(&content).map_err(|what| Error::Token { path: path.to_owned(), what })
}

fn parse(content: &[u8]) -> Result<Token, &'static str> {
    let token = content.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    match token {
        [] => Err("is empty"),
        _ if !token.iter().all(u8::is_ascii_graphic) => {
            Err("has a blank or a letter that no header can carry")
        }
        _ if token.len() < TOKEN_CHARS => Err("is too short to be a secret"),
        _ => Ok(Token(token.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_token() {
        for content in ["0123456789abcdef", "  0123456789abcdef \r\nsecond line\n", "0123456789abcdef\n\n"] {
            let token = parse(content.as_bytes()).unwrap_or_else(|what| panic!("{content:?} {what}"));
            assert!(token.is(b"0123456789abcdef"), "{content:?}");
            for other in ["", "0123456789abcde", "0123456789abcdeF", "0123456789abcdef0"] {
                assert!(!token.is(other.as_bytes()), "{other}");
            }
        }
    }

    #[test]
    fn what_is_no_token_is_refused_with_the_reason() {
        for (content, expected) in [
            ("", "is empty"),
            ("  \n0123456789abcdef", "is empty"),
            ("0123456789abcde", "too short"),
            ("0123 456789abcdef", "has a blank"),
            ("0123456789abcdéf", "has a blank or a letter"),
        ] {
            let Err(what) = parse(content.as_bytes()) else { panic!("{content:?} is taken") };
            assert!(what.contains(expected), "{content:?} {what}");
        }
    }
}
