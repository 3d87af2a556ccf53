//! How jobs are routed, where a fleet is unlike most.

use std::time::Duration;

use clap::Args;

use super::super::value;

// No doc comment: clap would take it for the program's description.
#[derive(Args, Clone, Debug, Default)]
pub struct RoutingFlags {
    /// How many times shorter this fleet's jobs are than pictures that take some ten seconds, 0.1 to 1000: the routing rule
    /// lives as much quicker, but for what --route-overdue-after says [default: 1]
    #[arg(
        id = "route_tempo",
        long = "route-tempo",
        value_name = "TIMES",
        env = "ORCHESTRATOR_COLLECTOR_ROUTE_TEMPO",
        value_parser = value::tempo
    )]
    pub tempo: Option<f64>,

    /// Load the models that nobody has loaded for a job that has waited for so long, and for eight mean waits, whatever
    /// else there is to do, 1ms to 1day [default: 5m]
    #[arg(
        id = "route_overdue_after",
        long = "route-overdue-after",
        value_name = "SPAN",
        env = "ORCHESTRATOR_COLLECTOR_ROUTE_OVERDUE_AFTER",
        value_parser = value::overdue_after
    )]
    pub overdue_after: Option<Duration>,

    /// How fast the jobs of a client weigh less once it is ahead of its share, 0 (never) to 100 [default: 1]
    #[arg(
        id = "route_fairness",
        long = "route-fairness",
        value_name = "NUMBER",
        env = "ORCHESTRATOR_COLLECTOR_ROUTE_FAIRNESS",
        value_parser = value::fairness,
        allow_negative_numbers = true
    )]
    pub fairness: Option<f64>,
}
