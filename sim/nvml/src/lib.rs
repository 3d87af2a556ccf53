//! A `libnvidia-ml.so.1` for machines without a GPU, which fails, hangs and loses its GPUs on command.
//!
//! The crate is two things. As a C library it answers NVML's calls from a control file, read anew whenever it has
//! changed: the file that `SIM_NVML` names, else `control.json` beside the library, else two GPUs that never change.
//! As a Rust library it has the types of that file ([`Driver`], [`Gpu`]) and [`Control`], which installs the C library
//! in a folder of its own, as a driver's package does, and rewrites the file.
//!
//! The C library must vanish with `dlclose`, as NVIDIA's does: what is loaded again is then what is installed by then.
//! So nothing in it may start a thread or keep a thread-local with a destructor, either of which pins a library.

mod built;
mod control;
mod device;
mod driver;
mod events;
mod failure;
mod ffi;
mod file;
mod gate;
mod gpu;
mod hardware;
mod lock;
mod mapped;
mod pci;
mod session;

pub use built::built;
pub use control::Control;
pub use driver::{Driver, Event};
pub use failure::Failure;
pub use gpu::Gpu;
pub use hardware::{Clocks, Ecc, Memory, Mig, MigDevice, Process, RemappedRows, Utilization};

/// The environment variable that names the control file.
pub const VARIABLE: &str = "SIM_NVML";
