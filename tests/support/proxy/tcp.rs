//! A bad network before a MariaDB: it reads the clients' statements and cuts connections by them.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::scope;
use std::time::Duration;

use super::{Gate, Pending, Seeded, Shared};

/// What the proxy does to a connection when a statement comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cut {
    /// It is cut before the server gets the statement.
    Before,
    /// The server does it; the connection is cut without an answer.
    After,
    /// The client is cut off at once, and the server gets the statement after this time.
    Late(Duration),
    /// Nothing is cut: the server gets the statement after this time.
    Delay(Duration),
    /// Nothing is cut: the server gets the statement when statements are released.
    Hold,
}

/// A statement as a plan sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its text; that of a prepared one as it was prepared.
    pub sql: String,
    /// It is only prepared.
    pub is_prepared: bool,
}

type Plan = Box<dyn FnMut(&Statement) -> Option<Cut> + Send>;

/// A proxy before a MariaDB without TLS, on a loopback port of its own. It ends with its owner.
pub struct TcpProxy {
    gate: Gate,
    plan: Arc<Mutex<Plan>>,
    counts: Arc<Mutex<BTreeMap<String, u64>>>,
}

/// A plan: so many statements in a thousand have a fault, each kind as often as any other, and five times as many of the
/// `COMMIT`s. No delay is longer than 1.5 s.
pub fn cuts(seed: u64, per_mille: u64) -> impl FnMut(&Statement) -> Option<Cut> + Send {
    let mut seeded = Seeded::new(seed);
    move |statement| {
        let is_commit = statement.sql.trim().eq_ignore_ascii_case("commit");
        let is_chosen = seeded.chance(if is_commit { per_mille * 5 } else { per_mille });
        let delay = seeded.between(Duration::from_millis(1), Duration::from_millis(1_500));
        let cut = seeded.pick(&[Cut::Before, Cut::After, Cut::Late(delay), Cut::Delay(delay)]);
        is_chosen.then_some(cut)
    }
}

impl TcpProxy {
    /// A proxy before this server, which passes everything on.
    pub fn before(server: SocketAddr) -> Self {
        let plan: Arc<Mutex<Plan>> = Arc::new(Mutex::new(Box::new(|_| None)));
        let counts = Arc::new(Mutex::new(BTreeMap::<String, u64>::new()));
        let (of_gate, counts_of_gate) = (Arc::clone(&plan), Arc::clone(&counts));
        let gate = Gate::open(move |shared, client| {
            let decide = |statement: &Statement| {
                let cut = locked(&of_gate)(statement);
                let word = cut.map_or("passed", Cut::word);
                *locked(&counts_of_gate).entry(word.to_owned()).or_default() += 1;
                cut
            };
            serve(shared, server, &client, decide)
        });
        Self { gate, plan, counts }
    }

    /// From now on statements fare as this plan says. It is called for one statement at a time.
    pub fn plan(&self, plan: impl FnMut(&Statement) -> Option<Cut> + Send + 'static) {
        *locked(&self.plan) = Box::new(plan);
    }

    /// The next statement that `wanted` chooses fares so, and every other one is passed on.
    pub fn once(&self, cut: Cut, wanted: impl Fn(&Statement) -> bool + Send + 'static) {
        let mut cut = Some(cut);
        self.plan(move |statement| if wanted(statement) { cut.take() } else { None });
    }

    /// Waits until a statement is held; false if `is_over` comes before.
    pub fn wait_for_held(&self, is_over: impl FnMut() -> bool) -> bool {
        self.gate.wait_for_held(is_over)
    }

    /// Lets held statements go on.
    pub fn release(&self) {
        self.gate.release();
    }

    /// From now on everything is passed on. Returns when no fault is under way any more.
    pub fn calm(&self) {
        self.plan(|_| None);
        self.gate.settle();
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.gate.address
    }

    /// What it did so far: statements by what became of them.
    pub fn counts(&self) -> BTreeMap<String, u64> {
        locked(&self.counts).clone()
    }
}

impl Cut {
    const fn word(self) -> &'static str {
        match self {
            Self::Before => "Before",
            Self::After => "After",
            Self::Late(_) => "Late",
            Self::Delay(_) => "Delay",
            Self::Hold => "Hold",
        }
    }
}

