//! A thread for each folder, which looks at the folder's filesystem when it is asked to. A network filesystem whose server
//! is gone holds whoever asks for as long as it likes, and already finding out on which filesystem a folder lies asks it;
//! so it holds this thread alone, and the other folders' figures come in time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Instant;

use report::Filesystem;

use crate::probe::procfs::mounts::{self, Mount};

/// What a folder lies on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sight {
    pub(super) filesystem: Filesystem,
    /// The device's name for people, as that of all local filesystems is made.
    pub(super) device_name: Option<String>,
    /// Its major and minor number.
    pub(super) device: (u32, u32),
}

/// What came of asking.
#[derive(Debug)]
pub(super) enum Answer {
    Seen(Sight),
    Failed(io::Error),
    /// Nothing in time; the question is still open.
    Silent,
}

/// How a folder is looked at.
pub(super) type Look = fn(&Path) -> io::Result<Sight>;

/// One folder's thread.
#[derive(Debug)]
pub(super) struct Lookout {
    pub(super) folder: PathBuf,
    look: Look,
    thread: Option<Thread>,
    is_asked: bool,
}

#[derive(Debug)]
struct Thread {
    questions: SyncSender<()>,
    answers: Receiver<io::Result<Sight>>,
}

impl Lookout {
    pub(super) fn new(folder: PathBuf, look: Look) -> Self {
        Self { folder, look, thread: None, is_asked: false }
    }

    /// Asks for a look, unless the last question is still open. An answer that came too late to be heard is of no
    /// use any more.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(super) fn ask(&mut self) -> io::Result<()> {
        let thread = match &self.thread {
            Some(thread) => thread,
            None => self.thread.insert(spawn(self.folder.clone(), self.look)?),
        };
        if !self.is_asked || thread.answers.try_recv().is_ok() {
            self.is_asked = thread.questions.try_send(()).is_ok();
        }
        Ok(())
    }

    /// What the folder lies on, if it is told before a moment.
    pub(super) fn answer(&mut self, until: Instant) -> Answer {
        let Some(thread) = &self.thread else { return Answer::Silent };
        let patience = until.saturating_duration_since(Instant::now());
        let answer = match thread.answers.recv_timeout(patience) {
            Ok(Ok(sight)) => Answer::Seen(sight),
            Ok(Err(error)) => Answer::Failed(error),
            Err(RecvTimeoutError::Timeout) => return Answer::Silent,
            Err(RecvTimeoutError::Disconnected) => {
                self.thread = None;
                Answer::Failed(io::Error::other("its thread has ended"))
            }
        };
        self.is_asked = false;
        answer
    }
}

/// The thread ends when nobody can ask any more.
fn spawn(folder: PathBuf, look: Look) -> io::Result<Thread> {
    let (questions, asked) = sync_channel(1);
    let (tell, answers) = sync_channel(1);
    let work = move || {
        while asked.recv().is_ok() {
            if tell.send(look(&folder)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("folder".to_owned()).spawn(work)?;
    Ok(Thread { questions, answers })
}

/// Looks at this machine.
///
/// # Errors
/// The folder is not there, or may not be entered.
pub(super) fn look(folder: &Path) -> io::Result<Sight> {
    let folder = std::fs::canonicalize(folder)?;
    let room = rustix::fs::statvfs(&folder)?;
    let mounts = mounts::mounts(&std::fs::read("/proc/self/mountinfo")?);
    let mount = mounts::holder(&mounts, &folder);
    let mount = mount.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no mount holds it"))?;
    // Some network filesystems do not tell their size, and say zero.
    let bytes = |blocks: u64| (room.f_blocks > 0).then(|| blocks.saturating_mul(room.f_frsize));
    let filesystem = Filesystem {
        mountpoint: mount.mountpoint.to_string_lossy().into_owned(),
        size_bytes: bytes(room.f_blocks),
        avail_bytes: bytes(room.f_bavail),
    };
    let device_name = mount.source.strip_prefix("/dev").ok().map(|name| name.to_string_lossy().into_owned());
    Ok(Sight { filesystem, device_name, device: device(mount) })
}

/// btrfs and others that may span devices hide the number of the one that they were mounted by.
fn device(mount: &Mount) -> (u32, u32) {
    match mount.device {
        (0, _) if mount.source.starts_with("/dev") => rustix::fs::stat(&mount.source)
            .map_or(mount.device, |stat| (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev))),
        device => device,
    }
}
