//! The flags, and the file's keys of the same names, for webhooks.

use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;

use super::super::value;

// No doc comment: clap would take it for the program's description.
#[derive(Args, Clone, Debug, Default)]
pub struct WebhookFlags {
    /// A file with the secret that webhooks are signed with, in base64 as `openssl rand -base64 32` makes one; without it
    /// no job may ask for a webhook. Read again when it changes, and upon SIGHUP
    #[arg(long, value_name = "FILE", env = "ORCHESTRATOR_COLLECTOR_WEBHOOK_SECRET_FILE")]
    pub webhook_secret_file: Option<PathBuf>,

    /// A network that webhooks may be sent to, besides the public internet; may be repeated
    #[arg(
        long = "webhook-allow",
        value_name = "NETWORK",
        env = "ORCHESTRATOR_COLLECTOR_WEBHOOK_ALLOW",
        value_delimiter = ',',
        value_parser = value::network
    )]
    pub webhook_allow: Vec<IpNet>,
}
