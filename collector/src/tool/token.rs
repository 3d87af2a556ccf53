//! `token`: a fresh one, shown once, and its entry for the file of tokens.

use super::{ToolError, output};
use crate::access::{Fresh, check_name};
use crate::config::TokenFlags;

/// The entry goes to standard output, so that it can be appended to the file; the token itself to whoever looks.
pub(super) fn token(flags: &TokenFlags) -> Result<(), ToolError> {
    check_name(&flags.name).map_err(ToolError::Name)?;
    let Fresh { token, entry } = Fresh::make(&flags.name, flags.role, flags.max_waiting)?;
    output::print(entry.as_bytes())?;
    output::say(&format!("the token of {}, which is shown only now, is\n{token}", flags.name));
    Ok(())
}
