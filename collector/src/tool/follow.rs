//! Following jobs to their ends by `/ws`, and saving what they put out. `course` says what each event means, `screen`
//! shows it; this file listens, looks and connects again.

mod course;
mod line;
mod screen;
mod stop;

use std::pin::pin;
use std::time::Duration;

use comfyui::api::FileRef;
use comfyui::{Frame, Message, Socket};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep};

use self::course::Course;
pub(super) use self::course::Job;
use self::course::{Told, Turn};
use self::screen::Screen;
use self::stop::Stop;
use super::ending::{ClientError, FAILED, STOPPED};
use super::record::Record;
use super::save::Directory;
use super::server::Server;
use crate::limits;

/// Whatever was missed is found out after so long.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const FIRST_LOOK_AFTER: Duration = Duration::from_secs(1);
/// The first pause before connecting again, and the longest: each is twice the one before.
const PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Gives the code to end with: 0 when all have succeeded and everything is saved.
pub(super) async fn follow(
    server: &Server,
    client_id: &str,
    jobs: Vec<Job>,
    socket: Socket,
    directory: Option<Directory>,
    json: bool,
) -> Result<u8, ClientError> {
    let stop = Stop::on_ctrl_c();
    let courses: Vec<Course> = jobs.into_iter().map(Course::of).collect();
    let screen = Screen::new(json);
    let mut following =
        Following { server, client_id, courses, directory, screen, stop, code: 0, lost_since: None };
    let now = following.stop.now.clone();
    let ended = tokio::select! {
        ended = Box::pin(following.run(socket)) => ended?,
        () = now.cancelled() => false,
    };
    if ended {
        return Ok(following.code);
    }
    following.take_leave();
    Ok(STOPPED)
}

struct Following<'a> {
    server: &'a Server,
    client_id: &'a str,
    courses: Vec<Course>,
    directory: Option<Directory>,
    screen: Screen,
    stop: Stop,
    code: u8,
    /// Since when the collector has not answered.
    lost_since: Option<Instant>,
}

/// What there is to do next.
enum Next {
    Hear(Box<Frame>),
    Look,
    Connect,
    Stop,
}

