//! `bench`: what the agent and the collector cost, beside peers measured in the same run.
//!
//! Each subcommand measures one thing, prints a table or, with `--json`, one document, and leaves nothing behind.

mod agent;
mod client;
mod cluster;
mod day;
mod disk;
mod dispatch;
mod figures;
mod fleet;
mod gateway;
mod goal;
mod load;
mod machine;
mod output;
mod process;
mod prompt;
mod restart;
mod routing;
mod sample;
mod stage;
mod store;
mod submit;
mod usage;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Measures the agent and the collector on this machine, each beside a peer.
#[derive(Debug, Parser)]
#[command(name = "bench", version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    subject: Subject,
    /// Print one JSON document instead of a table
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Subject {
    /// Memory, CPU time and scrape latency of the agent, beside other exporters
    Agent(agent::Options),
    /// Latency and rate of POST /prompt through the collector, beside the same prompt posted to a ComfyUI
    Submit(submit::Options),
    /// Durable submissions a second of both databases, beside plain inserts of the same bytes
    Store(store::Options),
    /// Time and memory of a restart with a long queue and a long history
    Restart(restart::Options),
    /// Time from a backend's end of a job to its next one, beside a ComfyUI's own queue
    Dispatch(dispatch::Options),
    /// What the collector costs who comes through it: prompts, pictures, frames, beside nginx
    Gateway(gateway::Options),
    /// Latency of jobs through the whole collector, beside other rules on the same simulated servers
    Fleet(fleet::Options),
    /// Whether a day of load leaves memory, descriptors, tables and files bounded
    Day(day::Options),
    /// Latency under the collector's routing rule, beside other rules, on simulated fleets
    Routing(routing::Options),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let machine = machine::Machine::here();
    match arguments.subject {
        Subject::Agent(options) => output::print(&machine, &agent::measure(&options)?, arguments.json),
        Subject::Submit(options) => output::print(&machine, &submit::measure(&options)?, arguments.json),
        Subject::Store(options) => output::print(&machine, &store::measure(&options)?, arguments.json),
        Subject::Restart(options) => output::print(&machine, &restart::measure(&options)?, arguments.json),
        Subject::Dispatch(options) => output::print(&machine, &dispatch::measure(&options)?, arguments.json),
        Subject::Gateway(options) => output::print(&machine, &gateway::measure(&options)?, arguments.json),
        Subject::Fleet(options) => output::print(&machine, &fleet::measure(&options)?, arguments.json),
        Subject::Day(options) => output::print(&machine, &day::measure(&options)?, arguments.json),
        Subject::Routing(options) => routing::measure(&options, arguments.json),
    }
}
