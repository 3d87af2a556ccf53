//! Every bound in one place. At a bound there is a clear refusal, never growth.

use std::ops::RangeInclusive;
use std::time::Duration;

use door::Limits;

/// Jobs that wait or run. Beyond it `POST /prompt` answers 429.
pub const LIVE_JOBS: usize = 100_000;
/// Ended jobs that are remembered, by default; the oldest-ended go first. ComfyUI itself keeps as many.
pub const HISTORY_JOBS: u64 = 10_000;
/// The most that may be configured. All of them stay in the database, and nothing that is done as a matter of course looks
/// through them all.
pub const HISTORY_JOBS_MOST: u64 = 10_000_000;
/// Bytes of the documents and results of ended jobs, by default, and the least that may be configured.
pub const HISTORY_BYTES: u64 = 1024 * 1024 * 1024;
pub const HISTORY_BYTES_LEAST: u64 = 1024 * 1024;
/// Ended jobs that are forgotten in one commit.
pub const HISTORY_TRIM_STEP: usize = 128;
/// Pause between two looks for ended jobs to forget, and the longest time without one.
pub const HISTORY_LOOK_PAUSE: Duration = Duration::from_secs(1);
pub const HISTORY_LOOK_EVERY: Duration = Duration::from_secs(60);
/// Waiting jobs in one answer of `/queue`, which holds whole prompts.
pub const QUEUE_PAGE: usize = 10_000;
/// Jobs in one answer of `/history`, whatever `max_items` asks for.
pub const HISTORY_PAGE: u64 = 10_000;
/// Jobs in a list that needs none of the passes of `LARGE_ANSWERS`.
pub const LIST_WITHOUT_PASS: u64 = 1000;
/// Jobs in one answer of our own list, and how many where none is asked for.
pub const JOBS_PAGE: u64 = 1000;
pub const JOBS_PAGE_UNASKED: u64 = 100;
/// Body of a request, by default; ComfyUI's own `--max-upload-size` is as large.
pub const BODY_BYTES: usize = 100 * 1024 * 1024;
/// Body of any request but an upload: a document that is parsed takes many times its length in memory.
pub const DOCUMENT_BYTES: usize = 16 * 1024 * 1024;
/// A file that a command reads: a workflow, a picture, the node classes of a server.
pub const COMMAND_INPUT_BYTES: u64 = 64 * 1024 * 1024;
/// A file that `submit --out` saves: longer than any film.
pub const SAVED_FILE_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// Files of one name that it saves into one folder, as `name (1).png`, `name (2).png`.
pub const SAME_NAMES: usize = 10_000;
/// How long `submit --follow` waits for a collector that does not answer.
pub const FOLLOW_WITHOUT_SERVER: Duration = Duration::from_secs(600);
/// The longest file of a token or of an authority's certificates.
pub const SECRET_FILE_BYTES: u64 = 1024 * 1024;
/// Answers of `/history` and `/queue` that are made at once: each may hold thousands of whole prompts.
pub const LARGE_ANSWERS: usize = 2;
/// Nodes of a prompt.
pub const PROMPT_NODES: usize = 10_000;
/// Inputs that a page offers to be changed.
pub const KNOBS: usize = 64;
/// Length of a client's name.
pub const CLIENT_ID_BYTES: usize = 256;
/// By a longer id of a workflow its jobs are not found.
pub const WORKFLOW_ID_BYTES: usize = 512;
/// Files that clients have uploaded, and their bytes in all.
pub const UPLOADED_FILES: usize = 100_000;
pub const UPLOADED_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// A file is kept in a bucket in parts of so many bytes, so many at a time.
pub const CONTENT_PART_BYTES: usize = 8 * 1024 * 1024;
/// See [`CONTENT_PART_BYTES`].
pub const CONTENT_PARTS: usize = 2;
/// How often, and for how long, a store that speaks S3 is asked again.
pub const BUCKET_RETRIES: usize = 3;
/// See [`BUCKET_RETRIES`].
pub const BUCKET_WITHIN: Duration = Duration::from_secs(30);
/// How long it may take with one answer.
pub const BUCKET_ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// Files of one job that are archived, those that are copied at once, and those that are looked at together.
pub const COPIES_OF_A_JOB: usize = 10_000;
/// See [`COPIES_OF_A_JOB`].
pub const COPIES_AT_ONCE: usize = 4;
/// See [`COPIES_OF_A_JOB`].
pub const COPIES_A_LOOK: i64 = 16;
/// When a file that its backend could not read is tried again, and for how long.
pub const COPY_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// When a backend that could not be reached is tried again.
pub const BACKEND_AGAIN_AFTER: Duration = Duration::from_secs(180);
/// See [`COPY_AGAIN_AFTER`].
pub const COPY_TRIED_FOR: Duration = Duration::from_hours(7 * 24);
/// Bytes of all copies, by default.
pub const ARCHIVE_BYTES: u64 = 100 * 1024 * 1024 * 1024;
/// One part of an uploaded file's path: what Linux allows.
pub const FILE_NAME_BYTES: usize = 255;
/// What a picture may take decoded, and those that are decoded at once.
pub const PICTURE_BYTES: u64 = 256 * 1024 * 1024;
pub const PICTURES_AT_ONCE: usize = 2;
/// One compressed text in a picture, opened.
pub const PICTURE_TEXT_BYTES: usize = 64 * 1024 * 1024;
/// An agent's report: a list of 100,000 model files, which is the agent's own bound, is half of it.
pub const AGENT_ANSWER_BYTES: usize = 32 * 1024 * 1024;
/// How old an agent's figure may be before it is unknown; three of its polls, where these are further apart.
pub const FIGURES_FRESH: Duration = Duration::from_secs(15);
/// How old ComfyUI's own figures may be before they show nothing of what was freed.
pub const STATS_FRESH: Duration = Duration::from_secs(60);
/// Two figures read no further apart than this are of one moment.
pub const SAME_MOMENT: Duration = Duration::from_millis(1500);
/// Model folders of one backend.
pub const MODEL_FOLDERS: usize = 256;
/// Path of an uploaded file below the input folder.
pub const UPLOAD_PATH_BYTES: usize = 512;

