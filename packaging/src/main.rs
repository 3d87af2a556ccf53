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
}

fn main() -> Result<()> {
    match Arguments::parse() {
        Arguments::Install { folder } => packaging::install::write(&folder),
    }
}
