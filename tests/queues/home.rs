//! Where a test keeps its queue: a folder, Apache with mod_dav behind a bad proxy, MariaDB behind a bad network.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::audit::Remains;
use crate::pages::KnownPage;
use crate::support::proxy::{Cut, Fault, HttpProxy, TcpProxy, cuts, random};
use crate::support::services::{Dav, MariaDb, own};
use crate::tables::Tables;

/// A test that waits this long for something has failed: far more than any machine needs.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks at something that is waited for.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks again and again, up to a deadline.
#[track_caller]
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        std::thread::sleep(PAUSE);
    }
}

/// A server that homes share.
#[derive(Clone)]
pub enum Server {
    Folder,
    Dav(Arc<Mutex<Dav>>),
    Db(Arc<Mutex<MariaDb>>),
}

/// One queue.
pub struct Home {
    /// Its source in a config.
    pub source: String,
    pub server: Server,
    pub place: Place,
    network: Network,
    /// Of a folder, which is gone with it.
    _folder: Option<tempfile::TempDir>,
}

/// Where a queue really is, past the bad network.
#[derive(Clone)]
pub enum Place {
    Folder(PathBuf),
    Dav { server: SocketAddr, root: PathBuf, path: String },
    Db(Tables),
}

/// What is between workers and their queue.
enum Network {
    None,
    Http(HttpProxy),
    Tcp(TcpProxy),
}

impl Server {
    /// # Errors
    /// Apache is not installed.
    pub fn dav() -> Result<Self, String> {
        Ok(Self::Dav(Arc::new(Mutex::new(Dav::start()?))))
    }

    /// # Errors
    /// MariaDB is not installed.
    pub fn db() -> Result<Self, String> {
        Ok(Self::Db(Arc::new(Mutex::new(MariaDb::start()?))))
    }

    /// An empty queue with a network of its own.
    pub fn home(&self) -> Home {
        let server = self.clone();
        match self {
            Self::Folder => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let source = format!(r#"{{ kind = "dir", path = "{}" }}"#, folder.path().display());
                let place = Place::Folder(folder.path().to_owned());
                Home { source, server, place, network: Network::None, _folder: Some(folder) }
            }
            Self::Dav(dav) => {
                let dav = locked(dav);
                let count = fs::read_dir(dav.root()).map_or(0, Iterator::count);
                let path = format!("/q{count}/");
                let root = dav.folder(path.trim_matches('/'));
                let proxy = HttpProxy::before(dav.address());
                let source = format!(r#"{{ kind = "http", url = "{}" }}"#, proxy.url(&path));
                let place = Place::Dav { server: dav.address(), root, path };
                Home { source, server, place, network: Network::Http(proxy), _folder: None }
            }
            Self::Db(db) => {
                let db = locked(db);
                let tables = Tables::make(&db);
                let proxy = TcpProxy::before(tables.server());
                let (at, name) = (proxy.address(), tables.name());
                let password = db.password_file();
                let source = format!(
                    r#"{{ kind = "mysql", url = "mysql://{}@{at}/{name}", password_file = "{}" }}"#,
                    MariaDb::USER,
                    password.display()
                );
                Home { source, server, place: Place::Db(tables), network: Network::Tcp(proxy), _folder: None }
            }
        }
    }

    /// Ends the server as a power cut would, and starts it again. A folder has none.
    pub fn restart(&self) {
        match self {
            Self::Folder => {}
            Self::Dav(dav) => {
                let mut dav = locked(dav);
                dav.kill();
                dav.restart();
            }
            Self::Db(db) => {
                let mut db = locked(db);
                db.kill();
                db.restart();
            }
        }
    }

    /// Stops the server where it is for so long.
    pub fn freeze(&self, time: Duration) {
        match self {
            Self::Folder => {}
            Self::Dav(dav) => locked(dav).freeze(),
            Self::Db(db) => locked(db).freeze(),
        }
        std::thread::sleep(time);
        match self {
            Self::Folder => {}
            Self::Dav(dav) => locked(dav).thaw(),
            Self::Db(db) => locked(db).thaw(),
        }
    }
}

impl Home {
    /// More lines of the queue's config.
    pub const fn lines(&self) -> &'static str {
        match &self.place {
            Place::Folder(_) | Place::Dav { .. } => "",
            Place::Db(_) => "lease = \"2s\"",
        }
    }

    /// The proxy between workers and a WebDAV server.
    pub fn http(&self) -> &HttpProxy {
        match &self.network {
            Network::Http(proxy) => proxy,
            Network::None | Network::Tcp(_) => panic!("there is no WebDAV server"),
        }
    }

    /// The network between workers and MariaDB.
    pub fn tcp(&self) -> &TcpProxy {
        match &self.network {
            Network::Tcp(proxy) => proxy,
            Network::None | Network::Http(_) => panic!("there is no MariaDB"),
        }
    }

    /// Requests to the server so far, or statements.
    pub fn requests(&self) -> u64 {
        match &self.network {
            Network::None => 0,
            Network::Http(proxy) => proxy.counts().requests,
            Network::Tcp(proxy) => proxy.counts().values().sum(),
        }
    }

