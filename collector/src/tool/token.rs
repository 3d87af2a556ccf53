//! `token`: a fresh one, shown once, and its entry for the file of tokens.

use super::{ToolError, output};
use crate::access::{AskedAllowance, Fresh, check_name};
use crate::config::TokenFlags;

/// The entry goes to standard output, so that it can be appended to the file; the token itself to whoever looks.
pub(super) fn token(flags: &TokenFlags) -> Result<(), ToolError> {
    check_name(&flags.name).map_err(ToolError::Name)?;
    let TokenFlags { weight, max_waiting, max_running, gpu_seconds, gpu_window, .. } = flags.clone();
    let asked = AskedAllowance { weight, max_waiting, max_running, gpu_seconds, gpu_window };
    let allowance = asked.checked().map_err(ToolError::Allowance)?;
    let Fresh { token, entry } = Fresh::make(&flags.name, flags.role, &allowance)?;
    output::print(entry.as_bytes())?;
    output::say(&format!("the token of {}, which is shown only now, is\n{token}", flags.name));
    Ok(())
}
