use std::sync::Arc;

use super::*;
use crate::dispatch::board::Freeing;
use crate::dispatch::pace::Pauses;
use crate::fleet::figures::Gpu;
use crate::fleet::{Backlog, Catalog, Failure, Figures, Read};
use crate::job::{Asset, Job, Needs};
use crate::route::GpuClass;
use crate::route::free::Doing;

const NOW: UnixMillis = UnixMillis(1_000_000);
const SETTINGS: Settings = Settings {
    policy: Policy::TUNED,
    free: Rules { idle: None, others: None, host_memory: None, out_of_memory: true, before_job: true },
    rerun_after_unreachable: None,
};

fn before(seconds: u64) -> UnixMillis {
    UnixMillis(NOW.0 - seconds * 1000)
}

/// Up, heard, with class `C`, and with nothing in its own queue.
fn backend(name: &str) -> Backend {
    let url: url::Url = "http://127.0.0.1:1".parse().unwrap();
    let mut backend = Backend::new(name.parse().unwrap(), url.clone(), url);
    backend.health = backend.health.after_answer(before(900));
    backend.socket_since = Some(before(900));
    backend.backlog = Some(Read { at: NOW, value: Backlog { total: 0, foreign: Some(0) } });
    let class = serde_json::from_value(serde_json::json!({ "C": {} })).unwrap();
    backend.catalog = Some(Arc::new(Catalog::new(class, [0; 32])));
    backend
}

/// For so long, and seen to be so until now.
fn down(name: &str, refused: bool, seconds: u64) -> Backend {
    let mut backend = backend(name);
    let first = std::iter::repeat_n(before(seconds), limits::FAILURES_UNTIL_DOWN as usize);
    for at in first.chain([NOW]) {
        let failure = Failure { refused, reason: "x".into() };
        backend.health = backend.health.after_failure(&failure, at);
    }
    (backend.backlog, backend.socket_since) = (None, None);
    backend
}

fn job(arrival: u64) -> Job {
    let model = Asset { node: "1".into(), class: "C".into(), input: "m".into(), name: "m.ckpt".into() };
    Job {
        needs: Arc::new(Needs { classes: ["C".to_owned()].into(), assets: vec![model], ..Needs::default() }),
        submitted_at: before(900),
        ..Job::for_tests(arrival)
    }
}

/// An attempt on backend `a` in a phase, last heard of just now.
fn track(phase: Phase) -> Track {
    let mut track = Track::new(Arc::new(job(1)), 1, "a".parse().unwrap(), before(10), true);
    (track.prompt_id, track.phase, track.heard_at) = (Some("theirs".into()), phase, NOW);
    track
}

/// The same attempt, followed so far, with something changed.
fn following(change: impl FnOnce(&mut Track)) -> Track {
    let mut track = track(Phase::Following);
    change(&mut track);
    track
}

fn board(tracks: impl IntoIterator<Item = Track>) -> Board {
    let mut board = Board::default();
    board.tracks = tracks.into_iter().map(|track| (track.job.id, track)).collect();
    board
}

/// What is due for one attempt on backend `a`, nothing waiting.
fn due(track: Track, a: Option<Backend>, settings: &Settings) -> Option<Command> {
    let mut commands =
        step(&mut board([track]), &Fleet::of(a), &Ledger::default(), settings, usize::MAX, NOW);
    assert!(commands.len() < 2, "{commands:?}");
    commands.pop()
}

#[test]
fn prompts_of_which_nobody_knows_whose_they_are_count_as_others_beyond_our_own() {
    let foreign = |tracks: Vec<Track>, at: UnixMillis, total: u64, foreign: Option<u64>| {
        let mut a = backend("a");
        a.backlog = Some(Read { at, value: Backlog { total, foreign } });
        let mut board = board(tracks);
        board.belief(&a.id, before(10));
        board.candidates(&Fleet::of([a]), NOW).remove(0).foreign
    };
    let ours = || vec![track(Phase::Following)];
    assert_eq!(foreign(vec![], NOW, 2, None), 2);
    assert_eq!(foreign(ours(), NOW, 2, None), 1);
    assert_eq!(foreign(ours(), NOW, 1, None), 0);
    assert_eq!(foreign(ours(), NOW, 2, Some(2)), 2, "what was read goes before what is worked out");
    assert_eq!(foreign(vec![], before(11), 1, None), 0, "this may be our own job, which has ended since");
}

