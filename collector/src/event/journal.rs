//! News for everybody, numbered and kept for a while: whoever reads slowly or comes back goes on where it was, or is
//! told that it has missed something. Nothing is kept for a single reader, so readers cost nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::limits;

pub struct Journal {
    /// Tells the numbers of one run of the program from those of another.
    run: u64,
    pages: Mutex<Pages>,
    latest: watch::Sender<u64>,
}

#[derive(Default)]
struct Pages {
    kept: VecDeque<News>,
    /// Of the newest one; the first is 1.
    latest: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct News {
    number: u64,
    pub kind: &'static str,
    pub text: Arc<str>,
}

/// One reader's place.
pub struct Reader {
    journal: Arc<Journal>,
    /// The last number read; `None`: it has to begin anew.
    read: Option<u64>,
    latest: watch::Receiver<u64>,
}

#[derive(Debug, PartialEq)]
pub enum Told {
    News(News),
    /// Something was missed, or nothing was known: from here on news follow whatever the reader looks up now.
    BeginAnew,
}

impl Journal {
    pub fn new(run: u64) -> Arc<Self> {
        Arc::new(Self { run, pages: Mutex::default(), latest: watch::Sender::default() })
    }

    pub fn write(&self, kind: &'static str, text: String) {
        self.pages(|pages| {
            if pages.kept.len() >= limits::JOURNAL_NEWS {
                pages.kept.pop_front();
            }
            pages.latest += 1;
            pages.kept.push_back(News { number: pages.latest, kind, text: text.into() });
            self.latest.send_replace(pages.latest);
        });
    }

    /// Something could not be written: nobody can go on from before it.
    pub fn tear(&self) {
        self.pages(|pages| {
            pages.kept.clear();
            pages.latest += 1;
            self.latest.send_replace(pages.latest);
        });
    }

    /// From the newest on, or after what was read before, by the id that was given with it.
    pub fn read(self: &Arc<Self>, after: Option<&str>) -> Reader {
        let number = |id: &str| {
            let (run, number) = id.split_once('-')?;
            number.parse().ok().filter(|_| run.parse() == Ok(self.run))
        };
        Reader { journal: Arc::clone(self), read: after.and_then(number), latest: self.latest.subscribe() }
    }

    fn pages<T>(&self, act: impl FnOnce(&mut Pages) -> T) -> T {
        // A poisoned queue is still a queue: nothing in it is left half-changed by a panic.
        act(&mut self.pages.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Pages {
    /// `None`: there is nothing after it.
    fn after(&self, read: u64) -> Option<Told> {
        if read >= self.latest {
            return (read > self.latest).then_some(Told::BeginAnew);
        }
        let oldest = self.kept.front().map(|news| news.number).filter(|oldest| *oldest <= read + 1);
        let at = oldest.and_then(|oldest| usize::try_from(read + 1 - oldest).ok());
        Some(at.and_then(|at| self.kept.get(at)).map_or(Told::BeginAnew, |news| Told::News(news.clone())))
    }
}

impl Reader {
    /// Cancel-safe.
    pub async fn next(&mut self) -> Told {
        loop {
            let latest = *self.latest.borrow_and_update();
            let told = match self.read {
                Some(read) => self.journal.pages(|pages| pages.after(read)),
                None => Some(Told::BeginAnew),
            };
            match told {
                Some(Told::News(news)) => {
                    self.read = Some(news.number);
                    return Told::News(news);
                }
                Some(Told::BeginAnew) => {
                    self.read = Some(latest);
                    return Told::BeginAnew;
                }
                // It ends with the journal, which this reader holds.
                None => drop(self.latest.changed().await),
            }
        }
    }

    /// Of what was read last, to go on after it another time.
    pub fn id(&self) -> String {
        format!("{}-{}", self.journal.run, self.read.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn texts(reader: &mut Reader, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        for _ in 0..count {
            texts.push(match reader.next().await {
                Told::News(news) => news.text.to_string(),
                Told::BeginAnew => "anew".to_owned(),
            });
        }
        texts
    }

    #[tokio::test]
    async fn a_reader_that_comes_back_goes_on_where_it_was() {
        let journal = Journal::new(7);
        journal.write("x", "before".into());
        let mut reader = journal.read(None);
        assert_eq!(texts(&mut reader, 1).await, ["anew"]);
        journal.write("x", "1".into());
        journal.write("x", "2".into());
        assert_eq!(texts(&mut reader, 1).await, ["1"]);
        let mut back = journal.read(Some(&reader.id()));
        journal.write("x", "3".into());
        assert_eq!(texts(&mut back, 2).await, ["2", "3"]);
        assert_eq!(texts(&mut reader, 2).await, ["2", "3"]);
    }

    #[tokio::test]
    async fn whoever_missed_something_begins_anew() {
        let journal = Journal::new(7);
        let mut slow = journal.read(None);
        assert_eq!(texts(&mut slow, 1).await, ["anew"]);
        for at in 0..=limits::JOURNAL_NEWS {
            journal.write("x", at.to_string());
        }
        assert_eq!(texts(&mut slow, 1).await, ["anew"], "the first is no longer kept");
        journal.write("x", "new".into());
        assert_eq!(texts(&mut slow, 1).await, ["new"]);
        journal.tear();
        journal.write("x", "newer".into());
        assert_eq!(texts(&mut slow, 1).await, ["anew"]);
        for unknown in ["6-1", "7-999999", "7", "x-y", ""] {
            assert_eq!(texts(&mut journal.read(Some(unknown)), 1).await, ["anew"], "{unknown:?}");
        }
    }
}
