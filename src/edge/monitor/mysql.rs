//! `mysql`: a global status variable, or a query that gives one number.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, Opts, OptsBuilder, Row, UrlError, Value};

use super::attempt::Endpoint;
use super::{Failure, init_tls, text};
use crate::core::cluster::{MysqlQuantity, Secret};

/// The answer is one number; a longer packet is an error.
const LONGEST_PACKET: usize = 64 << 10;
/// Set so that the client does not ask the server for it; the server closes idle connections by its own time.
const WAIT_TIMEOUT_S: usize = 28_800;

/// Errors by which a server closes a connection: shutdown, killed, idle for too long.
const GOODBYES: [u16; 3] = [1053, 1927, 4031];
const ACCESS_DENIED: [u16; 2] = [1045, 1698];

/// Asks a server over one connection that is kept from read to read.
pub(super) struct Mysql {
    url: String,
    password: Option<Secret>,
    quantity: MysqlQuantity,
    deadline: Duration,
    kept: Option<KeptConnection>,
}

/// A connection that closes at once when it is dropped. `Conn` by itself would first wait for an outstanding reply, and so
/// keep a connection to a server that hangs.
struct KeptConnection(Option<Conn>);

impl Drop for KeptConnection {
    fn drop(&mut self) {
        if let Some(conn) = self.0.take() {
            // Sends the closing packet only if that takes no waiting.
            let _ = conn.disconnect().now_or_never();
        }
    }
}

impl Mysql {
    pub(super) const fn new(
        url: String,
        password: Option<Secret>,
        quantity: MysqlQuantity,
        deadline: Duration,
    ) -> Self {
        Self { url, password, quantity, deadline, kept: None }
    }

    pub(super) fn endpoint(&self) -> Option<Endpoint> {
        let opts = options(&self.url).ok()?;
        Some(match opts.socket() {
            Some(path) => Endpoint::Socket(path.into()),
            None => Endpoint::Tcp(opts.ip_or_hostname().to_owned(), opts.tcp_port()),
        })
    }

    /// Asks over the kept connection, or over a new one if that broke. While a reply is outstanding the connection is not in
    /// `self`, so that a read that is dropped closes it.
    pub(super) async fn read(&mut self) -> Result<f64, Failure> {
        let question = question(&self.quantity).map_err(Failure::Answered)?;
        if let Some(line) = self.kept.take() {
            match self.ask_over(line, &question).await {
                Err(Failure::Unreachable(_)) => (),
                answer => return answer,
            }
        }
        let line = self.connect().await?;
        // The server was reached, even if it is lost again.
        self.ask_over(line, &question).await.map_err(|failure| Failure::Answered(failure.reason()))
    }

    /// Closes the connection, so that the next read logs in. A server blocks a client host after many connections in a row
    /// without a login, which is what probes are; one login resets that count.
    pub(super) fn hang_up(&mut self) {
        self.kept = None;
    }

    /// Keeps the connection only after a complete answer; otherwise the rest of the answer would still be in it.
    async fn ask_over(&mut self, mut line: KeptConnection, question: &str) -> Result<f64, Failure> {
        let Some(conn) = &mut line.0 else { return Err(Failure::Unreachable("connection closed".to_owned())) };
        let value = ask(conn, question, &self.quantity).await?;
        self.kept = Some(line);
        Ok(value)
    }

    async fn connect(&self) -> Result<KeptConnection, Failure> {
        init_tls();
        let mut opts = OptsBuilder::from_opts(options(&self.url).map_err(Failure::Answered)?);
        if let Some(password) = &self.password {
            opts = opts.pass(Some(reveal(password).await.map_err(Failure::Answered)?));
        }
        let opts = Opts::from(opts);
        let user = opts.user().unwrap_or_default().to_owned();
        let conn = Conn::new(opts).await.map_err(|error| Failure::Unreachable(connecting(&error, &user)))?;
        let mut line = KeptConnection(Some(conn));
        if let (MysqlQuantity::Query(_), Some(conn)) = (&self.quantity, &mut line.0) {
            self.bound_queries(conn).await?;
        }
        Ok(line)
    }

