//! `packaging`: writes what is made of the programs.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;

/// Writes what is made of the programs.
#[derive(Debug, Parser)]
enum Arguments {
    /// The man pages and completions of both programs
    Install {
        /// Where they are written
        folder: PathBuf,
    },
    /// The dashboards for Grafana
    Dashboards {
        /// Where they are written
        #[arg(default_value = "packaging/grafana/dashboards")]
        folder: PathBuf,
    },
    /// The tables of the pages on metrics and configuration
    Pages {
        /// The folder docs
        #[arg(default_value = "docs")]
        folder: PathBuf,
    },
}

fn main() -> Result<()> {
    match Arguments::parse() {
        Arguments::Install { folder } => packaging::install::write(&folder),
        Arguments::Dashboards { folder } => packaging::dashboards::write(&folder),
        Arguments::Pages { folder } => packaging::pages::write(&folder),
    }
}
