//! `mysql`: a global status variable, or a query that gives one number.

use std::time::Duration;

use futures_util::FutureExt;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, DriverError, Error, Opts, OptsBuilder, Row, UrlError, Value};

use super::patience::Door;
use super::{Failure, init_tls, number, reason, secret};
use crate::core::cluster::{MysqlQuantity, Secret};

/// One number is asked for; a packet that is longer is none.
const LONGEST_PACKET: usize = 64 << 10;
/// The server drops idle connections by its own time; this keeps the client from asking for it.
const WAIT_TIMEOUT_S: usize = 28_800;

/// Errors by which a server says goodbye: shutdown, killed, idle for too long.
const GOODBYES: [u16; 3] = [1053, 1927, 4031];
const ACCESS_DENIED: [u16; 2] = [1045, 1698];

/// Asks a server over one connection that is kept from read to read.
pub(super) struct Mysql {
    url: String,
    password: Option<Secret>,
    quantity: MysqlQuantity,
    deadline: Duration,
    kept: Option<Line>,
}

/// A connection that hangs up at once when it is dropped. (Its own drop would first wait for the reply it is owed, and
/// so hold on to a server that hangs.)
struct Line(Option<Conn>);

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(conn) = self.0.take() {
            // Says goodbye if that takes no waiting.
            let _ = conn.disconnect().now_or_never();
        }
    }
}

/// Why a question had no number for an answer.
enum Wrong {
    /// The connection broke.
    Lost(String),
    /// The server said so.
    Answer(String),
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

    pub(super) fn door(&self) -> Option<Door> {
        let opts = options(&self.url).ok()?;
        Some(match opts.socket() {
            Some(path) => Door::Socket(path.into()),
            None => Door::Tcp(opts.ip_or_hostname().to_owned(), opts.tcp_port()),
        })
    }

    /// Asks over the kept connection; if that one has died meanwhile, over a new one. The connection is out of `self`
    /// while a reply is owed, so that an abandoned read takes it along.
    pub(super) async fn read(&mut self) -> Result<f64, Failure> {
        let question = question(&self.quantity).map_err(Failure::Answered)?;
        if let Some(line) = self.kept.take() {
            match self.ask_over(line, &question).await {
                Err(Wrong::Lost(_)) => (),
                answer => return answer.map_err(Wrong::into_failure),
            }
        }
        let line = self.connect().await?;
        self.ask_over(line, &question).await.map_err(Wrong::into_failure)
    }

    /// Ends the connection, so that the next read logs in. Servers shut out a host after many connections in a row that
    /// did not log in, as knocks are; a login ends the row.
    pub(super) fn hang_up(&mut self) {
        self.kept = None;
    }

    /// Keeps the connection only after a whole answer: of a longer one the rest is still to come.
    async fn ask_over(&mut self, mut line: Line, question: &str) -> Result<f64, Wrong> {
        let Some(conn) = &mut line.0 else { return Err(Wrong::Lost("connection closed".to_owned())) };
        let value = ask(conn, question, &self.quantity).await?;
        self.kept = Some(line);
        Ok(value)
    }

    async fn connect(&self) -> Result<Line, Failure> {
        init_tls();
        let mut opts = OptsBuilder::from_opts(options(&self.url).map_err(Failure::Answered)?);
        if let Some(password) = &self.password {
            opts = opts.pass(Some(secret::reveal(password).await.map_err(Failure::Answered)?));
        }
        let opts = Opts::from(opts);
        let user = opts.user().unwrap_or_default().to_owned();
        let conn = Conn::new(opts).await.map_err(|error| Failure::Unreachable(connecting(&error, &user)))?;
        let mut line = Line(Some(conn));
        if let (MysqlQuantity::Query(_), Some(conn)) = (&self.quantity, &mut line.0) {
            self.bound_queries(conn).await?;
        }
        Ok(line)
    }