/// A file that no name stands for may be on its way yet, where several collectors share a directory.
pub const UPLOAD_UNDER_WAY: Duration = Duration::from_secs(600);

/// Changes that wait for the store's writer, and those that it commits as one transaction.
pub const CHANGES_WAITING: usize = 4096;
pub const CHANGES_A_COMMIT: usize = 256;
/// Connections to a database server besides the one that commits, and how long a commit or anything else may take there.
pub const DATABASE_CONNECTIONS: usize = 8;
pub const DATABASE_COMMIT_WITHIN: Duration = Duration::from_secs(10);
/// See [`DATABASE_COMMIT_WITHIN`]; and how old a commit may be by which a job is sent without another look.
pub const DATABASE_CONFIRM_WITHIN: Duration = Duration::from_secs(2);
/// See [`DATABASE_CONFIRM_WITHIN`].
pub const CONFIRM_AFTER: Duration = Duration::from_millis(500);
/// How long another collector may acknowledge nothing until connections to it end; the database server is told as much of ours.
pub const PEER_SILENT_FOR: Duration = Duration::from_secs(6);
/// How often a collector looks whether another has taken over its database.
pub const LOOKS_WHETHER_IT_LEADS: Duration = Duration::from_secs(1);
/// See [`DATABASE_COMMIT_WITHIN`].
pub const DATABASE_READ_WITHIN: Duration = Duration::from_secs(30);

