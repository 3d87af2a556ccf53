//! The flags that say who may ask, and over which certificate. What the files hold is `access`' matter.

use std::path::PathBuf;

use clap::Args;

// No doc comment: clap would take it for the program's description.
#[derive(Args, Clone, Debug, Default)]
pub struct AccessFiles {
    /// A file whose first line is a token, 16 characters or longer, that all routes but /-/healthy and /-/ready
    /// ask for as `Authorization: Bearer TOKEN`. Read again when it changes, and upon SIGHUP
    #[arg(long, env = "ORCHESTRATOR_AGENT_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Certificate (PEM, followed by those between it and its authority): the agent then speaks TLS only. Read again
    /// when it changes, and upon SIGHUP
    #[arg(long, env = "ORCHESTRATOR_AGENT_TLS_CERTIFICATE", value_name = "FILE", requires = "tls_key")]
    pub tls_certificate: Option<PathBuf>,

    /// The certificate's private key (PEM)
    #[arg(long, env = "ORCHESTRATOR_AGENT_TLS_KEY", value_name = "FILE", requires = "tls_certificate")]
    pub tls_key: Option<PathBuf>,
}
