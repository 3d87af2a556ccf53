use comfyui::message::Preview;
use serde_json::json;

use super::*;

const THEIRS: &str = "their-id";

fn track() -> Track {
    Track::new(Arc::new(Job::for_tests(1)), 1, "gpu".parse().unwrap(), UnixMillis(1000), false)
}

/// Accepted as `THEIRS`, no frame heard yet.
fn following() -> Track {
    let mut track = track();
    assert_eq!(track.accepted(THEIRS.into(), UnixMillis(1100)), []);
    track
}

fn frame(kind: &str, mut data: Value) -> Frame {
    data["prompt_id"] = json!(THEIRS);
    Frame::Message(Message::of(kind.into(), data))
}

fn nameless_preview() -> Frame {
    Frame::from_binary([&[0, 0, 0, 1, 0, 0, 0, 1], [0xff_u8, 0xd8].as_slice()].concat().into()).unwrap()
}

fn hear(track: &mut Track, kind: &str, data: Value) -> Vec<Effect> {
    track.hear(frame(kind, data), UnixMillis(2000))
}

/// The `type` and `data` of the one event that is told.
fn told(effects: &[Effect]) -> (String, Value) {
    let [Effect::Tell(Event::Text { text, .. }) | Effect::Executing(text)] = effects else {
        panic!("{effects:?}");
    };
    let mut message: Value = serde_json::from_str(text).unwrap();
    (message["type"].as_str().unwrap().to_owned(), message["data"].take())
}

#[test]
fn every_frame_reaches_the_client_under_its_own_id() {
    for kind in
        ["execution_start", "execution_cached", "executing", "progress", "progress_state", "executed", "new"]
    {
        let mut track = following();
        let data = json!({"node": "3", "nodes": [], "value": 1, "max": 2, "output": {}});
        let data = if kind == "progress_state" { json!({"nodes": {}}) } else { data };
        let (said, data) = told(&hear(&mut track, kind, data));
        assert_eq!((said.as_str(), &data["prompt_id"]), (kind, &json!(track.job.id.to_string())));
    }
}

#[test]
fn what_a_slow_client_may_lose_is_progress_and_previews_only() {
    let weight = |kind: &str, data: Value| match hear(&mut following(), kind, data).remove(0) {
        Effect::Tell(Event::Text { weight, .. }) => weight,
        other => panic!("{other:?}"),
    };
    use crate::event::Weight;
    assert_eq!(weight("progress", json!({"value": 1, "max": 2, "node": "3"})), Weight::Light);
    assert_eq!(weight("progress_state", json!({"nodes": {}})), Weight::Light);
    assert_eq!(weight("executed", json!({"node": "3", "output": {}})), Weight::Heavy);
    assert_eq!(weight("execution_cached", json!({"nodes": []})), Weight::Heavy);
}

#[test]
fn frames_that_came_before_the_answer_are_heard_once_it_tells_that_they_are_its_own() {
    let mut track = track();
    let foreign = Frame::Message(Message::of("execution_start".into(), json!({"prompt_id": "other"})));
    for early in [foreign, frame("execution_start", json!({})), frame("executing", json!({"node": "3"}))] {
        assert!(track.may_own() && !track.owns(&early));
        assert_eq!(track.hear(early, UnixMillis(1001)), []);
    }
    let effects = track.accepted(THEIRS.into(), UnixMillis(1100));
    assert_eq!(effects.len(), 2, "{effects:?}");
    assert_eq!(told(&effects[..1]).0, "execution_start");
    assert_eq!(told(&effects[1..]).1["node"], "3");
    assert!(track.runs() && !track.may_own());
    assert_eq!(track.accepted(THEIRS.into(), UnixMillis(1200)), [], "they are told once");
}

#[test]
fn a_job_that_ended_before_the_answer_came_ends_with_it() {
    let mut track = track();
    for early in [
        frame("execution_start", json!({})),
        frame("execution_success", json!({})),
        frame("executing", json!({"node": null})),
    ] {
        track.hear(early, UnixMillis(1001));
    }
    let effects = track.accepted(THEIRS.into(), UnixMillis(1100));
    assert_eq!(effects[1..], [Effect::Released, Effect::Ended]);
    assert_eq!((track.phase, track.ending.outcome), (Phase::Concluding, Some(Outcome::Succeeded)));
}

