//! What is kept of a webhook: that it is to be sent, and what came of it. The queue writes each with the end of its job;
//! `webhook` sends them.

use serde::Serialize;
use url::{Position, Url};
use utoipa::ToSchema;

use super::columns::Columns;
use super::error::{Outcomes, damaged};
use super::row::{numbering, time};
use crate::clock::UnixMillis;
use crate::id::JobId;
use crate::limits;

/// One that waits to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct WaitingNotice {
    /// In the order in which they were written.
    pub sequence: u64,
    pub job: JobId,
    pub url: Url,
    pub created_at: UnixMillis,
    pub due_at: UnixMillis,
    pub attempts: u32,
}

/// What came of sending it once.
#[derive(Clone, Debug, PartialEq)]
pub enum Tried {
    Delivered,
    Again { due_at: UnixMillis, error: String },
    GivenUp { error: String },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    Waiting,
    Delivered,
    GivenUp,
}

/// How far one has come.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub url: Url,
    pub state: DeliveryState,
    pub attempts: u32,
    /// When it is sent next, while it waits.
    pub due_at: Option<UnixMillis>,
    pub tried_at: Option<UnixMillis>,
    /// Why it was not taken the last time.
    pub error: Option<String>,
}

impl WaitingNotice {
    /// Host and port, of which one that hangs must not hold up the others.
    pub fn receiver(&self) -> String {
        let port = self.url.port_or_known_default().unwrap_or_default();
        format!("{}:{port}", self.url.host_str().unwrap_or_default())
    }
}

impl DeliveryState {
    const ALL: [Self; 3] = [Self::Waiting, Self::Delivered, Self::GivenUp];

    fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::GivenUp => "given_up",
        }
    }
}

/// A webhook's address as others than its receiver may see it: the path often holds a secret.
pub fn shown_receiver(url: &Url) -> String {
    let is_plain = url.path() == "/" && url.query().is_none();
    let rest = if is_plain { "" } else { "/..." };
    format!("{}{rest}", &url[..Position::BeforePath])
}

/// One as its row holds it once it was tried: state, when it is due, why it was not taken.
pub(super) fn after(tried: &Tried) -> (&'static str, Option<i64>, Option<&str>) {
    let (state, due_at, error) = match tried {
        Tried::Delivered => (DeliveryState::Delivered, None, None),
        Tried::Again { due_at, error } => (DeliveryState::Waiting, Some(due_at), Some(error.as_str())),
        Tried::GivenUp { error } => (DeliveryState::GivenUp, None, Some(error.as_str())),
    };
    (state.as_str(), due_at.map(|at| at.0.cast_signed()), error)
}

/// Why one is given up as soon as it is written.
pub(super) fn too_many() -> String {
    format!("{} others wait already", limits::WEBHOOKS_WAITING)
}

pub(super) fn waiting_of(row: &impl Columns) -> Outcomes<WaitingNotice> {
    Ok(WaitingNotice {
        sequence: row.count("sequence")?,
        job: row.job("job_id")?,
        url: url_of(row)?,
        created_at: UnixMillis(row.count("created_at")?),
        due_at: time(row, "due_at")?.unwrap_or_default(),
        attempts: numbering(row, "attempts")?,
    })
}

pub(super) fn delivery_of(row: &impl Columns) -> Outcomes<Delivery> {
    let state = row.text("state")?;
    let known = DeliveryState::ALL.into_iter().find(|known| known.as_str() == state);
    Ok(Delivery {
        url: url_of(row)?,
        state: known.ok_or_else(|| damaged("a webhook's state")(state))?,
        attempts: numbering(row, "attempts")?,
        due_at: time(row, "due_at")?,
        tried_at: time(row, "tried_at")?,
        error: row.text_if_any("error")?,
    })
}

fn url_of(row: &impl Columns) -> Outcomes<Url> {
    row.text("url")?.parse().map_err(|e: url::ParseError| damaged("a webhook's address")(e.to_string()))
}
