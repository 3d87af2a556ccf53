//! What was found of the agent and its peers, as tables: each figure with its ratio to the agent's.

use super::{Measured, Outcome, Page, ROUNDS};
use crate::figures::{mebibytes, shown_times, time, times};
use crate::goal;
use crate::load::Busy;
use crate::output::{Findings, Table};

impl Findings for Outcome {
    fn tables(&self) -> Vec<Table> {
        vec![self.usage_table(), self.latency_table(), self.load_table(), goal::table(&self.goals)]
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Outcome {
    fn usage_table(&self) -> Table {
        let title = format!(
            "Memory, and CPU time (measured over {} s, each page scraped every {} s)",
            self.seconds, self.interval_seconds
        );
        let head = [
            "program",
            "RSS",
            "RSS/agent",
            "anonymous",
            "PSS",
            "PSS/agent",
            "CPU s/h",
            "of a core",
            "CPU/agent",
        ];
        let mut table = Table::new(title, &head);
        for program in &self.programs {
            let of_agent = |figure: fn(&Measured) -> f64| {
                shown_times(self.agent_of(program).and_then(|agent| times(figure(program), figure(agent))))
            };
            let memory = program.memory;
            table.row([
                program.name.clone(),
                mebibytes(memory.rss_bytes),
                of_agent(|program| program.memory.rss_bytes as f64),
                mebibytes(memory.anonymous_bytes),
                mebibytes(memory.proportional_bytes),
                of_agent(|program| program.memory.proportional_bytes as f64),
                format!("{:.2}", program.cpu_seconds_an_hour),
                format!("{:.3} %", program.cpu_share_of_a_core * 100.0),
                of_agent(|program| program.cpu_seconds_an_hour),
            ]);
        }
        table
    }

    fn latency_table(&self) -> Table {
        let title = format!("Latency of a scrape: median of {ROUNDS} rounds (least–greatest)");
        let mut table = Table::new(title, &["program, page", "bytes", "p50", "p99", "max", "p50/agent"]);
        for (program, page) in self.pages() {
            let of_agent = self.of_agent(program, page, |page| page.latency.p50_us.median);
            let cells = [format!("{} {}", program.name, page.path), page.bytes.to_string()];
            table.row(cells.into_iter().chain(page.latency.cells()).chain([of_agent]));
        }
        table
    }

    fn load_table(&self) -> Table {
        let title = format!(
            "Under load of {} keep-alive connections: median of {ROUNDS} rounds of {} s (least–greatest). Busy: on a CPU + \
             kept waiting for one, in shares of a core; the limit is whoever had no time left",
            self.connections, self.load_seconds
        );
        let head = [
            "program, page",
            "requests/s",
            "/agent",
            "CPU a request",
            "/agent",
            "server busy",
            "client busy",
            "limit",
        ];
        let mut table = Table::new(title, &head);
        for (program, page) in self.pages() {
            let load = &page.load;
            table.row([
                format!("{} {}", program.name, page.path),
                load.requests_a_second.shown(|rate| format!("{rate:.0}")),
                self.of_agent(program, page, |page| page.load.requests_a_second.median),
                load.cpu_us_a_request.shown(fine_time),
                self.of_agent(program, page, |page| page.load.cpu_us_a_request.median),
                busy(load.server),
                busy(load.client),
                load.limit.name().to_owned(),
            ]);
        }
        table
    }

    fn pages(&self) -> impl Iterator<Item = (&Measured, &Page)> {
        self.programs.iter().flat_map(|program| program.pages.iter().map(move |page| (program, page)))
    }

    /// How many times as much as the agent's figure of the same page.
    fn of_agent(&self, program: &Measured, page: &Page, figure: fn(&Page) -> f64) -> String {
        let agent = self.agent_of(program).and_then(|agent| agent.page(page.path));
        shown_times(agent.and_then(|own| times(figure(page), figure(own))))
    }
}

fn busy(busy: Busy) -> String {
    format!("{:.0} % + {:.0} %", busy.on_cpu * 100.0, busy.kept_waiting * 100.0)
}

/// A time of a few microseconds, of which tenths matter.
fn fine_time(us: f64) -> String {
    if us < 100.0 { format!("{us:.1} µs") } else { time(us) }
}
