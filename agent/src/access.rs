//! The token that requests show and the certificate that the agent shows: read at the start, and again when their
//! files change. It knows no routes and no connections; those look at what is in force when they need it.

mod error;
mod token;

use std::sync::Arc;

use door::files::{self, Certificate, Kept, Renew, Tls};
use tokio::sync::watch;

pub(crate) use self::error::Error;
pub(crate) use self::token::Token;
use crate::config::AccessFiles;

/// What is in force. Without files there is nothing of it, and nothing is asked.
pub(crate) struct Access {
    asked: AccessFiles,
    token: Option<Kept<Token, Error, 1>>,
    tls: Option<Certificate>,
}

impl Access {
    /// Reads the files that are configured.
    ///
    /// # Errors
    /// A file cannot be read or does not hold what it should.
    pub(crate) fn load(asked: &AccessFiles) -> Result<Self, Error> {
        let token = asked.token_file.clone().map(|file| Kept::load([file], |[file]| token::read(file)));
        let pair = asked.tls_certificate.as_deref().zip(asked.tls_key.as_deref());
        let tls = pair.map(|(certificate, key)| files::certificate(certificate, key));
        Ok(Self { asked: asked.clone(), token: token.transpose()?, tls: tls.transpose()? })
    }

    /// The token to ask for, if one is configured.
    pub(crate) fn token(&self) -> Option<watch::Receiver<Arc<Token>>> {
        self.token.as_ref().map(Kept::current)
    }

    /// How to speak TLS, if a certificate is configured.
    pub(crate) fn tls(&self) -> Option<watch::Receiver<Arc<Tls>>> {
        self.tls.as_ref().map(Kept::current)
    }
}

impl Renew for Access {
    type Error = Error;

    fn is_empty(&self) -> bool {
        self.token.is_none() && self.tls.is_none()
    }

    fn renew(&mut self) {
        if let Some(token) = &mut self.token {
            token.renew();
        }
        if let Some(tls) = &mut self.tls {
            tls.renew();
        }
    }

    fn reload(&mut self) -> Result<(), Error> {
        let fresh = Self::load(&self.asked)?;
        files::replace(&mut self.token, fresh.token);
        files::replace(&mut self.tls, fresh.tls);
        Ok(())
    }
}
