//! A client for one ComfyUI: one method a route, one attempt each, bounded in time and bytes.
//!
//! Owns the routes, the bounds and the reading of errors. It never retries, follows no redirect, uses no proxy and keeps
//! nothing between calls but connections: whether to try again is its caller's decision, for which
//! [`Error::never_sent`] says what is safe.
//!
//! Routes are asked for without `/api`, which servers of 2024 do not have, except those that exist only there.

mod address;
mod bounds;
mod call;
mod download;
mod files;
mod history;
mod interface;
mod jobs;
mod queue;
mod submit;
mod system;
mod userdata;

pub use bounds::{Bound, Bounds};
pub use download::Download;
pub use files::Upload;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use url::Url;

use crate::{Cause, Error};
pub(crate) use address::Address;

/// How long a TCP (and TLS) connection may take.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an unused connection is kept: shorter than the 75 s after which a server closes it, so that a request
/// rarely meets a connection that is being closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);
/// How many unused connections are kept for one server.
const IDLE_CONNECTIONS_PER_HOST: usize = 8;
/// After how long the system asks a silent peer whether it is still there.
const TCP_KEEPALIVE: Duration = Duration::from_secs(20);

/// A client for one ComfyUI. Cheap to clone; clones share connections.
///
/// ```no_run
/// use comfyui::Client;
/// use comfyui::api::PromptRequest;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(&"http://127.0.0.1:8188".parse()?)?;
/// client.health_check().await?;
/// let accepted = client.queue_prompt(&PromptRequest::of(r#"{"1": {"class_type": "PreviewAny"}}"#)?).await?;
/// println!("queued as {}", accepted.prompt_id);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// What a WebSocket trusts: the same as `http`.
    tls: Arc<ClientConfig>,
    address: Address,
    bounds: Bounds,
}

impl Client {
    /// A client with connections of its own, see [`http`].
    ///
    /// # Errors
    /// See [`Client::with`] and [`http`].
    pub fn new(base: &Url) -> Result<Self, Error> {
        Self::with(http()?, base)
    }

    /// A client with connections of its own that trusts these certificates (PEM) besides the system's: for servers whose
    /// certificates a company's own authority has signed. For a whole program, the variable `SSL_CERT_FILE` names a file
    /// with the certificates to trust instead of the system's.
    ///
    /// ```no_run
    /// # fn run() -> Result<(), Box<dyn std::error::Error>> {
    /// let authority = std::fs::read("authority.pem")?;
    /// let client = comfyui::Client::trusting(&"https://gpu-1.internal".parse()?, &authority)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// See [`Client::with`]; when there is no certificate in the text, or one that cannot be read.
    pub fn trusting(base: &Url, certificates_pem: &[u8]) -> Result<Self, Error> {
        let tls = crate::tls::trusting(certificates_pem).map_err(|why| unusable(&why))?;
        Self::of(http_with(&tls)?, tls, base)
    }

    /// A client that shares the connections of `http`, which [`http`] has made: its WebSockets trust the system's
    /// certificates.
    ///
    /// The base is `http` or `https`, may have a path (a server behind a proxy) and a user with a password, which go
    /// along as basic authentication and into no message.
    ///
    /// # Errors
    /// When the base is not such an address.
    pub fn with(http: reqwest::Client, base: &Url) -> Result<Self, Error> {
        Self::of(http, crate::tls::config().map_err(|why| unusable(&why))?, base)
    }

    fn of(http: reqwest::Client, tls: Arc<ClientConfig>, base: &Url) -> Result<Self, Error> {
        let address = Address::of(&http, base)?;
        Ok(Self { http, tls, address, bounds: Bounds::default() })
    }

    /// The same client with other bounds.
    #[must_use]
    pub fn bounded(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// The same client showing a bearer token (`Authorization: Bearer`), for a server behind something that asks for
    /// one. It takes the place of credentials in the address, and stands in no message.
    ///
    /// # Errors
    /// When the token is not one word that a header can carry.
    pub fn bearing(mut self, token: &str) -> Result<Self, Error> {
        self.address.bear(token)?;
        Ok(self)
    }

    /// What bounds its calls.
    #[must_use]
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The server's address without credentials, as errors name it.
    #[must_use]
    pub fn backend(&self) -> &str {
        self.address.shown()
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn tls(&self) -> Arc<ClientConfig> {
        self.tls.clone()
    }
}

/// Without its connections and all that TLS can be set to.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Client");
        shown.field("address", &self.address).field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

/// The HTTP client that [`Client`]s share: TLS by rustls with the system's certificates, kept connections, no Nagle
/// delay, no proxy of the environment (backends are near), no redirects.
///
/// # Errors
/// When TLS cannot be set up.
pub fn http() -> Result<reqwest::Client, Error> {
    let tls = crate::tls::config().map_err(|why| unusable(&why))?;
    http_with(&tls)
}

/// The same, trusting these certificates (PEM) besides the system's, for what is asked by HTTP only.
///
/// # Errors
/// When there is no certificate in the text, or one that cannot be read.
pub fn http_trusting(certificates_pem: &[u8]) -> Result<reqwest::Client, Error> {
    let tls = crate::tls::trusting(certificates_pem).map_err(|why| unusable(&why))?;
    http_with(&tls)
}

/// One of [`http`] or, with certificates, of [`http_trusting`], whose connections end when the other side has acknowledged nothing
/// for so long: for servers that are near and of which it matters soon that they are gone.
///
/// # Errors
/// See [`http_trusting`].
pub fn http_noticing(within: Duration, certificates_pem: Option<&[u8]>) -> Result<reqwest::Client, Error> {
    let tls = match certificates_pem {
        Some(pem) => crate::tls::trusting(pem).map_err(|why| unusable(&why))?,
        None => crate::tls::config().map_err(|why| unusable(&why))?,
    };
    let builder = builder(&tls).tcp_keepalive(within / 2).tcp_keepalive_interval(Duration::from_secs(1));
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let builder = builder.tcp_user_timeout(within);
    builder.build().map_err(|error| unusable(&error))
}

/// The same, which keeps no connections and finds the addresses of names by `lookup`: for servers of which not every address
/// may be connected to.
///
/// # Errors
/// When TLS cannot be set up.
pub fn http_looking_up<L: reqwest::dns::Resolve + 'static>(lookup: Arc<L>) -> Result<reqwest::Client, Error> {
    let tls = crate::tls::config().map_err(|why| unusable(&why))?;
    let builder = builder(&tls).pool_max_idle_per_host(0).dns_resolver(lookup);
    builder.build().map_err(|error| unusable(&error))
}

fn http_with(tls: &ClientConfig) -> Result<reqwest::Client, Error> {
    builder(tls).build().map_err(|error| unusable(&error))
}

fn builder(tls: &ClientConfig) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls.clone())
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .tcp_keepalive(TCP_KEEPALIVE)
        .pool_idle_timeout(IDLE_CONNECTION)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
}

fn unusable(why: &dyn std::fmt::Display) -> Error {
    Error {
        operation: "set up HTTP",
        backend: "any server".to_owned(),
        cause: Cause::Unsendable(why.to_string()),
    }
}
