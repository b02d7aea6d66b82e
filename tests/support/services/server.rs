//! One server process with its folder and port.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process, kill_process_group};
use tempfile::TempDir;

/// Debian's `nobody` and `nogroup`: some servers refuse to be root, none needs to be.
const NOBODY: u32 = 65_534;
/// Far more than a server needs to start or to end on any machine.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(50);
/// How many ports servers may have.
const PORTS: u32 = 20_000;

/// A server process. Dropping it ends the process and removes the folder.
pub struct Server {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// An empty folder of the unprivileged user, and a free port; nothing is started yet.
    pub fn prepare() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        own(folder.path());
        Self { folder, port: free_port(), child: None }
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// A file in the folder with this content.
    pub fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder().join(name);
        std::fs::write(&path, content).expect("the folder can be written");
        path
    }

    /// A command that runs in the folder as the unprivileged user, its output in `output.log` there.
    pub fn command(&self, program: &Path) -> Command {
        let log = self.folder().join("output.log");
        let log = File::options().create(true).append(true).open(log).expect("the log can be written");
        let mut command = Command::new(program);
        command.current_dir(self.folder()).stdin(std::process::Stdio::null());
        command.stderr(log.try_clone().expect("a second handle")).stdout(log);
        // MariaDB clears its temporary folder as it starts: that must not be another's.
        command.env("TMPDIR", self.folder());
        if geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, mut command: Command) {
        let status = command.status();
        assert!(matches!(&status, Ok(s) if s.success()), "{command:?}: {status:?}\n{}", self.log());
    }

    /// Starts the server and waits until `ready` finds it so.
    pub fn start(&mut self, mut command: Command, ready: impl Fn(&mut TcpStream) -> bool) {
        assert!(self.child.is_none(), "it runs already");
        // A group of its own, as signals shall reach all of the server's processes and nothing else.
        let child = command.process_group(0).spawn().expect("the server's program can be run");
        self.child = Some(child);
        self.wait_until("the server is ready", |server| {
            let child = server.child.as_mut().expect("just started");
            let ended = child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "the server ended: {ended:?}\n{}", server.log());
            server.connect().is_some_and(|mut stream| ready(&mut stream))
        });
    }

    /// A connection whose reads and writes take a second at most.
    pub fn connect(&self) -> Option<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address(), Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
        stream.set_write_timeout(Some(Duration::from_secs(1))).ok()?;
        Some(stream)
    }

    /// Asks again and again, up to the deadline.
    pub fn wait_until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < end, "waited in vain until {what}\n{}", self.log());
            sleep(PAUSE);
        }
    }

    /// Sends a signal to all of the server's processes.
    fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            let group = Pid::from_raw(child.id().cast_signed()).expect("a process id");
            // It may have ended by itself, which is as well.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Stops all of the server's processes where they are. Returns when every thread of them stands still.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
        self.wait_until("the server stands still", |server| {
            let group = server.child.as_ref().map(Child::id).unwrap_or_default();
            states(group).iter().all(|state| matches!(state, 'T' | 'Z'))
        });
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends the server as a power cut would. Returns when its port is shut.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        let Some(mut child) = self.child.take() else { return };
        let _ = child.wait();
        // The others of its processes may take a moment longer, and hold the port.
        let end = Instant::now() + PATIENCE;
        while self.connect().is_some() && Instant::now() < end {
            sleep(PAUSE);
        }
    }

    /// Asks the server to end, so that it can see to its own processes; ends it if it does not.
    pub fn stop(&mut self) {
        self.thaw();
        if let Some(child) = &mut self.child {
            let pid = Pid::from_raw(child.id().cast_signed()).expect("a process id");
            let _ = kill_process(pid, Signal::TERM);
            let end = Instant::now() + PATIENCE;
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < end {
                sleep(PAUSE);
            }
        }
        self.kill();
    }

    /// What the server has written so far.
    pub fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.folder().join(name)).unwrap_or_default();
        read("output.log") + &read("error.log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The states of all threads of a process group, as the system letters them.
fn states(group: u32) -> Vec<char> {
    let folders = |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    // After the name in parentheses: state, parent, group.
    let stat = |folder: &Path| {
        let text = std::fs::read_to_string(folder.join("stat")).ok()?;
        let (_, fields) = text.rsplit_once(") ")?;
        let mut fields = fields.split(' ');
        Some((fields.next()?.chars().next()?, fields.nth(1)?.parse::<u32>().ok()?))
    };
    let processes = folders("/proc".into()).filter(|process| stat(process).is_some_and(|(_, of)| of == group));
    processes.flat_map(|process| folders(process.join("task"))).filter_map(|task| Some(stat(&task)?.0)).collect()
}

/// A port below those the system gives to outgoing connections: it stays free while its server is down. Test programs
/// begin at different places.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(61);
    let ports = (0..PORTS).map(|_| 10_000 + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS);
    let mut ports = ports.filter_map(|port| u16::try_from(port).ok());
    ports.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).expect("a free port")
}

/// Makes a file or a folder that of the unprivileged user.
pub fn own(path: &Path) {
    if geteuid().is_root() {
        std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("root may change owners");
    }
}

/// Where a program is; daemons are not in every user's path.
///
/// # Errors
/// It is not installed, in the words of a skipped test.
pub fn program(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    let mut files = folders.map(|folder| folder.join(name));
    files.find(|file| file.is_file()).ok_or_else(|| format!("{name} is not installed"))
}
