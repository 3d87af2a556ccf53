//! What people install, as they get it: units, packages, pages, alerts, dashboards. One file a subject; what a trial needs
//! from outside stands with it, and where that is missing it is reported as ignored.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its own functions too"
)]

mod built;
mod comfyui;
mod containers;
mod kubernetes;
mod machine;
mod packages;
mod pages;
mod prometheus;
mod scraped;
mod units;
mod wait;

use std::process::ExitCode;

use libtest_mimic::Arguments;

fn main() -> ExitCode {
    let trials = [
        units::trials(),
        prometheus::trials(),
        scraped::trials(),
        packages::trials(),
        pages::trials(),
        comfyui::trials(),
        containers::trials(),
        kubernetes::trials(),
        machine::trials(),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials.into_iter().flatten().collect()).exit_code()
}
