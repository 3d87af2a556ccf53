//! `check-config`: what serving would go by, and where each value is from.

use super::table::{Cell, table};
use super::{ToolError, output};
use crate::config::{CheckFlags, Config, explain};
use crate::prepare::Prepared;

/// The values go to standard output; that they can be used, to whoever looks.
pub(super) fn check(flags: &CheckFlags) -> Result<(), ToolError> {
    let config = Config::load(flags.serve.clone())?;
    config.log.parsed()?;
    Prepared::of(&config)?;
    if flags.quiet {
        return Ok(());
    }
    let rows = explain(flags, &config)?;
    let rows: Vec<_> = rows
        .iter()
        .map(|row| [Cell::of(&row.key), Cell::known(row.value.as_ref()), Cell::of(&row.from)])
        .collect();
    output::print_styled(&table(["KEY", "VALUE", "FROM"], &rows))?;
    output::say("the configuration can be used");
    Ok(())
}