impl Following<'_> {
    /// Whether all have ended; not when it was stopped.
    async fn run(&mut self, mut socket: Socket) -> Result<bool, ClientError> {
        for course in &self.courses {
            self.screen.show(&course.job, &Told::Accepted)?;
        }
        // What waits for no more than a moment is not said to wait.
        let mut ticks = interval_at(Instant::now() + FIRST_LOOK_AFTER, LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.courses.iter().any(|course| !course.ended) {
            match next(&mut socket, &mut ticks, &self.stop).await {
                Next::Hear(frame) => self.hear(&frame).await?,
                Next::Look => self.look_at_all(false).await?,
                Next::Connect => match self.connect().await? {
                    Some(fresh) => {
                        socket = fresh;
                        self.look_at_all(true).await?;
                    }
                    None => return Ok(false),
                },
                Next::Stop => return Ok(false),
            }
        }
        socket.close().await;
        Ok(true)
    }

    async fn hear(&mut self, frame: &Frame) -> Result<(), ClientError> {
        let Frame::Message(message) = frame else { return Ok(()) };
        let Some(at) = self.meant_by(message) else { return Ok(()) };
        let Some(course) = self.courses.get_mut(at) else { return Ok(()) };
        let heard = course.hear(message);
        if let Some(told) = &heard.told {
            self.screen.show(&course.job, told)?;
        }
        match heard.turn {
            Some(turn) => self.look(at, turn == Turn::Ends).await,
            None => Ok(()),
        }
    }

    fn meant_by(&self, message: &Message) -> Option<usize> {
        let id = message.prompt_id()?;
        self.courses.iter().position(|course| course.job.id == id)
    }

    async fn look_at_all(&mut self, all_heard: bool) -> Result<(), ClientError> {
        for at in 0..self.courses.len() {
            self.look(at, all_heard).await?;
        }
        Ok(())
    }

    async fn look(&mut self, at: usize, all_heard: bool) -> Result<(), ClientError> {
        let Some(course) = self.courses.get_mut(at).filter(|course| !course.ended) else { return Ok(()) };
        let (told, record) = match self.server.record(&course.job.id).await {
            Ok(Some(record)) => (course.look(&record, all_heard), Some(record)),
            Ok(None) => (vec![course.forget()], None),
            Err(error) => return self.bear(error),
        };
        self.lost_since = None;
        let (job, ended) = (course.job.clone(), course.ended);
        for told in &told {
            self.screen.show(&job, told)?;
        }
        if ended { self.conclude(&job, record).await } else { Ok(()) }
    }

    async fn conclude(&mut self, job: &Job, record: Option<Record>) -> Result<(), ClientError> {
        let Some(record) = record.filter(|record| record.state == "succeeded") else {
            self.code = FAILED;
            return Ok(());
        };
        let place = record.place().map(str::to_owned);
        let kept = record.files().map(|(_, file)| file).filter(|file| file.kind == "output");
        for file in kept.collect::<Vec<_>>() {
            self.save(job, &file, place.as_deref()).await?;
        }
        Ok(())
    }

    async fn save(&mut self, job: &Job, file: &FileRef, place: Option<&str>) -> Result<(), ClientError> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let saving = directory.save(self.server.client(), file, place);
        let told = match self.patiently(saving).await {
            Ok(path) => Told::Saved { path: path.display().to_string() },
            Err(error) => {
                self.code = FAILED;
                Told::NotSaved { file: file.filename.clone(), reason: error.to_string() }
            }
        };
        Ok(self.screen.show(job, &told)?)
    }

    /// A file that is being saved is saved although following is to stop.
    async fn patiently<T>(&self, saving: impl Future<Output = T>) -> T {
        let mut saving = pin!(saving);
        if !self.stop.soon.is_cancelled() {
            tokio::select! {
                saved = &mut saving => return saved,
                () = self.stop.soon.cancelled() => {}
            }
            self.screen.remark("ending as soon as what is being saved is saved; Ctrl-C again ends at once");
        }
        saving.await
    }

    /// A new connection, as soon as there can be one; `None` when told to stop.
    async fn connect(&mut self) -> Result<Option<Socket>, ClientError> {
        let mut pause = PAUSE;
        loop {
            match Socket::connect(self.server.client(), self.client_id, None).await {
                Ok(socket) => return Ok(Some(socket)),
                Err(error) => self.bear(error.into())?,
            }
            tokio::select! {
                () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                () = self.stop.soon.cancelled() => return Ok(None),
            }
        }
    }

    /// A collector may be away for a while: its jobs survive that.
    fn bear(&mut self, error: ClientError) -> Result<(), ClientError> {
        let first = self.lost_since.is_none();
        let since = *self.lost_since.get_or_insert_with(Instant::now);
        if !error.is_passing() || since.elapsed() > limits::FOLLOW_WITHOUT_SERVER {
            self.take_leave();
            return Err(error);
        }
        if first {
            self.screen.remark(&format!("{error}; following goes on once it answers"));
        }
        Ok(())
    }

    /// Says how to end what goes on.
    fn take_leave(&self) {
        let open = self.courses.iter().filter(|course| !course.ended);
        let ids: Vec<&str> = open.map(|course| course.job.id.as_str()).collect();
        if !ids.is_empty() {
            let how = format!("orchestrator-collector cancel {}", ids.join(" "));
            self.screen.remark(&format!("no longer following; what goes on can be ended with: {how}"));
        }
    }
}

async fn next(socket: &mut Socket, ticks: &mut Interval, stop: &Stop) -> Next {
    tokio::select! {
        biased;
        () = stop.soon.cancelled() => Next::Stop,
        _ = ticks.tick() => Next::Look,
        heard = socket.next() => match heard {
            Some(Ok(frame)) => Next::Hear(Box::new(frame)),
            // A frame that cannot be read; after every other error the socket ends by itself.
            Some(Err(_)) => Next::Look,
            None => Next::Connect,
        },
    }
}
