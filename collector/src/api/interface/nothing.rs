//! What the web interface takes as "nothing", where no backend answers it.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// Routes that servers of 2024 do not have.
const OF_LATER_SERVERS: [(&str, &str); 7] = [
    ("/i18n", "{}"),
    ("/global_subgraphs", "{}"),
    ("/workflow_templates", "{}"),
    ("/experiment/models", "[]"),
    ("/internal/folder_paths", "{}"),
    ("/templates/index.json", "[]"),
    ("/templates/index_logo.json", "{}"),
];

/// What the page needs besides to be there at all. Settings are not brought over from the browser meanwhile.
const OF_EVERY_SERVER: [(&str, &str); 4] = [
    ("/users", r#"{"storage": "server", "migrated": true}"#),
    ("/settings", "{}"),
    ("/extensions", "[]"),
    ("/userdata", "[]"),
];

pub(super) fn of_an_old_backend(path: &str) -> Option<&'static str> {
    find(&OF_LATER_SERVERS, path)
}

pub(super) fn while_all_are_down(path: &str) -> Option<&'static str> {
    find(&OF_LATER_SERVERS, path).or_else(|| find(&OF_EVERY_SERVER, path))
}

pub(super) fn answer(document: &'static str) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/json; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (headers, document).into_response()
}

fn find(documents: &[(&'static str, &'static str)], path: &str) -> Option<&'static str> {
    documents.iter().find(|(route, _)| *route == path).map(|(_, document)| *document)
}
