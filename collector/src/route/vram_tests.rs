use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::fleet::Figures;
use crate::fleet::figures::Gpu;

const GIB: u64 = 1 << 30;
const NOW: UnixMillis = UnixMillis(1_000_000_000_000);

fn needs(model: &str, pixels: u64) -> Needs {
    serde_json::from_value(json!({
        "classes": ["K"], "work": {"pixels": pixels},
        "assets": [{"node": "1", "class": "L", "input": "m", "name": model}],
    }))
    .unwrap()
}

fn class(gib: u64) -> GpuClass {
    GpuClass { name: "RTX".into(), total_bytes: gib * GIB }
}

fn room(gib: u64, available_gib: u64) -> Room {
    let (available_bytes, others_bytes) = (Some(available_gib * GIB), Some((gib - available_gib) * GIB));
    Room { class: Some(class(gib)), available_bytes, others_bytes, ..Room::default() }
}

fn refusal(fits: &Fits, needs: &Needs, room: &Room) -> Option<String> {
    let claim = Claim { fit: fits.of(needs), may_be_too_big: true };
    Some(claim.refusal(room, NOW)?.to_string())
}

#[test]
fn jobs_of_like_size_models_and_nodes_are_alike() {
    let same = |one: &Needs, other: &Needs| Signature::of(one) == Signature::of(other);
    let mut other_class = needs("a", 1 << 20);
    other_class.classes.insert("Upscale".into());
    assert!(same(&needs("a", 1 << 20), &needs("a", 1_032_192)));
    for other in [needs("b", 1 << 20), needs("a", 1 << 21), other_class, Needs::default()] {
        assert!(!same(&needs("a", 1 << 20), &other), "{other:?}");
    }
    let text = String::from(Signature::of(&needs("a", 1)));
    assert_eq!(Signature::try_from(text), Ok(Signature::of(&needs("a", 1))));
    assert!(Signature::try_from("00".to_owned()).is_err());
}

#[test]
fn a_job_waits_for_memory_that_others_hold_if_it_has_needed_that_before() {
    let (mut fits, job) = (Fits::default(), needs("a", 1 << 20));
    assert_eq!(refusal(&fits, &job, &room(24, 1)), None, "nothing is known of it");
    fits.has_run(&job, &class(24), Some(14 * GIB));
    for (room, wanted) in [
        (room(24, 14), None),
        (room(80, 1), None),
        (Room { available_bytes: None, ..room(24, 1) }, None),
        (Room { class: None, ..room(24, 1) }, None),
        (
            room(24, 13),
            Some(
                "has too little GPU memory now: such a job takes 14.0 GiB, of which 13.0 GiB can be free, as other \
                 programs hold 11.0 GiB",
            ),
        ),
    ] {
        assert_eq!(refusal(&fits, &job, &room).as_deref(), wanted, "{room:?}");
    }
    assert_eq!(refusal(&fits, &needs("b", 1 << 20), &room(24, 13)), None);
}

#[test]
fn what_is_needed_is_the_least_that_sufficed_lately() {
    let (mut fits, job) = (Fits::default(), needs("a", 1 << 20));
    let needed = |fits: &Fits| fits.of(&job).and_then(|fit| fit.needed_bytes(&class(24)));
    for (peak, least) in [(20, 20), (9, 9), (15, 9)] {
        fits.has_run(&job, &class(24), Some(peak * GIB));
        assert_eq!(needed(&fits), Some(least * GIB));
    }
    fits.has_run(&job, &class(24), None);
    for _ in 0..limits::VRAM_PEAKS {
        fits.has_run(&job, &class(24), Some(12 * GIB));
    }
    assert_eq!(needed(&fits), Some(12 * GIB));
}