    /// Limits the time of a query in the server, so that abandoned slow queries do not pile up there. Servers without the
    /// setting are used without it.
    async fn bound_queries(&self, conn: &mut Conn) -> Result<(), Failure> {
        // Twice the deadline, so that the deadline always ends a read first.
        let (s, ms) = ((self.deadline * 2).as_secs_f64(), (self.deadline * 2).as_millis());
        let set = format!("SET SESSION /*!50708 max_execution_time={ms} *//*M!100101 max_statement_time={s} */");
        match conn.query_drop(set).await {
            Ok(()) | Err(Error::Server(_)) => Ok(()),
            Err(error) => Err(Failure::Unreachable(text::reason(&error))),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match &error {
            Error::Server(said) if GOODBYES.contains(&said.code) => Self::Unreachable(text::short(&said.message)),
            Error::Server(said) => Self::Answered(text::short(&said.message)),
            _ => Self::Unreachable(text::reason(&error)),
        }
    }
}

/// What the URL says, without the password.
fn options(url: &str) -> Result<Opts, String> {
    let opts = Opts::from_url(url).map_err(|error| match error {
        UrlError::InvalidParamValue { param, .. } => format!("the monitor's URL has a wrong {}", text::short(&param)),
        UrlError::UnknownParameter { param } => format!("the monitor's URL has an unknown {}", text::short(&param)),
        UrlError::UnsupportedScheme { .. } => "the monitor's URL is not mysql".to_owned(),
        _ => "the monitor's URL is not one".to_owned(),
    })?;
    let host = opts.ip_or_hostname().trim_matches(['[', ']']).to_owned();
    let opts = OptsBuilder::from_opts(opts)
        // Set again, because otherwise the library looks the name up by a blocking call.
        .ip_or_hostname(host)
        .prefer_socket(false)
        .stmt_cache_size(0)
        .max_allowed_packet(Some(LONGEST_PACKET))
        .wait_timeout(Some(WAIT_TIMEOUT_S));
    Ok(opts.into())
}

fn question(quantity: &MysqlQuantity) -> Result<String, String> {
    match quantity {
        MysqlQuantity::Query(query) => Ok(query.clone()),
        // `=` and not LIKE: in a pattern `_` stands for any character.
        MysqlQuantity::Variable(name) if is_name(name) => {
            Ok(format!("SHOW GLOBAL STATUS WHERE Variable_name = '{name}'"))
        }
        MysqlQuantity::Variable(name) => Err(format!("'{}' is not a status variable's name", text::short(name))),
    }
}

/// Whether the name has no character that could end the quotes around it.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '$'))
}

/// Reads no more than two rows, whatever the query gives.
async fn ask(conn: &mut Conn, question: &str, quantity: &MysqlQuantity) -> Result<f64, Failure> {
    let mut result = conn.query_iter(question).await?;
    let first: Option<Row> = result.next().await?;
    let second = if first.is_some() { result.next().await? } else { None };
    single(first, second, quantity).map_err(Failure::Answered)
}

fn single(first: Option<Row>, second: Option<Row>, quantity: &MysqlQuantity) -> Result<f64, String> {
    match (quantity, first, second) {
        (_, Some(_), Some(_)) => Err("the query gave more than one row".to_owned()),
        (MysqlQuantity::Variable(name), None, _) => Err(format!("the server has no status variable {name}")),
        (MysqlQuantity::Query(_), None, _) => Err("the query gave no row".to_owned()),
        (MysqlQuantity::Variable(_), Some(row), None) => row.as_ref(1).map_or_else(|| Err(no_value()), number_of),
        (MysqlQuantity::Query(_), Some(row), None) if row.len() > 1 => {
            Err(format!("the query gave {} columns instead of one", row.len()))
        }
        (MysqlQuantity::Query(_), Some(row), None) => row.as_ref(0).map_or_else(|| Err(no_value()), number_of),
    }
}

fn no_value() -> String {
    "the server gave no value".to_owned()
}

fn number_of(value: &Value) -> Result<f64, String> {
    match value {
        Value::Bytes(text) => text::number(&String::from_utf8_lossy(text)),
        Value::Int(value) => Ok(*value as f64),
        Value::UInt(value) => Ok(*value as f64),
        Value::Float(value) => text::number(&value.to_string()),
        Value::Double(value) => text::number(&value.to_string()),
        Value::NULL => Err("NULL is not a number".to_owned()),
        Value::Date(..) | Value::Time(..) => Err("a date or time is not a number".to_owned()),
    }
}

fn connecting(error: &Error, user: &str) -> String {
    match error {
        Error::Server(said) if ACCESS_DENIED.contains(&said.code) => {
            format!("access denied for user '{}'", text::short(user))
        }
        Error::Server(said) => text::short(&said.message),
        Error::Driver(DriverError::NoClientSslFlagFromServer) => "the server has no TLS".to_owned(),
        _ => text::reason(error),
    }
}

/// Longer than any password, shorter than a file that was named by mistake.
const LONGEST_PASSWORD: u64 = 4_096;

/// The password a [`Secret`] stands for.
///
/// # Errors
/// It is not there, or is no password. The reason names the place, never what was found.
pub(super) async fn reveal(secret: &Secret) -> Result<String, String> {
    match secret {
        Secret::Env(name) => match std::env::var(name) {
            Ok(password) => Ok(password),
            Err(_) => Err(format!("environment variable {} is not set", text::short(name))),
        },
        Secret::File(path) => {
            let path = path.clone();
            let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
            read.unwrap_or_else(|_| Err("the password file could not be read".to_owned()))
        }
    }
}

