//! How far a job has come, in one word: what lists are filtered by.

use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::Outcome;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Waiting,
    Dispatched,
    Ended(Outcome),
}

#[derive(Debug, thiserror::Error)]
#[error(
    "a job's state is waiting, dispatched, succeeded, failed, interrupted or cancelled; this one is {0:?}"
)]
pub struct BadStanding(String);

impl Standing {
    pub const ALL: [Self; 6] = [
        Self::Waiting,
        Self::Dispatched,
        Self::Ended(Outcome::Succeeded),
        Self::Ended(Outcome::Failed),
        Self::Ended(Outcome::Interrupted),
        Self::Ended(Outcome::Cancelled),
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Dispatched => "dispatched",
            Self::Ended(outcome) => outcome.as_str(),
        }
    }

    pub fn is_ended(self) -> bool {
        matches!(self, Self::Ended(_))
    }
}

impl FromStr for Standing {
    type Err = BadStanding;

    fn from_str(text: &str) -> Result<Self, BadStanding> {
        let known = Self::ALL.into_iter().find(|standing| standing.as_str() == text);
        known.ok_or_else(|| BadStanding(text.to_owned()))
    }
}

impl Serialize for Standing {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
