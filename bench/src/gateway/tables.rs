//! What was found as tables: submission beside the direct way, pictures and frames beside nginx.

use super::{Flowing, Measured, Outcome, Submission, frames, pictures, posts};
use crate::figures::{shown_times, time};
use crate::goal;
use crate::output::{Findings, Table};

/// A figure of each way.
type Of<T> = fn(&Measured) -> &T;

impl Findings for Outcome {
    fn tables(&self) -> Vec<Table> {
        vec![self.posts(), self.flows(), self.durable_write.table(), goal::table(&self.goals)]
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Outcome {
    fn posts(&self) -> Table {
        let title = format!("POST /prompt: median of {} rounds (least–greatest)", self.rounds);
        let mut table =
            Table::new(title, &["load, way", "p50", "p99", "max", "added p50", "added p99", "a second"]);
        let loads: [(String, Of<Submission>); 3] = [
            ("1 connection".to_owned(), |measured| &measured.one),
            (format!("{} connections", posts::CONNECTIONS), |measured| &measured.many),
            (format!("{}/s", posts::RATE), |measured| &measured.steady),
        ];
        for (load, of) in loads {
            for measured in &self.ways {
                let submission = of(measured);
                let added = [submission.added_p50_us, submission.added_p99_us].map(|added| added.shown(time));
                let rate = submission.rate.shown(|rate| format!("{rate:.0}"));
                let name = format!("{load}, {}", measured.way.name());
                table.row([name].into_iter().chain(submission.latency.cells()).chain(added).chain([rate]));
            }
        }
        table
    }

    fn flows(&self) -> Table {
        let title = format!(
            "Pictures on {} connections, frames to {} sockets: median of {} rounds (least–greatest)",
            pictures::CONNECTIONS,
            frames::SOCKETS,
            self.rounds
        );
        let head = ["what, way", "bytes each", "a second", "beside nginx", "CPU each", "arrived"];
        let mut table = Table::new(title, &head);
        let kinds: [(&str, Of<Flowing>); 3] = [
            ("/view", |measured| &measured.pictures),
            ("status to all", |measured| &measured.frames_to_all),
            ("progress of own jobs", |measured| &measured.frames_of_own_jobs),
        ];
        for (kind, of) in kinds {
            for measured in &self.ways {
                table.row(row(format!("{kind}, {}", measured.way.name()), of(measured)));
            }
        }
        table
    }
}

fn row(name: String, flowing: &Flowing) -> [String; 6] {
    let absent = || "–".to_owned();
    [
        name,
        format!("{:.0}", flowing.bytes_each),
        flowing.a_second.shown(|rate| format!("{rate:.0}")),
        flowing.beside_nginx.shown(|ratio| shown_times(Some(ratio))),
        flowing.cpu_us_each.map_or_else(absent, |cpu| cpu.shown(time)),
        flowing
            .arrived
            .map_or_else(absent, |arrived| arrived.shown(|share| format!("{:.1} %", share * 100.0))),
    ]
}
