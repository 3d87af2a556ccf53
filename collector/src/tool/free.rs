//! `free`: asks one backend or all to free memory.

use comfyui::api::FreeRequest;
use serde_json::json;

use super::ending::ClientError;
use super::output;
use super::server::Server;
use crate::config::FreeFlags;

pub(super) async fn free(flags: FreeFlags) -> Result<u8, ClientError> {
    let server = Server::of(&flags.server)?;
    let request = request(&flags);
    match &flags.id {
        Some(id) => drop(server.operate("free a backend's memory", id, "free", &json!(request)).await?),
        None => server.client().free(&request).await?,
    }
    let whom = flags.id.as_deref().unwrap_or("every backend");
    output::print_text(&format!("{whom} is asked to free memory as soon as it is idle\n"))?;
    Ok(0)
}

/// As much as there is where nothing in particular is named.
fn request(flags: &FreeFlags) -> FreeRequest {
    let all = !flags.unload_models && !flags.free_memory;
    FreeRequest { unload_models: flags.unload_models || all, free_memory: flags.free_memory || all }
}
