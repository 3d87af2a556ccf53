//! The files of a package that are made of a program's flags: man pages and the completions of shells.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_complete::Shell;

/// The programs, as they describe themselves.
pub fn programs() -> [Command; 2] {
    [agent::config::Config::command(), collector::config::Flags::command()]
}

/// Writes all of them below a folder: `man/PROGRAM.1`, `man/PROGRAM-COMMAND.1`, `completions/PROGRAM.SHELL`.
///
/// # Errors
/// A file cannot be written.
pub fn write(folder: &Path) -> Result<()> {
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    for folder in [&man, &completions] {
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    }
    for command in programs() {
        pages(&command, &man)?;
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let name = command.get_name().to_owned();
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command.clone(), name.as_str(), &mut script);
            save(&completions.join(format!("{name}.{shell}")), &script)?;
        }
    }
    Ok(())
}

/// One for the program and one for each of its commands.
fn pages(command: &Command, folder: &Path) -> Result<()> {
    let mut command = command.clone();
    command.build();
    page(&command, command.get_name(), folder)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        page(sub, &format!("{}-{}", command.get_name(), sub.get_name()), folder)?;
    }
    Ok(())
}

fn page(command: &Command, name: &str, folder: &Path) -> Result<()> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).title(name).render(&mut text)?;
    save(&folder.join(format!("{name}.1")), &text)
}

fn save(path: &Path, text: &[u8]) -> Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}
