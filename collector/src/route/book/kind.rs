//! A job in the router's numbers: what it loads, what its run time is predicted by, what jobs are the same to a decision.

use std::collections::HashMap;

use comfyui::needs::Work;
use report::ModelFile;

use crate::clock::UnixMillis;
use crate::job::{self, Job, Needs};
use crate::limits;
use crate::route::key::{AssetId, KindId, TenantId, Ticket};
use crate::route::{Arrival, Asset, Kind, Rank, Signature};

/// Sizes of model files by name, as agents tell them.
#[derive(Clone, Debug, Default)]
pub(super) struct Sizes(HashMap<String, u64>);

impl Sizes {
    /// Of files of one name the largest counts.
    pub(super) fn learn(&mut self, files: &[ModelFile]) {
        for file in files {
            let Some(bytes) = file.bytes else { continue };
            if let Some(known) = self.0.get_mut(&file.name) {
                *known = bytes.max(*known);
            } else if self.0.len() < limits::MODEL_SIZES {
                self.0.insert(file.name.clone(), bytes);
            }
        }
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

pub(super) fn arrival_of(job: &Job, ticket: Ticket, kind: KindId) -> Arrival {
    Arrival {
        ticket,
        kind,
        tenant: tenant_of(job),
        weight: 1.0,
        rank: Rank::new(is_front(job), job.wishes.weight()),
        place: job.place.number,
        arrived: job.submitted_at.as_seconds(),
        deadline: job.wishes.deadline.map(UnixMillis::as_seconds),
    }
}

/// It was given a number that puts it before what came earlier: by `front`, by the client's own number, or moved there.
fn is_front(job: &Job) -> bool {
    job.place.number < job.place.arrival as f64
}

/// Whose share of the fleet it uses: a token's, or else a client's, or else an address's.
fn tenant_of(job: &Job) -> TenantId {
    let peer = job.peer.map(|peer| peer.to_string());
    match (&job.owner, &job.client_id) {
        (Some(owner), _) => TenantId::of(["owner", owner]),
        (None, Some(client)) => TenantId::of(["client", client.as_str()]),
        (None, None) => TenantId::of(["peer", peer.as_deref().unwrap_or_default()]),
    }
}
