//! What every store must do, whichever it is. Each law gets a new, empty store.

use std::sync::Arc;

use collector::clock::UnixMillis;
use collector::id::{ClientId, JobId};
use collector::job::{Asset, Change, Course, Job, Needs, Outcome, Results, Submission, Wishes};
use collector::queue::{Filter, Page, Store, StoreError, Upload, Use, Write};
use comfyui::api::FileRef;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use serde_json::json;

use super::copies::a_copy_is_wanted_made_once_more_and_forgotten;
use super::lists::{NEWEST, a_list_shows_what_became_of_a_job, ids, lists_have_an_order_filters_and_pages};
use super::webhooks::{
    a_webhook_outlives_its_job_and_gives_way_to_a_later_one,
    a_webhook_waits_with_its_jobs_end_until_it_was_taken, end_and_notify,
};

/// Opens the store that lies in a place, again after it was closed.
#[async_trait::async_trait]
pub(crate) trait Place {
    async fn open(&self) -> Arc<dyn Store>;
}

pub(crate) type Law = for<'a> fn(&'a dyn Place) -> LocalBoxFuture<'a, ()>;

macro_rules! laws {
    ($($name:ident),* $(,)?) => {
        &[$((stringify!($name), |place| async move { $name(&place.open().await).await }.boxed_local())),*]
    };
}

pub(crate) const LAWS: &[(&str, Law)] = laws!(
    what_was_submitted_is_live_and_found_again,
    a_place_in_the_queue_is_given_once,
    a_job_that_was_moved_or_preferred_is_found_so,
    an_id_that_is_taken_is_told_and_nothing_changes,
    a_batch_is_written_whole_or_not_at_all,
    a_batch_may_hold_everything_of_a_job,
    an_attempt_and_its_end_are_remembered,
    history_has_pages_and_forgets,
    lists_have_an_order_filters_and_pages,
    a_list_shows_what_became_of_a_job,
    a_file_is_found_by_its_name_without_its_backend,
    what_owners_have_used_is_told_of_jobs_that_ended_with_a_backend,
    a_webhook_waits_with_its_jobs_end_until_it_was_taken,
    a_webhook_outlives_its_job_and_gives_way_to_a_later_one,
    uploads_and_settings_are_kept,
    what_text_a_client_sends_fails_nothing,
    a_copy_is_wanted_made_once_more_and_forgotten,
);

pub(crate) const REOPENED: Law =
    |place| what_was_stored_is_there_when_it_is_opened_again(place).boxed_local();

async fn what_was_stored_is_there_when_it_is_opened_again(place: &dyn Place) {
    let store = place.open().await;
    uploads_and_settings_are_kept(&store).await;
    let (waiting, sent) = (submit(&store).await, submit(&store).await);
    let sent = change(&store, &sent, dispatch(&sent)).await;
    end_and_notify(&store, submission(), "http://a/").await;
    let noticed = store.notices_after(0).await.unwrap();
    drop(store);
    let store = place.open().await;
    assert_eq!((store.notices_after(0).await.unwrap(), noticed.len()), (noticed, 1));
    assert_eq!(store.live().await.unwrap(), [waiting.clone(), sent]);
    assert!(submit(&store).await.place.arrival > waiting.place.arrival + 1, "numbers go on");
    uploads_and_settings_are_kept(&store).await;
}

pub(crate) const COURSE: Course =
    Course { started_at: Some(UnixMillis(3)), first_step_at: Some(UnixMillis(4)) };