/// Attempts of one job, and the most that one may ask for. Those that reached no backend do not count.
pub const ATTEMPTS: u32 = 3;
/// See [`ATTEMPTS`].
pub const ATTEMPTS_MOST: u32 = 10;
/// What a job's priority may be.
pub const PRIORITY: RangeInclusive<f64> = 0.01..=100.0;
/// How far ahead a deadline may lie.
pub const DEADLINE_AHEAD: Duration = Duration::from_hours(366 * 24);
/// Address of a webhook, and what one is sent.
pub const WEBHOOK_URL_BYTES: usize = 2048;
/// See [`WEBHOOK_URL_BYTES`].
pub const WEBHOOK_BODY_BYTES: usize = 64 * 1024;
/// Webhooks that wait to be sent; beyond it they are given up. And how long one is tried.
pub const WEBHOOKS_WAITING: usize = 10_000;
/// See [`WEBHOOKS_WAITING`].
pub const WEBHOOK_AGE: Duration = Duration::from_hours(24);
/// Webhooks that are sent at once, in all and to one receiver, and what each may take.
pub const WEBHOOKS_AT_ONCE: usize = 32;
/// See [`WEBHOOKS_AT_ONCE`].
pub const WEBHOOKS_A_RECEIVER: usize = 4;
/// See [`WEBHOOKS_AT_ONCE`].
pub const WEBHOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// Traces that wait to be sent; beyond it the oldest are given up. Those that are sent together, and how long is waited for them.
pub const TRACES_WAITING: usize = 4096;
/// See [`TRACES_WAITING`].
pub const TRACES_A_BATCH: usize = 64;
/// See [`TRACES_WAITING`].
pub const TRACES_GATHERED_FOR: Duration = Duration::from_secs(1);
/// How long a batch may take, and all that is left when the program is told to stop.
pub const TRACES_SENT_WITHIN: Duration = Duration::from_secs(10);
/// See [`TRACES_SENT_WITHIN`].
pub const TRACES_STOP_WITHIN: Duration = Duration::from_secs(3);
/// Attempts that a trace tells of, the last ones, and the length of its texts.
pub const TRACE_ATTEMPTS: usize = 32;
/// See [`TRACE_ATTEMPTS`].
pub const TRACE_TEXT_CHARS: usize = 1024;
/// Tags of one backend, and those that a job may ask for.
pub const TAGS: usize = 16;
/// Waiting jobs of which is foreseen where and when they begin.
pub const FORESEEN: usize = 1000;
/// Waiting jobs of which a figure says why they wait.
pub const WAITING_JUDGED: usize = 1000;
/// Changes of the queue that dispatch can catch up with one by one; where there were more it looks at the whole queue.
pub const LEDGER_CHANGES: usize = 4096;
/// Run times that are kept over restarts, of the [`RUN_ESTIMATES`] the latest.
pub const RUN_ESTIMATES_KEPT: usize = 2048;
/// Kinds of jobs whose GPU memory is remembered, the classes of GPU of each, and the runs on each.
pub const VRAM_SIGNATURES: usize = 2048;
/// See [`VRAM_SIGNATURES`].
pub const VRAM_CLASSES: usize = 8;
/// See [`VRAM_SIGNATURES`].
pub const VRAM_PEAKS: usize = 8;
/// Models of which is remembered how often they are asked for, and run times that are remembered; beyond it the older half
/// is forgotten.
pub const MODELS_IN_DEMAND: usize = 8192;
/// Model files whose size is remembered.
pub const MODEL_SIZES: usize = 65_536;
pub const RUN_ESTIMATES: usize = 16_384;
/// Frames of a running job that are kept until a backend's answer tells under which id they come.
pub const EARLY_FRAMES: usize = 256;
/// Lookups, dispatches and conclusions under way at once.
pub const COMMANDS_UNDER_WAY: usize = 1024;
/// Frames on their way from backends' sockets to dispatch.
pub const SOCKET_FRAMES: usize = 4096;
/// Backends of the fleet, those of the configuration with those added since.
pub const BACKENDS: usize = 1000;
/// Changes of the fleet by operators that wait for the one under way.
pub const ROSTER_REQUESTS: usize = 64;
/// Observations on their way to the fleet's owner.
pub const OBSERVATIONS: usize = 1024;
/// Requests of clients (interrupt, cancel, free) on their way to dispatch.
pub const REQUESTS: usize = 256;
/// Names of delivered files remembered a backend; beyond it they are delivered again.
pub const DELIVERED_FILES: usize = 10_000;

