//! Who is told of jobs' ends: what with, and where besides the public internet.

use std::path::PathBuf;

use ipnet::IpNet;

use super::file::File;
use super::flags::WebhookFlags;

#[derive(Clone, Debug, Default)]
pub struct Webhooks {
    /// Without it no job may ask for one.
    pub secret_file: Option<PathBuf>,
    pub allow: Vec<IpNet>,
}

impl Webhooks {
    pub(super) fn of(flags: WebhookFlags, file: &File) -> Self {
        let WebhookFlags { webhook_secret_file, webhook_allow } = flags;
        Self {
            secret_file: webhook_secret_file.or_else(|| file.webhook_secret_file.clone()),
            allow: if webhook_allow.is_empty() { file.webhook_allow.clone() } else { webhook_allow },
        }
    }
}
