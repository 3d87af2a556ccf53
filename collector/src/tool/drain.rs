//! `drain` and `resume`: whether a backend is given jobs.

use serde_json::json;

use super::ending::ClientError;
use super::output;
use super::server::Server;
use crate::config::BackendFlags;

pub(super) async fn drain(flags: BackendFlags) -> Result<u8, ClientError> {
    let server = Server::of(&flags.server)?;
    server.operate("drain a backend", &flags.id, "drain", &json!({})).await?;
    output::print_text(&format!("{} is given no more jobs; what runs there goes on\n", flags.id))?;
    Ok(0)
}

pub(super) async fn resume(flags: BackendFlags) -> Result<u8, ClientError> {
    let server = Server::of(&flags.server)?;
    server.operate("resume a backend", &flags.id, "resume", &json!({})).await?;
    output::print_text(&format!("{} is given jobs again\n", flags.id))?;
    Ok(0)
}
