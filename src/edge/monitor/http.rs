//! `http`: the time to a complete reply, in milliseconds; and one GET over HTTP or HTTPS, as `apache` needs it too.

use std::sync::OnceLock;

use reqwest::header::{CONNECTION, HeaderValue};
use reqwest::{Response, Url};
use tokio::time::Instant;

use super::attempt::Endpoint;
use super::{Failure, text};
use crate::edge::net::http;

/// A longer body is not a health check.
const LONGEST_BODY: usize = 8 << 20;

/// Fetches a URL and times it, from before the name is looked up to the last byte of the body.
pub(super) async fn read(url: &str, expect: u16) -> Result<f64, Failure> {
    let url = parse(url)?;
    let start = Instant::now();
    let reply = get(url).await?;
    let status = reply.status().as_u16();
    if status != expect {
        return Err(Failure::Answered(format!("status {status}, expected {expect}")));
    }
    body(reply, LONGEST_BODY, |_| ()).await?;
    Ok(start.elapsed().as_secs_f64() * 1_000.0)
}

/// The one HTTP client of the process, built when the first URL is read: roots and TLS settings are the same for all.
fn client() -> Result<&'static reqwest::Client, Failure> {
    static CLIENT: OnceLock<Result<reqwest::Client, String>> = OnceLock::new();
    let client = CLIENT.get_or_init(build);
    client.as_ref().map_err(|e| Failure::Answered(format!("no HTTP client: {e}")))
}

fn build() -> Result<reqwest::Client, String> {
    // Each check uses a new connection: it waits for a worker as a user would, and holds none between checks.
    http::client()?.pool_max_idle_per_host(0).build().map_err(|e| text::reason(&e))
}

/// The URL of a config.
///
/// # Errors
/// It is not a URL, or not one for HTTP.
pub(super) fn parse(url: &str) -> Result<Url, Failure> {
    let wrong = |what: &str| Failure::Answered(format!("the monitor's URL {what}"));
    let url = Url::parse(url).map_err(|_| wrong("is not one"))?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(wrong("is not http or https")) }
}

/// The endpoint of a URL.
pub(super) fn endpoint(url: &str) -> Option<Endpoint> {
    let url = parse(url).ok()?;
    // A literal IPv6 address has brackets in a URL only.
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    Some(Endpoint::Tcp(host, url.port_or_known_default()?))
}

/// Sends a GET and returns when the reply's head has come. A redirect is a reply like any other.
pub(super) async fn get(url: Url) -> Result<Response, Failure> {
    let request = client()?.get(url).header(CONNECTION, HeaderValue::from_static("close"));
    request.send().await.map_err(failure)
}

/// Reads the reply's body to its end.
///
/// # Errors
/// The body is longer than `limit` bytes, or it broke off.
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
    let reason = text::reason(&error.without_url());
    if is_connect { Failure::Unreachable(reason) } else { Failure::Answered(reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endpoint_is_the_urls_host_and_port() {
        let endpoint = |url| match endpoint(url) {
            Some(Endpoint::Tcp(host, port)) => format!("{host} {port}"),
            _ => "none".to_owned(),
        };
        assert_eq!(endpoint("http://user:pw@web1/server-status"), "web1 80");
        assert_eq!(endpoint("https://web1"), "web1 443");
        assert_eq!(endpoint("http://[::1]:8080/"), "::1 8080");
        assert_eq!(endpoint("ftp://web1"), "none");
        assert_eq!(endpoint("web1"), "none");
    }

    #[test]
    fn a_wrong_url_is_not_repeated() {
        let error = |url| parse(url).unwrap_err();
        assert_eq!(error("http://u:secret@:x"), Failure::Answered("the monitor's URL is not one".to_owned()));
        assert_eq!(error("ftp://u:secret@h"), Failure::Answered("the monitor's URL is not http or https".to_owned()));
    }

    #[test]
    fn there_is_a_client() {
        assert!(client().is_ok());
    }
}