const DOUBTFUL: Phase = Phase::Doubtful { not_before: NOW };

#[test]
fn an_attempt_in_doubt_is_looked_up_when_its_time_has_come_and_its_backend_can_be_asked() {
    let doubtful = track(DOUBTFUL);
    let id = doubtful.job.id;
    assert_eq!(due(doubtful, Some(backend("a")), &SETTINGS), Some(Command::LookUp(id)));
    let later = Phase::Doubtful { not_before: UnixMillis(NOW.0 + 1) };
    assert_eq!(due(track(later), Some(backend("a")), &SETTINGS), None);
    assert_eq!(due(track(DOUBTFUL), Some(down("a", false, 600)), &SETTINGS), None);
    for phase in [Phase::Sending, Phase::Following, Phase::LookingUp, Phase::Concluding] {
        assert_eq!(due(track(phase), Some(backend("a")), &SETTINGS), None, "{phase:?}");
    }
}

#[test]
fn an_attempt_is_given_up_only_when_it_can_no_longer_run() {
    let patient = Settings { rerun_after_unreachable: Some(Duration::from_secs(60)), ..SETTINGS };
    let never = SETTINGS;
    for (backend, settings, wanted) in [
        (Some(down("a", true, 3)), never, Some(Lost::ProcessGone)),
        (Some(down("a", true, 2)), never, None),
        (Some(down("a", false, 99)), never, None),
        (Some(down("a", false, 60)), patient, Some(Lost::Unreachable)),
        (Some(down("a", false, 59)), patient, None),
        (None, never, Some(Lost::Removed)),
        (Some(backend("a")), patient, None),
    ] {
        for phase in [Phase::Following, Phase::Doubtful { not_before: UnixMillis(NOW.0 + 1) }] {
            let track = track(phase);
            let job = track.job.id;
            let wanted = wanted.map(|reason| Command::GiveUp { job, reason });
            assert_eq!(due(track, backend.clone(), &settings), wanted, "{phase:?} {backend:?}");
        }
    }
}

#[test]
fn an_attempt_that_nobody_wants_any_more_is_given_up_as_soon_as_its_backend_is_down() {
    let stopped = following(|track| track.stop = Stop::Asked);
    let job = stopped.job.id;
    let wanted = Command::GiveUp { job, reason: Lost::Unreachable };
    assert_eq!(due(stopped, Some(down("a", false, 1)), &SETTINGS), Some(wanted));
    assert_eq!(due(following(|_| ()), Some(down("a", false, 1)), &SETTINGS), None);
}

#[test]
fn what_is_being_done_to_an_attempt_is_done_to_its_end_although_its_backend_is_gone() {
    for phase in [Phase::Sending, Phase::LookingUp, Phase::Concluding] {
        assert_eq!(due(track(phase), Some(down("a", true, 60)), &SETTINGS), None, "{phase:?}");
    }
}

#[test]
fn an_attempt_of_which_nothing_is_heard_although_its_backend_has_nothing_to_do_is_looked_up() {
    let heard = |seconds: u64| following(|track| track.heard_at = before(seconds));
    let is_looked_up = |track: Track, backend: Backend| {
        matches!(due(track, Some(backend), &SETTINGS), Some(Command::LookUp(_)))
    };
    assert!(is_looked_up(heard(5), backend("a")));
    assert!(!is_looked_up(heard(4), backend("a")), "it may be on its way");
    let mut works = backend("a");
    works.backlog = Some(Read { at: NOW, value: Backlog { total: 1, foreign: Some(0) } });
    assert!(!is_looked_up(heard(59), works.clone()), "a long step");
    assert!(is_looked_up(heard(60), works), "too long to be believed");
    let mut old = backend("a");
    old.backlog = Some(Read { at: before(59), value: Backlog { total: 0, foreign: Some(0) } });
    assert!(!is_looked_up(heard(59), old), "that was read before it was heard of");
    let mut unknown = backend("a");
    unknown.backlog = None;
    assert!(!is_looked_up(heard(59), unknown));
    let ended = following(|track| track.released_at = Some(before(5)));
    assert!(is_looked_up(ended, backend("a")), "its last frame was lost");
}

