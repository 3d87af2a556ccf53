//! Jobs as the collector's store keeps them: what a client of the API submits, and what a ComfyUI makes of it.

use anyhow::{Context, Result};
use collector::clock::UnixMillis;
use collector::id::{ClientId, JobId};
use collector::job::{Change, Course, Needs, Outcome, Results, Submission};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::prompt;

/// The node of the default graph that makes its output.
const OUTPUT: &str = "9";

/// What is the same of every job.
pub(crate) struct Sample {
    needs: Needs,
}

impl Sample {
    pub(crate) fn new() -> Result<Self> {
        let prompt = serde_json::from_value(prompt::text_to_image(0)).context("read the sample's prompt")?;
        Ok(Self { needs: Needs::of(&prompt, None) })
    }

    /// ComfyUI's default graph under a new id, as a client posts it that saves no workflow with its pictures.
    pub(crate) fn submission(&self, seed: usize, submitted_at: UnixMillis) -> Result<Submission> {
        let prompt = prompt::text_to_image(seed).to_string();
        Ok(Submission {
            id: JobId::random(),
            id_given: false,
            number: None,
            front: false,
            client_id: Some(ClientId::new("bench")),
            peer: Some([127, 0, 0, 1].into()),
            owner: None,
            max_waiting: None,
            needs: self.needs.clone(),
            wishes: Default::default(),
            prompt: RawValue::from_string(prompt).context("write the sample's prompt")?,
            extra_data: object(json!({"client_id": "bench", "create_time": submitted_at.0})),
            partial_execution_targets: None,
            outputs_to_execute: vec![OUTPUT.to_owned()],
            fingerprint: [7; 32],
            submitted_at,
        })
    }
}

/// All that becomes of a job, in its order: it is sent to a backend, taken, and has made a picture.
pub(crate) const COURSE: [fn(JobId, UnixMillis) -> Result<Change>; 3] = [dispatched, accepted, succeeded];

fn dispatched(job: JobId, at: UnixMillis) -> Result<Change> {
    let why = "s0 is free and has its model: sd15.safetensors is in its VRAM".to_owned();
    Ok(Change::Dispatch { job, backend: "s0".parse()?, at, why })
}

fn accepted(job: JobId, _: UnixMillis) -> Result<Change> {
    Ok(Change::Accept { job, attempt: 1, prompt_id: job.to_string() })
}

fn succeeded(job: JobId, at: UnixMillis) -> Result<Change> {
    let picture = json!({"filename": "bench_00001_.png", "subfolder": "s0", "type": "output"});
    let message = |kind: &str| json!([kind, {"prompt_id": job.to_string(), "timestamp": at.0}]);
    let messages: Vec<Value> =
        ["execution_start", "execution_cached", "execution_success"].map(message).into();
    let meta =
        json!({"node_id": OUTPUT, "display_node": OUTPUT, "parent_node": null, "real_node_id": OUTPUT});
    let results = Results {
        outputs: object(json!({OUTPUT: {"images": [picture]}})),
        status: json!({"status_str": "success", "completed": true, "messages": messages}),
        meta: object(json!({OUTPUT: meta})),
    };
    let course = Course { started_at: Some(at), first_step_at: Some(at) };
    let (outcome, results) = (Outcome::Succeeded, Box::new(results));
    Ok(Change::End { job, attempt: Some(1), at, outcome, results, course })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
