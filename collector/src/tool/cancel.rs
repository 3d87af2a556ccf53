//! `cancel`: ends jobs, wherever they are.

use serde_json::Value;

use super::ending::ClientError;
use super::output::{self, say};
use super::server::Server;
use crate::config::CancelFlags;

/// A job that cannot be cancelled does not save the others.
pub(super) async fn cancel(flags: CancelFlags) -> Result<u8, ClientError> {
    let server = Server::of(&flags.server)?;
    let mut code = 0;
    for id in &flags.ids {
        match server.cancel(id).await {
            Ok(answer) => output::print_text(&format!("{id}: {}\n", told(&answer)))?,
            Err(error) if error.is_passing() => return Err(error),
            Err(error) => {
                say(&error.to_string());
                code = code.max(error.code());
            }
        }
    }
    Ok(code)
}

/// A job that had ended is no fault: what was wanted is so.
fn told(answer: &Value) -> &'static str {
    match answer.get("cancelled").and_then(Value::as_bool) {
        Some(false) => "had ended already",
        _ => "cancelled",
    }
}