#[test]
fn a_stop_is_told_once_and_again_only_while_the_job_is_still_there() {
    let is_told = |stop: Stop, started_at: Option<UnixMillis>, phase: Phase| {
        let track =
            following(|track| (track.stop, track.started_at, track.phase) = (stop, started_at, phase));
        matches!(due(track, Some(backend("a")), &SETTINGS), Some(Command::Stop(_)))
    };
    let following = Phase::Following;
    assert!(is_told(Stop::Asked, None, following) && is_told(Stop::Asked, Some(NOW), following));
    assert!(!is_told(Stop::No, Some(NOW), following));
    assert!(!is_told(Stop::Told { at: before(4) }, Some(NOW), following));
    assert!(is_told(Stop::Told { at: before(5) }, Some(NOW), following));
    assert!(is_told(Stop::Told { at: before(5) }, None, following), "it was pending, or the telling failed");
    let told = Stop::Told { at: before(5) };
    let ended = self::following(|track| (track.stop, track.released_at) = (told, Some(before(1))));
    assert!(!matches!(due(ended, Some(backend("a")), &SETTINGS), Some(Command::Stop(_))), "it has ended");
    for phase in [Phase::Sending, Phase::LookingUp, Phase::Concluding] {
        assert!(!is_told(Stop::Asked, Some(NOW), phase), "{phase:?}");
    }
}

fn dispatched(commands: Vec<Command>) -> Vec<(JobId, String)> {
    let to = |command| match command {
        Command::Dispatch(assignment) => Some((assignment.job, assignment.backend.to_string())),
        _ => None,
    };
    commands.into_iter().filter_map(to).collect()
}

#[test]
fn waiting_jobs_are_dispatched_once_each_in_their_order() {
    let jobs = [job(1), job(2), job(3)];
    let ledger = Ledger::of(jobs.clone());
    let fleet = Fleet::of([backend("a"), backend("b")]);
    let first = dispatched(step(&mut board([]), &fleet, &ledger, &SETTINGS, usize::MAX, NOW));
    assert_eq!(first, [(jobs[0].id, "a".to_owned()), (jobs[1].id, "b".to_owned())]);
    // The ledger does not show it yet, but the first is being sent.
    let sending = Track::new(Arc::new(jobs[0].clone()), 1, "a".parse().unwrap(), NOW, false);
    let next = dispatched(step(&mut board([sending]), &fleet, &ledger, &SETTINGS, usize::MAX, NOW));
    assert_eq!(next, [(jobs[1].id, "b".to_owned())]);
}

#[test]
fn a_backend_takes_the_next_job_as_soon_as_it_has_ended_one_though_that_is_not_written_yet() {
    let ledger = Ledger::of([job(2)]);
    let fleet = Fleet::of([backend("a")]);
    let count = |track: Track| {
        dispatched(step(&mut board([track]), &fleet, &ledger, &SETTINGS, usize::MAX, NOW)).len()
    };
    assert_eq!(count(track(Phase::Following)), 0);
    assert_eq!(count(following(|track| track.released_at = Some(NOW))), 1);
    assert_eq!(
        count(following(|track| (track.released_at, track.phase) = (Some(NOW), Phase::Concluding))),
        1
    );
    assert_eq!(count(track(DOUBTFUL)), 0, "it may still run there");
}

