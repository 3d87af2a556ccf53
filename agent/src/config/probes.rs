//! Which probes run: all, but for those that the operator takes out.

use clap::{Args, ValueEnum};

/// The flags that choose probes.
#[derive(Clone, Debug, Default, Args)]
pub struct Probes {
    /// Read these subjects alone; may be repeated
    #[arg(long, env = "ORCHESTRATOR_AGENT_PROBE", value_name = "PROBE", value_delimiter = ',')]
    probe: Vec<Subject>,

    /// Leave these subjects out; may be repeated. Of several agents on a host all but one want --no-probe host
    #[arg(
        long,
        env = "ORCHESTRATOR_AGENT_NO_PROBE",
        value_name = "PROBE",
        value_delimiter = ',',
        conflicts_with = "probe"
    )]
    no_probe: Vec<Subject>,
}

/// What can be read; the names are those of the label `probe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Subject {
    /// All of the machine but its GPUs: cpu, memory, disk, network, pressure
    Host,
    /// Processor time and load
    Cpu,
    /// Main memory and swap
    Memory,
    /// Filesystems and block devices
    Disk,
    /// Network interfaces
    Network,
    /// Time lost waiting for processors, memory, input and output
    Pressure,
    /// NVIDIA GPUs
    Gpu,
    /// AMD GPUs
    AmdGpu,
    /// Model files, where --models names folders of them
    Models,
    /// The ComfyUI beside the agent
    Comfyui,
    /// The agent's own process
    Process,
}

impl Subject {
    fn covers(self, other: Self) -> bool {
        let host = [Self::Cpu, Self::Memory, Self::Disk, Self::Network, Self::Pressure];
        self == other || (self == Self::Host && host.contains(&other))
    }
}

impl Probes {
    /// Whether a subject is to be read.
    pub fn wants(&self, subject: Subject) -> bool {
        let names = |list: &[Subject]| list.iter().any(|named| named.covers(subject));
        if self.probe.is_empty() { !names(&self.no_probe) } else { names(&self.probe) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probes(probe: &[Subject], no_probe: &[Subject]) -> Probes {
        Probes { probe: probe.to_vec(), no_probe: no_probe.to_vec() }
    }

    #[test]
    fn without_a_word_everything_is_read() {
        let all = Subject::value_variants();
        assert!(all.iter().all(|subject| probes(&[], &[]).wants(*subject)));
    }

    #[test]
    fn host_means_the_machine_without_its_gpus() {
        let others = probes(&[], &[Subject::Host]);
        assert!(!others.wants(Subject::Cpu) && !others.wants(Subject::Pressure));
        assert!(others.wants(Subject::Gpu) && others.wants(Subject::Process));
        let alone = probes(&[Subject::Host], &[]);
        assert!(alone.wants(Subject::Disk) && !alone.wants(Subject::Gpu));
    }
}