/// How long one frame may take to reach a client that reads slowly.
pub const CLIENT_SEND: Duration = Duration::from_secs(30);
/// Clients that follow a job or the fleet by server-sent events.
pub const FOLLOWERS: usize = 1000;
/// Changes of the fleet and of jobs that are kept for those who follow; whoever falls further behind begins anew.
pub const JOURNAL_NEWS: usize = 4096;
/// Changes of jobs on their way to that journal.
pub const CHANGES_TOLD: usize = 4096;
/// A line that says nothing, so that no proxy takes a quiet stream for a dead one.
pub const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
/// WebSockets of clients.
pub const CLIENT_SOCKETS: usize = 10_000;
/// Frames waiting for one client. Beyond the first bound the oldest preview or progress is dropped; a client that has
/// let the second fill with what must not be lost is disconnected, and finds everything in `/history`.
pub const CLIENT_FRAMES: usize = 256;
pub const CLIENT_FRAMES_HARD: usize = 4096;
/// A message that a client sends on its socket: feature flags, nothing longer.
pub const CLIENT_MESSAGE_BYTES: usize = 64 * 1024;

/// How long a backend must have refused connections until its process counts as gone, and with it what it ran.
pub const GONE_AFTER: Duration = Duration::from_secs(3);
/// Failures in a row (other than a refused connection) until a backend counts as down.
pub const FAILURES_UNTIL_DOWN: u32 = 3;
/// Pause between the two lookups that must both miss a job before it counts as not run.
pub const LOOKUP_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long a ComfyUI still tidies up after a job that failed: told meanwhile to free its memory, it may do so only after
/// its next job.
pub const TIDIES_UP_FOR: Duration = Duration::from_millis(500);
/// How long after its queue has changed a backend may keep silent on its WebSocket until that is opened again.
pub const SOCKET_TELLS_WITHIN: Duration = Duration::from_secs(3);
/// How long a backend that reports an empty queue may keep silent about the job it was given.
pub const SILENT_AFTER: Duration = Duration::from_secs(5);
/// How long a job may be silent on any backend until it is looked up there, while it is not known how often it speaks.
pub const ANY_SILENCE: Duration = Duration::from_secs(60);
/// And at least, where that is known.
pub const LEAST_SILENCE: Duration = Duration::from_secs(30);
/// Model sets of which it is remembered how often their jobs speak.
pub const PACES: usize = 1024;
/// Pause between two times that what was learned of memory and silences is kept.
pub const KEEP_LEARNED_EVERY: Duration = Duration::from_secs(60);
/// How long after a ComfyUI was restarted its agent may still tell of the process before.
pub const PROCESS_SEEN_WITHIN: Duration = Duration::from_secs(30);
/// Entries of a backend's history searched for a job whose id there is not known.
pub const HISTORY_SEARCH: u64 = 500;
/// Tokens in the file of tokens.
pub const TOKENS: usize = 1000;
/// Jobs of a token with a bound that are weighed at a time, while it may begin one.
pub const SHOWN_OF_AN_OWNER: usize = 1000;
/// What a token's weight may be, and the span in which its GPU time is counted.
pub const WEIGHT: RangeInclusive<f64> = 0.01..=100.0;
/// See [`WEIGHT`].
pub const GPU_WINDOW: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_hours(24);
/// See [`WEIGHT`].
pub const GPU_WINDOW_UNASKED: Duration = Duration::from_hours(1);
/// Wrong tokens that an address may show, and for how long it is slowed beyond them.
pub const WRONG_TOKENS: u32 = 10;
/// See [`WRONG_TOKENS`].
pub const WRONG_TOKENS_FOR: Duration = Duration::from_secs(60);
/// Addresses whose wrong tokens are counted, and pairs of an address and the token that it showed rightly.
pub const ADDRESSES_REMEMBERED: usize = 10_000;
/// Browsers that are logged in, and how long they may be idle.
pub const SESSIONS: usize = 1000;
/// See [`SESSIONS`].
pub const SESSION_IDLE: Duration = Duration::from_secs(12 * 3600);
/// Ways from the main address to the web interface's own that are open at a time, and for how long.
pub const TICKETS: usize = 100;
/// See [`TICKETS`].
pub const TICKET_LASTS: Duration = Duration::from_secs(60);
/// The form of a login.
pub const LOGIN_BYTES: usize = 8 * 1024;