#[test]
fn a_job_that_takes_far_longer_than_expected_keeps_no_other_waiting_beside_an_idle_backend() {
    let mut board = board([following(|track| track.started_at = Some(before(300)))]);
    let fleet = Fleet::of([backend("a"), backend("b")]);
    holds(&mut board, &fleet, "a");
    let waiting = job(2);
    let due = step(&mut board, &fleet, &Ledger::of([waiting.clone()]), &SETTINGS, usize::MAX, NOW);
    assert_eq!(dispatched(due), [(waiting.id, "b".to_owned())]);
}

/// The model that all jobs here name.
fn holds(board: &mut Board, fleet: &Fleet, backend: &str) {
    board.see(fleet, &Ledger::default(), NOW);
    board.book.believe(&backend.parse().unwrap(), &["m.ckpt".to_owned()].into());
}

#[test]
fn no_more_is_given_out_than_there_is_room_for_and_what_is_not_sent_waits_on() {
    let ledger = Ledger::of([job(1), job(2), job(3)]);
    let fleet = Fleet::of([backend("a"), backend("b"), backend("c")]);
    let mut board = board([]);
    for (room, count) in [(0, 0), (2, 2), (2, 2), (usize::MAX, 3)] {
        let due = step(&mut board, &fleet, &ledger, &SETTINGS, room, NOW);
        assert_eq!(dispatched(due).len(), count, "{room}");
    }
}

fn under_way(doing: Doing) -> Freeing {
    let (before, held_bytes, watch) = (None, None, None);
    Freeing { number: 1, reason: Reason::Asked, before, held_bytes, holds: true, doing, watch }
}

#[test]
fn a_backend_gets_no_job_while_it_frees_its_memory_unless_another_job_came_before() {
    let waiting = job(1);
    for (doing, wanted) in [(Doing::Nothing, vec![]), (Doing::Ours(job(2).id), vec!["a"])] {
        let mut board = board([]);
        board.belief(&"a".parse().unwrap(), before(60)).freeing = Some(under_way(doing));
        let due = step(
            &mut board,
            &Fleet::of([backend("a")]),
            &Ledger::of([waiting.clone()]),
            &SETTINGS,
            usize::MAX,
            NOW,
        );
        let given: Vec<String> = dispatched(due).into_iter().map(|(_, backend)| backend).collect();
        assert_eq!(given, wanted, "{doing:?}");
    }
}

#[test]
fn where_a_job_ran_out_of_memory_that_is_freed_before_the_next_one() {
    let mut board = board([]);
    let id: BackendId = "a".parse().unwrap();
    let ledger = Ledger::of([job(1)]);
    let (early, late) = (NOW, before(1));
    for (since, wanted) in [(early, vec![]), (late, vec![Command::Free(id.clone(), Reason::OutOfMemory)])] {
        board.belief(&id, before(1)).wants_free = Some(since);
        let due = step(&mut board, &Fleet::of([backend("a")]), &ledger, &SETTINGS, usize::MAX, NOW);
        assert_eq!(due, wanted);
    }
}

#[test]
fn memory_is_freed_before_a_job_only_where_room_was_not_made_before() {
    let (id, waiting): (BackendId, Job) = ("a".parse().unwrap(), job(1));
    let with_gpu = || {
        let mut backend = backend("a");
        let stats =
            serde_json::json!({"devices": [{"name": "G", "type": "cuda", "vram_total": 24_u64 << 30}]});
        let stats = Arc::new(serde_json::from_value(stats).unwrap());
        backend.stats = Some(Read { at: NOW, value: stats });
        let read = |gib: u64| Some(Read { at: NOW, value: gib << 30 });
        let (used_bytes, free_bytes) = (Some(20 << 30), Some(4 << 30));
        let gpu = Gpu { at: NOW, used_bytes, free_bytes, own: read(20), others: read(0), ..Gpu::default() };
        let figures = Figures { gpus: vec![gpu], ..Figures::default() };
        backend.agent = Some(Read { at: NOW, value: Arc::new(figures) });
        Fleet::of([backend])
    };
    let due = |keeps_models: bool, settings: &Settings| {
        let mut board = board([]);
        board.belief(&id, before(1)).keeps_models = keeps_models;
        let class = GpuClass { name: "G".into(), total_bytes: 24 << 30 };
        board.book.fits_mut().has_run(&waiting.needs, &class, Some(14 << 30));
        step(&mut board, &with_gpu(), &Ledger::of([waiting.clone()]), settings, usize::MAX, NOW)
    };
    assert_eq!(due(true, &SETTINGS), [Command::Free(id.clone(), Reason::BeforeJob)]);
    let off = Settings { free: Rules { before_job: false, ..SETTINGS.free }, ..SETTINGS };
    for commands in [due(false, &SETTINGS), due(true, &off)] {
        assert!(matches!(commands.as_slice(), [Command::Dispatch(_)]), "{commands:?}");
    }
}

