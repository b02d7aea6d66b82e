//! Connections to the database, and transactions over them that are tried again until it is known what became of them.
//!
//! ```text
//!            ┌─ 1213, 1205, 1020 …: ROLLBACK, a pause, again ◀─┐
//!  change ─▶ READ COMMITTED · START · body · COMMIT ─▶ answer  │
//!            └─ connection lost: a new one, again ◀────────────┘   at the COMMIT: is_unknown
//! ```
//!
//! A body is run again after a COMMIT that got no answer. So each body finds out first whether an earlier run of it has passed,
//! and it does so under a lock on the row that the earlier run had locked: while that run is not decided, the lock is not given.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{DriverError, Error, Opts, OptsBuilder, Params, ServerError, Value};
use tokio::time::{Instant, sleep, timeout};

use crate::core::cluster::Secret;
use crate::core::format::{measured, one_line};
use crate::edge::net::mysql::{self, ACCESS_DENIED, GOODBYES, KeptConnection};
use crate::edge::net::{reveal, text};
use crate::edge::queue::{Trouble, random};

/// So many connections are kept for the next call.
const KEPT: usize = 4;
/// Tries of a transaction that is rolled back for the sake of another.
const TRIES: u32 = 12;
/// Tries of a transaction whose connection is lost.
const CONNECTIONS: u32 = 4;
/// The server ends a connection that is idle for so long in a transaction, whose locks keep others out: its VM was stopped in
/// the middle. MySQL knows only the other time.
const IDLE_IN_TRANSACTION_S: u32 = 60;
/// The server ends a connection that is idle for so long.
const IDLE_S: u32 = 900;
/// The longest text of the server in a reason.
const LONGEST_SAID: usize = 200;
/// Every server takes packets of this length, in bytes.
const SHORT_PACKET: usize = 768 << 10;

/// Deadlock, lock wait timeout, changed since it was read, statement to be prepared again, interrupted, took too long; and a
/// number of a claim that another has drawn as well.
const AGAIN: [u16; 8] = [1213, 1205, 1020, 1615, 1317, 1969, 3024, 1062];
/// Too many connections, of all or of this user; a node of a cluster that is not ready.
const BUSY: [u16; 3] = [1040, 1203, 1047];
/// A right to a table, a column or the database is missing.
const DENIED: [u16; 3] = [1142, 1143, 1044];
/// Errors of a server that takes no writes.
const READ_ONLY: [u16; 2] = [1290, 1836];
/// The disk is full, or the space for the tables is.
const DISK_FULL: [u16; 3] = [1021, 1114, 3_675];
/// An unknown column or key: the tables are others.
const OTHER_TABLES: [u16; 3] = [1054, 1176, 1136];

/// Runs a body as a transaction, until it is known what became of it: `transaction!(database.change(), |tx| { … })`. In the
/// body, `tx` is the `&mut Transaction`, and `?` ends the try with a [`Fault`]. Gives a `Result<_, Trouble>`.
///
/// A macro, because the compiler does not see that a future is `Send` that holds an `async` closure with references in it.
macro_rules! transaction {
    ($tries:expr, |$tx:ident| $body:expr) => {{
        let mut tries = $tries;
        loop {
            let mut transaction = match tries.begin().await {
                Ok(transaction) => transaction,
                Err(trouble) => break Err(trouble),
            };
            let ended: Result<_, $crate::edge::queue::mysql::database::Fault> = async {
                let $tx = &mut transaction;
                $body
            }
            .await;
            match tries.end(transaction, ended).await {
                Ok(Some(value)) => break Ok(value),
                Ok(None) => {}
                Err(trouble) => break Err(trouble),
            }
        }
    }};
}
pub(super) use transaction;

/// The database of a queue.
pub(super) struct Database {
    options: Opts,
    password: Option<Secret>,
    deadline: Duration,
    kept: Mutex<Vec<KeptConnection>>,
}