fn locked<T: ?Sized>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the two directions of a connection know of each other.
#[derive(Default)]
struct Link {
    /// The next answer is not passed on.
    is_deaf: bool,
    /// What is being prepared.
    preparing: Option<String>,
    /// What was prepared, by the server's number.
    prepared: HashMap<[u8; 4], String>,
}

fn serve(
    shared: &Shared,
    server: SocketAddr,
    client: &TcpStream,
    decide: impl FnMut(&Statement) -> Option<Cut>,
) -> io::Result<()> {
    client.set_nodelay(true)?;
    let (server, _visit) = shared.connect(server)?;
    let link = Mutex::new(Link::default());
    scope(|threads| {
        threads.spawn(|| {
            let end = answers(&link, &server, client);
            cut(&server, client);
            end
        });
        let late = statements(shared, &link, client, &server, decide);
        // The server's answer to a late statement ends the connection.
        if late.is_err() {
            cut(&server, client);
        }
        late
    })
    .map(drop)
}

fn cut(server: &TcpStream, client: &TcpStream) {
    for side in [server, client] {
        // The other side may have been quicker.
        let _ = side.shutdown(Shutdown::Both);
    }
}

/// From the client to the server, up to the end of the connection or a late statement, whose answer is still to come.
fn statements<'a>(
    shared: &'a Shared,
    link: &Mutex<Link>,
    mut client: &TcpStream,
    mut server: &TcpStream,
    mut decide: impl FnMut(&Statement) -> Option<Cut>,
) -> io::Result<Pending<'a>> {
    loop {
        let packet = packet(&mut client)?;
        let chosen = statement(link, &packet).and_then(|statement| decide(&statement));
        match chosen {
            None => server.write_all(&packet)?,
            Some(Cut::Before) => return Err(io::ErrorKind::ConnectionAborted.into()),
            Some(Cut::After) => {
                locked(link).is_deaf = true;
                server.write_all(&packet)?;
            }
            Some(Cut::Late(after)) => {
                let pending = shared.pending();
                locked(link).is_deaf = true;
                client.shutdown(Shutdown::Both)?;
                shared.pause(after);
                server.write_all(&packet)?;
                return Ok(pending);
            }
            Some(Cut::Delay(time)) => {
                let _pending = shared.pending();
                shared.pause(time);
                server.write_all(&packet)?;
            }
            Some(Cut::Hold) => {
                let _pending = shared.pending();
                shared.hold();
                server.write_all(&packet)?;
            }
        }
    }
}

/// From the server to the client.
fn answers(link: &Mutex<Link>, mut server: &TcpStream, mut client: &TcpStream) -> io::Result<()> {
    loop {
        let packet = packet(&mut server)?;
        {
            let mut link = locked(link);
            if link.is_deaf {
                return Ok(());
            }
            // `COM_STMT_PREPARE_OK`: 0, and the statement's number.
            if let Some(sql) = link.preparing.take()
                && packet[4] == 0
                && let Some(number) = packet.get(5..9).and_then(|number| number.try_into().ok())
            {
                link.prepared.insert(number, sql);
            }
        }
        client.write_all(&packet)?;
    }
}

/// The statement of a client's packet; `None` for a login and what is not a statement.
fn statement(link: &Mutex<Link>, packet: &[u8]) -> Option<Statement> {
    // Each command begins to count its packets anew.
    let [_, _, _, 0, command, rest @ ..] = packet else { return None };
    let text = || String::from_utf8_lossy(rest).into_owned();
    let mut link = locked(link);
    match command {
        0x03 => Some(Statement { sql: text(), is_prepared: false }),
        0x16 => {
            link.preparing = Some(text());
            Some(Statement { sql: text(), is_prepared: true })
        }
        0x17 => {
            let sql = link.prepared.get(rest.get(..4)?).cloned().unwrap_or_default();
            Some(Statement { sql, is_prepared: false })
        }
        _ => None,
    }
}

/// A packet of MariaDB's protocol: three bytes of length, a number, and at least a byte more.
fn packet(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut packet = vec![0; 4];
    from.read_exact(&mut packet)?;
    let length = u64::from(packet[0]) | u64::from(packet[1]) << 8 | u64::from(packet[2]) << 16;
    let read = from.take(length).read_to_end(&mut packet)?;
    if read == 0 || read as u64 != length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(packet) }
}
