//! `mysql`: a global status variable, or a query that gives one number.

use std::time::Duration;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Opts, OptsBuilder, Row, Value};

use super::attempt::Endpoint;
use super::{Failure, text};
use crate::core::cluster::{MysqlQuantity, Secret};
use crate::edge::net::mysql::{self, GOODBYES, KeptConnection};
use crate::edge::net::reveal;

/// The answer is one number; a longer packet is an error.
const LONGEST_PACKET: usize = 64 << 10;
/// Set so that the client does not ask the server for it; the server closes idle connections by its own time.
const WAIT_TIMEOUT_S: usize = 28_800;

/// Asks a server over one connection that is kept from read to read.
pub(super) struct Mysql {
    url: String,
    password: Option<Secret>,
    quantity: MysqlQuantity,
    deadline: Duration,
    kept: Option<KeptConnection>,
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
        let opts = Opts::from(options(&self.url).ok()?);
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
        let value = ask(line.conn(), question, &self.quantity).await?;
        self.kept = Some(line);
        Ok(value)
    }

    async fn connect(&self) -> Result<KeptConnection, Failure> {
        let mut opts = options(&self.url).map_err(Failure::Answered)?;
        if let Some(password) = &self.password {
            opts = opts.pass(Some(reveal(password).await.map_err(Failure::Answered)?));
        }
        let opts = Opts::from(opts);
        let user = opts.user().unwrap_or_default().to_owned();
        let opened = KeptConnection::open(opts).await;
        let mut line = opened.map_err(|error| Failure::Unreachable(mysql::connecting(&error, &user)))?;
        if let MysqlQuantity::Query(_) = &self.quantity {
            self.bound_queries(line.conn()).await?;
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

/// What the URL says, and what one number takes.
fn options(url: &str) -> Result<OptsBuilder, String> {
    let opts = mysql::options(url, "the monitor's")?;
    Ok(opts.stmt_cache_size(0).max_allowed_packet(Some(LONGEST_PACKET)).wait_timeout(Some(WAIT_TIMEOUT_S)))
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
    fn a_socket_is_an_endpoint_too() {
        let endpoint = |url: &str| Mysql::new(url.to_owned(), None, variable("x"), Duration::ZERO).endpoint();
        assert_eq!(endpoint("mysql://h/?socket=%2Frun%2Fdb.sock"), Some(Endpoint::Socket("/run/db.sock".into())));
        assert_eq!(endpoint("mysql://h"), Some(Endpoint::Tcp("h".to_owned(), 3306)));
        assert_eq!(endpoint("nonsense"), None);
    }
}
