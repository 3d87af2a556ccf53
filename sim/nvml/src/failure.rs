//! NVML's errors, under the names that a control file gives them.

use std::ffi::CStr;

use nvml_wrapper_sys::bindings::nvmlReturn_t;
use serde::{Deserialize, Serialize};

/// What a call answers instead of a figure.
pub(crate) type Answer<T> = Result<T, Failure>;

/// An error of NVML. In a control file: its C name without `NVML_ERROR_`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[repr(u32)]
#[expect(missing_docs, reason = "NVML's own names, in its order")]
pub enum Failure {
    Uninitialized = 1,
    InvalidArgument = 2,
    NotSupported = 3,
    NoPermission = 4,
    AlreadyInitialized = 5,
    NotFound = 6,
    InsufficientSize = 7,
    InsufficientPower = 8,
    DriverNotLoaded = 9,
    Timeout = 10,
    IrqIssue = 11,
    LibraryNotFound = 12,
    FunctionNotFound = 13,
    CorruptedInforom = 14,
    GpuIsLost = 15,
    ResetRequired = 16,
    OperatingSystem = 17,
    LibRmVersionMismatch = 18,
    InUse = 19,
    Memory = 20,
    NoData = 21,
    VgpuEccNotSupported = 22,
    InsufficientResources = 23,
    FreqNotSupported = 24,
    ArgumentVersionMismatch = 25,
    Deprecated = 26,
    NotReady = 27,
    GpuNotFound = 28,
    InvalidState = 29,
    ResetTypeNotSupported = 30,
    Unknown = 999,
}

impl Failure {
    /// The number that a C caller sees.
    pub(crate) fn code(self) -> nvmlReturn_t {
        self as nvmlReturn_t
    }
}

/// # Errors
/// `NOT_SUPPORTED`: the control file has no such figure.
pub(crate) fn known<T>(figure: Option<T>) -> Answer<T> {
    figure.ok_or(Failure::NotSupported)
}

/// The texts that callers of the real library show to people.
pub(crate) fn text(code: nvmlReturn_t) -> &'static CStr {
    match code {
        0 => c"Success",
        1 => c"Uninitialized",
        2 => c"Invalid Argument",
        3 => c"Not Supported",
        4 => c"Insufficient Permissions",
        5 => c"Already Initialized",
        6 => c"Not Found",
        7 => c"Insufficient Size",
        8 => c"Insufficient External Power",
        9 => c"Driver Not Loaded",
        10 => c"Timeout",
        12 => c"NVML Shared Library Not Found",
        13 => c"Function Not Found",
        15 => c"GPU is lost",
        17 => c"Operating System Call Failed",
        18 => c"Driver/library version mismatch",
        25 => c"Argument version mismatch",
        _ => c"Unknown Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_named_as_in_c() {
        let named: Vec<Failure> =
            serde_json::from_str(r#"["GPU_IS_LOST", "NO_PERMISSION", "UNKNOWN"]"#).unwrap();
        assert_eq!(named.iter().map(|one| one.code()).collect::<Vec<_>>(), [15, 4, 999]);
    }
}
