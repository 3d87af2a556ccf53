//! Which process or control group ComfyUI is. A process is looked for anew only when another socket listens or the
//! process is gone: looking through the open files of all processes is dear. Where several would do, none is chosen:
//! figures of something else are worse than none.

use std::collections::BTreeSet;
use std::path::Path;

use super::cgroup::{Cgroup, Hierarchy, TooMany};
use super::listener::Listener;
use super::ownership::{self, Ownership};
use crate::probe::Failure;
use crate::probe::procfs::processes::{Process, Processes};

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found {
    /// ComfyUI does not run.
    Nowhere,
    /// It runs, and nothing more can be told.
    Somewhere,
    /// Something listens for a container engine, which hides who answers.
    Engine,
    /// It has a control group to itself.
    Cgroup { cgroup: Cgroup, pids: Vec<u32>, main: Option<Main> },
    /// It is this process, among others in a control group.
    Process(Process),
}

/// The main process of a control group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Main {
    pub(super) process: Process,
    /// Whether it holds the socket, or is alone; else it is the one that started first, which may be a launcher.
    pub(super) is_certain: bool,
}

/// Finds ComfyUI, and remembers where it was.
#[derive(Debug)]
pub(super) struct Search {
    processes: Processes,
    hierarchy: Option<Hierarchy>,
    numbered: Option<(u64, Option<Cgroup>)>,
    unit: Option<Cgroup>,
    seen: Option<Seen>,
}

/// What the last search came to.
#[derive(Debug)]
struct Seen {
    sockets: BTreeSet<u64>,
    main: Option<Main>,
}

/// What is known of a control group's processes.
enum Content {
    One(Cgroup, Vec<u32>),
    Many,
    Engine,
}

impl Search {
    pub(super) fn new(processes: Processes) -> Self {
        let hierarchy = Hierarchy::find(processes.proc());
        Self { processes, hierarchy, numbered: None, unit: None, seen: None }
    }

    /// The ComfyUI that listens with these sockets.
    pub(super) fn behind(&mut self, listeners: &[Listener]) -> Found {
        let Some(first) = listeners.first() else { return Found::Nowhere };
        if listeners.iter().any(|listener| listener.cgroup_id != first.cgroup_id) {
            return Found::Somewhere;
        }
        let sockets = listeners.iter().map(|listener| listener.inode).collect();
        let cgroup = first.cgroup_id.and_then(|id| self.numbered(id));
        match cgroup.map(|cgroup| self.content(cgroup)) {
            Some(Content::Engine) => Found::Engine,
            Some(Content::One(cgroup, pids)) => {
                let main = self.main(&pids, sockets);
                Found::Cgroup { cgroup, pids, main }
            }
            Some(Content::Many) | None => {
                self.holder(sockets).map_or(Found::Somewhere, |process| self.around(process))
            }
        }
    }

    /// The ComfyUI that runs as this unit, named by the last parts of its control group's path.
    ///
    /// # Errors
    /// Control groups cannot be read, several units have the name, or it is the agent's own.
    pub(super) fn unit(&mut self, unit: &Path) -> Result<Found, Failure> {
        let Some(cgroup) = self.running(unit)? else { return Ok(Found::Nowhere) };
        let pids = cgroup.pids().map_err(|TooMany| too_many())?;
        if self.processes.own().is_some_and(|own| pids.contains(&own)) {
            return Err(Failure::new(
                "own_unit",
                format!("{} holds the agent too; run ComfyUI as a unit of its own", cgroup.path),
            ));
        }
        let main = self.main(&pids, BTreeSet::new());
        Ok(Found::Cgroup { cgroup, pids, main })
    }

    /// The control group around a process, if it has one to itself, or else the process.
    pub(super) fn around(&self, process: Process) -> Found {
        let path = self.processes.cgroup_path(process.pid);
        let cgroup = path.and_then(|path| self.hierarchy.as_ref()?.at(&path));
        match cgroup.map(|cgroup| self.content(cgroup)) {
            Some(Content::Engine) => Found::Engine,
            // A path may mean another control group here than where the process is, if it is in a container.
            Some(Content::One(cgroup, pids)) if pids.contains(&process.pid) => {
                Found::Cgroup { cgroup, pids, main: Some(Main { process, is_certain: true }) }
            }
            _ => Found::Process(process),
        }
    }

    fn content(&self, cgroup: Cgroup) -> Content {
        match ownership::of(&cgroup.path) {
            Ownership::Engine => Content::Engine,
            Ownership::Many => Content::Many,
            Ownership::One => match cgroup.pids() {
                Ok(pids) if !self.processes.own().is_some_and(|own| pids.contains(&own)) => {
                    Content::One(cgroup, pids)
                }
                _ => Content::Many,
            },
        }
    }

