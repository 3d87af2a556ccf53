//! The tokens that clients show, the certificate that the collector shows and the secret that it signs webhooks with: read
//! at the start, and again when their files change. It knows no routes and no connections; those look at what is in force when they need it.

mod allowance;
mod entry;
mod fresh;
mod tokens;

use std::sync::Arc;

use door::files::{self, Certificate, Kept, Tls};
use tokio::sync::watch;

pub(crate) use self::allowance::Asked as AskedAllowance;
pub use self::entry::{Digest, Entry, Role};
pub use self::fresh::{Fresh, NoRandom, random_text};
pub(crate) use self::tokens::check_name;
pub use self::tokens::{Tokens, TokensError};
use crate::config;
use crate::tenant::Tenants;
use crate::webhook::{SecretError, Secrets};

/// Why the files cannot be used. No text of a secret is told.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    #[error(transparent)]
    Tokens(#[from] TokensError),
    #[error(transparent)]
    Certificate(#[from] files::Error),
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// What is in force. Without files there is nothing of it, and nothing is asked.
pub struct Access {
    tokens: Option<Kept<Tokens, TokensError, 1>>,
    tls: Option<Certificate>,
    webhook_secrets: Option<Kept<Secrets, SecretError, 1>>,
}

impl Access {
    /// Reads the files that are configured.
    ///
    /// # Errors
    /// A file cannot be read or does not hold what it should.
    pub fn load(asked: &config::Access, webhooks: &config::Webhooks) -> Result<Self, AccessError> {
        let tokens = asked.token_file.clone().map(|file| Kept::load([file], |[file]| tokens::read(file)));
        let tls = asked.tls.as_ref().map(|pair| files::certificate(&pair.certificate, &pair.key));
        let secrets = webhooks.secret_file.clone();
        let secrets = secrets.map(|file| Kept::load([file], |[file]| Secrets::read(file)));
        Ok(Self { tokens: tokens.transpose()?, tls: tls.transpose()?, webhook_secrets: secrets.transpose()? })
    }

    /// The tokens to ask for, if there is a file of them.
    pub fn tokens(&self) -> Option<watch::Receiver<Arc<Tokens>>> {
        self.tokens.as_ref().map(Kept::current)
    }

    /// What the jobs of each token may have, now and later.
    pub fn tenants(&self) -> watch::Receiver<Arc<Tenants>> {
        let (told, tenants) = watch::channel(Arc::default());
        if let Some(mut tokens) = self.tokens() {
            told.send_replace(Arc::new(tokens.borrow_and_update().tenants()));
            tokio::spawn(async move {
                while tokens.changed().await.is_ok() {
                    told.send_replace(Arc::new(tokens.borrow_and_update().tenants()));
                }
            });
        }
        tenants
    }

    /// What webhooks are signed with, if they are.
    pub fn webhook_secrets(&self) -> Option<watch::Receiver<Arc<Secrets>>> {
        self.webhook_secrets.as_ref().map(Kept::current)
    }

    /// How to speak TLS, if a certificate is configured.
    pub fn tls(&self) -> Option<watch::Receiver<Arc<Tls>>> {
        self.tls.as_ref().map(Kept::current)
    }

    /// Whether there is no file to look at.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_none() && self.tls.is_none() && self.webhook_secrets.is_none()
    }

    /// Reads what has changed again.
    pub fn renew(&mut self) {
        if let Some(tokens) = &mut self.tokens {
            tokens.renew();
        }
        if let Some(tls) = &mut self.tls {
            tls.renew();
        }
        if let Some(secrets) = &mut self.webhook_secrets {
            secrets.renew();
        }
    }

    /// What was read afresh is in force. Whether anything is asked at all is settled at the start.
    pub fn replace(&mut self, fresh: Self) {
        files::replace(&mut self.tokens, fresh.tokens);
        files::replace(&mut self.tls, fresh.tls);
        files::replace(&mut self.webhook_secrets, fresh.webhook_secrets);
    }
}
