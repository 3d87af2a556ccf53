//! Every period, deadline and bound of the agent.

use std::time::Duration;

use door::Limits;

/// How often processors, memory and GPUs are read. NVML's own figures do not change faster than this.
pub(crate) const READ_PERIOD: Duration = Duration::from_secs(1);

/// The first window of CPU utilization; the listener opens after it.
pub(crate) const FIRST_CPU_WINDOW: Duration = Duration::from_millis(200);

/// By how much less processor time the kernel may tell than before (node_exporter's figure); beyond that a processor was
/// taken away.
pub(crate) const CPU_CORRECTION_SECONDS: f64 = 3.0;

/// How often network counters and the agent's own process are read.
pub(crate) const COUNTER_PERIOD: Duration = Duration::from_secs(5);

/// Network interfaces that are told of; a host of many containers has one for each.
pub(crate) const INTERFACES: usize = 4096;

/// How often filesystems are read: `statvfs` on each mount is the host's dearest question.
pub(crate) const STORAGE_PERIOD: Duration = Duration::from_secs(15);

/// How late a reading may be before it counts as failed.
pub(crate) const READ_DEADLINE: Duration = Duration::from_secs(2);

/// How long the start waits for the first window before it opens the listener without it.
pub(crate) const FIRST_SAMPLE_DEADLINE: Duration = Duration::from_secs(2);

/// First and longest pause before a driver that is missing or broken is looked for again.
pub(crate) const REOPEN_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// First and longest pause before the driver is opened anew because a GPU is lost.
pub(crate) const LOST_PAUSE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// GPUs and fans that are read at most: bounds for what a broken driver may claim.
pub(crate) const GPUS: u32 = 64;
/// See [`GPUS`].
pub(crate) const FANS: u32 = 16;

/// GPUs of one maker that are remembered, so that one that vanishes is told as lost: twice as many as are read, for
/// machines whose GPUs are exchanged while they run.
pub(crate) const KNOWN_GPUS: usize = 128;

/// Longest stretch between two utilization readings that speaks for the time between them; a longer one, as after
/// a hang, is left out of the busy seconds.
pub(crate) const INTEGRATED_GAP: Duration = Duration::from_secs(3);

/// How often engines, fans, the PCIe link, energy and the processes of a GPU are read: the process list alone takes
/// milliseconds under the driver's lock.
pub(crate) const GPU_MEDIUM_PERIOD: Duration = Duration::from_secs(5);

/// How often limits, memory errors, remapped rows and the MIG mode of a GPU are read.
pub(crate) const GPU_SLOW_PERIOD: Duration = Duration::from_secs(60);

/// MIG devices and processes of a GPU, XID errors in one reading, and different XID numbers that are told: bounds
/// for what a broken driver may claim.
pub(crate) const MIG_DEVICES: u32 = 16;
/// See [`MIG_DEVICES`].
pub(crate) const GPU_PROCESSES: usize = 1024;
/// See [`MIG_DEVICES`].
pub(crate) const XIDS_A_READING: usize = 1024;
/// See [`MIG_DEVICES`].
pub(crate) const XID_NUMBERS: usize = 256;

/// How long the driver may refuse to be opened, after it had been open, until the agent under systemd ends so that
/// its unit is given the devices anew.
pub(crate) const REFUSAL_PATIENCE: Duration = Duration::from_secs(15);

/// NVML maps memory in proportion to the file descriptors that a process may have: 52 GB for a billion.
pub(crate) const FILE_DESCRIPTORS: u64 = 1024;

/// How long `/-/release` lets go of NVML by default, and at most.
pub(crate) const RELEASE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));

/// How long `/-/release` waits for the driver's call that is under way.
pub(crate) const RELEASE_PATIENCE: Duration = Duration::from_secs(5);

/// How often an AMD GPU is looked for where there is none.
pub(crate) const AMD_ABSENT_PERIOD: Duration = Duration::from_secs(60);

/// The longest text of a file in sysfs (one page), and of libdrm's list of names (some 20 KB today).
pub(crate) const SYSFS_BYTES: u64 = 4096;
/// See [`SYSFS_BYTES`].
pub(crate) const NAMES_BYTES: u64 = 1024 * 1024;

