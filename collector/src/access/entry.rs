//! One token as the file knows it: whose it is and what it may do, and never the token itself.

use std::fmt;

use clap::ValueEnum;
use data_encoding::HEXLOWER_PERMISSIVE;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use crate::tenant::Allowance;

/// What a token may do; each may do what the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads, submits, and stops and removes its own jobs.
    Submit,
    /// Everybody's jobs; frees memory, drains and resumes backends.
    Operate,
    /// Adds and removes backends.
    Admin,
}

impl Role {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }
}

/// SHA-256 of a secret. It is shown nowhere but where it is made.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Of 64 hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    pub(super) fn hex(&self) -> String {
        HEXLOWER_PERMISSIVE.encode(&self.0)
    }

    /// Whether they are the same, in a time that does not tell where they differ.
    pub(super) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(hidden)")
    }
}

/// A token's entry.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Whose it is; jobs keep it as their owner.
    pub name: String,
    pub role: Role,
    pub sha256: Digest,
    /// What jobs of this name may have.
    pub allowance: Allowance,
}
