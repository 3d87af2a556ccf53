//! Who asks, for a page that shows only what its reader may do.

use axum::Json;
use axum::extract::Extension;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::auth::Asker;

#[derive(Serialize, ToSchema)]
pub(super) struct Whoami {
    /// Of the token; absent where none is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// `submit`, `operate` or `admin`; without tokens everybody is the last.
    role: &'static str,
}

/// Whose token this is, and its role.
#[utoipa::path(get, path = "/orchestrator/v1/whoami", tag = "about", responses((status = 200, body = Whoami)))]
pub(super) async fn whoami(Extension(asker): Extension<Asker>) -> Json<Whoami> {
    Json(Whoami { name: asker.name().map(str::to_owned), role: asker.role().as_str() })
}
