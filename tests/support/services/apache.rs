//! An Apache httpd with few workers, which a test can keep busy.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use super::server::{Server, program};

/// Debian's modules that are not built in and needed here.
const MODULES: [&str; 5] = ["mpm_prefork", "authz_core", "dir", "alias", "status"];

/// An Apache httpd with [`WORKERS`](Self::WORKERS) workers and mod_status.
///
/// It has a page at `/`, the status page at `/server-status`, a redirect at `/moved`, and forbids `/private`.
pub struct Apache {
    server: Server,
    httpd: PathBuf,
}

/// Workers that are kept busy until this is dropped.
pub struct Occupied(Vec<TcpStream>);

impl Apache {
    /// All workers there are, from the start. One of them is busy with the status page whenever that is read.
    pub const WORKERS: usize = 10;

    /// A new server that is ready for requests.
    ///
    /// # Errors
    /// Apache is not installed. (That it does not start is a panic.)
    pub fn start() -> Result<Self, String> {
        let httpd = program("apache2")?;
        let server = Server::prepare();
        let pages = server.folder().join("pages");
        std::fs::create_dir(&pages).expect("the folder can be written");
        std::fs::write(pages.join("index.html"), "<!DOCTYPE html><title>It works</title>\n").expect("a page");
        server.write("httpd.conf", &config(&server));
        let mut apache = Self { server, httpd };
        apache.restart();
        Ok(apache)
    }

    /// Starts the server again after [`kill`](Self::kill), on the same port.
    pub fn restart(&mut self) {
        let command = self.command();
        self.server.start(command, |stream| idle(stream) == Some(Self::WORKERS - 1));
    }

    fn command(&self) -> Command {
        let mut command = self.server.command(&self.httpd);
        command.arg("-DFOREGROUND").arg("-d").arg(self.server.folder());
        command.arg("-f").arg(self.server.folder().join("httpd.conf"));
        command
    }

    /// The URL of a path that begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.server.port())
    }

    /// The status page as a config's URL.
    pub fn status_url(&self) -> String {
        self.url("/server-status")
    }

    /// Keeps this many workers busy, each with a request that does not end. Returns when they are seen to be busy; with
    /// all workers occupied nobody can see it, and it returns at once.
    pub fn occupy(&mut self, workers: usize) -> Occupied {
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Unfinished: ";
        let streams = (0..workers).map(|_| {
            let mut stream = self.server.connect().expect("the server accepts connections");
            stream.write_all(request).expect("the server reads");
            stream
        });
        let occupied = Occupied(streams.collect());
        if workers < Self::WORKERS {
            self.wait_until_idle(Self::WORKERS - 1 - workers);
        }
        occupied
    }

    /// Waits until the status page tells of so many idle workers, beside the one that serves it.
    pub fn wait_until_idle(&mut self, workers: usize) {
        self.server.wait_until(&format!("{workers} workers are idle"), |server| {
            server.connect().and_then(|mut stream| idle(&mut stream)) == Some(workers)
        });
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

impl Drop for Apache {
    fn drop(&mut self) {
        // Its workers would outlive a killed parent as zombies.
        self.server.stop();
    }
}

impl Occupied {
    /// How many workers are kept busy.
    pub const fn workers(&self) -> usize {
        self.0.len()
    }
}

/// Idle workers by the status page.
fn idle(stream: &mut TcpStream) -> Option<usize> {
    let mut page = String::new();
    stream.write_all(b"GET /server-status?auto HTTP/1.0\r\n\r\n").ok()?;
    stream.read_to_string(&mut page).ok()?;
    page.lines().find_map(|line| line.strip_prefix("IdleWorkers: "))?.trim().parse().ok()
}

fn config(server: &Server) -> String {
    let modules: String = MODULES
        .iter()
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    let (port, workers) = (server.port(), Apache::WORKERS);
    format!(
        "{modules}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile httpd.pid
DefaultRuntimeDir .
Mutex default:.
ErrorLog error.log
DocumentRoot pages
# Requests of occupied workers do not end.
Timeout 600
StartServers {workers}
MinSpareServers 1
MaxSpareServers {workers}
ServerLimit {workers}
MaxRequestWorkers {workers}
ExtendedStatus On
<Location /server-status>
    SetHandler server-status
</Location>
<Location /private>
    Require all denied
</Location>
Redirect /moved /
"
    )
}
