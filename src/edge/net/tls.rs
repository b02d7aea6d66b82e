//! The process-wide TLS provider.

use std::sync::Once;

/// Installs the process-wide TLS provider, ring. It is cheap and may be called any number of times.
pub fn init_tls() {
    static ONCE: Once = Once::new();
    // It fails if a provider is installed already, which serves as well.
    ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_provider_may_be_installed_twice() {
        init_tls();
        init_tls();
        assert!(rustls::crypto::CryptoProvider::get_default().is_some());
    }
}