#[test]
fn frames_are_told_apart_by_their_id_and_nameless_ones_belong_to_what_runs() {
    let mut track = following();
    let other = Frame::Message(Message::of("executing".into(), json!({"node": "1", "prompt_id": "other"})));
    let status = Frame::Message(Message::of(
        "status".into(),
        json!({"status": {"exec_info": {"queue_remaining": 1}}}),
    ));
    assert!(!track.owns(&other) && track.owns(&frame("executing", json!({"node": "1"}))));
    assert!(!track.owns(&nameless_preview()), "it does not run yet");
    hear(&mut track, "execution_start", json!({}));
    assert!(track.owns(&nameless_preview()) && !track.owns(&status));
    hear(&mut track, "execution_success", json!({}));
    assert!(!track.owns(&nameless_preview()), "it runs no longer");
    assert!(track.owns(&frame("executing", json!({"node": null}))), "its last frame is still to come");
    hear(&mut track, "executing", json!({"node": null}));
    assert!(!track.owns(&frame("executing", json!({"node": null}))), "it is over");
}

#[test]
fn how_it_ended_is_kept_back_until_the_end_is_written() {
    for (kind, outcome) in [
        ("execution_success", Outcome::Succeeded),
        ("execution_error", Outcome::Failed),
        ("execution_interrupted", Outcome::Interrupted),
    ] {
        let mut track = following();
        hear(&mut track, "execution_start", json!({}));
        let data = json!({"node_id": "3", "node_type": "C", "executed": [], "exception_message": "m",
                          "exception_type": "t", "traceback": [], "current_inputs": {}, "current_outputs": []});
        assert_eq!(hear(&mut track, kind, data), [Effect::Released], "the backend is free, nobody is told");
        assert_eq!(track.ending.outcome, Some(outcome));
        let last = track.ending.last.clone().unwrap();
        assert_eq!((last.kind(), last.prompt_id()), (kind, Some(track.job.id.to_string().as_str())));
        assert_eq!(hear(&mut track, "executing", json!({"node": null})), [Effect::Ended]);
        assert_eq!(track.phase, Phase::Concluding);
    }
}

#[test]
fn a_server_of_2024_ends_a_job_by_saying_that_nothing_executes() {
    let mut track = following();
    hear(&mut track, "execution_start", json!({}));
    assert_eq!(hear(&mut track, "executing", json!({"node": null})), [Effect::Released, Effect::Ended]);
    assert_eq!((track.ending.outcome, track.is_released()), (None, true));
}

#[test]
fn an_output_is_kept_and_told_with_the_backends_name_in_its_folder() {
    let mut track = following();
    let output = json!({"images": [{"filename": "a.png", "subfolder": "x", "type": "output"}]});
    let (_, data) = told(&hear(&mut track, "executed", json!({"node": "9", "output": output})));
    assert_eq!(data["output"]["images"][0]["subfolder"], "gpu/x");
    assert_eq!((&track.told_outputs, &track.outputs["9"]), (&vec!["9".to_owned()], &data["output"]));
}

#[test]
fn a_preview_is_offered_in_both_forms_where_its_metadata_is_known() {
    let mut track = following();
    hear(&mut track, "execution_start", json!({}));
    let plain_of = |effects: Vec<Effect>| match effects.as_slice() {
        [Effect::Tell(Event::Preview { plain, with_metadata })] => (plain.clone(), with_metadata.clone()),
        other => panic!("{other:?}"),
    };
    let (_, with_metadata) = plain_of(track.hear(nameless_preview(), UnixMillis(2000)));
    assert_eq!(with_metadata, None);
    let metadata = json!({"prompt_id": THEIRS, "node_id": "2", "image_type": "image/jpeg"}).to_string();
    let length = u32::try_from(metadata.len()).unwrap();
    let bytes = [&4_u32.to_be_bytes(), &length.to_be_bytes(), metadata.as_bytes(), &[0xff, 0xd8]].concat();
    let (plain, with_metadata) =
        plain_of(track.hear(Frame::from_binary(bytes.into()).unwrap(), UnixMillis(2000)));
    assert_eq!(plain[..8], [0, 0, 0, 1, 0, 0, 0, 1]);
    let Frame::Preview(Preview { metadata: Some(metadata), .. }) =
        Frame::from_binary(with_metadata.unwrap()).unwrap()
    else {
        panic!("no metadata");
    };
    assert_eq!(metadata.prompt_id, Some(track.job.id.to_string()));
}