/// A transaction under way. Every statement ends by the deadline.
pub(super) struct Transaction {
    line: KeptConnection,
    deadline: Duration,
    database: String,
}

/// Why a statement did not pass.
#[derive(Debug)]
pub(super) enum Fault {
    /// It was rolled back for the sake of another transaction.
    Again(String),
    /// The connection is lost.
    Lost(String),
    /// The server refuses a right.
    Denied(String),
    /// It will not pass.
    Final(Trouble),
}

/// The tries of one transaction.
pub(super) struct Tries<'d> {
    database: &'d Database,
    isolation: Isolation,
    /// No try begins after this.
    end: Instant,
    rolled_back: u32,
    /// New connections that were lost.
    lost: u32,
    was_kept: bool,
    /// A COMMIT got no answer.
    is_unknown: bool,
}

/// How a transaction begins.
#[derive(Clone, Copy)]
enum Isolation {
    /// It locks what it changes.
    Change,
    /// It reads everything as it was at one instant, and locks nothing.
    Look,
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        Self::Final(trouble)
    }
}

impl Database {
    /// The database of a config's URL.
    ///
    /// # Errors
    /// The URL is wrong, or names no database.
    pub fn new(url: &str, password: Option<Secret>, deadline: Duration) -> Result<Self, Trouble> {
        let options = mysql::options(url, "the queue's").map_err(Trouble::Refused)?;
        // A lock is given up before the deadline, so that it is known that the statement did not pass.
        let wait_s = (deadline.as_secs() / 2).max(1);
        let setup = format!(
            "SET SESSION innodb_lock_wait_timeout = {wait_s}, wait_timeout = {IDLE_S}, \
             sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION' \
             /*M!100300 , idle_transaction_timeout = {IDLE_IN_TRANSACTION_S} */"
        );
        let options = Opts::from(options.client_found_rows(true).setup(vec![setup]));
        if options.db_name().is_none_or(str::is_empty) {
            let why = "the queue's URL names no database: write mysql://user@host:3306/DATABASE";
            return Err(Trouble::Refused(why.to_owned()));
        }
        Ok(Self { options, password, deadline, kept: Mutex::default() })
    }

