//! ComfyUI's HTTP and WebSocket API: its documents, its messages, and a client that tries once.
//!
//! | module | what |
//! |---|---|
//! | [`prompt`] | the graph that ComfyUI executes |
//! | [`workflow`] | the document that the web interface saves |
//! | [`convert`] | workflow → prompt, as the web interface makes it |
//! | [`object_info`] | what node classes a server has and what their inputs accept |
//! | [`needs`] | what a prompt needs of the server that runs it |
//! | [`saved`] | the documents inside the pictures that ComfyUI saved |
//! | [`mod@validate`] | what a server answers to a prompt before it runs it, pure |
//! | [`api`] | bodies of requests and answers, pure serde |
//! | [`message`] | frames of the WebSocket, pure encode and decode |
//! | [`client`] | one method a route, one attempt each, bounded in time and bytes |
//! | [`socket`] | a stream of frames without reconnecting |
//!
//! Servers from March 2024 on are understood; what a server says that this library does not know survives a round
//! trip through its types. The library keeps no state between calls, never retries, and logs nothing: its caller knows
//! whether to try again. Errors name the operation, the server and the cause, and never a password.

#![warn(missing_docs)]

pub mod api;
pub mod client;
pub mod convert;
pub mod error;
mod lenient;
pub mod message;
pub mod needs;
pub mod object_info;
pub mod prompt;
pub mod saved;
pub mod socket;
mod tls;
pub mod validate;
pub mod workflow;

pub use client::Client;
pub use error::{Cause, Error};
pub use lenient::from_slice;
pub use message::{Frame, Message};
pub use object_info::ObjectInfo;
pub use prompt::Prompt;
pub use socket::Socket;
pub use validate::{Verdict, validate};
pub use workflow::Workflow;

// What stands in signatures here, so that a program needs no second version of it.
pub use {bytes, reqwest, url};

/// The examples of the page that a registry shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