    /// A query that was given up must not go on in the server, or a slow one piles up there. Servers without the
    /// setting are asked as they are.
    async fn bound_queries(&self, conn: &mut Conn) -> Result<(), Failure> {
        // Twice the deadline: it is the deadline that ends a read, never this.
        let (s, ms) = ((self.deadline * 2).as_secs_f64(), (self.deadline * 2).as_millis());
        let set = format!("SET SESSION /*!50708 max_execution_time={ms} *//*M!100101 max_statement_time={s} */");
        match conn.query_drop(set).await {
            Ok(()) | Err(Error::Server(_)) => Ok(()),
            Err(error) => Err(Failure::Unreachable(reason::of(&error))),
        }
    }
}

impl Wrong {
    fn into_failure(self) -> Failure {
        match self {
            Self::Lost(reason) | Self::Answer(reason) => Failure::Answered(reason),
        }
    }
}

impl From<Error> for Wrong {
    fn from(error: Error) -> Self {
        match &error {
            Error::Server(said) if GOODBYES.contains(&said.code) => Self::Lost(reason::short(&said.message)),
            Error::Server(said) => Self::Answer(reason::short(&said.message)),
            _ => Self::Lost(reason::of(&error)),
        }
    }
}

/// What the URL says, without the password.
fn options(url: &str) -> Result<Opts, String> {
    let opts = Opts::from_url(url).map_err(|error| match error {
        UrlError::InvalidParamValue { param, .. } => format!("the monitor's URL has a wrong {}", reason::short(&param)),
        UrlError::UnknownParameter { param } => format!("the monitor's URL has an unknown {}", reason::short(&param)),
        UrlError::UnsupportedScheme { .. } => "the monitor's URL is not mysql".to_owned(),
        _ => "the monitor's URL is not one".to_owned(),
    })?;
    let host = opts.ip_or_hostname().trim_matches(['[', ']']).to_owned();
    let opts = OptsBuilder::from_opts(opts)
        // Said once more, or the library looks the name up by a blocking call.
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
        // `=`, as `_` stands for any character in a pattern.
        MysqlQuantity::Variable(name) if is_name(name) => {
            Ok(format!("SHOW GLOBAL STATUS WHERE Variable_name = '{name}'"))
        }
        MysqlQuantity::Variable(name) => Err(format!("'{}' is not a status variable's name", reason::short(name))),
    }
}

/// Nothing that could end the quotes it is put in.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '$'))
}

/// Reads no more than two rows, whatever the query gives.
async fn ask(conn: &mut Conn, question: &str, quantity: &MysqlQuantity) -> Result<f64, Wrong> {
    let mut result = conn.query_iter(question).await?;
    let first: Option<Row> = result.next().await?;
    let second = if first.is_some() { result.next().await? } else { None };
    single(first, second, quantity).map_err(Wrong::Answer)
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
        Value::Bytes(text) => number::parse(&String::from_utf8_lossy(text)),
        Value::Int(value) => Ok(*value as f64),
        Value::UInt(value) => Ok(*value as f64),
        Value::Float(value) => number::parse(&value.to_string()),
        Value::Double(value) => number::parse(&value.to_string()),
        Value::NULL => Err("NULL is not a number".to_owned()),
        Value::Date(..) | Value::Time(..) => Err("a date or time is not a number".to_owned()),
    }
}

fn connecting(error: &Error, user: &str) -> String {
    match error {
        Error::Server(said) if ACCESS_DENIED.contains(&said.code) => {
            format!("access denied for user '{}'", reason::short(user))
        }
        Error::Server(said) => reason::short(&said.message),
        Error::Driver(DriverError::NoClientSslFlagFromServer) => "the server has no TLS".to_owned(),
        _ => reason::of(error),
    }
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
    fn a_socket_is_a_door_too() {
        let door = |url: &str| Mysql::new(url.to_owned(), None, variable("x"), Duration::ZERO).door();
        assert_eq!(door("mysql://h/?socket=%2Frun%2Fdb.sock"), Some(Door::Socket("/run/db.sock".into())));
        assert_eq!(door("mysql://h"), Some(Door::Tcp("h".to_owned(), 3306)));
        assert_eq!(door("nonsense"), None);
    }
}
