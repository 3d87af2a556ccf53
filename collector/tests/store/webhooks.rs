//! What every store must do with the webhooks of jobs that end.

use std::sync::Arc;

use collector::clock::UnixMillis;
use collector::job::{Change, Job, Notice, Outcome, Submission};
use collector::queue::{DeliveryState, Store, Tried, Write};

use super::conformance::{COURSE, submission, submit_this};

/// Ends a job that has a webhook.
pub(crate) async fn end_and_notify(store: &Arc<dyn Store>, submission: Submission, url: &str) -> Job {
    let job = submit_this(store, submission).await;
    let (at, outcome, results, course) = (UnixMillis(7), Outcome::Cancelled, Box::default(), COURSE);
    let end = Change::End { job: job.id, attempt: None, at, outcome, results, course };
    let notice = Notice { job: job.id, url: url.parse().unwrap(), body: format!("of {url}"), at };
    store.commit(&[Write::Change(end), Write::Notify(notice)]).await.unwrap();
    job
}

async fn delivery(store: &Arc<dyn Store>, job: &Job) -> Option<(DeliveryState, u32, Option<String>)> {
    let delivery = store.delivery(job.id).await.unwrap()?;
    Some((delivery.state, delivery.attempts, delivery.error))
}

async fn forget(store: &Arc<dyn Store>, job: &Job) {
    store.commit(&[Write::Forget { jobs: vec![job.id], owner: None }]).await.unwrap();
}

pub(crate) async fn a_webhook_waits_with_its_jobs_end_until_it_was_taken(store: &Arc<dyn Store>) {
    let first = end_and_notify(store, submission(), "http://a/").await;
    end_and_notify(store, submission(), "http://b/x").await;
    let waiting = store.notices_after(0).await.unwrap();
    let [a, b] = waiting.as_slice() else { panic!("{waiting:?}") };
    assert_eq!((a.job, a.due_at, a.attempts, b.url.as_str()), (first.id, UnixMillis(7), 0, "http://b/x"));
    assert_eq!(store.notices_after(a.sequence).await.unwrap(), std::slice::from_ref(b));
    assert_eq!(store.notice_body(a.sequence).await.unwrap().as_deref(), Some("of http://a/"));
    let again = Tried::Again { due_at: UnixMillis(50), error: "no\0".into() };
    store.note_tried(a.sequence, UnixMillis(8), &again).await.unwrap();
    let (state, attempts, error) = delivery(store, &first).await.unwrap();
    assert_eq!((state, attempts, error.unwrap().starts_with("no")), (DeliveryState::Waiting, 1, true));
    let read = store.notices_after(0).await.unwrap();
    assert_eq!((read[0].due_at, read[0].attempts, read.len()), (UnixMillis(50), 1, 2));
    store.note_tried(a.sequence, UnixMillis(60), &Tried::Delivered).await.unwrap();
    assert_eq!(delivery(store, &first).await, Some((DeliveryState::Delivered, 2, None)));
    assert_eq!(store.notice_body(a.sequence).await.unwrap(), None);
    assert_eq!(store.notices_after(0).await.unwrap(), std::slice::from_ref(b));
    forget(store, &first).await;
    assert_eq!(delivery(store, &first).await, None, "forgotten with its job");
}

pub(crate) async fn a_webhook_outlives_its_job_and_gives_way_to_a_later_one(store: &Arc<dyn Store>) {
    let job = end_and_notify(store, submission(), "http://a/").await;
    forget(store, &job).await;
    let waiting = store.notices_after(0).await.unwrap();
    assert_eq!(waiting.len(), 1, "it is sent all the same");
    let given_up = Tried::GivenUp { error: "no".into() };
    store.note_tried(waiting[0].sequence, UnixMillis(60), &given_up).await.unwrap();
    assert_eq!(delivery(store, &job).await, None, "and forgotten afterwards");
    let job = end_and_notify(store, submission(), "http://b/").await;
    forget(store, &job).await;
    end_and_notify(store, Submission { id: job.id, ..submission() }, "http://c/").await;
    let waiting = store.notices_after(0).await.unwrap();
    assert_eq!(waiting.iter().map(|notice| notice.url.as_str()).collect::<Vec<_>>(), ["http://c/"]);
}