    fn numbered(&mut self, id: u64) -> Option<Cgroup> {
        let is_current = match &self.numbered {
            Some((known, Some(cgroup))) => *known == id && cgroup.has_id(id),
            Some((known, None)) => *known == id,
            None => false,
        };
        if !is_current {
            let found = self.hierarchy.as_ref().and_then(|hierarchy| hierarchy.by_id(id).ok().flatten());
            self.numbered = Some((id, found));
        }
        self.numbered.as_ref()?.1.clone()
    }

    fn running(&mut self, unit: &Path) -> Result<Option<Cgroup>, Failure> {
        if let Some(known) = self.unit.as_ref().filter(|cgroup| cgroup.is_populated()) {
            return Ok(Some(known.clone()));
        }
        let hierarchy = self.hierarchy.as_ref().ok_or_else(no_hierarchy)?;
        let running = hierarchy.populated(unit).map_err(|TooMany| too_many())?;
        self.unit = match running.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            [one, other, ..] => return Err(ambiguous(one, other)),
        };
        Ok(self.unit.clone())
    }

    /// The main process among those of a control group.
    fn main(&mut self, pids: &[u32], sockets: BTreeSet<u64>) -> Option<Main> {
        let known = self.still(&sockets).filter(|main| pids.contains(&main.process.pid));
        let main = known.or_else(|| self.look(pids, &sockets));
        self.seen = Some(Seen { sockets, main });
        main
    }

    fn look(&self, pids: &[u32], sockets: &BTreeSet<u64>) -> Option<Main> {
        let held = |pid: &u32| (!sockets.is_empty()).then(|| self.processes.holds(*pid, sockets)).flatten();
        let holds: Vec<(u32, Option<bool>)> = pids.iter().map(|pid| (*pid, held(pid))).collect();
        if let Some(process) = self.oldest_holder(&holds) {
            return Some(Main { process, is_certain: true });
        }
        // If all could be looked into and none holds the socket, whoever does has moved to elsewhere.
        let is_open = holds.iter().any(|(_, holds)| holds.is_none());
        let process = is_open.then(|| self.processes.oldest(pids)).flatten()?;
        Some(Main { process, is_certain: pids.len() == 1 })
    }

    /// The process that holds these sockets, whichever it is.
    fn holder(&mut self, sockets: BTreeSet<u64>) -> Option<Process> {
        let known = self.seen.as_ref().filter(|seen| seen.sockets == sockets);
        if known.is_some_and(|seen| seen.main.is_none()) {
            return None;
        }
        let main = self.still(&sockets).filter(|main| main.is_certain).or_else(|| {
            let holds: Vec<(u32, Option<bool>)> = self
                .processes
                .all()
                .into_iter()
                .map(|pid| (pid, self.processes.holds(pid, &sockets)))
                .collect();
            self.oldest_holder(&holds).map(|process| Main { process, is_certain: true })
        });
        self.seen = Some(Seen { sockets, main });
        main.map(|main| main.process)
    }

    /// A child that was forked holds what its parent does.
    fn oldest_holder(&self, holds: &[(u32, Option<bool>)]) -> Option<Process> {
        let holders: Vec<u32> =
            holds.iter().filter(|(_, holds)| *holds == Some(true)).map(|(pid, _)| *pid).collect();
        self.processes.oldest(&holders)
    }

    /// The main process of the last search, as it is now, if it lives and the sockets are the same.
    fn still(&self, sockets: &BTreeSet<u64>) -> Option<Main> {
        let main = self.seen.as_ref().filter(|seen| seen.sockets == *sockets)?.main?;
        let process = self.processes.get(main.process.pid).filter(|process| process.is(&main.process))?;
        Some(Main { process, ..main })
    }
}

fn no_hierarchy() -> Failure {
    Failure::new(
        "unsupported",
        "control groups of version 2 are not mounted here, so units cannot be found; name ComfyUI with --comfyui or \
         --comfyui-pid-file",
    )
}

fn too_many() -> Failure {
    Failure::new(
        "too_many",
        "there are too many control groups or processes here to look through for ComfyUI's unit",
    )
}

fn ambiguous(one: &Cgroup, other: &Cgroup) -> Failure {
    let (one, other) = (&one.path, &other.path);
    Failure::new(
        "ambiguous",
        format!("{one} and {other} both run; name the one with more of its path in --comfyui-unit"),
    )
}
