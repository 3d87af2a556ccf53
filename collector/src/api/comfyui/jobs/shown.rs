//! A job in the words of `/api/jobs`. What is unknown is absent, as there.

use serde_json::{Map, Value, json};

use super::super::queue::without_secrets;
use crate::id::BackendId;
use crate::job::{Outcome, Standing, normalized};
use crate::queue::{Documents, EndedJob, ListedJob};

/// ComfyUI's names, in its order. A job that was taken out of the queue before it ran has none: it leaves no trace there.
pub(super) const STATUSES: [(&str, Standing); 5] = [
    ("pending", Standing::Waiting),
    ("in_progress", Standing::Dispatched),
    ("completed", Standing::Ended(Outcome::Succeeded)),
    ("failed", Standing::Ended(Outcome::Failed)),
    ("cancelled", Standing::Ended(Outcome::Interrupted)),
];

pub(super) fn status(standing: Standing) -> Option<&'static str> {
    STATUSES.iter().find(|(_, known)| *known == standing).map(|(name, _)| *name)
}

pub(super) fn listed(job: ListedJob) -> Value {
    let summary = job.summary;
    let outputs = summary.outputs;
    let preview = outputs.preview.map(|preview| at_home(preview, job.backend.as_ref()));
    let fields = [
        ("id", json!(job.id)),
        ("status", json!(status(job.standing))),
        ("priority", json!(job.place.number_json())),
        ("create_time", json!(job.submitted_at)),
        ("execution_start_time", json!(summary.execution_start)),
        ("execution_end_time", json!(summary.execution_end)),
        ("execution_error", json!(job.execution_error)),
        ("outputs_count", json!(outputs.count)),
        ("previewable_outputs_count", json!(outputs.previewable_count)),
        ("preview_output", json!(preview)),
        ("workflow_id", json!(job.workflow_id)),
    ];
    let known = fields.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(known.map(|(key, value)| (key.to_owned(), value)).collect())
}

/// What one job alone shows besides, once it has ended.
pub(super) fn add_results(document: &mut Value, ended: EndedJob, backend: Option<&BackendId>) {
    let mut outputs = normalized(&ended.results.outputs);
    let lists = outputs.values_mut().filter_map(Value::as_object_mut).flatten();
    let items = lists.filter_map(|(_, list)| list.as_array_mut()).flatten();
    for file in items.filter_map(Value::as_object_mut) {
        *file = at_home(std::mem::take(file), backend);
    }
    if let Some(document) = document.as_object_mut() {
        document.insert("outputs".to_owned(), Value::Object(outputs));
        document.insert("execution_status".to_owned(), ended.results.status);
    }
    add_workflow(document, ended.documents);
}

pub(super) fn add_workflow(document: &mut Value, documents: Documents) {
    let workflow = json!({ "prompt": documents.prompt, "extra_data": without_secrets(documents.extra_data) });
    if let Some(document) = document.as_object_mut() {
        document.insert("workflow".to_owned(), workflow);
    }
}

/// A file that a node named by a bare text has no subfolder yet that would tell whose it is; all others have.
fn at_home(mut file: Map<String, Value>, backend: Option<&BackendId>) -> Map<String, Value> {
    let is_homeless = file.get("mediaType").is_some_and(|media| media == "3d")
        && file.get("subfolder").is_some_and(|subfolder| subfolder == "");
    if let (true, Some(backend)) = (is_homeless, backend) {
        file.insert("subfolder".to_owned(), json!(backend));
    }
    file
}