    /// Something happens to the request of this number, counted from 0 and from now on.
    pub fn at(&self, request: u64, happens: impl FnOnce() -> Blow + Send + 'static) {
        let (mut next, mut happens) = (0, Some(happens));
        let mut blow = move || {
            next += 1;
            if next == request + 1 { happens.take().map(|happens| happens()) } else { None }
        };
        match &self.network {
            Network::None => {}
            Network::Http(proxy) => proxy.plan(move |_| blow().map(Blow::fault)),
            Network::Tcp(proxy) => proxy.plan(move |_| blow().map(Blow::cut)),
        }
    }

    /// Waits until a request is held; false if `is_over` comes before.
    pub fn wait_for_held(&self, is_over: impl FnMut() -> bool) -> bool {
        match &self.network {
            Network::None => false,
            Network::Http(proxy) => proxy.wait_for_held(is_over),
            Network::Tcp(proxy) => proxy.wait_for_held(is_over),
        }
    }

    /// Lets held requests go on.
    pub fn release(&self) {
        match &self.network {
            Network::None => {}
            Network::Http(proxy) => proxy.release(),
            Network::Tcp(proxy) => proxy.release(),
        }
    }

    /// From now on the network spoils so many requests in a thousand, by a seed.
    pub fn spoil(&self, seed: u64, per_mille: u64) {
        match &self.network {
            Network::None => {}
            Network::Http(proxy) => proxy.plan(random(seed, per_mille)),
            Network::Tcp(proxy) => proxy.plan(cuts(seed, per_mille)),
        }
    }

    /// From now on the network loses nothing.
    pub fn calm(&self) {
        match &self.network {
            Network::None => {}
            Network::Http(proxy) => proxy.calm(),
            Network::Tcp(proxy) => proxy.calm(),
        }
    }

    /// What the bad network has done, in words.
    pub fn network(&self) -> String {
        match &self.network {
            Network::None => "no network".to_owned(),
            Network::Http(proxy) => format!("{:?}", proxy.counts()),
            Network::Tcp(proxy) => format!("{:?}", proxy.counts()),
        }
    }
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// The server does not get it, and the client no answer.
    LoseRequest,
    /// The server does it, and the client gets no answer.
    LoseAnswer,
    /// The server gets it when held ones are released.
    Hold,
}

impl Blow {
    const fn fault(self) -> Fault {
        match self {
            Self::LoseRequest => Fault::LoseRequest,
            Self::LoseAnswer => Fault::LoseAnswer,
            Self::Hold => Fault::Hold,
        }
    }

    const fn cut(self) -> Cut {
        match self {
            Self::LoseRequest => Cut::Before,
            Self::LoseAnswer => Cut::After,
            Self::Hold => Cut::Hold,
        }
    }
}

impl Place {
    /// All that is in it, from what lies there.
    pub fn remains(&self) -> Remains {
        match self {
            Self::Folder(root) | Self::Dav { root, .. } => Remains::of_tree(root),
            Self::Db(tables) => tables.remains(),
        }
    }

    /// Adds a page as producers do. It is tried until it is certain.
    pub fn add(&self, page: &KnownPage) {
        match self {
            Self::Folder(root) => {
                let open = root.join("open");
                fs::create_dir_all(&open).expect("a folder");
                let hidden = open.join(format!(".{}", page.name));
                fs::write(&hidden, &page.text).expect("a file");
                fs::rename(hidden, open.join(&page.name)).expect("a new name");
            }
            Self::Dav { server, root, path } => add_to_dav(*server, root, path, page),
            Self::Db(tables) => tables.add(page),
        }
    }

    /// Adds a page that was returned when its first job was done.
    pub fn add_returned(&self, page: &KnownPage) {
        match self {
            Self::Folder(root) | Self::Dav { root, .. } => {
                let folder = root.join(format!("open/{}.12416136000000001", page.name));
                let results = folder.join("results");
                fs::create_dir_all(&results).expect("a folder");
                let (job, result) = page.results.first_key_value().expect("a job");
                let file = results.join(format!("{job:06}"));
                fs::write(&file, result).expect("a file");
                let text = folder.join("page");
                fs::write(&text, &page.text).expect("a file");
                // All of it is the server's.
                let status = folder.join("status.json");
                fs::write(&status, format!(r#"{{"page": "{}"}}"#, page.name)).expect("a file");
                for path in [&file, &text, &status, &results, &folder, &root.join("open")] {
                    own(path);
                }
            }
            Self::Db(tables) => tables.add_returned(page),
        }
    }
}

/// Puts a page under a hidden name and moves it to its own: whatever the server says, the hidden one is gone afterwards.
fn add_to_dav(server: SocketAddr, root: &Path, path: &str, page: &KnownPage) {
    let (name, text) = (&page.name, &page.text);
    let ask = |head: String, body: &str| {
        let request = format!("{head}\r\nHost: q\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let mut answer = String::new();
        let mut stream = TcpStream::connect(server).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse::<u16>().ok()
    };
    let hidden = root.join("open").join(format!(".{name}"));
    wait_until("the server takes a page", || {
        // Both are there already but for the first time.
        ask(format!("MKCOL {path}open HTTP/1.1"), "");
        ask(format!("PUT {path}open/.{name} HTTP/1.1"), text);
        hidden.is_file()
    });
    wait_until("the page has its name", || {
        let destination = format!("Destination: http://{server}{path}open/{name}\r\nOverwrite: F");
        ask(format!("MOVE {path}open/.{name} HTTP/1.1\r\n{destination}"), "");
        !hidden.exists()
    });
}

pub fn locked<T: ?Sized>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