/// How often is looked what each backend does, for the account of the last hour; what was not looked at for the longer
/// time is unknown. The hour is kept in slots.
pub const CHRONICLE_LOOK: Duration = Duration::from_millis(250);
/// See [`CHRONICLE_LOOK`].
pub const CHRONICLE_GAP: Duration = Duration::from_secs(5);
/// See [`CHRONICLE_LOOK`].
pub const CHRONICLE_SLOTS: usize = 240;
/// How often those who follow the fleet are told its figures.
pub const FIGURES_EVERY: Duration = Duration::from_secs(1);
/// The picture of an unfinished result that is kept of each running job, and all of them together.
pub const PREVIEW_BYTES: usize = 1024 * 1024;
/// See [`PREVIEW_BYTES`].
pub const PREVIEWS_BYTES: usize = 64 * 1024 * 1024;
/// How long is waited for figures that show that a backend has freed memory.
pub const FREED_WITHIN: Duration = Duration::from_secs(15);
/// How long who asked for it waits for that.
pub const FREED_ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// Times that are remembered of each backend.
pub const FREES_REMEMBERED: usize = 8;
/// How long open requests get to end when the program is told to stop.
pub const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The bounds of connections.
///
/// A WebSocket keeps its place, so there are more of them than of requests; a proxy in front of the collector is one
/// address for all who come through it. A client that takes no byte for as long as a frame may take is as good as gone.
pub const CONNECTIONS: Limits = Limits {
    total: CLIENT_SOCKETS + 2000,
    per_address: 2000,
    refusals: 64,
    refusal: Duration::from_secs(1),
    handshake: Duration::from_secs(10),
    request: Duration::from_secs(30),
    bytes_a_second: 16 * 1024,
    idle: Duration::from_secs(75),
    stall: CLIENT_SEND,
    head_bytes: 32 * 1024,
    stop: STOP_WITHIN,
};

/// File descriptors to ask the system for, and those that are not for clients: the store, uploads, backends and agents.
pub const FILE_DESCRIPTORS: u64 = 65_536;
/// See [`FILE_DESCRIPTORS`].
pub const OWN_FILE_DESCRIPTORS: u64 = 384;

/// [`CONNECTIONS`] of each of so many listeners where there may be so many file descriptors: clients never take those that
/// the rest needs, and one address never all.
pub fn connections(file_descriptors: u64, listeners: usize) -> Limits {
    let left = usize::try_from(file_descriptors.saturating_sub(OWN_FILE_DESCRIPTORS)).unwrap_or(usize::MAX);
    let total = CONNECTIONS.total.min((left / listeners.max(1)).max(1));
    Limits { total, per_address: CONNECTIONS.per_address.min(total.div_ceil(2)), ..CONNECTIONS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_no_more_connections_than_there_are_descriptors_to_spare() {
        for (descriptors, listeners, total, per_address) in [
            (0, 1, 1, 1),
            (1024, 1, 640, 320),
            (1024, 2, 320, 160),
            (4096, 1, 3712, 1856),
            (u64::MAX, 2, 12_000, 2000),
        ] {
            let limits = connections(descriptors, listeners);
            assert_eq!((limits.total, limits.per_address), (total, per_address), "{descriptors} {listeners}");
        }
    }
}
