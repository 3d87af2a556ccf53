//! ComfyUI's HTTP and WebSocket API: its documents, its messages, and a client that tries once.
//!
//! | module | what |
//! |---|---|
//! | [`prompt`] | the graph that ComfyUI executes |
//! | [`object_info`] | what node classes a server has and what their inputs accept |
//! | [`api`] | bodies of requests and answers, pure serde |
//! | [`message`] | frames of the WebSocket, pure encode and decode |
//! | [`client`] | one method a route, one attempt each, bounded in time and bytes |
//! | [`socket`] | a stream of frames without reconnecting |
//!
//! Servers from March 2024 on are understood; what a server says that this library does not know survives a round
//! trip through its types. The library keeps no state between calls, never retries, and logs nothing: its caller knows
//! whether to try again.

pub mod api;
pub mod client;
pub mod error;
mod lenient;
pub mod message;
pub mod object_info;
pub mod prompt;
pub mod socket;
mod tls;

pub use client::Client;
pub use error::{Cause, Error};
pub use lenient::from_slice;
pub use message::{Frame, Message};
pub use object_info::ObjectInfo;
pub use prompt::Prompt;
pub use socket::Socket;
