//! A job in the router's numbers: what it loads, what its run time is predicted by, what jobs are the same to a decision.

use std::collections::HashMap;
use std::sync::Arc;

use comfyui::needs::Work;
use report::ModelFile;

use crate::clock::UnixMillis;
use crate::job::{self, Job, Needs};
use crate::limits;
use crate::route::key::{AssetId, ByKey, KindId, TenantId, Ticket};
use crate::route::tempo::Tempo;
use crate::route::{Arrival, Asset, Kind, Rank, Signature};

/// Sizes of model files by name, as agents tell them.
#[derive(Clone, Debug, Default)]
pub(super) struct Sizes(HashMap<String, u64>);

impl Sizes {
    /// Of files of one name the largest counts. The names of those whose size was another so far.
    pub(super) fn learn<'a>(&mut self, files: &'a [ModelFile]) -> Vec<&'a str> {
        let mut learned = Vec::new();
        for (name, bytes) in files.iter().filter_map(|file| Some((file.name.as_str(), file.bytes?))) {
            let room = self.0.len() < limits::MODEL_SIZES;
            match self.0.get_mut(name) {
                Some(known) if bytes > *known => *known = bytes,
                None if room => drop(self.0.insert(name.to_owned(), bytes)),
                _ => continue,
            }
            learned.push(name);
        }
        learned
    }

    pub(super) fn asset(&self, asset: &job::Asset) -> Asset {
        Asset { id: AssetId::of([asset.name.as_str()]), gigabytes: self.gigabytes(asset) }
    }

    fn gigabytes(&self, asset: &job::Asset) -> f64 {
        let known = self.0.get(&asset.name).map(|bytes| *bytes as f64 / 1e9);
        known.unwrap_or_else(|| usual_gigabytes(&asset.input))
    }
}

/// Where no agent tells sizes, what the inputs of ComfyUI's own loaders name: enough to tell what is large from what is small.
fn usual_gigabytes(input: &str) -> f64 {
    const BY_INPUT: [(&str, f64); 6] = [
        ("lora", 0.3),
        ("vae", 0.3),
        ("control_net", 2.5),
        ("clip", 5.0),
        ("style_model", 0.3),
        ("upscale", 0.1),
    ];
    const CHECKPOINT: f64 = 6.9;
    BY_INPUT.iter().find(|(part, _)| input.contains(part)).map_or(CHECKPOINT, |(_, gigabytes)| *gigabytes)
}

pub(super) fn kind_of(job: &Job, sizes: &Sizes) -> Kind {
    let mut assets: Vec<(&str, Asset)> = Vec::new();
    for asset in &job.needs.assets {
        if assets.iter().all(|(name, _)| *name != asset.name) {
            assets.push((&asset.name, sizes.asset(asset)));
        }
    }
    assets.sort_by(|(name, one), (other_name, other)| {
        other.gigabytes.total_cmp(&one.gigabytes).then_with(|| name.cmp(other_name))
    });
    let signature = signature_of(&job.needs, assets.first().map(|(name, _)| *name));
    let id = id_of(job, &signature);
    Kind { id, assets: assets.into_iter().map(|(_, asset)| asset).collect(), signature }
}

/// Kinds of jobs that come together. Those that a start reads share what they need and wish alike, and working it out takes
/// longer than all else that is done with one.
#[derive(Default)]
pub(super) struct Kinds(ByKey<[usize; 2], (Arc<Job>, Arc<Kind>)>);

impl Kinds {
    pub(super) fn of(&mut self, job: &Arc<Job>, sizes: &Sizes) -> Arc<Kind> {
        let new = || Arc::new(kind_of(job, sizes));
        if job.attempts > 0 {
            return new();
        }
        let shared = [Arc::as_ptr(&job.needs).addr(), Arc::as_ptr(&job.wishes).addr()];
        // The job is held so that nothing else comes to lie there.
        Arc::clone(&self.0.entry(shared).or_insert_with(|| (Arc::clone(job), new())).1)
    }
}