fn read_file(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(LONGEST_PASSWORD + 1).read_to_end(&mut bytes)).map_err(|e| {
        let why = match e.kind() {
            ErrorKind::NotFound => "it does not exist".to_owned(),
            _ => text::reason(&e),
        };
        format!("cannot read the password file: {why}")
    })?;
    if bytes.len() as u64 > LONGEST_PASSWORD {
        return Err("the password file is too long".to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|_| "the password file is not UTF-8 text".to_owned())?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str) -> MysqlQuantity {
        MysqlQuantity::Variable(name.to_owned())
    }

    #[test]
    fn a_variable_is_asked_for_by_its_exact_name() {
        let sql = question(&variable("Slow_queries")).unwrap();
        assert_eq!(sql, "SHOW GLOBAL STATUS WHERE Variable_name = 'Slow_queries'");
        for name in ["", "x' OR '1", "a\\", "a b", "ø"] {
            assert_eq!(question(&variable(name)).unwrap_err(), format!("'{name}' is not a status variable's name"));
        }
    }

    #[test]
    fn any_value_of_a_server_is_a_number_or_a_reason() {
        assert_eq!(number_of(&Value::Bytes(b"42".to_vec())), Ok(42.0));
        assert_eq!(number_of(&Value::Bytes(b"-0.50".to_vec())), Ok(-0.5));
        assert_eq!(number_of(&Value::UInt(7)), Ok(7.0));
        assert_eq!(number_of(&Value::Double(f64::NAN)).unwrap_err(), "NaN is not a value");
        assert_eq!(number_of(&Value::NULL).unwrap_err(), "NULL is not a number");
        assert_eq!(number_of(&Value::Bytes(b"ON".to_vec())).unwrap_err(), "'ON' is not a number");
    }

    #[test]
    fn the_url_says_where_and_how() {
        let opts = options("mysql://watch@[::1]:3307/shop?require_ssl=true&verify_ca=false").unwrap();
        assert_eq!((opts.ip_or_hostname(), opts.tcp_port()), ("::1", 3307));
        assert_eq!((opts.user(), opts.db_name()), (Some("watch"), Some("shop")));
        assert!(opts.ssl_opts().is_some_and(|ssl| ssl.accept_invalid_certs()));
        assert!(options("mysql://watch@db").unwrap().ssl_opts().is_none());
    }

    #[test]
    fn a_wrong_url_is_named_without_its_values() {
        let error = |url| options(url).unwrap_err();
        assert_eq!(error("mysql://h/?require_ssl=secret"), "the monitor's URL has a wrong require_ssl");
        assert_eq!(error("mysql://h/?pw=secret"), "the monitor's URL has an unknown pw");
        assert_eq!(error("http://u:secret@h"), "the monitor's URL is not mysql");
        assert_eq!(error("secret"), "the monitor's URL is not one");
    }

    #[test]
    fn a_socket_is_an_endpoint_too() {
        let endpoint = |url: &str| Mysql::new(url.to_owned(), None, variable("x"), Duration::ZERO).endpoint();
        assert_eq!(endpoint("mysql://h/?socket=%2Frun%2Fdb.sock"), Some(Endpoint::Socket("/run/db.sock".into())));
        assert_eq!(endpoint("mysql://h"), Some(Endpoint::Tcp("h".to_owned(), 3306)));
        assert_eq!(endpoint("nonsense"), None);
    }

    async fn from_file(content: &[u8]) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, content).unwrap();
        reveal(&Secret::File(path)).await
    }

    #[tokio::test]
    async fn one_trailing_line_end_is_cut() {
        for content in ["s3cret ø", "s3cret ø\n", "s3cret ø\r\n"] {
            assert_eq!(from_file(content.as_bytes()).await.as_deref(), Ok("s3cret ø"));
        }
        assert_eq!(from_file(b"two\n\n").await.as_deref(), Ok("two\n"));
    }

    #[tokio::test]
    async fn what_is_wrong_is_said_without_the_content() {
        assert_eq!(from_file(b"s3cret\xff").await.unwrap_err(), "the password file is not UTF-8 text");
        assert_eq!(from_file(&[b'x'; 5_000]).await.unwrap_err(), "the password file is too long");
        let missing = Secret::File("/nowhere/password".into());
        assert_eq!(reveal(&missing).await.unwrap_err(), "cannot read the password file: it does not exist");
        let unset = Secret::Env("WHIMBREL_TEST_UNSET".to_owned());
        assert_eq!(reveal(&unset).await.unwrap_err(), "environment variable WHIMBREL_TEST_UNSET is not set");
    }

    #[tokio::test]
    async fn the_environment_is_read() {
        let path = Secret::Env("PATH".to_owned());
        assert_eq!(reveal(&path).await, Ok(std::env::var("PATH").unwrap()));
    }
}
