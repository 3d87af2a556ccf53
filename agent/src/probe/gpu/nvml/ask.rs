//! Asking one GPU field by field. What it does not support is asked once a session and then skipped; what fails
//! otherwise is absent this time.

use std::collections::HashSet;

use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;

/// What one GPU was found not to support, in the words of the fields.
pub(super) type Unsupported = HashSet<&'static str>;

/// One round of questions to one GPU.
pub(super) struct Ask<'a, 'nvml> {
    pub(super) device: &'a Device<'nvml>,
    pub(super) unsupported: &'a mut Unsupported,
    /// The error that ended the asking: the GPU or the whole driver is lost.
    pub(super) ended_by: Option<NvmlError>,
    /// The last error that left a field absent without ending the asking.
    pub(super) error: Option<NvmlError>,
    /// How many fields were answered, be it that they are not supported.
    pub(super) answers: u32,
}

impl<'a, 'nvml> Ask<'a, 'nvml> {
    pub(super) fn new(device: &'a Device<'nvml>, unsupported: &'a mut Unsupported) -> Self {
        Self { device, unsupported, ended_by: None, error: None, answers: 0 }
    }

    pub(super) fn field<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&Device<'nvml>) -> Result<T, NvmlError>,
    ) -> Option<T> {
        if self.ended_by.is_some() || self.unsupported.contains(name) {
            return None;
        }
        match read(self.device) {
            Ok(value) => {
                self.answers += 1;
                return Some(value);
            }
            Err(error) if is_unsupported(&error) => {
                self.answers += 1;
                self.unsupported.insert(name);
            }
            Err(error) if matches!(error, NvmlError::GpuLost) || is_fatal(&error) => {
                self.ended_by = Some(error);
            }
            Err(error) => {
                tracing::debug!(field = name, %error, "a GPU's field could not be read");
                self.error = Some(error);
            }
        }
        None
    }

    /// Whether a field that was asked for before is not supported.
    pub(super) fn lacks(&self, name: &str) -> bool {
        self.unsupported.contains(name)
    }
}

fn is_unsupported(error: &NvmlError) -> bool {
    matches!(error, NvmlError::NotSupported | NvmlError::FunctionNotFound | NvmlError::FailedToLoadSymbol(_))
}

/// Errors after which no call of this session will succeed again.
pub(super) fn is_fatal(error: &NvmlError) -> bool {
    matches!(error, NvmlError::Uninitialized | NvmlError::DriverNotLoaded | NvmlError::LibRmVersionMismatch)
}