fn signature_of(needs: &Needs, main: Option<&str>) -> Signature {
    let models = needs.models().0;
    let names = || models.iter().map(String::as_str);
    let work = serde_json::to_string(&needs.work).unwrap_or_default();
    Signature {
        exact: KindId::of(names().chain([work.as_str()])),
        models: KindId::of(names()),
        main: KindId::of(main),
        work: thousands_of_pixels(&needs.work),
    }
}

/// That are sampled, each as often as there are steps.
fn thousands_of_pixels(work: &Work) -> Option<u64> {
    let factors = [work.pixels?, work.steps?, work.frames.unwrap_or(1), work.batch.unwrap_or(1)];
    Some(factors.iter().fold(1_u64, |all, factor| all.saturating_mul(*factor)) / 1000)
}

/// All that decides where a job may run, and for how long it does. One that was tried before may be kept from backends where
/// it failed, so it is of a kind of its own.
fn id_of(job: &Job, signature: &Signature) -> KindId {
    let Job { needs, wishes, .. } = job;
    let mut parts = vec![format!("run {}", signature.exact.0)];
    parts.extend(needs.classes.iter().map(|class| format!("class {class}")));
    let mut assets: Vec<String> = needs
        .assets
        .iter()
        .map(|asset| format!("asset {} {} {}", asset.class, asset.input, asset.name))
        .collect();
    assets.sort();
    assets.dedup();
    parts.extend(assets);
    parts.extend(needs.outputs.iter().filter_map(job::owner_of).map(|(owner, _)| format!("file {owner}")));
    parts.extend(wishes.backend.iter().map(|backend| format!("backend {backend}")));
    parts.extend(wishes.tags.iter().map(|tag| format!("tag {tag}")));
    parts.extend((job.attempts > 0).then(|| format!("job {}", job.id)));
    KindId::of(parts.iter().map(String::as_str))
}

/// `since`: when it could have begun first.
pub(super) fn arrival_of(
    job: &Job,
    ticket: Ticket,
    kind: KindId,
    since: UnixMillis,
    tempo: Tempo,
) -> Arrival {
    Arrival {
        ticket,
        kind,
        tenant: tenant_of(job),
        weight: 1.0,
        again: false,
        rank: rank_of(job),
        place: job.place.number,
        arrived: tempo.at(since),
        deadline: job.wishes.deadline.map(|deadline| tempo.at(deadline)),
    }
}

pub(super) fn rank_of(job: &Job) -> Rank {
    Rank::new(is_front(job), job.wishes.weight())
}

/// It was given a number that puts it before what came earlier: by `front`, by the client's own number, or moved there.
fn is_front(job: &Job) -> bool {
    job.place.number < job.place.arrival as f64
}

/// Whose share of the fleet it uses: a token's, or else a client's, or else an address's.
fn tenant_of(job: &Job) -> TenantId {
    match (&job.owner, &job.client_id) {
        (Some(owner), _) => owner_as_tenant(owner),
        (None, Some(client)) => TenantId::of(["client", client.as_str()]),
        (None, None) => {
            let peer = job.peer.map(|peer| peer.to_string());
            TenantId::of(["peer", peer.as_deref().unwrap_or_default()])
        }
    }
}

