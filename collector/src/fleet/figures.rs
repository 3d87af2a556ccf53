//! What an agent tells of a backend's machine, in the form in which decisions and lists use it: every figure with the time
//! at which it was read, and none that is stale. Pure.

use std::sync::Arc;
use std::time::Duration;

use report::{ModelFile, NodeMetrics, Report};

use super::Read;
use super::condition::Condition;
use crate::clock::UnixMillis;
use crate::limits;

/// One answer of an agent, or of the old Python node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// As who asks for the old node's document reads it.
    pub document: NodeMetrics,
    pub host: Host,
    /// The GPUs of its ComfyUI: those on which that has memory, or else those that the agent speaks for.
    pub gpus: Vec<Gpu>,
    pub comfyui: Option<Read<Process>>,
    /// The model files of the host; shared from one answer to the next.
    pub models: Option<Arc<[ModelFile]>>,
    /// How old a figure may be before it is unknown.
    pub fresh_for: Duration,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    pub cpu_utilization_ratio: Option<Read<f64>>,
    pub memory: Option<Read<Memory>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Memory {
    pub total_bytes: u64,
    pub available_bytes: u64,
}

/// ComfyUI's process, as its machine sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Process {
    /// By the machine's own clock, so it is compared with itself only.
    pub start_time_seconds: f64,
    pub memory_bytes: Option<u64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gpu {
    pub uuid: Option<String>,
    pub name: Option<String>,
    pub at: UnixMillis,
    pub total_bytes: Option<u64>,
    /// Without what the driver keeps for itself, where that can be told.
    pub used_bytes: Option<u64>,
    pub free_bytes: Option<u64>,
    /// What ComfyUI's processes hold of it. Read more seldom than the rest.
    pub own: Option<Read<u64>>,
    /// What all others hold of it: what is in use, less its own at the same moment.
    pub others: Option<Read<u64>>,
    pub utilization_ratio: Option<f64>,
    pub temperature_celsius: Option<f64>,
    pub power_watts: Option<f64>,
    pub condition: Condition,
}

impl Process {
    /// Another process than before stands in its place. An agent that was restarted works the time out anew, to a second.
    pub fn is_another_than(&self, before: &Self) -> bool {
        (self.start_time_seconds - before.start_time_seconds).abs() > 2.0
    }
}

impl Gpu {
    pub fn is_fresh(&self, fresh_for: Duration, now: UnixMillis) -> bool {
        now - self.at <= fresh_for
    }
}

impl Figures {
    /// Of a report that was received at `at`. `before` is the answer before it: model files, and what is others', come from
    /// there where this one cannot tell.
    pub fn of(report: Report, at: UnixMillis, fresh_for: Duration, before: Option<&Self>) -> Self {
        let comfyui = report.comfyui.unwrap_or_default();
        let process = comfyui.process_start_time_seconds.map(|start_time_seconds| {
            let process = Process { start_time_seconds, memory_bytes: comfyui.memory_bytes };
            Read { at: read_at(at, comfyui.age_seconds), value: process }
        });
        let is_own = |gpu: &report::Gpu| own_bytes(gpu, &comfyui).is_some();
        let has_own = report.gpus.iter().any(is_own);
        let its =
            report.gpus.iter().filter(|gpu| if has_own { is_own(gpu) } else { gpu.chosen == Some(true) });
        let mut gpus: Vec<Gpu> = its.map(|gpu| Gpu::of(gpu, &comfyui, at, before)).collect();
        gpus.sort_by_key(|gpu| std::cmp::Reverse(gpu.own.as_ref().map(|own| own.value)));
        Self {
            document: report.node_metrics.unwrap_or_default(),
            host: Host::of(&report.host, at),
            gpus,
            comfyui: process,
            models: report.models.map(|models| models.files).or_else(|| before?.models.clone()),
            fresh_for,
        }
    }

    /// Of the old node's document: one GPU, whose memory counts what the driver keeps, and nothing of any process.
    pub fn of_node(document: NodeMetrics, at: UnixMillis, fresh_for: Duration) -> Self {
        let bytes = |mebibytes: Option<u64>| mebibytes.map(|mebibytes| mebibytes.saturating_mul(1 << 20));
        let memory = bytes(document.ram_total)
            .zip(bytes(document.ram_used))
            .map(|(total, used)| Memory { total_bytes: total, available_bytes: total.saturating_sub(used) });
        let cpu = document.cpu_utilization.map(|percent| percent / 100.0);
        let (total_bytes, used_bytes) = (bytes(document.gpu_memory_total), bytes(document.gpu_memory_used));
        let gpu = total_bytes.map(|total| Gpu {
            name: document.gpu_name.clone(),
            at,
            total_bytes,
            used_bytes,
            free_bytes: used_bytes.map(|used| total.saturating_sub(used)),
            utilization_ratio: document.gpu_utilization.map(|percent| f64::from(percent) / 100.0),
            temperature_celsius: document.gpu_temperature.map(f64::from),
            ..Gpu::default()
        });
        let read = |value| Read { at, value };
        Self {
            host: Host {
                cpu_utilization_ratio: cpu.map(read),
                memory: memory.map(|value| Read { at, value }),
            },
            gpus: gpu.into_iter().collect(),
            document,
            fresh_for,
            ..Self::default()
        }
    }

