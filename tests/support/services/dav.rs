//! An Apache httpd with mod_dav: a folder as a WebDAV server has it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::Command;

use super::server::{Server, own, program};

/// Debian's modules that are not built in and needed here.
const MODULES: [&str; 12] = [
    "mpm_event",
    "authn_core",
    "authn_file",
    "authz_core",
    "authz_user",
    "auth_basic",
    "alias",
    "env",
    "setenvif",
    "headers",
    "dav",
    "dav_fs",
];

/// An Apache httpd with mod_dav over the folder [`root`](Self::root), at `/`.
pub struct Dav {
    server: Server,
    httpd: PathBuf,
}

impl Dav {
    /// The user of [`LOGIN`](Self::LOGIN).
    pub const USER: &str = "worker";
    /// Their password.
    pub const PASSWORD: &str = "wh1mbrel&ø";
    /// Lines of config: only this user is let in.
    pub const LOGIN: &str = "
<Location />
    AuthType Basic
    AuthName queue
    AuthUserFile users
    Require valid-user
</Location>
";

    /// A new server of an empty folder that is ready for requests. Everybody may do everything.
    ///
    /// # Errors
    /// Apache is not installed. (That it does not start is a panic.)
    pub fn start() -> Result<Self, String> {
        Self::start_with("")
    }

    /// The same, with these lines of config behind its own.
    ///
    /// # Errors
    /// Apache is not installed.
    pub fn start_with(lines: &str) -> Result<Self, String> {
        let httpd = program("apache2")?;
        let server = Server::prepare();
        // `htpasswd -nbs`
        server.write("users", &format!("{}:{{SHA}}ZI8q9XQLDL1qmBvQ8d+6Ej1VMrM=\n", Self::USER));
        server.write("httpd.conf", &(config(&server) + lines));
        let mut dav = Self { server, httpd };
        dav.folder("");
        dav.restart();
        Ok(dav)
    }

    /// Starts the server again after [`stop`](Self::stop) or [`kill`](Self::kill), on the same port and folder.
    pub fn restart(&mut self) {
        let mut command: Command = self.server.command(&self.httpd);
        command.arg("-DFOREGROUND").arg("-d").arg(self.server.folder());
        command.arg("-f").arg(self.server.folder().join("httpd.conf"));
        self.server.start(command, answers);
    }

    /// Its folder on disk.
    pub fn root(&self) -> PathBuf {
        self.server.folder().join("files")
    }

    /// A folder below the root that the server may change, made if it is not there.
    pub fn folder(&self, path: &str) -> PathBuf {
        let folder = self.root().join(path);
        std::fs::create_dir_all(&folder).expect("the folder can be written");
        folder.ancestors().take_while(|path| path.starts_with(self.root())).for_each(own);
        folder
    }

    /// The URL of a path that begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Ends the server in order: requests that are under way are cut.
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

    /// What it has written to its logs.
    pub fn log(&self) -> String {
        self.server.log()
    }
}

impl Drop for Dav {
    fn drop(&mut self) {
        // Its children would outlive a killed parent as zombies.
        self.server.stop();
    }
}

/// Whether it answers requests.
fn answers(stream: &mut TcpStream) -> bool {
    let mut begin = [0; 7];
    let asked = stream.write_all(b"OPTIONS / HTTP/1.0\r\n\r\n").and_then(|()| stream.read_exact(&mut begin));
    asked.is_ok() && begin == *b"HTTP/1."
}

fn config(server: &Server) -> String {
    let modules: String = MODULES
        .iter()
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .collect();
    let port = server.port();
    format!(
        "{modules}
ServerName localhost
Listen 127.0.0.1:{port}
PidFile httpd.pid
DefaultRuntimeDir .
Mutex default:.
ErrorLog error.log
DocumentRoot files
DavLockDB locks
Timeout 60
KeepAliveTimeout 5
MaxKeepAliveRequests 0
StartServers 1
ServerLimit 2
ThreadsPerChild 32
MaxRequestWorkers 64
MinSpareThreads 1
MaxSpareThreads 64
<Directory files>
    Dav On
</Directory>
"
    )
}