#[test]
fn only_what_is_followed_can_come_into_doubt() {
    let doubtful = Phase::Doubtful { not_before: UnixMillis(5) };
    for (phase, after) in [
        (Phase::Following, doubtful),
        (Phase::Sending, Phase::Sending),
        (Phase::LookingUp, Phase::LookingUp),
        (Phase::Concluding, Phase::Concluding),
    ] {
        let mut track = track();
        track.phase = phase;
        track.doubt(UnixMillis(5));
        assert_eq!(track.phase, after);
    }
}

#[test]
fn an_attempt_found_at_start_is_in_doubt_under_the_id_that_was_written() {
    let attempt = Attempt {
        number: 2,
        backend: "gpu".parse().unwrap(),
        dispatched_at: UnixMillis(10),
        prompt_id: Some(THEIRS.into()),
    };
    let found = Track::found(track().job, &attempt, UnixMillis(99));
    assert_eq!(found.phase, Phase::Doubtful { not_before: UnixMillis(99) });
    assert_eq!((found.attempt, found.prompt_id.as_deref(), found.runs()), (2, Some(THEIRS), false));
}

#[test]
fn what_an_attempt_teaches_is_the_load_up_to_the_first_step_and_the_run_after_it() {
    let ended = |models_loaded: bool, step: bool| {
        let mut track = following();
        track.models_loaded = models_loaded;
        track.hear(frame("execution_start", json!({})), UnixMillis(2000));
        if step {
            track.hear(frame("progress", json!({"value": 1, "max": 2, "node": "3"})), UnixMillis(5000));
            track.hear(frame("progress", json!({"value": 2, "max": 2, "node": "3"})), UnixMillis(6000));
        }
        assert_eq!(track.timing(), None, "it runs still");
        track.hear(frame("execution_success", json!({})), UnixMillis(9000));
        track.hear(frame("executing", json!({"node": null})), UnixMillis(9500));
        track.timing().unwrap()
    };
    let timing = |load_seconds, run_seconds| Timing { load_seconds, run_seconds, all_seconds: 7.0 };
    assert_eq!(ended(false, true), timing(Some(3.0), 4.0));
    assert_eq!(ended(true, true), timing(Some(3.0), 7.0), "nothing was to be loaded");
    assert_eq!(ended(false, false), timing(None, 7.0));
}

#[test]
fn what_was_not_heard_of_an_attempts_course_is_absent() {
    let step = || frame("progress", json!({"value": 1, "max": 2, "node": "3"}));
    let start = || frame("execution_start", json!({}));
    let course = |hear: &dyn Fn(&mut Track)| {
        let mut track = following();
        hear(&mut track);
        let Course { started_at, first_step_at } = track.course();
        (started_at.map(|at| at.0), first_step_at.map(|at| at.0))
    };
    let whole = course(&|track| {
        track.hear(start(), UnixMillis(2000));
        track.hear(step(), UnixMillis(5000));
        track.hear(step(), UnixMillis(6000));
    });
    assert_eq!(whole, (Some(2000), Some(5000)));
    let found_running = course(&|track| {
        track.see_running(false, UnixMillis(2000));
        track.hear(step(), UnixMillis(5000));
    });
    assert_eq!(found_running, (None, None));
    let heard_in_the_middle = course(&|track| {
        track.hear(step(), UnixMillis(5000));
    });
    assert_eq!(heard_in_the_middle, (None, None));
    let gap_before_a_step = course(&|track| {
        track.hear(start(), UnixMillis(2000));
        track.doubt(UnixMillis(2500));
        track.hear(step(), UnixMillis(5000));
    });
    assert_eq!(gap_before_a_step, (Some(2000), None));
    let gap_elsewhere = course(&|track| {
        track.doubt(UnixMillis(1500));
        track.hear(start(), UnixMillis(2000));
        track.hear(step(), UnixMillis(5000));
        track.doubt(UnixMillis(5500));
    });
    assert_eq!(gap_elsewhere, (Some(2000), Some(5000)));
}

#[test]
fn a_flood_of_frames_before_the_answer_is_bounded() {
    let mut track = track();
    for _ in 0..limits::EARLY_FRAMES + 10 {
        track.hear(frame("execution_cached", json!({"nodes": []})), UnixMillis(1001));
    }
    assert_eq!(track.accepted(THEIRS.into(), UnixMillis(1100)).len(), limits::EARLY_FRAMES);
}
