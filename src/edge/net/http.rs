//! An HTTP client as every part of the edge wants it.

use std::sync::Arc;

use reqwest::{ClientBuilder, redirect};
use rustls::{ClientConfig, RootCertStore};

use super::{init_tls, text};

/// A client that trusts the public roots, goes through no proxy, follows no redirect and names this program.
///
/// # Errors
/// TLS cannot be set up.
pub fn client() -> Result<ClientBuilder, String> {
    init_tls();
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| text::reason(&e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .user_agent(concat!("whimbrel/", env!("CARGO_PKG_VERSION"))))
}