#[test]
fn a_job_is_looked_up_when_it_is_silent_for_far_longer_than_such_jobs_are() {
    let mut slow = Pauses::default();
    (0..100).for_each(|_| slow.add(Duration::from_secs(20)));
    for (pauses, silent_seconds, wanted) in
        [(None, 59, false), (None, 60, true), (Some(&slow), 79, false), (Some(&slow), 101, true)]
    {
        let mut track = track(Phase::Following);
        track.heard_at = before(silent_seconds);
        let (id, models) = (track.job.id, track.job.needs.models());
        let mut board = board([track]);
        pauses.into_iter().for_each(|pauses| board.pace.learn(&models, pauses));
        let mut works = backend("a");
        works.backlog = Some(Read { at: NOW, value: Backlog { total: 1, foreign: Some(0) } });
        let due = step(&mut board, &Fleet::of([works]), &Ledger::default(), &SETTINGS, usize::MAX, NOW);
        assert_eq!(due.contains(&Command::LookUp(id)), wanted, "{silent_seconds}");
    }
}

#[test]
fn memory_is_freed_of_a_backend_that_is_idle_and_gets_no_job_now() {
    let free = Rules { idle: Some(Duration::from_secs(60)), ..SETTINGS.free };
    let settings = Settings { free, ..SETTINGS };
    let id: BackendId = "a".parse().unwrap();
    let frees = |tracks: Vec<Track>, waiting: Vec<Job>, freeing: bool, settings: &Settings| {
        let mut board = board(tracks);
        let fleet = Fleet::of([backend("a")]);
        holds(&mut board, &fleet, "a");
        board.belief(&id, before(60)).freeing = freeing.then(|| under_way(Doing::Nothing));
        let due = step(&mut board, &fleet, &Ledger::of(waiting), settings, usize::MAX, NOW);
        due.contains(&Command::Free(id.clone(), Reason::Idle))
    };
    assert!(frees(vec![], vec![], false, &settings));
    assert!(!frees(vec![], vec![], true, &settings), "it was asked and has not answered");
    assert!(!frees(vec![], vec![job(2)], false, &settings), "it gets a job");
    assert!(!frees(vec![track(Phase::Concluding)], vec![], false, &settings), "it has just ended one");
    assert!(!frees(vec![], vec![], false, &SETTINGS), "only when a client asks");
}

#[test]
fn start_is_reconciled_once_nothing_is_in_doubt_that_could_be_asked() {
    for (phase, backend, wanted) in [
        (DOUBTFUL, Some(backend("a")), false),
        (Phase::LookingUp, Some(backend("a")), false),
        (Phase::Following, Some(backend("a")), true),
        (Phase::Concluding, Some(backend("a")), true),
        (DOUBTFUL, Some(down("a", true, 1)), true),
        (DOUBTFUL, None, true),
    ] {
        assert_eq!(
            board([track(phase)]).is_reconciled(&Fleet::of(backend.clone())),
            wanted,
            "{phase:?} {backend:?}"
        );
    }
    let mut unasked = backend("a");
    unasked.health = Default::default();
    assert!(!board([track(DOUBTFUL)]).is_reconciled(&Fleet::of([unasked])));
}