    /// Tries of a transaction that locks what it changes: for [`transaction!`].
    pub fn change(&self) -> Tries<'_> {
        self.tries(Isolation::Change)
    }

    /// Tries of a transaction that reads everything as it was at one instant: for [`transaction!`].
    pub fn read(&self) -> Tries<'_> {
        self.tries(Isolation::Look)
    }

    fn tries(&self, isolation: Isolation) -> Tries<'_> {
        let end = Instant::now() + self.deadline * 2;
        Tries { database: self, isolation, end, rolled_back: 0, lost: 0, was_kept: false, is_unknown: false }
    }

    /// The database's name, as it stands in a command.
    pub fn name(&self) -> &str {
        self.options.db_name().unwrap_or_default()
    }

    /// Ends a transaction that has failed. By some errors the server ends the statement alone.
    async fn give_up(&self, mut transaction: Transaction, fault: Fault) -> Fault {
        if matches!(fault, Fault::Lost(_)) {
            return fault;
        }
        let account = match &fault {
            Fault::Denied(_) => transaction.first::<String>("SELECT CURRENT_USER()", ()).await.ok().flatten(),
            _ => None,
        };
        if transaction.say("ROLLBACK").await.is_ok() {
            self.keep(transaction.line);
        }
        match fault {
            Fault::Denied(reason) => Fault::Denied(self.grant(&reason, account.as_deref())),
            fault => fault,
        }
    }

    /// The remedy for a missing right.
    fn grant(&self, reason: &str, account: Option<&str>) -> String {
        let (user, host) = account.and_then(|account| account.rsplit_once('@')).unwrap_or((self.user(), "%"));
        let (user, host) = (one_line(user, 80), one_line(host, 80));
        format!(
            "{reason}: as an administrator, GRANT SELECT, INSERT, UPDATE ON `{}`.* TO '{user}'@'{host}'",
            self.name()
        )
    }

    fn user(&self) -> &str {
        self.options.user().unwrap_or_default()
    }

    fn keep(&self, line: KeptConnection) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT {
            kept.push(line);
        }
    }

    async fn connect(&self) -> Result<KeptConnection, Fault> {
        let mut options = OptsBuilder::from_opts(self.options.clone());
        if let Some(password) = &self.password {
            options = options.pass(Some(reveal(password).await.map_err(Trouble::Refused)?));
        }
        match timeout(self.deadline, KeptConnection::open(options)).await {
            Ok(Ok(line)) => Ok(line),
            Ok(Err(error)) => Err(self.not_connected(error)),
            Err(_) => Err(Fault::Lost(no_answer(self.deadline))),
        }
    }

    fn not_connected(&self, error: Error) -> Fault {
        match &error {
            Error::Server(server) if ACCESS_DENIED.contains(&server.code) => {
                let place = match &self.password {
                    Some(Secret::Env(name)) => format!("the password in the environment variable {name}"),
                    Some(Secret::File(path)) => format!("the password in {}", path.display()),
                    None => "that it needs a password, and set password_env or password_file".to_owned(),
                };
                let user = one_line(self.user(), 80);
                Trouble::Refused(format!("the database refuses the user '{user}': check the user and {place}")).into()
            }
            Error::Server(server) if server.code == 1044 => {
                // The server names the account as it knows it.
                let account = server.message.split('\'').collect::<Vec<_>>();
                let account = account.get(1).zip(account.get(3)).map(|(user, host)| format!("{user}@{host}"));
                Fault::Denied(self.grant(&said(server), account.as_deref()))
            }
            Error::Server(server) if server.code == 1049 => {
                let name = self.name();
                let remedy = format!("CREATE DATABASE `{name}`, then run `whimbrel queue --schema | mysql {name}`");
                Trouble::Refused(format!("the server has no database '{name}': {remedy}")).into()
            }
            Error::Driver(DriverError::NoClientSslFlagFromServer) => {
                Trouble::Refused(format!("{}: leave require_ssl out of the queue's URL", mysql::connecting(&error, "")))
                    .into()
            }
            Error::Driver(DriverError::UnknownAuthPlugin { .. }) => {
                let remedy = "let the user log in by mysql_native_password or caching_sha2_password";
                Trouble::Refused(format!("{}: {remedy}", text::reason(&error))).into()
            }
            _ => fault(error, self.name()),
        }
    }
}

impl Tries<'_> {
    /// The next try.
    ///
    /// # Errors
    /// There is no connection, and it was tried often enough.
    pub async fn begin(&mut self) -> Result<Transaction, Trouble> {
        loop {
            let kept = self.database.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
            self.was_kept = kept.is_some();
            let line = match kept {
                Some(line) => Ok(line),
                None => self.database.connect().await,
            };
            let fault = match line {
                Ok(line) => {
                    let (deadline, database) = (self.database.deadline, self.database.name().to_owned());
                    let mut transaction = Transaction { line, deadline, database };
                    match transaction.begin(self.isolation).await {
                        Ok(()) => return Ok(transaction),
                        Err(fault) => self.database.give_up(transaction, fault).await,
                    }
                }
                Err(fault) => fault,
            };
            self.pause(fault).await?;
        }
    }

    /// Ends a try. `None`: there must be another one.
    ///
    /// # Errors
    /// It cannot pass, or was tried often enough.
    pub async fn end<T>(
        &mut self,
        mut transaction: Transaction,
        ended: Result<T, Fault>,
    ) -> Result<Option<T>, Trouble> {
        let committed = match ended {
            Ok(value) => transaction.say("COMMIT").await.map(|()| value).inspect_err(|fault| {
                self.is_unknown |= matches!((self.isolation, fault), (Isolation::Change, Fault::Lost(_)));
            }),
            Err(fault) => Err(fault),
        };
        match committed {
            Ok(value) => {
                self.database.keep(transaction.line);
                Ok(Some(value))
            }
            Err(fault) => {
                let fault = self.database.give_up(transaction, fault).await;
                self.pause(fault).await?;
                Ok(None)
            }
        }
    }

    /// Waits before the next try.
    async fn pause(&mut self, fault: Fault) -> Result<(), Trouble> {
        let (is_over, trouble) = match fault {
            Fault::Again(reason) => {
                self.rolled_back += 1;
                (self.rolled_back == TRIES, Trouble::Unreachable(format!("the database is busy: {reason}")))
            }
            // A kept connection may have been closed long ago.
            Fault::Lost(reason) => {
                self.lost += u32::from(!self.was_kept);
                (self.lost == CONNECTIONS, Trouble::Unreachable(format!("the database cannot be reached: {reason}")))
            }
            Fault::Denied(reason) => (true, Trouble::Refused(reason)),
            Fault::Final(trouble) => (true, trouble),
        };
        if is_over || Instant::now() >= self.end {
            return Err(match trouble {
                Trouble::Unreachable(reason) if self.is_unknown => {
                    Trouble::Unreachable(format!("the database did not say whether it was done: {reason}"))
                }
                trouble => trouble,
            });
        }
        if self.rolled_back + self.lost > 0 {
            sleep(pause(self.rolled_back + self.lost)).await;
        }
        Ok(())
    }
}

