//! ComfyUI's web interface through the collector. This file is the list of what passes: a path that is not in it is 404, so
//! that no manager, log or custom route of a backend is reachable by accident. The files of the interface come from a
//! folder if one is named, all else from one chosen backend; what that has not, [`nothing`] stands for.

mod chosen;
mod folder;
mod nothing;
mod pass;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use comfyui::Client;

use self::chosen::Chosen;
use self::folder::Folder;
use super::{App, Refusal};
use crate::config;

/// Where the web interface comes from.
pub struct Interface {
    folder: Option<Folder>,
    chosen: Chosen,
}

impl Interface {
    /// # Errors
    /// When the folder cannot be read.
    pub fn open(config: &config::Interface) -> io::Result<Self> {
        let folder = config.folder.as_deref().map(Folder::open).transpose()?;
        Ok(Self { folder, chosen: Chosen::new(config.backend.clone()) })
    }
}

/// What it asks as an API, with and without `/api` before it.
pub(super) fn documents() -> Router<Arc<App>> {
    let (read, change) = (get(document), || get(document).post(document));
    Router::new()
        .route("/extensions", read.clone())
        .route("/i18n", read.clone())
        .route("/users", change())
        .route("/settings", change())
        .route("/settings/{id}", change())
        .route("/userdata", read.clone())
        .route("/userdata/{file}", get(users_file).post(document).delete(document))
        .route("/userdata/{file}/move/{to}", post(document))
        .route("/v2/userdata", read.clone())
        .route("/global_subgraphs", read.clone())
        .route("/global_subgraphs/{id}", read.clone())
        .route("/workflow_templates", read.clone())
        .route("/workflow_templates/{pack}/{*file}", read.clone())
        .route("/experiment/models", read.clone())
        .route("/experiment/models/{folder}", read.clone())
        .route("/experiment/models/preview/{folder}/{index}/{*file}", read)
}

/// The files that it is made of and that node packs bring, and what has no twin under `/api`.
pub(super) fn files() -> Router<Arc<App>> {
    let shipped: MethodRouter<Arc<App>> = get(shipped);
    let brought = get(brought);
    // `style.css`, `lib` and `types` are of 2024, before the interface was a package of its own.
    let at_the_top = ["/", "/index.html", "/user.css", "/style.css", "/materialdesignicons.min.css"];
    let more = ["/manifest.json", "/favicon.ico", "/favicon.png", "/favicon.svg"];
    let folders = ["assets", "fonts", "scripts", "cursor", "lib", "types"];
    let mut routes = Router::new().route("/internal/folder_paths", get(document));
    for path in at_the_top.into_iter().chain(more) {
        routes = routes.route(path, shipped.clone());
    }
    for folder in folders {
        routes = routes.route(&format!("/{folder}/{{*file}}"), shipped.clone());
    }
    for folder in ["extensions", "templates", "docs"] {
        routes = routes.route(&format!("/{folder}/{{*file}}"), brought.clone());
    }
    routes
}

/// A file of the interface itself.
async fn shipped(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let Some(folder) = &app.interface.folder else { return document(State(app), request).await };
    let (path, headers) = (request.uri().path(), request.headers());
    let missing = || Refusal::not_found(format!("the web interface has no file {path}"));
    folder.answer(path, headers).await.ok_or_else(missing)
}

/// A file that may be a node pack's: the interface's own go before.
async fn brought(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    if let Some(folder) = &app.interface.folder
        && let Some(answer) = folder.answer(request.uri().path(), request.headers()).await
    {
        return Ok(answer);
    }
    document(State(app), request).await
}

/// A backend's answer, or what stands for it where none is up or the one that is too old to have it.
async fn document(State(app): State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path().to_owned();
    let Some(client) = backend(&app) else {
        let stand_in = nothing::while_all_are_down(&path).filter(|_| reads);
        return stand_in.map(nothing::answer).ok_or_else(no_backend);
    };
    let answer = pass::on(&client, app.max_body_bytes, request).await?;
    let is_lacking =
        reads && matches!(answer.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED);
    let stand_in = nothing::of_an_old_backend(&path).filter(|_| is_lacking);
    Ok(stand_in.map_or(answer, nothing::answer))
}

/// A file that somebody has saved: it may be used by the interface's page, but is no page that acts in its name.
async fn users_file(state: State<Arc<App>>, request: Request) -> Result<Response, Refusal> {
    let mut answer = document(state, request).await?;
    answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox"));
    Ok(answer)
}

fn backend(app: &App) -> Option<Client> {
    app.clients.get(&app.interface.chosen.now(&app.fleet())?)
}

fn no_backend() -> Refusal {
    let message = "no backend is up that could answer for the web interface";
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no_backend", message)
}
