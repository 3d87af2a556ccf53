//! SIGHUP: the configuration and all files that it names are read again, and are in force all together or not at all.
//!
//! Backends, how agents are asked, tokens, the certificate, what is logged and what dispatch goes by change while the
//! program runs. The rest is settled at the start; where it has changed the log names it.

use door::files::Renew;
use tokio::sync::watch;

use crate::access::Access;
use crate::config::{Config, ConfigError, ServeFlags};
use crate::dispatch::Settings;
use crate::lifecycle::{LogError, LogFilter};
use crate::prepare::{PrepareError, Prepared};
use crate::roster::{AskAgents, Roster, RosterError};

/// Where the configuration is read again, and the log that goes by it. A program without it reads only files again whose
/// names it knows.
pub struct Source {
    pub flags: ServeFlags,
    pub log: LogFilter,
}

pub(crate) struct Reload {
    pub source: Option<Source>,
    pub in_force: Config,
    pub access: Access,
    pub settings: watch::Sender<Settings>,
    pub roster: Roster,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ReloadError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the backends cannot be changed: {0}")]
    Roster(#[from] RosterError),
}

impl Renew for Reload {
    type Error = ReloadError;

    fn is_empty(&self) -> bool {
        self.access.is_empty()
    }

    fn renew(&mut self) {
        self.access.renew();
    }

    fn reload(&mut self) -> Result<(), ReloadError> {
        let fresh = match &self.source {
            Some(source) => Config::load(source.flags.clone())?,
            None => self.in_force.clone(),
        };
        let Prepared { access, agents_http, .. } = Prepared::of(&fresh)?;
        let filter = fresh.log.parsed()?;
        let agents = AskAgents { agents: fresh.agents.clone(), http: agents_http };
        self.roster.configure_blocking(fresh.backends.clone(), agents)?;
        // From here on nothing is refused.
        if let Some(source) = &self.source {
            source.log.set(filter);
        }
        self.access.replace(access);
        self.settings.send_replace(Settings::of(&fresh));
        tell_what_stays(&self.in_force, &fresh);
        self.in_force = fresh;
        Ok(())
    }
}

fn tell_what_stays(before: &Config, after: &Config) {
    let stays = unchanged_until_restart(before, after);
    if !stays.is_empty() {
        tracing::warn!(keys = stays.join(", "), "what these say now is in force from the next start on");
    }
}

/// The keys whose values are settled at the start, and differ.
fn unchanged_until_restart(before: &Config, after: &Config) -> Vec<&'static str> {
    let (old, new) = (&before.access, &after.access);
    let (old_hooks, new_hooks) = (&before.webhooks, &after.webhooks);
    let differs = [
        ("listen", before.listen != after.listen),
        (
            "database, database_password_file, files_directory, files_bucket",
            before.database != after.database,
        ),
        ("peer_url", before.peers != after.peers),
        ("state_directory", before.state_directory != after.state_directory),
        ("route_tempo, route_overdue_after, route_fairness", before.routing != after.routing),
        ("poll_interval", before.poll_interval != after.poll_interval),
        ("history_jobs, history_age, history_bytes", before.history != after.history),
        ("archive, archive_age, archive_bytes", before.archive != after.archive),
        ("max_body_bytes", before.max_body_bytes != after.max_body_bytes),
        (
            "interface_dir, interface_backend, interface_listen, interface_url",
            before.interface != after.interface,
        ),
        ("log_format", before.log.format != after.log.format),
        ("token_file", old.token_file.is_some() != new.token_file.is_some()),
        ("tls_certificate, tls_key", old.tls.is_some() != new.tls.is_some()),
        ("webhook_secret_file", old_hooks.secret_file.is_some() != new_hooks.secret_file.is_some()),
        ("traces_url", before.traces != after.traces),
        ("webhook_allow", old_hooks.allow != new_hooks.allow),
        ("allowed_hosts", old.allowed_hosts != new.allowed_hosts),
        ("cors_origins", old.cors_origins != new.cors_origins),
        ("public_url", old.public_url != new.public_url),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(keys, _)| keys).collect()
}