    /// The GPU that its ComfyUI works on, if it can be told which that is and the figures are fresh.
    pub fn gpu(&self, now: UnixMillis) -> Option<&Gpu> {
        let first = self.gpus.first()?;
        let is_certain = self.gpus.len() == 1 || first.own.is_some();
        (is_certain && first.is_fresh(self.fresh_for, now)).then_some(first)
    }

    pub fn is_fresh<T>(&self, read: &Read<T>, now: UnixMillis) -> bool {
        now - read.at <= self.fresh_for
    }

    /// Several ComfyUIs share one agent, which can have found but one of them.
    pub(super) fn without_process(&self) -> Self {
        let mut figures = Self { comfyui: None, ..self.clone() };
        figures.gpus.iter_mut().for_each(|gpu| (gpu.own, gpu.others) = (None, None));
        figures
    }
}

impl Host {
    fn of(host: &report::Host, at: UnixMillis) -> Self {
        let cpu = host
            .cpu
            .as_ref()
            .and_then(|cpu| Some(Read { at: read_at(at, cpu.age_seconds), value: cpu.utilization_ratio? }));
        let memory = host.memory.as_ref().and_then(|memory| {
            let (total_bytes, available_bytes) = memory.total_bytes.zip(memory.available_bytes)?;
            Some(Read { at: read_at(at, memory.age_seconds), value: Memory { total_bytes, available_bytes } })
        });
        Self { cpu_utilization_ratio: cpu, memory }
    }
}

impl Gpu {
    fn of(gpu: &report::Gpu, comfyui: &report::ComfyUi, at: UnixMillis, before: Option<&Figures>) -> Self {
        let read = read_at(at, gpu.age_seconds);
        let memory = gpu.memory.as_ref().or(gpu.memory_v1.as_ref()).cloned().unwrap_or_default();
        let own_age = gpu.tier_age_seconds.get("5s").copied().or(gpu.age_seconds);
        let own = own_bytes(gpu, comfyui).map(|value| Read { at: read_at(at, own_age), value });
        let others = others(memory.used_bytes, read, own.as_ref());
        Self {
            uuid: gpu.uuid.clone(),
            name: gpu.name.clone(),
            at: read,
            total_bytes: memory.total_bytes,
            used_bytes: memory.used_bytes,
            free_bytes: memory.free_bytes,
            others: others.or_else(|| known_others(gpu, own.as_ref(), before)),
            own,
            utilization_ratio: gpu.utilization_ratio,
            temperature_celsius: gpu.temperature_celsius,
            power_watts: gpu.power_watts,
            condition: Condition::of(gpu),
        }
    }
}

fn own_bytes(gpu: &report::Gpu, comfyui: &report::ComfyUi) -> Option<u64> {
    comfyui.gpu_memory_bytes.get(gpu.uuid.as_ref()?).copied()
}

/// Only of two figures of one moment: between two moments ComfyUI itself may have loaded a model.
fn others(used: Option<u64>, used_at: UnixMillis, own: Option<&Read<u64>>) -> Option<Read<u64>> {
    let own = own?;
    let apart = (used_at - own.at).max(own.at - used_at);
    (apart <= limits::SAME_MOMENT).then_some(Read { at: own.at, value: used?.saturating_sub(own.value) })
}

fn known_others(gpu: &report::Gpu, own: Option<&Read<u64>>, before: Option<&Figures>) -> Option<Read<u64>> {
    own?;
    before?.gpus.iter().find(|known| known.uuid == gpu.uuid)?.others.clone()
}

