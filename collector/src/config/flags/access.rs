//! The flags, and the file's keys of the same names, that say who may ask.

use std::path::PathBuf;

use clap::Args;

use super::super::value::OriginUrl;

// No doc comment: clap would take it for the program's description.
#[derive(Args, Clone, Debug, Default)]
pub struct AccessFlags {
    /// A file of tokens (TOML); `orchestrator-collector token` makes its entries. All who ask must then show one, as
    /// `Authorization: Bearer TOKEN` or at /login. Read again when it changes, and upon SIGHUP
    #[arg(long, value_name = "FILE", env = "ORCHESTRATOR_COLLECTOR_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,

    /// Certificate (PEM, followed by those between it and its authority): clients are then answered over TLS only. Read
    /// again when it changes, and upon SIGHUP
    #[arg(long, value_name = "FILE", env = "ORCHESTRATOR_COLLECTOR_TLS_CERTIFICATE")]
    pub tls_certificate: Option<PathBuf>,

    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", env = "ORCHESTRATOR_COLLECTOR_TLS_KEY")]
    pub tls_key: Option<PathBuf>,

    /// Listen beyond this machine without tokens: whoever reaches the address may do everything
    #[arg(long, env = "ORCHESTRATOR_COLLECTOR_INSECURE")]
    pub insecure: bool,

    /// A name, besides addresses and localhost, by which clients may call a collector without tokens; may be repeated
    #[arg(
        long = "allowed-host",
        value_name = "NAME",
        env = "ORCHESTRATOR_COLLECTOR_ALLOWED_HOSTS",
        value_delimiter = ','
    )]
    pub allowed_hosts: Vec<String>,

    /// Another site whose pages may use the collector from a browser, as https://app.example, each exactly; may be repeated.
    /// A visitor's session counts for nothing there: with tokens their scripts send `Authorization`
    #[arg(
        long = "cors-origin",
        value_name = "ORIGIN",
        env = "ORCHESTRATOR_COLLECTOR_CORS_ORIGINS",
        value_delimiter = ','
    )]
    pub cors_origins: Vec<OriginUrl>,

    /// How browsers reach the collector, where a proxy is before it and the web interface has an address of its own; else by
    /// the host that they used, and the port of --listen
    #[arg(long, value_name = "URL", env = "ORCHESTRATOR_COLLECTOR_PUBLIC_URL")]
    pub public_url: Option<OriginUrl>,
}
