//! `free`: asks one backend or all to free memory.

use comfyui::api::FreeRequest;
use serde_json::{Value, json};

use super::ending::ClientError;
use super::output;
use super::quantity::size;
use super::server::Server;
use crate::config::FreeFlags;

pub(super) async fn free(flags: FreeFlags) -> Result<u8, ClientError> {
    let server = Server::of(&flags.server)?;
    let request = request(&flags);
    match &flags.id {
        Some(id) => {
            let freed = server.operate("free a backend's memory", id, "free", &json!(request)).await?;
            output::print_text(&format!("{id} {}\n", told(&freed)))?;
        }
        None => {
            server.client().free(&request).await?;
            output::print_text("every backend is asked to free memory as soon as it is idle\n")?;
        }
    }
    Ok(0)
}

/// What came of it, as far as figures show it.
fn told(freed: &Value) -> String {
    let used = |when: &str| freed.get(when)?.get("used_bytes")?.as_u64().map(|bytes| size(bytes >> 20));
    match (used("vram_before"), used("vram_after")) {
        (Some(before), Some(after)) if freed.get("proved") == Some(&Value::Bool(true)) => {
            format!("has freed memory: {before} of VRAM were in use, {after} are now")
        }
        (Some(before), Some(after)) if freed.get("outcome") == Some(&json!("not_freed")) => {
            format!("has not freed memory: {before} of VRAM were in use, and {after} are")
        }
        _ => "is asked to free memory as soon as it is idle".to_owned(),
    }
}

/// As much as there is where nothing in particular is named.
fn request(flags: &FreeFlags) -> FreeRequest {
    let all = !flags.unload_models && !flags.free_memory;
    FreeRequest { unload_models: flags.unload_models || all, free_memory: flags.free_memory || all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_is_told_where_figures_show_it() {
        let figures = |proved: bool| json!({"backend": "a", "proved": proved, "vram_before": {"used_bytes": 20_u64 << 30}, "vram_after": {"used_bytes": 300 << 20}});
        assert_eq!(told(&figures(true)), "has freed memory: 20.0 GiB of VRAM were in use, 300 MiB are now");
        let mut kept = figures(false);
        kept["outcome"] = json!("not_freed");
        assert_eq!(told(&kept), "has not freed memory: 20.0 GiB of VRAM were in use, and 300 MiB are");
        for open in [figures(false), json!({}), json!({"proved": true})] {
            assert_eq!(told(&open), "is asked to free memory as soon as it is idle", "{open}");
        }
    }
}
