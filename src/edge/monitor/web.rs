//! One GET over HTTP or HTTPS, as `apache` and `http` monitors need it.

use std::sync::{Arc, Once, OnceLock};

use reqwest::header::{CONNECTION, HeaderValue};
use reqwest::{Client, Response, Url, redirect};
use rustls::{ClientConfig, RootCertStore};

use super::patience::Door;
use super::{Failure, reason};

/// Installs the process-wide TLS provider, ring. Cheap, and harmless any number of times.
///
/// The monitors call it before they first need it; a program that uses TLS elsewhere may call it earlier.
pub fn init_tls() {
    static ONCE: Once = Once::new();
    // It fails if another provider is installed already, which serves as well.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

/// The one HTTP client of the process, built when the first URL is read: roots and TLS settings are the same for all.
fn client() -> Result<&'static Client, Failure> {
    static CLIENT: OnceLock<Result<Client, String>> = OnceLock::new();
    let client = CLIENT.get_or_init(build);
    client.as_ref().map_err(|e| Failure::Answered(format!("no HTTP client: {e}")))
}

fn build() -> Result<Client, String> {
    init_tls();
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| reason::of(&e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        // Each check is a visitor of its own: it queues for a worker as a user would, and holds none between checks.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("whimbrel/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|e| reason::of(&e))
}

/// The URL of a config, which had it checked.
///
/// # Errors
/// It is none, or not for HTTP.
pub(super) fn parse(url: &str) -> Result<Url, Failure> {
    let wrong = |what: &str| Failure::Answered(format!("the monitor's URL {what}"));
    let url = Url::parse(url).map_err(|_| wrong("is not one"))?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(wrong("is not http or https")) }
}

/// Where to knock for a URL.
pub(super) fn door(url: &str) -> Option<Door> {
    let url = parse(url).ok()?;
    // A literal IPv6 address has brackets in a URL only.
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    Some(Door::Tcp(host, url.port_or_known_default()?))
}

/// Sends a GET, and returns when the reply's head is there. Redirects are replies like others.
pub(super) async fn get(url: Url) -> Result<Response, Failure> {
    let request = client()?.get(url).header(CONNECTION, HeaderValue::from_static("close"));
    request.send().await.map_err(failure)
}

/// Reads the reply's body to its end.
///
/// # Errors
/// It is longer than `limit` bytes, or broke off.
pub(super) async fn body(mut response: Response, limit: usize, mut keep: impl FnMut(&[u8])) -> Result<(), Failure> {
    let mut length = 0_usize;
    while let Some(chunk) = response.chunk().await.map_err(failure)? {
        length = length.saturating_add(chunk.len());
        if length > limit {
            return Err(Failure::Answered(format!("the reply is longer than {} KiB", limit / 1_024)));
        }
        keep(&chunk);
    }
    Ok(())
}

fn failure(error: reqwest::Error) -> Failure {
    let is_connect = error.is_connect();
    let reason = reason::of(&error.without_url());
    if is_connect { Failure::Unreachable(reason) } else { Failure::Answered(reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_door_is_the_urls_host_and_port() {
        let door = |url| match door(url) {
            Some(Door::Tcp(host, port)) => format!("{host} {port}"),
            _ => "none".to_owned(),
        };
        assert_eq!(door("http://user:pw@web1/server-status"), "web1 80");
        assert_eq!(door("https://web1"), "web1 443");
        assert_eq!(door("http://[::1]:8080/"), "::1 8080");
        assert_eq!(door("ftp://web1"), "none");
        assert_eq!(door("web1"), "none");
    }

    #[test]
    fn a_wrong_url_is_not_repeated() {
        let error = |url| parse(url).unwrap_err();
        assert_eq!(error("http://u:secret@:x"), Failure::Answered("the monitor's URL is not one".to_owned()));
        assert_eq!(error("ftp://u:secret@h"), Failure::Answered("the monitor's URL is not http or https".to_owned()));
    }

    #[test]
    fn the_provider_may_be_installed_twice() {
        init_tls();
        init_tls();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
        assert!(client().is_ok());
    }
}