#[test]
fn a_job_is_too_big_once_it_has_run_out_of_memory_twice_until_it_runs() {
    let (mut fits, job) = (Fits::default(), needs("a", 1 << 20));
    let told = "is too big: such a job has run out of memory on RTX with 24.0 GiB";
    fits.ran_out_of_memory(&job, &class(24), 1, NOW);
    assert_eq!(refusal(&fits, &job, &room(24, 24)), None, "it is tried once more there");
    assert_eq!(refusal(&fits, &job, &room(16, 16)).as_deref(), Some(told), "but on nothing smaller");
    fits.ran_out_of_memory(&job, &class(24), 1, NOW);
    for (gib, refused) in [(24, true), (16, true), (48, false)] {
        assert_eq!(refusal(&fits, &job, &room(gib, gib)).is_some(), refused, "{gib}");
    }
    let another = GpuClass { name: "A5000".into(), ..class(24) };
    let replaced = Room { class: Some(another), ..room(24, 24) };
    assert_eq!(refusal(&fits, &job, &replaced), None, "a GPU of another class is tried");
    assert_eq!(refusal(&fits, &needs("a", 1 << 18), &room(24, 24)), None, "and so is a smaller picture");
    let claim = Claim { fit: fits.of(&job), may_be_too_big: true };
    assert_eq!(claim.refusal(&room(24, 24), NOW.after(TOO_BIG_FOR)), None);
    let anywhere = Claim { may_be_too_big: false, ..claim };
    assert_eq!(anywhere.refusal(&room(24, 24), NOW), None, "where it is too big for all");
    fits.has_run(&job, &class(24), None);
    assert_eq!(refusal(&fits, &job, &room(24, 24)), None);
}

#[test]
fn what_ran_on_a_small_gpu_is_not_refused_there_for_what_a_large_one_could_not_do() {
    let (mut fits, job) = (Fits::default(), needs("a", 1 << 20));
    fits.has_run(&job, &class(16), None);
    fits.ran_out_of_memory(&job, &class(24), 2, NOW);
    assert_eq!(refusal(&fits, &job, &room(16, 16)), None);
}

#[test]
fn what_is_remembered_is_bounded_and_survives_a_restart() {
    let mut fits = Fits::default();
    for pixels in 0..limits::VRAM_SIGNATURES as u64 + 1 {
        fits.has_run(&needs(&format!("model {pixels}"), 1), &class(24), Some(GIB));
    }
    assert_eq!(fits.by_signature.len(), limits::VRAM_SIGNATURES);
    assert!(fits.of(&needs("model 0", 1)).is_none() && fits.of(&needs("model 1", 1)).is_some());
    for gib in 0..limits::VRAM_CLASSES as u64 + 1 {
        fits.has_run(&needs("model 1", 1), &class(gib), Some(GIB));
    }
    let fit = fits.of(&needs("model 1", 1)).unwrap();
    assert_eq!((fit.on.len(), fit.needed_bytes(&class(24))), (limits::VRAM_CLASSES, None));
    let kept: Fits = serde_json::from_str(&serde_json::to_string(&fits).unwrap()).unwrap();
    assert_eq!(kept, fits);
    assert_eq!(serde_json::from_str::<Fits>("{}").unwrap(), Fits::default());
}

#[test]
fn the_class_of_a_gpu_is_known_without_an_agent_and_its_memory_only_with_one() {
    let url: url::Url = "http://127.0.0.1:1".parse().unwrap();
    let mut backend = Backend::new("a".parse().unwrap(), url.clone(), url);
    assert_eq!(Room::of(&backend, NOW), Room::default());
    let stats = json!({"devices": [{"name": "cuda:0 NVIDIA RTX 4090 : native", "vram_total": 24 * GIB}]});
    let stats = serde_json::from_value(stats).unwrap();
    backend.stats = Some(Read { at: NOW, value: Arc::new(stats) });
    let class = Some(GpuClass { name: "NVIDIA RTX 4090".into(), total_bytes: 24 * GIB });
    assert_eq!(Room::of(&backend, NOW), Room { class: class.clone(), ..Room::default() });
    let (own, others) = (Some(Read { at: NOW, value: 5 * GIB }), Some(Read { at: NOW, value: 3 * GIB }));
    let (used_bytes, free_bytes) = (Some(9 * GIB), Some(14 * GIB));
    let gpu = Gpu { at: NOW, used_bytes, free_bytes, own, others, ..Gpu::default() };
    let value = Arc::new(Figures { gpus: vec![gpu], ..Figures::default() });
    backend.agent = Some(Read { at: NOW, value });
    let known = Room::of(&backend, NOW);
    assert_eq!((known.own_bytes, known.available_bytes), (Some(6 * GIB), Some(20 * GIB)));
    assert_eq!(Room::of(&backend, UnixMillis(NOW.0 + 1)), Room { class, ..Room::default() });
    assert_eq!(bare("cpu"), "cpu");
}
