//! The file of tokens: TOML with one `[[token]]` each, and who a given token is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use door::files::{self, Kind};
use serde::Deserialize;

use super::allowance::Asked;
use super::{Digest, Entry, Role};
use crate::limits;
use crate::tenant::Tenants;

/// Why the file of tokens cannot be used. Neither a token nor a hash is told.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    #[error(transparent)]
    File(#[from] files::Error),
    #[error(
        "the file {path} that token_file names cannot be used: {what}; `orchestrator-collector token --name NAME` prints an \
         entry for it"
    )]
    Content { path: PathBuf, what: String },
}

/// All tokens that are in force.
#[derive(Debug)]
pub struct Tokens(Vec<Arc<Entry>>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<Given>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    name: String,
    role: Role,
    sha256: String,
    weight: Option<f64>,
    max_waiting: Option<usize>,
    max_running: Option<usize>,
    gpu_seconds: Option<u64>,
    gpu_window: Option<String>,
}

pub(super) fn read(path: &Path) -> Result<Tokens, TokensError> {
    let content = files::read_secret(Kind::Token, path)?;
    let parsed =
        std::str::from_utf8(&content).map_err(|_| "it is no text".to_owned()).and_then(Tokens::parse);
    parsed.map_err(|what| TokensError::Content { path: path.to_owned(), what })
}

impl Tokens {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| told(text, &error))?;
        if file.token.is_empty() {
            return Err("there is no [[token]] in it".to_owned());
        }
        if file.token.len() > limits::TOKENS {
            return Err(format!("it has more than {} tokens", limits::TOKENS));
        }
        let mut entries: Vec<Arc<Entry>> = Vec::new();
        for given in file.token {
            let entry = entry(given)?;
            if entries.iter().any(|known| known.name == entry.name || known.sha256 == entry.sha256) {
                return Err(format!("the name or the sha256 of {} stands there twice", entry.name));
            }
            entries.push(Arc::new(entry));
        }
        Ok(Self(entries))
    }

    /// What the jobs of each may have.
    pub fn tenants(&self) -> Tenants {
        Tenants::of(self.0.iter().map(|entry| (entry.name.clone(), entry.allowance.clone())))
    }

    /// Whose token this is. All are compared, whether or not one has been found.
    pub fn find(&self, given: &Digest) -> Option<&Arc<Entry>> {
        let mut found = None;
        for entry in &self.0 {
            if entry.sha256.is(given) {
                found = Some(entry);
            }
        }
        found
    }
}

/// What an owner may be called: it stands in answers, logs and the store.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    match name.len() {
        1..=64 if name.chars().all(is_fine) => Ok(()),
        _ => Err("a name is 1 to 64 letters, digits and . _ - @".to_owned()),
    }
}

fn entry(given: Given) -> Result<Entry, String> {
    let Given { name, role, sha256, weight, max_waiting, max_running, gpu_seconds, gpu_window } = given;
    let asked = Asked { weight, max_waiting, max_running, gpu_seconds, gpu_window };
    check_name(&name)?;
    let sha256 = Digest::parse(&sha256)
        .ok_or_else(|| format!("the sha256 of {name} is not the 64 hexadecimal digits of a token's hash"))?;
    let allowance = asked.checked().map_err(|what| format!("of {name}: {what}"))?;
    Ok(Entry { name, role, sha256, allowance })
}

/// Where and what, without the line itself, and without any value that could be a secret.
fn told(text: &str, error: &toml::de::Error) -> String {
    const SECRET_CHARS: usize = 20;
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let mut words = error.message().split(|c: char| !c.is_ascii_alphanumeric() && !"-_+/=".contains(c));
    match words.any(|word| word.len() >= SECRET_CHARS) {
        true => format!("line {line} is not what belongs there"),
        false => format!("line {line}: {}", error.message().trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Fresh;
    use super::*;
    use crate::tenant::{Allowance, GpuTime};

    #[test]
    fn a_fresh_entry_is_taken_and_its_token_known_and_no_other() {
        let gpu = Some(GpuTime { time: Duration::from_secs(60), window: Duration::from_secs(600) });
        let allowance = Allowance { weight: 2.5, max_waiting: Some(3), max_running: Some(2), gpu };
        let anna = Fresh::make("anna", Role::Submit, &allowance).unwrap();
        let bob = Fresh::make("bob", Role::Admin, &Allowance::default()).unwrap();
        let tokens = Tokens::parse(&format!("{}\n{}", anna.entry, bob.entry)).unwrap();
        let known = |token: &str| tokens.find(&Digest::of(token.as_bytes())).cloned();
        let found = known(&anna.token).unwrap();
        assert_eq!((found.name.as_str(), found.role, &found.allowance), ("anna", Role::Submit, &allowance));
        assert_eq!(tokens.tenants().get(Some("anna")), Some(&allowance));
        assert_eq!(known(&bob.token).unwrap().role, Role::Admin);
        for other in [
            "",
            "anna",
            anna.token.trim_end_matches(char::is_alphanumeric),
            &Digest::of(anna.token.as_bytes()).hex(),
        ] {
            assert!(known(other).is_none(), "{other}");
        }
        assert_eq!((anna.token.len(), anna.token == bob.token), (43, false));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line_and_no_secret() {
        let fresh = Fresh::make("anna", Role::Submit, &Allowance::default()).unwrap();
        let hash = Digest::of(fresh.token.as_bytes()).hex();
        let good = &fresh.entry;
        for (text, wanted) in [
            (String::new(), "no [[token]]"),
            (good.replace("submit", "boss"), "line 3: unknown variant `boss`"),
            (good.replace("name =", "nmae ="), "line 2: unknown field `nmae`"),
            (good.replace(&hash, &fresh.token), "the sha256 of anna is not"),
            (good.replace("sha256 = \"", "sha256 = "), "line 4"),
            (format!("{good}max_waiting = \"{hash}\"\n"), "line 5 is not what belongs there"),
            (
                format!("{good}gpu_seconds = 1\ngpu_window = \"{hash}\"\n"),
                "of anna: gpu_window is no time span",
            ),
            (good.replace("anna", "an na"), "a name is 1 to 64"),
            (format!("{good}max_running = 0\n"), "of anna: max_running is 0"),
            (format!("{good}{good}"), "of anna stands there twice"),
            (format!("{good}{}", good.replace("anna", "bob")), "of bob stands there twice"),
        ] {
            let told = Tokens::parse(&text).unwrap_err();
            assert!(told.contains(wanted), "{told}");
            assert!(!told.contains(&hash) && !told.contains(&fresh.token), "{told}");
        }
    }

    #[test]
    fn debugging_shows_no_hash() {
        let fresh = Fresh::make("anna", Role::Submit, &Allowance::default()).unwrap();
        let tokens = Tokens::parse(&fresh.entry).unwrap();
        let debug = format!("{tokens:?}");
        assert!(debug.contains("anna") && debug.contains("hidden"), "{debug}");
        assert!(!debug.contains(&Digest::of(fresh.token.as_bytes()).hex()), "{debug}");
    }
}
