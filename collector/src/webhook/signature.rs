//! How a receiver knows that a webhook is the collector's: HMAC-SHA256 over its id, its time and its body, as Standard
//! Webhooks has it (standardwebhooks.com), for which there are libraries in every language. Pure but for the file.

use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use door::files::{self, Kind};
use ring::hmac;

/// What may stand before a secret.
const PREFIX: &str = "whsec_";
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Secrets in force at a time: the one that comes and the one that goes.
const SECRETS: usize = 2;

/// Why the file of the secret cannot be used. Nothing of what is in it is told.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error(transparent)]
    File(#[from] files::Error),
    #[error(
        "{path} (--webhook-secret-file) {what}; its first line is the secret in base64, as `openssl rand -base64 32` makes \
         one, and a second line may hold the one that is being replaced"
    )]
    Content { path: PathBuf, what: &'static str },
}

/// What webhooks are signed with: by each of them.
pub struct Secrets(Vec<hmac::Key>);

impl Secrets {
    pub(crate) fn read(path: &Path) -> Result<Self, SecretError> {
        let content = files::read_secret(Kind::WebhookSecret, path)?;
        Self::parse(&content).map_err(|what| SecretError::Content { path: path.to_owned(), what })
    }

    fn parse(content: &[u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(content).map_err(|_| "is no text")?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys = lines.map(key).collect::<Result<Vec<_>, _>>()?;
        match keys.len() {
            0 => Err("is empty"),
            1..=SECRETS => Ok(Self(keys)),
            _ => Err("has more than two lines"),
        }
    }

    /// The header `webhook-signature`.
    pub(super) fn sign(&self, id: &str, unix_seconds: u64, body: &str) -> String {
        let signed = format!("{id}.{unix_seconds}.{body}");
        let signatures = self.0.iter().map(|key| {
            let signature = hmac::sign(key, signed.as_bytes());
            format!("v1,{}", BASE64.encode(signature.as_ref()))
        });
        signatures.collect::<Vec<_>>().join(" ")
    }
}

fn key(line: &str) -> Result<hmac::Key, &'static str> {
    let secret = line.strip_prefix(PREFIX).unwrap_or(line);
    let bytes = BASE64.decode(secret.as_bytes()).map_err(|_| "holds a line that is not base64")?;
    match SECRET_BYTES.contains(&bytes.len()) {
        true => Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes)),
        false => Err("holds a secret that is not 24 to 64 bytes long"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "b3RoZXJvdGhlcm90aGVyb3RoZXJvdGhl";

    #[test]
    fn a_signature_is_what_another_implementation_makes_of_the_same() {
        let (id, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", r#"{"test": 2432232314}"#);
        let signed =
            |secrets: &str| Secrets::parse(secrets.as_bytes()).unwrap().sign(id, 1_614_265_330, body);
        let one = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signed(SECRET), one);
        assert_eq!(signed(SECRET.strip_prefix(PREFIX).unwrap()), one, "with or without its prefix");
        assert_eq!(
            signed(&format!("{SECRET}\n\n{OTHER}\n")),
            format!("{one} v1,fnoQl49M6ExR6zZtMv2DiCTpVDFSTRZI0WCrNw6YqWM=")
        );
    }

    #[test]
    fn what_is_no_secret_is_told_without_it() {
        let long = BASE64.encode(&[7; 65]);
        for (text, wanted) in [
            ("", "is empty"),
            ("\n \n", "is empty"),
            ("not base64!", "not base64"),
            ("c2hvcnQ=", "24 to 64 bytes"),
            (&long, "24 to 64 bytes"),
            (&format!("{SECRET}\n{OTHER}\n{OTHER}\n"), "more than two lines"),
        ] {
            let told = Secrets::parse(text.as_bytes()).err().unwrap_or_default();
            assert!(told.contains(wanted), "{text:?}: {told}");
        }
        assert!(Secrets::parse(b"\xff").is_err());
    }
}