/// Sensors of a kind, blocks that count errors, and compute devices that are looked at: bounds for what a driver may
/// claim. A host of eight divided MI300X has 66 compute devices.
pub(crate) const SENSORS: u32 = 16;
/// See [`SENSORS`].
pub(crate) const RAS_BLOCKS: usize = 64;
/// See [`SENSORS`].
pub(crate) const KFD_NODES: usize = 256;

/// Folders of models that cannot be read and are named in the log one by one.
pub(crate) const MODEL_WARNINGS: usize = 16;

/// How often the folders of models are looked through.
pub(crate) const MODELS_PERIOD: Duration = Duration::from_secs(60);

/// How late a look through them may be: thousands of folders on a slow disk or a server take their time, and the list
/// before holds meanwhile.
pub(crate) const MODELS_DEADLINE: Duration = Duration::from_secs(60);

/// Model files that are told of, folders that are gone through below one of `--models`, and how deep these may lie.
pub(crate) const MODEL_FILES: usize = 100_000;
/// See [`MODEL_FILES`].
pub(crate) const MODEL_FOLDERS: usize = 10_000;
/// See [`MODEL_FILES`].
pub(crate) const MODELS_DEPTH: usize = 16;

/// The coarsest timestamps of filesystems (FAT): what changed within may have changed again unseen.
pub(crate) const TIMESTAMP_GRANULARITY: Duration = Duration::from_secs(2);

/// How long a model file must have been left alone to be taken for complete, and how long a listing is trusted whatever
/// the folder's timestamp says.
pub(crate) const MODELS_SETTLED: Duration = Duration::from_secs(3600);
/// See [`MODELS_SETTLED`].
pub(crate) const MODELS_TRUST: Duration = Duration::from_secs(3600);

/// The shortest token that is taken: a shorter one can be guessed.
pub(crate) const TOKEN_CHARS: usize = 16;

/// The bounds of connections.
///
/// 256 in all, well below the file descriptors that a service is commonly given (1024). A connection is kept for 75 s
/// between requests, longer than scrapers commonly pause. Answers are made from memory: only a client that does not read
/// them, or never ends its request, is still there 1 s after the signal to stop.
pub(crate) const CONNECTIONS: Limits = Limits {
    total: 256,
    per_address: 64,
    refusals: 16,
    refusal: Duration::from_secs(1),
    handshake: Duration::from_secs(10),
    request: Duration::from_secs(10),
    bytes_a_second: 64 * 1024,
    idle: Duration::from_secs(75),
    stall: Duration::from_secs(10),
    head_bytes: 16 * 1024,
    stop: Duration::from_secs(1),
};

/// A request's body. No route wants one; some clients send an empty document.
pub(crate) const BODY_BYTES: usize = 4 * 1024;

/// How often what this kernel does not have is looked for again.
pub(crate) const UNSUPPORTED_PERIOD: Duration = Duration::from_secs(60);

/// Control groups that are walked through, and processes and open files of one that are looked at, in search of
/// ComfyUI. Where there are more, it counts as not found out.
pub(crate) const CGROUPS: usize = 16_384;
/// See [`CGROUPS`].
pub(crate) const PROCESSES: usize = 32_768;
/// See [`CGROUPS`].
pub(crate) const OPEN_FILES: usize = 65_536;

/// Sockets that are looked through for those on ComfyUI's port, and datagrams that tell them.
pub(crate) const LISTENERS: usize = 65_536;
/// See [`LISTENERS`].
pub(crate) const LISTENER_DATAGRAMS: usize = 64;

/// How long the kernel may take to tell who listens: it answers at once or is broken.
pub(crate) const SOCK_DIAG_DEADLINE: Duration = Duration::from_secs(1);

/// By how much a PID file may seem older than the process that it names: the start of a process is known to a second.
pub(crate) const PID_FILE_SLACK_SECONDS: f64 = 2.0;
/// How long a reading waits for the filesystems of named folders; what has not answered is left out of it. Shorter than
/// [`READ_DEADLINE`], so that one that hangs does not spoil the others.
pub(crate) const FOLDER_PATIENCE: Duration = Duration::from_secs(1);