impl Transaction {
    async fn begin(&mut self, isolation: Isolation) -> Result<(), Fault> {
        let begin = match isolation {
            Isolation::Change => ["SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "START TRANSACTION"],
            Isolation::Look => [
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
                "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            ],
        };
        for statement in begin {
            self.say(statement).await?;
        }
        Ok(())
    }

    /// Every row.
    pub async fn rows<R: FromRow + Send>(
        &mut self,
        sql: &str,
        params: impl Into<Params> + Send,
    ) -> Result<Vec<R>, Fault> {
        let mut rows = Vec::new();
        let read = self.each(sql, params, |row| {
            rows.push(row);
            Ok(())
        });
        read.await?.map_err(Trouble::Refused)?;
        Ok(rows)
    }

    /// The first row.
    pub async fn first<R: FromRow + Send>(
        &mut self,
        sql: &str,
        params: impl Into<Params> + Send,
    ) -> Result<Option<R>, Fault> {
        Ok(self.rows(sql, params).await?.into_iter().next())
    }

    /// Hands each row on as it comes, until one is refused. The inner error is that refusal.
    pub async fn each<R: FromRow + Send>(
        &mut self,
        sql: &str,
        params: impl Into<Params> + Send,
        mut take: impl FnMut(R) -> Result<(), String> + Send,
    ) -> Result<Result<(), String>, Fault> {
        let (deadline, params) = (self.deadline, params.into());
        let read = async {
            let mut answer = self.line.conn().exec_iter(sql, params).await?;
            while let Some(row) = answer.next().await? {
                let Ok(row) = R::from_row_opt(row) else { return Ok(Err(None)) };
                if let Err(why) = take(row) {
                    return Ok(Err(Some(why)));
                }
            }
            Ok(Ok(()))
        };
        match timeout(deadline, read).await {
            Ok(Ok(Ok(()))) => Ok(Ok(())),
            Ok(Ok(Err(Some(why)))) => Ok(Err(why)),
            Ok(Ok(Err(None))) => Err(other_tables("a column has another type").into()),
            Ok(Err(error)) => Err(fault(error, &self.database)),
            Err(_) => Err(Fault::Lost(no_answer(deadline))),
        }
    }

    /// Carries a statement out. Returns how many rows it found.
    pub async fn run(&mut self, sql: &str, params: impl Into<Params> + Send) -> Result<u64, Fault> {
        let params = params.into();
        let length = length_of(&params);
        // Too long a packet would be answered by the end of the connection, and without a reason.
        if length > SHORT_PACKET {
            let most: Option<usize> = self.first("SELECT @@max_allowed_packet", ()).await?;
            if most.is_some_and(|most| length + SHORT_PACKET / 8 > most) {
                return Err(too_large().into());
            }
        }
        let ran = timeout(self.deadline, self.line.conn().exec_drop(sql, params)).await;
        match ran {
            Ok(Ok(())) => Ok(self.line.conn().affected_rows()),
            Ok(Err(error)) => Err(fault(error, &self.database)),
            Err(_) => Err(Fault::Lost(no_answer(self.deadline))),
        }
    }

    /// A statement without parameters, as text.
    async fn say(&mut self, sql: &str) -> Result<(), Fault> {
        match timeout(self.deadline, self.line.conn().query_drop(sql)).await {
            Ok(said) => said.map_err(|error| fault(error, &self.database)),
            Err(_) => Err(Fault::Lost(no_answer(self.deadline))),
        }
    }
}

/// The bytes of all parameters.
fn length_of(params: &Params) -> usize {
    let Params::Positional(values) = params else { return 0 };
    values.iter().map(|value| if let Value::Bytes(bytes) = value { bytes.len() } else { 0 }).sum()
}

/// What an error means for the transaction in which it came.
fn fault(error: Error, database: &str) -> Fault {
    let server = match error {
        Error::Server(server) => server,
        Error::Driver(DriverError::PacketTooLarge) => return too_large().into(),
        error => return Fault::Lost(text::reason(&error)),
    };
    let said = said(&server);
    let trouble = match server.code {
        code if AGAIN.contains(&code) => return Fault::Again(said),
        code if GOODBYES.contains(&code) || BUSY.contains(&code) => return Fault::Lost(said),
        code if DENIED.contains(&code) => return Fault::Denied(said),
        code if READ_ONLY.contains(&code) => read_only(),
        code if DISK_FULL.contains(&code) => Trouble::Unreachable(format!("the database's disk is full: {said}")),
        // Error 28 of the system: no space.
        1026 | 1030 if said.contains("28") => Trouble::Unreachable(format!("the database's disk is full: {said}")),
        code if OTHER_TABLES.contains(&code) => other_tables(&said),
        1146 => {
            let remedy = format!("run `whimbrel queue --schema | mysql {database}`");
            Trouble::Refused(format!("the queue's tables are missing ({said}): {remedy}"))
        }
        1665 => statement_binlog(),
        1153 => too_large(),
        _ => Trouble::Refused(format!("the database refuses: {said}")),
    };
    Fault::Final(trouble)
}

/// The server takes no writes.
pub fn read_only() -> Trouble {
    let remedy = "name the primary server in the queue's URL, or set read_only = 0 there";
    Trouble::Refused(format!("the database is read-only: {remedy}"))
}

/// The server writes its changes down as statements.
pub fn statement_binlog() -> Trouble {
    let remedy = "set binlog_format = MIXED or ROW in the server's configuration and restart it";
    Trouble::Refused(format!("binlog_format is STATEMENT, which forbids READ COMMITTED: {remedy}"))
}

fn other_tables(what: &str) -> Trouble {
    let remedy = "give the queue a database of its own, with the tables of `whimbrel queue --schema`";
    Trouble::Refused(format!("the database has other tables of these names ({what}): {remedy}"))
}

fn too_large() -> Trouble {
    let remedy = "set max_allowed_packet = 64M in the server's configuration and restart it";
    Trouble::Refused(format!("it is larger than what the database takes at once: {remedy}"))
}

fn said(server: &ServerError) -> String {
    one_line(&server.message, LONGEST_SAID)
}

fn no_answer(deadline: Duration) -> String {
    format!("no answer within {}", measured(deadline.into()))
}

/// Longer and longer, up to about a second, and not in step with others.
pub fn pause(tries: u32) -> Duration {
    let most = 10_u64 << tries.min(6);
    Duration::from_millis(most / 2 + random() % most)
}
