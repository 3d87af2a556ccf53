//! Connections: who gets a place, TLS, deadlines, bounds; files of secrets that are read again when they change; and what
//! the service manager is told.
//! Knows nothing of what is served, and of no program's figures: each brings its own [`Limits`].
//!
//! ```text
//! serve (accepts, gives places) ─▶ converse (one connection) ─▶ the program's routes
//!                                   punctual (a request comes in time)   shape (where a request ends)
//! files (token, certificate) ─▶ watch<Arc<_>>, looked at whenever it is needed
//! ```

mod converse;
pub mod files;
mod limits;
mod places;
mod punctual;
mod refuse;
mod serve;
pub mod service;
mod shape;

pub use self::limits::Limits;
pub use self::serve::serve;
