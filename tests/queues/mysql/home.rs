//! A queue in a MariaDB, and what lies in its tables.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mysql_async::Conn;
use mysql_async::prelude::{FromRow, Queryable};
use whimbrel::core::cluster::{Secret, Span};
use whimbrel::core::queue::{JobKind, Parallel, Queue, QueueSource};
use whimbrel::edge::queue::{QueueStore, SCHEMA, new_instance};

use crate::support::proxy::TcpProxy;
use crate::support::services::MariaDb;

/// The longest wait for one statement of a store.
pub const DEADLINE: Duration = Duration::from_secs(20);
/// A test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// No claim lapses by itself while a test runs.
const LEASE: Span = Span::from_mins(30);

/// A server with the database `q` and a user who may do what workers do.
pub struct Home {
    pub db: MariaDb,
    password: Secret,
}

impl Home {
    /// A new server with the tables of the schema.
    ///
    /// # Errors
    /// MariaDB is not installed.
    pub fn start() -> Result<Self, String> {
        Self::start_with(&[])
    }

    /// The same, with these options of the server.
    ///
    /// # Errors
    /// MariaDB is not installed.
    pub fn start_with(options: &[&str]) -> Result<Self, String> {
        Ok(Self::on(MariaDb::start_with(options)?))
    }

    /// The tables of the schema on this server.
    pub fn on(db: MariaDb) -> Self {
        db.run_sql(
            "",
            &format!("CREATE DATABASE q; GRANT SELECT, INSERT, UPDATE ON q.* TO '{}'@'127.0.0.1'", MariaDb::USER),
        );
        db.run_sql("q", SCHEMA);
        let password = Secret::File(db.password_file());
        Self { db, password }
    }

    /// The queue `render` of a config.
    pub fn queue(&self) -> Queue {
        self.queue_at(self.db.port())
    }

    fn queue_at(&self, port: u16) -> Queue {
        let url = format!("mysql://{}@127.0.0.1:{port}/q", MariaDb::USER);
        Queue {
            name: "render".into(),
            source: QueueSource::Mysql { url, password: Some(self.password.clone()) },
            job: JobKind::Bc { digits: 1_000, deadline: Span::from_secs(10) },
            big: "grade a".to_owned(),
            page: None,
            parallel: Parallel::Everywhere(1),
            attempts: 3,
            lease: LEASE,
        }
    }

    /// The queue, straight.
    pub fn store(&self) -> Arc<QueueStore> {
        store(&self.queue())
    }

    /// A proxy before the server.
    pub fn proxy(&self) -> TcpProxy {
        TcpProxy::before((Ipv4Addr::LOCALHOST, self.db.port()).into())
    }

    /// The queue through a proxy.
    pub fn store_behind(&self, proxy: &TcpProxy) -> Arc<QueueStore> {
        store(&self.queue_at(proxy.address().port()))
    }

    /// The queue as the worker of a VM has it.
    pub async fn worker(&self, vm: &str) -> Arc<QueueStore> {
        let store = self.store();
        store.begin(vm, &new_instance()).await.expect("a start");
        store
    }

    /// Adds a page with so many jobs, `1`, `2` and so on.
    pub async fn add(&self, name: &str, jobs: u32) {
        self.store().add(name, page(jobs)).await.expect("a page");
    }

    /// Lets the leases of all claims run out.
    pub async fn lapse(&self) {
        self.admin("UPDATE q.queue SET lease_until = UTC_TIMESTAMP(6) - INTERVAL 1 SECOND WHERE state = 'claimed'")
            .await;
    }

    /// What an administrator does.
    pub async fn admin(&self, sql: &str) {
        self.db.admin().await.query_drop(sql).await.expect(sql);
    }

    /// The first row that a query gives, as the administrator sees it.
    pub async fn row<R: FromRow + Send + 'static>(&self, query: &str) -> R {
        self.rows(query).await.into_iter().next().unwrap_or_else(|| panic!("{query}: no row"))
    }

    /// All rows.
    pub async fn rows<R: FromRow + Send + 'static>(&self, query: &str) -> Vec<R> {
        let mut admin: Conn = self.db.admin().await;
        admin.query_drop("USE q").await.expect("the database");
        admin.query(query).await.expect(query)
    }

    /// Looks until a query gives a true.
    pub async fn comes_to(&self, query: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.row::<bool>(query).await {
            assert!(Instant::now() < end, "{query} stays false");
        }
    }

    /// How many pages are open, claimed and done, and how many jobs are waiting, done and failed.
    pub async fn counts(&self) -> [[u64; 3]; 2] {
        let sum = |state: &str| format!("COALESCE(SUM(state = '{state}'), 0)");
        let [open, claimed, done] = ["open", "claimed", "done"].map(sum);
        let pages: (u64, u64, u64) = self.row(&format!("SELECT {open}, {claimed}, {done} FROM queue")).await;
        let [waiting, done, failed] = ["waiting", "done", "failed"].map(sum);
        let jobs: (u64, u64, u64) = self.row(&format!("SELECT {waiting}, {done}, {failed} FROM job")).await;
        [[pages.0, pages.1, pages.2], [jobs.0, jobs.1, jobs.2]]
    }
}

/// A store as a worker, an engine or a command has it.
pub fn store(queue: &Queue) -> Arc<QueueStore> {
    Arc::new(QueueStore::with_deadline(queue, DEADLINE).expect("a queue in a database"))
}

/// A page with so many jobs, every third one big.
pub fn page(jobs: u32) -> Vec<u8> {
    let line = |job| format!("grade {} = {job}\n", if job % 3 == 0 { 'a' } else { 'b' });
    (1..=jobs).map(line).collect::<String>().into_bytes()
}