/// What carries no age was read when it was told.
fn read_at(at: UnixMillis, age_seconds: Option<f64>) -> UnixMillis {
    let age = Duration::try_from_secs_f64(age_seconds.unwrap_or(0.0)).unwrap_or_default();
    at.before(age)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const GIB: u64 = 1 << 30;
    const AT: UnixMillis = UnixMillis(100_000);
    const FRESH_FOR: Duration = Duration::from_secs(15);

    fn read(report: Value, before: Option<&Figures>) -> Figures {
        Figures::of(serde_json::from_value(report).unwrap(), AT, FRESH_FOR, before)
    }

    fn gpu(uuid: &str, used_gib: u64, age_seconds: f64, own_age_seconds: f64) -> Value {
        let memory = json!({"total_bytes": 24 * GIB, "used_bytes": used_gib * GIB, "free_bytes": (24 - used_gib) * GIB});
        json!({"uuid": uuid, "chosen": true, "memory": memory, "age_seconds": age_seconds,
               "tier_age_seconds": {"5s": own_age_seconds}})
    }

    fn figures(gpus: &[Value], own: &Value, before: Option<&Figures>) -> Figures {
        read(json!({"gpus": gpus, "comfyui": {"gpu_memory_bytes": own}}), before)
    }

    #[test]
    fn what_is_others_is_what_is_used_less_its_own_at_the_same_moment() {
        let own = json!({"a": 6 * GIB});
        let first = figures(&[gpu("a", 9, 0.5, 1.0)], &own, None);
        assert_eq!(first.gpus[0].others, Some(Read { at: UnixMillis(99_000), value: 3 * GIB }));
        // It has loaded since its own memory was read: that is not others'.
        let later = figures(&[gpu("a", 20, 0.5, 4.0)], &own, Some(&first));
        assert_eq!(later.gpus[0].others, first.gpus[0].others);
        assert_eq!(figures(&[gpu("a", 20, 0.5, 4.0)], &own, None).gpus[0].others, None);
        assert_eq!(figures(&[gpu("a", 20, 0.5, 1.0)], &json!({}), Some(&first)).gpus[0].others, None);
    }

    #[test]
    fn its_gpus_are_those_where_it_has_memory_or_else_those_that_the_agent_speaks_for() {
        let all = [gpu("a", 1, 0.0, 0.0), gpu("b", 2, 0.0, 0.0), gpu("c", 3, 0.0, 0.0)];
        for (own, uuids, main) in [
            (json!({"b": GIB}), vec!["b"], Some("b")),
            (json!({"a": GIB, "c": 2 * GIB}), vec!["c", "a"], Some("c")),
            (json!({}), vec!["a", "b", "c"], None),
        ] {
            let figures = figures(&all, &own, None);
            let found: Vec<_> = figures.gpus.iter().filter_map(|gpu| gpu.uuid.as_deref()).collect();
            assert_eq!(found, uuids);
            assert_eq!(figures.gpu(AT).and_then(|gpu| gpu.uuid.as_deref()), main);
        }
        let not_chosen = json!({"uuid": "d", "chosen": false});
        assert_eq!(figures(&[not_chosen], &json!({}), None).gpus, []);
    }

    #[test]
    fn a_figure_that_is_stale_is_unknown() {
        let figures = figures(&[gpu("a", 9, 3.0, 3.0)], &json!({"a": GIB}), None);
        assert!(figures.gpu(UnixMillis(112_000)).is_some());
        assert!(figures.gpu(UnixMillis(112_001)).is_none());
    }

    #[test]
    fn model_files_are_kept_from_an_answer_that_listed_them_to_those_that_do_not() {
        let listed = json!({"models": {"files": [{"folder": "vae", "name": "a.pt", "bytes": 7}]}});
        let first = read(listed, None);
        let later = read(json!({}), Some(&first));
        assert!(Arc::ptr_eq(&first.models.unwrap(), &later.models.unwrap()));
    }

    #[test]
    fn what_a_report_does_not_tell_is_unknown() {
        assert_eq!(read(json!({}), None), Figures { fresh_for: FRESH_FOR, ..Figures::default() });
        let lost = json!({"gpus": [{"uuid": "a", "chosen": true, "up": false}]});
        assert_eq!(read(lost, None).gpu(AT).unwrap().used_bytes, None);
    }

    #[test]
    fn the_old_nodes_document_tells_of_its_gpu_and_of_no_process() {
        let document = serde_json::from_value(json!({
            "cpu_utilization": 12.5, "ram_total": 64, "ram_used": 16, "gpu_memory_total": 24, "gpu_memory_used": 10,
        }));
        let figures = Figures::of_node(document.unwrap(), AT, FRESH_FOR);
        let gpu = figures.gpu(AT).unwrap();
        assert_eq!((gpu.free_bytes, &gpu.own, &gpu.others), (Some(14 << 20), &None, &None));
        let memory = figures.host.memory.unwrap().value;
        assert_eq!(memory, Memory { total_bytes: 64 << 20, available_bytes: 48 << 20 });
        assert_eq!(figures.host.cpu_utilization_ratio.unwrap().value, 0.125);
        assert_eq!(Figures::of_node(NodeMetrics::default(), AT, FRESH_FOR).gpu(AT), None);
    }

    #[test]
    fn another_process_is_told_from_the_same_one_seen_by_an_agent_that_was_restarted() {
        let started = |start_time_seconds| Process { start_time_seconds, memory_bytes: None };
        assert!(!started(1000.4).is_another_than(&started(1001.2)));
        assert!(started(1010.0).is_another_than(&started(1000.0)));
    }
}