pub(crate) fn submission() -> Submission {
    Submission {
        id: JobId::random(),
        id_given: false,
        number: Some(-7.5),
        front: false,
        client_id: Some(ClientId::new("me")),
        peer: Some([127, 0, 0, 1].into()),
        owner: Some("anna".to_owned()),
        max_waiting: None,
        wishes: Wishes { max_attempts: Some(2), tags: ["t".parse().unwrap()].into(), ..Wishes::default() },
        needs: Needs { classes: ["A".to_owned()].into(), ..Needs::default() },
        prompt: serde_json::from_str(r#"{"1":  {"class_type": "A", "seed": 18446744073709551615}}"#).unwrap(),
        extra_data: json!({"client_id": "me"}).as_object().cloned().unwrap(),
        partial_execution_targets: Some(vec!["1".to_owned()]),
        outputs_to_execute: vec!["1".to_owned()],
        fingerprint: [7; 32],
        submitted_at: UnixMillis(1),
    }
}

pub(crate) async fn submit(store: &Arc<dyn Store>) -> Job {
    submit_this(store, submission()).await
}

pub(crate) async fn submit_this(store: &Arc<dyn Store>, submission: Submission) -> Job {
    let written = store.commit(&[Write::Submit(Box::new(submission.clone()))]).await.unwrap();
    let [Some(arrival)] = written[..] else { panic!("{written:?}") };
    submission.job(arrival)
}

pub(crate) fn dispatch(job: &Job) -> Change {
    let (job, backend) = (job.id, "a".parse().unwrap());
    Change::Dispatch { job, backend, at: UnixMillis(2), why: "free".into() }
}

async fn found(store: &Arc<dyn Store>, id: JobId) -> Option<Job> {
    store.live().await.unwrap().into_iter().find(|job| job.id == id)
}

pub(crate) async fn change(store: &Arc<dyn Store>, job: &Job, change: Change) -> Job {
    let after = job.after(&change).unwrap();
    store.commit(&[Write::Change(change)]).await.unwrap();
    after
}

pub(crate) async fn end(store: &Arc<dyn Store>, job: &Job, at: u64, outcome: Outcome) {
    let outputs = json!({"9": {"images": []}}).as_object().cloned().unwrap();
    let results = Box::new(Results { outputs, status: json!({"completed": true}), ..Results::default() });
    let attempt = job.attempt().map(|attempt| attempt.number);
    let course = COURSE;
    change(store, job, Change::End { job: job.id, attempt, at: UnixMillis(at), outcome, results, course })
        .await;
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

async fn a_job_that_was_moved_or_preferred_is_found_so(store: &Arc<dyn Store>) {
    let job = submit(store).await;
    let moved = change(store, &job, Change::Move { job: job.id, number: -7.5 }).await;
    assert_eq!(store.live().await.unwrap(), std::slice::from_ref(&moved));
    assert_eq!(store.listed(job.id).await.unwrap().unwrap().place.number, -7.5);
    let preferred = change(store, &moved, Change::Prefer { job: job.id, priority: 4.0 }).await;
    assert_eq!(store.live().await.unwrap(), [preferred]);
}

async fn a_place_in_the_queue_is_given_once(store: &Arc<dyn Store>) {
    let (plain, front) = (
        Submission { number: None, ..submission() },
        Submission { number: None, front: true, ..submission() },
    );
    let writes = [plain.clone(), front.clone(), submission()].map(|one| Write::Submit(Box::new(one)));
    let arrivals: Vec<u64> = store.commit(&writes).await.unwrap().into_iter().map(Option::unwrap).collect();
    assert!(arrivals.is_sorted_by(|a, b| a < b), "{arrivals:?}");
    assert!(submit(store).await.place.arrival > arrivals[2]);
    assert_eq!(found(store, plain.id).await, Some(plain.job(arrivals[0])));
    let live = found(store, front.id).await;
    assert_eq!(live.unwrap().place.number, -(arrivals[1] as f64), "before all that came so far");
}

async fn an_id_that_is_taken_is_told_and_nothing_changes(store: &Arc<dyn Store>) {
    let first = submission();
    let other = Submission { fingerprint: [9; 32], owner: None, ..first.clone() };
    let writes = [first.clone(), other.clone()].map(|one| Write::Submit(Box::new(one)));
    let written = store.commit(&writes).await.unwrap();
    let [Some(arrival), None] = written[..] else { panic!("{written:?}") };
    let again = store.commit(&[Write::Submit(Box::new(other))]).await.unwrap();
    assert_eq!(again, [None]);
    assert_eq!(store.live().await.unwrap(), [first.job(arrival)]);
    assert_eq!(store.submitted(first.id).await.unwrap(), Some(([7; 32], first.job(arrival).place)));
}

async fn a_batch_is_written_whole_or_not_at_all(store: &Arc<dyn Store>) {
    let (first, ended) = (submission(), submit(store).await);
    end(store, &ended, 2, Outcome::Cancelled).await;
    let (at, outcome, results, course) = (UnixMillis(3), Outcome::Cancelled, Box::default(), COURSE);
    let twice = Change::End { job: ended.id, attempt: None, at, outcome, results, course };
    let refused = store.commit(&[Write::Submit(Box::new(first.clone())), Write::Change(twice)]).await;
    assert!(matches!(refused, Err(StoreError::Query { .. })), "{refused:?}");
    assert_eq!(found(store, first.id).await, None);
    assert!(store.documents(first.id).await.unwrap().is_none());
    submit(store).await;
}

async fn a_batch_may_hold_everything_of_a_job(store: &Arc<dyn Store>) {
    let (one, other) = (submission(), submission());
    let job = one.job(0);
    let (id, attempt, at, course) = (job.id, 1, UnixMillis(4), COURSE);
    let (outcome, results) = (Outcome::Failed, Box::default());
    let changes = [
        dispatch(&job),
        Change::Accept { job: id, attempt, prompt_id: "theirs".into() },
        Change::Requeue { job: id, attempt, spent: false, at, reason: "gone".into(), course },
        dispatch(&job),
        Change::End { job: id, attempt: Some(2), at, outcome, results, course },
    ];
    let mut writes = vec![Write::Submit(Box::new(one)), Write::Submit(Box::new(other.clone()))];
    writes.extend(changes.map(Write::Change));
    writes.insert(3, Write::Change(dispatch(&other.job(0))));
    assert_eq!(store.commit(&writes).await.unwrap().len(), 2);
    let attempts = store.attempts(id).await.unwrap();
    let endings: Vec<_> = attempts.iter().map(|attempt| attempt.ending.as_deref()).collect();
    assert_eq!(endings, [Some("gone"), Some("failed")]);
    assert_eq!(store.ended(id).await.unwrap().unwrap().outcome, Outcome::Failed);
    let live = store.live().await.unwrap();
    assert_eq!(live.iter().map(|job| (job.id, job.attempts)).collect::<Vec<_>>(), [(other.id, 1)]);
}

async fn an_attempt_and_its_end_are_remembered(store: &Arc<dyn Store>) {
    let job = submit(store).await;
    let (id, sent) = (job.id, dispatch(&job));
    let job = change(store, &job, sent.clone()).await;
    assert_eq!(found(store, id).await.as_ref(), Some(&job), "intended, not yet answered");
    let job = change(store, &job, Change::Accept { job: id, attempt: 1, prompt_id: "theirs".into() }).await;
    assert_eq!(found(store, id).await.as_ref(), Some(&job));
    let (at, reason, course) = (UnixMillis(3), "gone".into(), Course { first_step_at: None, ..COURSE });
    let lost = Change::Requeue { job: id, attempt: 1, spent: true, at, reason, course };
    let job = change(store, &job, lost).await;
    assert_eq!(found(store, id).await.as_ref(), Some(&job), "it waits at its old place");
    let job = change(store, &job, sent).await;
    end(store, &job, 4, Outcome::Succeeded).await;
    assert_eq!(found(store, id).await, None);
    let attempts = store.attempts(id).await.unwrap();
    let told: Vec<_> =
        attempts.iter().map(|a| (a.number, a.prompt_id.as_deref(), a.ending.as_deref())).collect();
    assert_eq!(told, [(1, Some("theirs"), Some("gone")), (2, None, Some("succeeded"))]);
    assert_eq!(attempts.iter().map(|a| a.course).collect::<Vec<_>>(), [course, COURSE]);
    let ended = store.ended(id).await.unwrap().unwrap();
    assert_eq!((ended.outcome, ended.ended_at), (Outcome::Succeeded, UnixMillis(4)));
    assert!(ended.results.outputs.contains_key("9"));
}

async fn history_has_pages_and_forgets(store: &Arc<dyn Store>) {
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
    let somebody = || Some("bob".to_owned());
    let not_theirs = Write::Forget { jobs: ids.clone(), owner: somebody() };
    store.commit(&[not_theirs]).await.unwrap();
    assert_eq!(page(None, None).await, [0, 1, 2], "all are somebody else's");
    assert!(store.oldest_ended(9, Some("bob")).await.unwrap().is_empty());
    let owner = Some("anna".to_owned());
    store.commit(&[Write::Forget { jobs: vec![ids[1]], owner }]).await.unwrap();
    assert_eq!(page(None, None).await, [0, 2]);
    let remembered = store.oldest_ended(2, None).await.unwrap();
    let times: Vec<u64> = remembered.iter().map(|job| job.ended_at.0).collect();
    assert_eq!((remembered[0].id, times), (ids[0], vec![10, 12]), "the oldest first");
    let held = store.held().await.unwrap();
    assert_eq!(held.jobs, 3, "the cancelled one counts, those that wait do not");
    assert_eq!(held.bytes, 3 * remembered[0].bytes);
    let documents = store.documents(ids[0]).await.unwrap().unwrap();
    let results = store.ended(ids[0]).await.unwrap().unwrap().results;
    let texts = [json!(documents.extra_data), json!(results.outputs), results.status, json!(results.meta)];
    let bytes = texts.iter().map(|text| text.to_string().len()).sum::<usize>() + documents.prompt.get().len();
    assert_eq!(remembered[0].bytes, bytes as u64);
    let live = submit(store).await;
    store.commit(&[Write::Forget { jobs: vec![ids[0], live.id], owner: None }]).await.unwrap();
    assert!(store.documents(ids[0]).await.unwrap().is_none(), "nothing is left of it");
    assert_eq!(found(store, live.id).await, Some(live), "one that has not ended is not forgotten");
}

async fn a_file_is_found_by_its_name_without_its_backend(store: &Arc<dyn Store>) {
    let file = |name: &str, subfolder: &str, kind: &str| FileRef {
        filename: name.into(),
        subfolder: subfolder.into(),
        kind: kind.into(),
    };
    for made in
        [file("x\"ä.png", "a/s", "output"), file("x\"ä.png", "a/s", "output"), file("y.png", "a", "temp")]
    {
        let job = submit(store).await;
        let outputs = json!({ "9": { "images": [made] } }).as_object().cloned().unwrap();
        let results = Box::new(Results { outputs, ..Results::default() });
        let (at, outcome, course) = (UnixMillis(1), Outcome::Succeeded, COURSE);
        let change = Change::End { job: job.id, attempt: None, at, outcome, results, course };
        store.commit(&[Write::Change(change)]).await.unwrap();
    }
    let found = async |asked: FileRef| store.made_as(&asked).await.unwrap();
    let expected = [file("x\"ä.png", "a/s", "output")];
    assert_eq!(found(file("x\"ä.png", "s", "output")).await, expected, "once, though two jobs have it");
    for other in [file("x\"ä.png", "", "output"), file("x\"ä.png", "s", "temp"), file("y.png", "a", "temp")]
    {
        assert_eq!(found(other).await, []);
    }
}

async fn what_owners_have_used_is_told_of_jobs_that_ended_with_a_backend(store: &Arc<dyn Store>) {
    let (lost, ended, unowned) = (
        submit(store).await,
        submit(store).await,
        submit_this(store, Submission { owner: None, ..submission() }).await,
    );
    for job in [&ended, &unowned] {
        let sent = change(store, job, dispatch(job)).await;
        end(store, &sent, 40, Outcome::Failed).await;
    }
    let sent = change(store, &lost, dispatch(&lost)).await;
    let (at, reason, course) = (UnixMillis(30), "gone".into(), COURSE);
    let again = Change::Requeue { job: lost.id, attempt: 1, spent: true, at, reason, course };
    let waits = change(store, &sent, again).await;
    end(store, &waits, 50, Outcome::Cancelled).await;
    let hers = Use { owner: "anna".into(), from: UnixMillis(2), to: UnixMillis(40) };
    assert_eq!(store.uses_since(UnixMillis(39)).await.unwrap(), [hers]);
    assert_eq!(store.uses_since(UnixMillis(40)).await.unwrap(), []);
}

async fn uploads_and_settings_are_kept(store: &Arc<dyn Store>) {
    let upload = |kind: &str, byte| {
        let file = FileRef { filename: "a.png".into(), subfolder: "x".into(), kind: kind.into() };
        Upload { file, sha256: [byte; 32], size_bytes: 5 }
    };
    for (kind, byte) in [("input", 1), ("temp", 3), ("input", 2)] {
        store.keep_upload(&upload(kind, byte)).await.unwrap();
    }
    assert_eq!(store.uploads().await.unwrap(), [upload("input", 2), upload("temp", 3)]);
    let kept = store.setting("conformance", "first".to_owned()).await.unwrap();
    assert_eq!(kept, "first");
    assert_eq!(store.setting("conformance", "second".to_owned()).await.unwrap(), "first");
    store.keep_setting("replaced", "third").await.unwrap();
    assert_eq!(store.setting("replaced", "fourth".to_owned()).await.unwrap(), "third");
}

/// A sign that a database does not take in a text is no reason to refuse a job, or those that come with it.
async fn what_text_a_client_sends_fails_nothing(store: &Arc<dyn Store>) {
    let odd = "a\0b\u{1f980}'\"\\{}";
    let mut submission = Submission { client_id: Some(ClientId::new(odd)), ..submission() };
    submission.owner = Some(odd.repeat(2));
    submission.extra_data.insert("extra_pnginfo".to_owned(), json!({"workflow": {"id": odd}, "odd": odd}));
    let (node, class, input) = ("1".to_owned(), "A".to_owned(), "x".to_owned());
    submission.needs.assets.push(Asset { node, class, input, name: odd.to_owned() });
    let job = submit_this(store, submission.clone()).await;
    for filter in [
        Filter { workflow_id: Some(odd.to_owned()), ..Filter::default() },
        Filter { client: Some(ClientId::new(odd)), ..Filter::default() },
        Filter { model: Some(odd.to_owned()), ..Filter::default() },
    ] {
        assert_eq!(ids(&store.list(&filter, &NEWEST).await.unwrap()), [job.id]);
    }
    let documents = store.documents(job.id).await.unwrap().unwrap();
    assert_eq!(documents.extra_data, submission.extra_data);
    let backend = "a".parse().unwrap();
    let sent = Change::Dispatch { job: job.id, backend, at: UnixMillis(2), why: odd.to_owned() };
    let job = change(store, &job, sent).await;
    change(store, &job, Change::Accept { job: job.id, attempt: 1, prompt_id: odd.repeat(3) }).await;
    let live = found(store, job.id).await.unwrap();
    let attempt = live.attempt().cloned().unwrap();
    let client_id = live.client_id.map(|client| client.as_str().to_owned());
    for (text, wanted) in
        [(client_id, odd.to_owned()), (live.owner, odd.repeat(2)), (attempt.prompt_id, odd.repeat(3))]
    {
        // PostgreSQL has no NUL.
        assert_eq!(text.unwrap().replace('\u{fffd}', "\0"), wanted);
    }
    let (outputs, status) = (json!({"9": {"text": [odd]}}).as_object().cloned().unwrap(), json!(odd));
    let results = Results { outputs, status, ..Results::default() };
    let (at, outcome, course) = (UnixMillis(3), Outcome::Failed, COURSE);
    let kept = Box::new(results.clone());
    let over = Change::End { job: job.id, attempt: Some(1), at, outcome, results: kept, course };
    change(store, &job, over).await;
    assert_eq!(store.ended(job.id).await.unwrap().unwrap().results, results);
    assert_eq!(store.oldest_ended(9, Some(&odd.repeat(2))).await.unwrap().len(), 1);
    let long: String = (0..300).map(|_| JobId::random().to_string()).collect();
    let extra_data = json!({"extra_pnginfo": {"workflow": {"id": long}}}).as_object().cloned().unwrap();
    let job = submit_this(store, Submission { extra_data, ..self::submission() }).await;
    assert_eq!(store.listed(job.id).await.unwrap().unwrap().workflow_id, None);
}
