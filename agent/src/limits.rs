//! Every period, deadline and bound of the agent.

use std::time::Duration;

use door::Limits;

/// How often processors, memory and GPUs are read. NVML's own figures do not change faster than this.
pub const READ_PERIOD: Duration = Duration::from_secs(1);

/// The first window of CPU utilization; the listener opens after it.
pub const FIRST_CPU_WINDOW: Duration = Duration::from_millis(200);

/// How often network counters and the agent's own process are read.
pub const COUNTER_PERIOD: Duration = Duration::from_secs(5);

/// How often filesystems are read: `statvfs` on each mount is the host's dearest question.
pub const STORAGE_PERIOD: Duration = Duration::from_secs(15);

/// How late a reading may be before it counts as failed.
pub const READ_DEADLINE: Duration = Duration::from_secs(2);

/// How long the start waits for the first window before it opens the listener without it.
pub const FIRST_SAMPLE_DEADLINE: Duration = Duration::from_secs(2);

/// First and longest pause before a driver that is missing or broken is looked for again.
pub const REOPEN_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// First and longest pause before the driver is opened anew because a GPU is lost.
pub const LOST_PAUSE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(600));

/// GPUs and fans that are read at most: bounds for what a broken driver may claim.
pub const GPUS: u32 = 64;
/// See [`GPUS`].
pub const FANS: u32 = 16;

/// Longest stretch between two utilization readings that speaks for the time between them; a longer one, as after
/// a hang, is left out of the busy seconds.
pub const INTEGRATED_GAP: Duration = Duration::from_secs(3);

/// How often engines, fans, the PCIe link, energy and the processes of a GPU are read: the process list alone takes
/// milliseconds under the driver's lock.
pub const GPU_MEDIUM_PERIOD: Duration = Duration::from_secs(5);

/// How often limits, memory errors, remapped rows and the MIG mode of a GPU are read.
pub const GPU_SLOW_PERIOD: Duration = Duration::from_secs(60);

/// MIG devices and processes of a GPU, XID errors in one reading, and different XID numbers that are told: bounds
/// for what a broken driver may claim.
pub const MIG_DEVICES: u32 = 16;
/// See [`MIG_DEVICES`].
pub const GPU_PROCESSES: usize = 1024;
/// See [`MIG_DEVICES`].
pub const XIDS_A_READING: usize = 64;
/// See [`MIG_DEVICES`].
pub const XID_NUMBERS: usize = 256;

/// How long the driver may refuse to be opened, after it had been open, until the agent under systemd ends so that
/// its unit is given the devices anew.
pub const REFUSAL_PATIENCE: Duration = Duration::from_secs(15);

/// NVML maps memory in proportion to the file descriptors that a process may have: 52 GB for a billion.
pub const FILE_DESCRIPTORS: u64 = 1024;

/// How long `/-/release` lets go of NVML by default, and at most.
pub const RELEASE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3600));

/// How long `/-/release` waits for the driver's call that is under way.
pub const RELEASE_PATIENCE: Duration = Duration::from_secs(5);

/// How often an AMD GPU is looked for where there is none.
pub const AMD_ABSENT_PERIOD: Duration = Duration::from_secs(60);

/// The longest text of a file in sysfs (one page), and of libdrm's list of names (some 20 KB today).
pub const SYSFS_BYTES: u64 = 4096;
/// See [`SYSFS_BYTES`].
pub const NAMES_BYTES: u64 = 1024 * 1024;

/// Sensors of a kind, blocks that count errors, and compute devices that are looked at: bounds for what a driver may
/// claim. A host of eight divided MI300X has 66 compute devices.
pub const SENSORS: u32 = 16;
/// See [`SENSORS`].
pub const RAS_BLOCKS: usize = 64;
/// See [`SENSORS`].
pub const KFD_NODES: usize = 256;

/// How often the folders of models are looked through.
pub const MODELS_PERIOD: Duration = Duration::from_secs(60);

/// Model files that are told of, folders that are gone through below one of `--models`, and how deep these may lie.
pub const MODEL_FILES: usize = 100_000;
/// See [`MODEL_FILES`].
pub const MODEL_FOLDERS: usize = 10_000;
/// See [`MODEL_FILES`].
pub const MODELS_DEPTH: usize = 16;

/// The coarsest timestamps of filesystems (FAT): what changed within may have changed again unseen.
pub const TIMESTAMP_GRANULARITY: Duration = Duration::from_secs(2);

/// How long a model file must have been left alone to be taken for complete, and how long a listing is trusted whatever
/// the folder's timestamp says.
pub const MODELS_SETTLED: Duration = Duration::from_secs(3600);
/// See [`MODELS_SETTLED`].
pub const MODELS_TRUST: Duration = Duration::from_secs(3600);

/// The shortest token that is taken: a shorter one can be guessed.
pub const TOKEN_CHARS: usize = 16;

/// The bounds of connections.
///
/// 256 in all, well below the file descriptors that a service is commonly given (1024). A connection is kept for 75 s
/// between requests, longer than scrapers commonly pause. Answers are made from memory: only a client that does not read
/// them, or never ends its request, is still there 1 s after the signal to stop.
pub const CONNECTIONS: Limits = Limits {
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
pub const BODY_BYTES: usize = 4 * 1024;

/// How often what this kernel does not have is looked for again.
pub const UNSUPPORTED_PERIOD: Duration = Duration::from_secs(60);

/// Control groups that are walked through, and processes and open files of one that are looked at, in search of
/// ComfyUI. Where there are more, it counts as not found out.
pub const CGROUPS: usize = 16_384;
/// See [`CGROUPS`].
pub const PROCESSES: usize = 32_768;
/// See [`CGROUPS`].
pub const OPEN_FILES: usize = 65_536;

/// Sockets that are looked through for those on ComfyUI's port, and datagrams that tell them.
pub const LISTENERS: usize = 65_536;
/// See [`LISTENERS`].
pub const LISTENER_DATAGRAMS: usize = 64;

/// How long the kernel may take to tell who listens: it answers at once or is broken.
pub const SOCK_DIAG_DEADLINE: Duration = Duration::from_secs(1);

/// By how much a PID file may seem older than the process that it names: the start of a process is known to a second.
pub const PID_FILE_SLACK_SECONDS: f64 = 2.0;
/// How long a reading waits for the filesystems of named folders; what has not answered is left out of it. Shorter than
/// [`READ_DEADLINE`], so that one that hangs does not spoil the others.
pub const FOLDER_PATIENCE: Duration = Duration::from_secs(1);
