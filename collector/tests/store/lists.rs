//! What every store must do when it is asked for a list of jobs.

use std::sync::Arc;

use collector::clock::UnixMillis;
use collector::id::{ClientId, JobId};
use collector::job::{Asset, Change, Job, Outcome, Results, Standing};
use collector::queue::{Filter, ListedJob, Sort, Store, Window};
use serde_json::json;

use super::conformance::{COURSE, change, dispatch, end, submission, submit, submit_this};

pub(crate) const NEWEST: Window =
    Window { sort: Sort::Submitted, ascending: false, before: None, limit: 100, offset: 0 };

pub(crate) fn ids(jobs: &[ListedJob]) -> Vec<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

/// Of workflow `w` and client `you` every second one; so many that waited, all submitted in the same millisecond.
async fn submit_many(store: &Arc<dyn Store>, jobs: usize) -> Vec<Job> {
    let mut submitted = Vec::new();
    for at in 0..jobs {
        let mut one = submission();
        if at % 2 == 0 {
            one.extra_data.insert("extra_pnginfo".to_owned(), json!({"workflow": {"id": "w"}}));
            one.client_id = Some(ClientId::new("you"));
            let (node, class, input) = ("1".to_owned(), "A".to_owned(), "x".to_owned());
            one.needs.assets.push(Asset { node, class, input, name: "m.safetensors".to_owned() });
        }
        submitted.push(submit_this(store, one).await);
    }
    submitted
}

pub(crate) async fn lists_have_an_order_filters_and_pages(store: &Arc<dyn Store>) {
    let jobs = submit_many(store, 5).await;
    let sent = change(store, &jobs[0], dispatch(&jobs[0])).await;
    end(store, &sent, 3, Outcome::Failed).await;
    end(store, &jobs[1], 4, Outcome::Cancelled).await;
    let all: Vec<JobId> = jobs.iter().map(|job| job.id).rev().collect();
    let list = async |filter: Filter, window: Window| {
        let listed = ids(&store.list(&filter, &window).await.unwrap());
        let counted = store.count(&filter).await.unwrap();
        (
            listed.iter().map(|id| all.iter().position(|known| known == id).unwrap()).collect::<Vec<_>>(),
            counted,
        )
    };
    let any = Filter::default();
    assert_eq!(list(any.clone(), NEWEST).await, (vec![0, 1, 2, 3, 4], 5));
    assert_eq!(list(any.clone(), Window { ascending: true, limit: 2, ..NEWEST }).await, (vec![4, 3], 5));
    assert_eq!(list(any.clone(), Window { offset: 3, ..NEWEST }).await, (vec![3, 4], 5));
    let first = store.list(&any, &Window { limit: 2, ..NEWEST }).await.unwrap();
    let before = Some(first[1].cursor());
    assert_eq!(list(any, Window { before, limit: 2, ..NEWEST }).await, (vec![2, 3], 5));
    let standings =
        |standings: &[Standing]| Filter { standings: Some(standings.to_vec()), ..Filter::default() };
    let (failed, cancelled) = (Standing::Ended(Outcome::Failed), Standing::Ended(Outcome::Cancelled));
    assert_eq!(list(standings(&[Standing::Waiting]), NEWEST).await, (vec![0, 1, 2], 3));
    assert_eq!(list(standings(&[failed, cancelled]), NEWEST).await, (vec![3, 4], 2));
    assert_eq!(list(standings(&[]), NEWEST).await, (vec![], 0));
    let workflow = Filter { workflow_id: Some("w".into()), ..Filter::default() };
    assert_eq!(list(workflow, NEWEST).await, (vec![0, 2, 4], 3));
    let client = Filter { client: Some(ClientId::new("me")), ..Filter::default() };
    assert_eq!(list(client, NEWEST).await, (vec![1, 3], 2));
    let model = Filter { model: Some("m.safetensors".into()), ..Filter::default() };
    assert_eq!(list(model, NEWEST).await, (vec![0, 2, 4], 3));
    let backend = Filter { backend: Some("a".parse().unwrap()), ..Filter::default() };
    assert_eq!(list(backend, NEWEST).await, (vec![4], 1));
}

pub(crate) async fn a_list_shows_what_became_of_a_job(store: &Arc<dyn Store>) {
    let image = json!({"filename": "a.png", "subfolder": "a", "type": "output"});
    let error = json!({"exception_message": "no", "timestamp": 1});
    for (millis, outcome, last) in [
        (500, Outcome::Succeeded, "execution_success"),
        (900, Outcome::Succeeded, "execution_success"),
        (700, Outcome::Failed, "execution_error"),
    ] {
        let job = submit(store).await;
        let job = change(store, &job, dispatch(&job)).await;
        let last_data = json!({"timestamp": 1000 + millis});
        let data = if outcome == Outcome::Failed { &error } else { &last_data };
        let messages = json!([["execution_start", {"timestamp": 1000}], [last, data]]);
        let outputs = json!({"9": {"images": [image]}}).as_object().cloned().unwrap();
        let results = Results { outputs, status: json!({"messages": messages}), ..Results::default() };
        let (at, results, course) = (UnixMillis(9), Box::new(results), COURSE);
        let end = Change::End { job: job.id, attempt: Some(1), at, outcome, results, course };
        change(store, &job, end).await;
    }
    let longest = Window { sort: Sort::Duration, ..NEWEST };
    let listed = store.list(&Filter::default(), &longest).await.unwrap();
    let ends = listed.iter().map(|job| job.summary.execution_end.unwrap().0).collect::<Vec<_>>();
    assert_eq!(ends, [1900, 1500, 1], "a clock that went back counts as less than nothing");
    let failed = store.listed(listed[2].id).await.unwrap().unwrap();
    assert_eq!(failed.execution_error, Some(error));
    assert_eq!((failed.summary.outputs.count, failed.backend), (1, Some("a".parse().unwrap())));
    assert_eq!(failed.summary.outputs.preview.unwrap()["filename"], "a.png");
    assert_eq!(listed[0].execution_error, None);
}
