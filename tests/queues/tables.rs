//! A queue's tables in MariaDB, read and filled past whimbrel.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, TxOpts};
use whimbrel::core::queue::Page;
use whimbrel::edge::queue::SCHEMA;

use crate::audit::{FinishedPage, Remains};
use crate::home::wait_until;
use crate::pages::KnownPage;
use crate::support::services::MariaDb;

/// A database with the tables of queues.
#[derive(Clone)]
pub struct Tables {
    port: u16,
    name: String,
}

impl Tables {
    /// A new database on this server, of which the monitor's user has all rights.
    pub fn make(db: &MariaDb) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let name = format!("q{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let user = MariaDb::USER;
        db.run_sql("mysql", &format!("CREATE DATABASE {name}; GRANT ALL ON {name}.* TO '{user}'@'127.0.0.1';"));
        db.run_sql(&name, SCHEMA);
        Self { port: db.port(), name }
    }

    pub fn server(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// All that is in it.
    pub fn remains(&self) -> Remains {
        self.certainly("the tables are read", async |conn| {
            let mut remains = Remains::default();
            let pages = "SELECT id, page, CAST(state AS CHAR) FROM queue ORDER BY id";
            let pages: Vec<(u64, String, String)> = conn.query(pages).await?;
            for (id, name, state) in pages {
                match &*state {
                    "open" => remains.open.push(name),
                    "claimed" => {
                        let claim = format!("SELECT CONCAT(vm, '.', instance, '.', id) FROM queue WHERE id = {id}");
                        let claim: Option<Option<String>> = conn.query_first(claim).await?;
                        remains.claims.extend(claim.flatten());
                    }
                    _ => remains.finished.push(Self::finished(conn, id, name).await?),
                }
            }
            Ok(remains)
        })
    }

    async fn finished(conn: &mut Conn, id: u64, name: String) -> mysql_async::Result<FinishedPage> {
        let mut finished = FinishedPage { name, ..FinishedPage::default() };
        let jobs = format!("SELECT number, output, error FROM job WHERE queue_id = {id} ORDER BY number");
        let jobs: Vec<(u32, Option<Vec<u8>>, Option<String>)> = conn.query(jobs).await?;
        for (job, output, error) in jobs {
            let output = output.map(|bytes| Ok(String::from_utf8_lossy(&bytes).into_owned()));
            finished.results.extend(output.into_iter().chain(error.map(Err)).map(|result| (job, result)));
        }
        Ok(finished)
    }

    /// Adds a page. If it is not known whether it was, it is looked for.
    pub fn add(&self, page: &KnownPage) {
        self.insert(page, false);
    }

    /// Adds a page that was returned when its first job was done.
    pub fn add_returned(&self, page: &KnownPage) {
        self.insert(page, true);
    }

    fn insert(&self, page: &KnownPage, is_returned: bool) {
        let parsed = Page::parse(page.text.clone().into_bytes()).expect("a page");
        self.certainly("a page is added", async |conn| {
            let known: Option<u64> = conn.exec_first("SELECT id FROM queue WHERE page = ?", (&page.name,)).await?;
            if known.is_some() {
                return Ok(());
            }
            let mut tx = conn.start_transaction(TxOpts::default()).await?;
            let insert = "INSERT INTO queue (queue_name, page, added, returned) \
                 VALUES ('q', ?, UTC_TIMESTAMP(6), IF(?, UTC_TIMESTAMP(6), NULL))";
            tx.exec_drop(insert, (&page.name, is_returned)).await?;
            let id = tx.last_insert_id();
            for (at, job) in parsed.jobs().enumerate() {
                let done = (is_returned && at == 0).then(|| page.results[&job.number].clone());
                let state = if done.is_some() { "done" } else { "waiting" };
                let insert = "INSERT INTO job (queue_id, number, tag, work, state, output) VALUES (?, ?, ?, ?, ?, ?)";
                tx.exec_drop(insert, (id, job.number, job.tag, job.work, state, done)).await?;
            }
            tx.commit().await
        });
    }

    /// Tries again and again, as the server may be restarting.
    fn certainly<T>(&self, what: &str, ask: impl AsyncFn(&mut Conn) -> mysql_async::Result<T>) -> T {
        let mut answer = None;
        wait_until(what, || {
            answer = block_on(async {
                let mut conn = self.connect().await.ok()?;
                let answer = ask(&mut conn).await.ok();
                drop(conn.disconnect().await);
                answer
            });
            answer.is_some()
        });
        answer.expect("it was waited for")
    }

    async fn connect(&self) -> mysql_async::Result<Conn> {
        let opts = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(self.port).prefer_socket(false);
        let opts = opts.user(Some(MariaDb::USER)).pass(Some(MariaDb::PASSWORD)).db_name(Some(&self.name));
        Conn::new(opts).await
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}