pub(super) fn owner_as_tenant(owner: &str) -> TenantId {
    TenantId::of(["owner", owner])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ClientId, JobId};
    use crate::job::{Place, Wishes};
    use crate::route::tests::job;

    fn changed(change: impl FnOnce(&mut Job)) -> Job {
        let mut job = Job::clone(&job(7, "m"));
        change(&mut job);
        job
    }

    fn needing(change: impl FnOnce(&mut Needs)) -> Job {
        changed(|job| change(Arc::make_mut(&mut job.needs)))
    }

    fn asset(input: &str, name: &str) -> job::Asset {
        job::Asset { node: "9".into(), class: "L".into(), input: input.into(), name: name.into() }
    }

    #[test]
    fn jobs_are_of_a_kind_that_may_run_in_the_same_places_for_as_long() {
        let id = |job: &Job| kind_of(job, &Sizes::default()).id;
        let same = changed(|job| {
            (job.id, job.place) = (JobId::random(), Place::new(None, true, 99));
            Arc::make_mut(&mut job.wishes).priority = Some(3.0);
            job.client_id = Some(ClientId::new("c"));
        });
        assert_eq!(id(&same), id(&job(1, "m")));
        for other in [
            Job::clone(&job(1, "n")),
            changed(|job| Arc::make_mut(&mut job.wishes).backend = Some("a".parse().unwrap())),
            changed(|job| Arc::make_mut(&mut job.wishes).tags = ["t".parse().unwrap()].into()),
            changed(|job| job.attempts = 1),
            needing(|needs| needs.work.steps = Some(20)),
            needing(|needs| needs.classes.extend(["D".to_owned()])),
        ] {
            assert_ne!(id(&other), id(&job(1, "m")), "{other:?}");
        }
    }

    #[test]
    fn jobs_that_share_what_they_need_are_of_the_kind_that_each_of_them_is_by_itself() {
        let (mut kinds, sizes) = (Kinds::default(), Sizes::default());
        let first = changed(|_| ());
        let wishing = |wishes: Wishes| Job { wishes: Arc::new(wishes), ..first.clone() };
        let tagged = wishing(Wishes { tags: ["t".parse().unwrap()].into(), ..Wishes::default() });
        let tried = |job: &Job| Job { id: JobId::random(), attempts: 1, ..job.clone() };
        for job in
            [first.clone(), tagged.clone(), tried(&first), tried(&tagged), first, Job::clone(&job(1, "n"))]
        {
            let job = Arc::new(job);
            assert_eq!(*kinds.of(&job, &sizes), kind_of(&job, &sizes), "{job:?}");
        }
        assert_eq!(kinds.0.len(), 3);
    }

    #[test]
    fn the_largest_model_is_the_first_by_its_agents_size_or_by_what_loads_it() {
        let both = needing(|needs| {
            needs.assets = vec![asset("lora_name", "a.pt"), asset("ckpt_name", "b.pt"), asset("x", "b.pt")];
        });
        let names = |sizes: &Sizes| -> Vec<AssetId> {
            kind_of(&both, sizes).assets.iter().map(|asset| asset.id).collect()
        };
        let [lora, checkpoint] = ["a.pt", "b.pt"].map(|name| AssetId::of([name]));
        let mut sizes = Sizes::default();
        assert_eq!(names(&sizes), [checkpoint, lora]);
        let file = |name: &str, bytes| ModelFile { folder: "f".into(), name: name.into(), bytes };
        let told = [file("b.pt", Some(1)), file("a.pt", Some(5)), file("a.pt", Some(2)), file("b.pt", None)];
        assert_eq!(sizes.learn(&told), ["b.pt", "a.pt"]);
        assert_eq!(names(&sizes), [lora, checkpoint]);
        assert!(sizes.learn(&told).is_empty());
    }

    #[test]
    fn a_job_is_at_the_front_that_has_a_lesser_number_than_came_naturally() {
        for (asked, front, wanted) in
            [(None, false, false), (None, true, true), (Some(6.5), false, true), (Some(7.0), false, false)]
        {
            let job = changed(|job| job.place = Place::new(asked, front, 7));
            assert_eq!(is_front(&job), wanted, "{asked:?} {front}");
        }
    }

    #[test]
    fn a_clients_jobs_share_its_part_of_the_fleet_under_its_token_or_its_name_or_its_address() {
        let of = |owner: Option<&str>, client: Option<&str>, peer: Option<&str>| {
            tenant_of(&changed(|job| {
                job.owner = owner.map(str::to_owned);
                job.client_id = client.map(ClientId::new);
                job.peer = peer.map(|peer| peer.parse().unwrap());
            }))
        };
        let address = Some("127.0.0.1");
        assert_eq!(of(Some("anna"), Some("tab 1"), address), of(Some("anna"), Some("tab 2"), None));
        assert_eq!(of(None, Some("tab 1"), address), of(None, Some("tab 1"), None));
        let tenants = [of(Some("x"), None, None), of(None, Some("x"), None), of(None, None, address)];
        assert!(tenants.iter().enumerate().all(|(at, one)| !tenants[at + 1..].contains(one)));
    }
}
