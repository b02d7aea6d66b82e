//! A MariaDB server whose slow queries a test can make, and in which it can keep a queue.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};

use super::server::{Server, program};

/// Queries that take longer count as slow. Long enough for a monitor's own on a busy machine.
const LONG_QUERY_TIME: &str = "0.05";

/// A MariaDB server with the user `watch`, who may do no more than log in.
pub struct MariaDb {
    server: Server,
    daemon: PathBuf,
    tls: bool,
    options: Vec<String>,
}

impl MariaDb {
    /// The monitor's user.
    pub const USER: &str = "watch";
    /// Its password.
    pub const PASSWORD: &str = "wh1mbrel&ø";

    /// A new, empty server that is ready for connections.
    ///
    /// # Errors
    /// MariaDB is not installed. (That it does not start is a panic.)
    pub fn start() -> Result<Self, String> {
        Self::start_as(false, &[])
    }

    /// The same, with these options of the server.
    ///
    /// # Errors
    /// MariaDB is not installed.
    pub fn start_with(options: &[&str]) -> Result<Self, String> {
        Self::start_as(false, options)
    }

    /// The same, with a self-signed certificate.
    ///
    /// # Errors
    /// MariaDB or openssl is not installed.
    pub fn start_with_tls() -> Result<Self, String> {
        Self::start_as(true, &[])
    }

    fn start_as(tls: bool, options: &[&str]) -> Result<Self, String> {
        let (install, daemon) = (program("mariadb-install-db")?, program("mariadbd")?);
        let server = Server::prepare();
        if tls {
            certify(&server, &program("openssl")?);
        }
        let mut command = server.command(&install);
        command.args(["--no-defaults", "--skip-test-db", "--skip-name-resolve"]);
        command.arg(format!("--datadir={}", server.folder().join("data").display()));
        command.args(["--auth-root-authentication-method=normal", "--innodb-log-file-size=4M"]);
        server.run(command);
        let (user, password) = (Self::USER, Self::PASSWORD);
        let users = format!("CREATE USER IF NOT EXISTS '{user}'@'127.0.0.1' IDENTIFIED BY '{password}';\n");
        server.write("users.sql", &users);
        let options = options.iter().map(|&option| option.to_owned()).collect();
        let mut db = Self { server, daemon, tls, options };
        db.restart();
        Ok(db)
    }

    /// Starts the server again after [`kill`](Self::kill), on the same port and data; its counters begin at 0.
    pub fn restart(&mut self) {
        let command = self.command();
        self.server.start(command, |stream| {
            // It listens before its users are made, and greets after.
            matches!(stream.read(&mut [0; 64]), Ok(n) if n > 0)
        });
    }

    fn command(&self) -> Command {
        let mut command = self.server.command(&self.daemon);
        let file = |name| self.server.folder().join(name);
        command.arg("--no-defaults").arg("--datadir").arg(file("data")).arg("--socket").arg(file("s.sock"));
        command.arg("--init-file").arg(file("users.sql"));
        command.args(["--skip-networking=0", "--bind-address=127.0.0.1", "--skip-name-resolve"]);
        command.arg(format!("--port={}", self.server.port()));
        command.args(["--character-set-server=utf8mb4", "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M"]);
        command.args(["--slow-query-log=1", "--slow-query-log-file=slow.log"]);
        command.arg(format!("--long-query-time={LONG_QUERY_TIME}"));
        if self.tls {
            let [cert, key] = ["cert.pem", "key.pem"].map(file);
            command.arg("--ssl-cert").arg(cert).arg("--ssl-key").arg(key);
        }
        command.args(&self.options);
        command
    }

    /// The server's port on 127.0.0.1.
    pub const fn port(&self) -> u16 {
        self.server.port()
    }

    /// The server as a config's URL, without the password.
    pub fn url(&self) -> String {
        format!("mysql://{}@127.0.0.1:{}", Self::USER, self.port())
    }

    /// The path of a new file that holds the password and a line end, as an administrator's editor leaves it.
    pub fn password_file(&self) -> PathBuf {
        self.server.write("password", &format!("{}\n", Self::PASSWORD))
    }

    /// A connection of the monitor's user.
    pub async fn connect(&self) -> Conn {
        let opts = OptsBuilder::default().ip_or_hostname("127.0.0.1").tcp_port(self.port()).prefer_socket(false);
        let opts = opts.user(Some(Self::USER)).pass(Some(Self::PASSWORD));
        Conn::new(opts).await.expect("the monitor's user can log in")
    }

    /// A connection of the administrator, who may do everything.
    pub async fn admin(&self) -> Conn {
        let socket = self.server.folder().join("s.sock").display().to_string();
        let opts = OptsBuilder::default().socket(Some(socket)).user(Some("root"));
        Conn::new(opts).await.expect("the administrator can log in")
    }

    /// Carries out what an administrator has in a file: `mariadb DATABASE <FILE`.
    ///
    /// # Panics
    /// The client says that something is wrong, or is not installed although the server is.
    pub fn run_sql(&self, database: &str, sql: &str) {
        let client = program("mariadb").expect("the client comes with the server");
        let mut command = Command::new(client);
        command.args(["--no-defaults", "--user=root", "--socket"]).arg(self.server.folder().join("s.sock"));
        let mut child = command.arg(database).stdin(Stdio::piped()).spawn().expect("the client starts");
        let mut input = child.stdin.take().expect("its input is a pipe");
        input.write_all(sql.as_bytes()).expect("the client reads");
        drop(input);
        assert!(child.wait().expect("the client ends").success(), "{sql}");
    }

    /// Makes this many slow queries, one after the other.
    pub async fn slow_queries(&self, count: u32) {
        let mut conn = self.connect().await;
        for _ in 0..count {
            conn.query_drop("SELECT SLEEP(0.06)").await.expect("a slow query");
        }
        conn.disconnect().await.expect("a quiet end");
    }

    /// Stops the server in order. [`restart`](Self::restart) starts it again.
    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// Ends the server as a power cut would.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Stops the server in the middle of whatever it does; the system still accepts connections for it.
    pub fn freeze(&mut self) {
        self.server.freeze();
    }

    /// Lets a frozen server go on.
    pub fn thaw(&self) {
        self.server.thaw();
    }
}

fn certify(server: &Server, openssl: &Path) {
    let mut command = server.command(openssl);
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    command.args(["-days", "2", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem"]);
    server.run(command);
}
