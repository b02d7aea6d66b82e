//! A connection to MariaDB or MySQL.

use futures_util::FutureExt;
use mysql_async::{Conn, DriverError, Error, Opts, OptsBuilder, UrlError};

use super::{init_tls, text};

/// Errors by which a server closes a connection: shutdown, killed, idle for too long.
pub const GOODBYES: [u16; 3] = [1053, 1927, 4031];
/// Errors of a login: a wrong user, password or host.
pub const ACCESS_DENIED: [u16; 2] = [1045, 1698];

/// A connection that closes at once when it is dropped. `Conn` by itself would first wait for an outstanding reply, and so
/// keep a connection to a server that hangs.
pub struct KeptConnection(Option<Conn>);

impl KeptConnection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// The server is not reached, or refuses: [`connecting`] has the words.
    pub async fn open(options: impl Into<Opts>) -> Result<Self, Error> {
        init_tls();
        Ok(Self(Some(Conn::new(options).await?)))
    }

    /// The connection.
    pub const fn conn(&mut self) -> &mut Conn {
        self.0.as_mut().expect("it is taken out by `drop` alone")
    }
}

impl Drop for KeptConnection {
    fn drop(&mut self) {
        if let Some(conn) = self.0.take() {
            // Sends the closing packet only if that takes no waiting.
            let _ = conn.disconnect().now_or_never();
        }
    }
}

/// What a config's URL says, without the password. `whose` begins the reason: `the monitor's`.
///
/// # Errors
/// It is no such URL, or has a parameter that is not known. The reason has none of its values.
pub fn options(url: &str, whose: &str) -> Result<OptsBuilder, String> {
    let opts = Opts::from_url(url).map_err(|error| match error {
        UrlError::InvalidParamValue { param, .. } => format!("{whose} URL has a wrong {}", text::short(&param)),
        UrlError::UnknownParameter { param } => format!("{whose} URL has an unknown {}", text::short(&param)),
        UrlError::UnsupportedScheme { .. } => format!("{whose} URL is not mysql"),
        _ => format!("{whose} URL is not one"),
    })?;
    let host = opts.ip_or_hostname().trim_matches(['[', ']']).to_owned();
    // The host is set again, because otherwise the library looks the name up by a blocking call.
    Ok(OptsBuilder::from_opts(opts).ip_or_hostname(host).prefer_socket(false))
}

/// Why there is no connection for this user.
pub fn connecting(error: &Error, user: &str) -> String {
    match error {
        Error::Server(said) if ACCESS_DENIED.contains(&said.code) => {
            format!("access denied for user '{}'", text::short(user))
        }
        Error::Server(said) => text::short(&said.message),
        Error::Driver(DriverError::NoClientSslFlagFromServer) => "the server has no TLS".to_owned(),
        _ => text::reason(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_says_where_and_how() {
        let opts = |url| Opts::from(options(url, "the monitor's").unwrap());
        let tls = opts("mysql://watch@[::1]:3307/shop?require_ssl=true&verify_ca=false");
        assert_eq!((tls.ip_or_hostname(), tls.tcp_port()), ("::1", 3307));
        assert_eq!((tls.user(), tls.db_name()), (Some("watch"), Some("shop")));
        assert!(tls.ssl_opts().is_some_and(|ssl| ssl.accept_invalid_certs()));
        assert!(opts("mysql://watch@db").ssl_opts().is_none());
    }

    #[test]
    fn a_wrong_url_is_named_without_its_values() {
        let error = |url| options(url, "the monitor's").unwrap_err();
        assert_eq!(error("mysql://h/?require_ssl=secret"), "the monitor's URL has a wrong require_ssl");
        assert_eq!(error("mysql://h/?pw=secret"), "the monitor's URL has an unknown pw");
        assert_eq!(error("http://u:secret@h"), "the monitor's URL is not mysql");
        assert_eq!(error("secret"), "the monitor's URL is not one");
    }
}
