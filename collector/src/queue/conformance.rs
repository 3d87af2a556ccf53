//! What every store must do, whichever it is: one suite, stamped on each by [`conforms`].

use std::sync::Arc;

use serde_json::json;

use super::{Page, Store, StoreError, Upload, Write};
use crate::clock::UnixMillis;
use crate::id::{ClientId, JobId};
use crate::job::{Change, InputFile, Job, Needs, Outcome, Results, Submission};

/// Opens the store that lies in a place, again after it was closed.
#[async_trait::async_trait]
pub(super) trait Place {
    async fn open(&self) -> Arc<dyn Store>;
}

pub(super) async fn conforms(place: impl Place) {
    let store = place.open().await;
    what_was_submitted_is_live_and_found_again(&store).await;
    a_batch_is_written_whole_or_not_at_all(&store).await;
    an_attempt_and_its_end_are_remembered(&store).await;
    history_has_pages_and_forgets(&store).await;
    uploads_and_settings_are_kept(&store).await;
    let before = store.live().await.unwrap();
    drop(store);
    let reopened = place.open().await;
    assert_eq!(reopened.live().await.unwrap(), before, "the same after it was closed and opened");
    uploads_and_settings_are_kept(&reopened).await;
}

fn submission() -> Submission {
    Submission {
        id: JobId::random(),
        id_given: false,
        number: Some(-7.5),
        front: false,
        client_id: Some(ClientId::new("me")),
        peer: Some([127, 0, 0, 1].into()),
        needs: Needs { classes: ["A".to_owned()].into(), ..Needs::default() },
        prompt: serde_json::from_str(r#"{"1":  {"class_type": "A", "seed": 18446744073709551615}}"#).unwrap(),
        extra_data: json!({"client_id": "me"}).as_object().cloned().unwrap(),
        partial_execution_targets: Some(vec!["1".to_owned()]),
        outputs_to_execute: vec!["1".to_owned()],
        fingerprint: [7; 32],
        submitted_at: UnixMillis(1),
    }
}

async fn submit(store: &Arc<dyn Store>) -> Job {
    let (live, last) = store.live().await.unwrap();
    let submission = submission();
    let job = submission.job(last.max(live.len() as u64) + 1);
    store.commit(&[Write::Submit { submission: Box::new(submission), job: job.clone() }]).await.unwrap();
    job
}

async fn found(store: &Arc<dyn Store>, id: JobId) -> Option<Job> {
    store.live().await.unwrap().0.into_iter().find(|job| job.id == id)
}

async fn change(store: &Arc<dyn Store>, job: &Job, change: Change) -> Job {
    let after = job.after(&change).unwrap();
    store.commit(&[Write::Change(change)]).await.unwrap();
    after
}

async fn end(store: &Arc<dyn Store>, job: &Job, at: u64, outcome: Outcome) {
    let outputs = json!({"9": {"images": []}}).as_object().cloned().unwrap();
    let results = Box::new(Results { outputs, status: json!({"completed": true}), ..Results::default() });
    let attempt = job.attempt().map(|attempt| attempt.number);
    change(store, job, Change::End { job: job.id, attempt, at: UnixMillis(at), outcome, results }).await;
}

async fn what_was_submitted_is_live_and_found_again(store: &Arc<dyn Store>) {
    let job = submit(store).await;
    assert_eq!(found(store, job.id).await.as_ref(), Some(&job));
    assert_eq!(store.submitted(job.id).await.unwrap(), Some(([7; 32], job.place)));
    assert_eq!(store.submitted(JobId::random()).await.unwrap(), None);
    let documents = store.documents(job.id).await.unwrap().unwrap();
    assert_eq!(documents.prompt.get(), submission().prompt.get(), "byte for byte");
    assert_eq!(documents.partial_execution_targets, submission().partial_execution_targets);
}

async fn a_batch_is_written_whole_or_not_at_all(store: &Arc<dyn Store>) {
    let (first, again) = (submission(), submission());
    let (_, last) = store.live().await.unwrap();
    let write = |submission: &Submission| {
        // The same arrival twice cannot be.
        Write::Submit { job: submission.job(last + 1), submission: Box::new(submission.clone()) }
    };
    let refused = store.commit(&[write(&first), write(&again)]).await;
    assert!(matches!(refused, Err(StoreError::Query { .. })), "{refused:?}");
    assert_eq!(found(store, first.id).await, None);
}

async fn an_attempt_and_its_end_are_remembered(store: &Arc<dyn Store>) {
    let job = submit(store).await;
    let (id, backend) = (job.id, "a".parse().unwrap());
    let sent = Change::Dispatch { job: id, backend, at: UnixMillis(2), why: "free".into() };
    let job = change(store, &job, sent.clone()).await;
    assert_eq!(found(store, id).await.as_ref(), Some(&job), "intended, not yet answered");
    let job = change(store, &job, Change::Accept { job: id, attempt: 1, prompt_id: "theirs".into() }).await;
    assert_eq!(found(store, id).await.as_ref(), Some(&job));
    let lost = Change::Requeue { job: id, attempt: 1, spent: true, at: UnixMillis(3), reason: "gone".into() };
    let job = change(store, &job, lost).await;
    assert_eq!(found(store, id).await.as_ref(), Some(&job), "it waits at its old place");
    let job = change(store, &job, sent).await;
    end(store, &job, 4, Outcome::Succeeded).await;
    assert_eq!(found(store, id).await, None);
    let attempts = store.attempts(id).await.unwrap();
    let told: Vec<_> =
        attempts.iter().map(|a| (a.number, a.prompt_id.as_deref(), a.ending.as_deref())).collect();
    assert_eq!(told, [(1, Some("theirs"), Some("gone")), (2, None, Some("succeeded"))]);
    let ended = store.ended(id).await.unwrap().unwrap();
    assert_eq!((ended.outcome, ended.ended_at), (Outcome::Succeeded, UnixMillis(4)));
    assert!(ended.results.outputs.contains_key("9"));
}

async fn history_has_pages_and_forgets(store: &Arc<dyn Store>) {
    store.commit(&[Write::ForgetAllEnded]).await.unwrap();
    let mut ids = Vec::new();
    for at in 10..14 {
        let job = submit(store).await;
        end(store, &job, at, if at == 13 { Outcome::Cancelled } else { Outcome::Failed }).await;
        ids.push(job.id);
    }
    let page = async |max_items, offset| {
        let jobs = store.history(Page { max_items, offset }).await.unwrap();
        jobs.iter().map(|job| ids.iter().position(|id| *id == job.id).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(page(None, None).await, [0, 1, 2], "oldest first, without the one that never ran");
    assert_eq!(page(Some(2), None).await, [1, 2], "the newest");
    assert_eq!(page(Some(1), Some(1)).await, [1]);
    store.commit(&[Write::Forget(vec![ids[1]])]).await.unwrap();
    assert_eq!(page(None, None).await, [0, 2]);
    store.commit(&[Write::Trim { keep: 2 }]).await.unwrap();
    assert_eq!(page(None, None).await, [2], "the cancelled one counts as kept");
    assert!(store.documents(ids[0]).await.unwrap().is_none(), "nothing is left of it");
}

async fn uploads_and_settings_are_kept(store: &Arc<dyn Store>) {
    let upload = |byte| {
        let file = InputFile { subfolder: "x".into(), name: "a.png".into() };
        Upload { file, sha256: [byte; 32], size_bytes: 5 }
    };
    store.keep_upload(&upload(1)).await.unwrap();
    store.keep_upload(&upload(2)).await.unwrap();
    assert_eq!(store.uploads().await.unwrap(), [upload(2)]);
    let kept = store.setting("conformance", "first".to_owned()).await.unwrap();
    assert_eq!(kept, "first");
    assert_eq!(store.setting("conformance", "second".to_owned()).await.unwrap(), "first");
    store.keep_setting("replaced", "third").await.unwrap();
    assert_eq!(store.setting("replaced", "fourth".to_owned()).await.unwrap(), "third");
}
