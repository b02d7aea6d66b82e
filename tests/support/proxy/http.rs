//! A bad HTTP proxy.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Gate, Seeded, Shared};

/// The longest head of a message.
const LONGEST_HEAD: u64 = 64 << 10;
/// The longest body.
const LONGEST_BODY: u64 = 64 << 20;

/// What the proxy does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// It is not passed on; the connection is cut.
    LoseRequest,
    /// The server does it; the connection is cut without an answer.
    LoseAnswer,
    /// The connection is cut at once, and the server gets the request after this time.
    Late(Duration),
    /// It is passed on after this time.
    DelayRequest(Duration),
    /// It is passed on when requests are released.
    Hold,
    /// It is answered this long after the server did it.
    DelayAnswer(Duration),
    /// The server gets it twice, the second time after this long, and the second answer counts: as a proxy does that got
    /// no answer and tries again.
    Repeat(Duration),
    /// It is not passed on, and is answered with this status.
    Refuse(u16),
    /// The server does it, and it is answered with this status.
    Deny(u16),
    /// The server gets half of it, and then the end of the connection.
    CutRequest,
    /// The client gets half of the answer, and then the end of the connection.
    CutAnswer,
}

/// A request as a plan sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `MOVE`, say.
    pub method: String,
    /// Its path, as it is in the request.
    pub path: String,
    /// Where a `MOVE` goes: the header, as it is.
    pub destination: Option<String>,
}

type Plan = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

/// A proxy before an HTTP server, on a loopback port of its own. It ends with its owner.
pub struct HttpProxy {
    gate: Gate,
    plan: Arc<Mutex<Plan>>,
    counts: Arc<Mutex<Counts>>,
}

/// What a proxy did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// All requests.
    pub requests: u64,
    /// Those with a fault, by the fault's word.
    pub faults: BTreeMap<String, u64>,
}

/// A plan: so many requests in a thousand have a fault, each kind as often as any other. No delay is longer than 1.5 s.
pub fn random(seed: u64, per_mille: u64) -> impl FnMut(&Request) -> Option<Fault> + Send {
    let mut seeded = Seeded::new(seed);
    move |_| {
        let is_chosen = seeded.chance(per_mille);
        let delay = seeded.between(Duration::from_millis(1), Duration::from_millis(1_500));
        // Most races are between requests that follow each other closely.
        let delay = if seeded.chance(700) { delay / 20 } else { delay };
        let status = seeded.pick(&[404, 412, 500, 502]);
        let faults = [
            Fault::LoseRequest,
            Fault::LoseAnswer,
            Fault::Late(delay),
            Fault::DelayRequest(delay),
            Fault::DelayAnswer(delay),
            Fault::Repeat(delay),
            Fault::Refuse(status),
            Fault::Deny(status),
            Fault::CutRequest,
            Fault::CutAnswer,
        ];
        let fault = seeded.pick(&faults);
        is_chosen.then_some(fault)
    }
}

impl HttpProxy {
    /// A proxy before this server, which passes everything on.
    pub fn before(server: SocketAddr) -> Self {
        let plan: Arc<Mutex<Plan>> = Arc::new(Mutex::new(Box::new(|_| None)));
        let counts = Arc::new(Mutex::new(Counts::default()));
        let (of_gate, counts_of_gate) = (Arc::clone(&plan), Arc::clone(&counts));
        let gate = Gate::open(move |shared, client| {
            let decide = |request: &Request| {
                let fault = of_gate.lock().unwrap_or_else(PoisonError::into_inner)(request);
                let mut counts = counts_of_gate.lock().unwrap_or_else(PoisonError::into_inner);
                counts.requests += 1;
                if let Some(fault) = fault {
                    *counts.faults.entry(fault.word()).or_default() += 1;
                }
                fault
            };
            Connection { shared, server }.serve(client, decide)
        });
        Self { gate, plan, counts }
    }

    /// From now on requests fare as this plan says. It is called for one request at a time.
    pub fn plan(&self, plan: impl FnMut(&Request) -> Option<Fault> + Send + 'static) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(plan);
    }

    /// The next request that `wanted` chooses has this fault, and no other one has any.
    pub fn once(&self, fault: Fault, wanted: impl Fn(&Request) -> bool + Send + 'static) {
        let mut fault = Some(fault);
        self.plan(move |request| if wanted(request) { fault.take() } else { None });
    }

    /// Waits until a request is held; false if `is_over` comes before.
    pub fn wait_for_held(&self, is_over: impl FnMut() -> bool) -> bool {
        self.gate.wait_for_held(is_over)
    }

    /// Lets held requests go on.
    pub fn release(&self) {
        self.gate.release();
    }

    /// From now on everything is passed on. Returns when no fault is under way any more.
    pub fn calm(&self) {
        self.plan(|_| None);
        self.gate.settle();
    }

    /// The URL of a path that begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gate.address)
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.gate.address
    }

    /// What it did so far.
    pub fn counts(&self) -> Counts {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Fault {
    fn word(self) -> String {
        let debug = format!("{self:?}");
        match self {
            Self::Refuse(_) | Self::Deny(_) => debug,
            _ => debug.split('(').next().unwrap_or_default().to_owned(),
        }
    }
}

/// One client and the server.
struct Connection<'a> {
    shared: &'a Shared,
    server: SocketAddr,
}

impl Connection<'_> {
    fn serve(&self, client: TcpStream, mut decide: impl FnMut(&Request) -> Option<Fault>) -> io::Result<()> {
        client.set_nodelay(true)?;
        let mut reader = BufReader::new(client.try_clone()?);
        while let Some(message) = Message::read(&mut reader, Body::OfRequest)? {
            let request = message.request()?;
            match decide(&request) {
                None => self.answer(&client, &request, self.pass(&message))?,
                Some(fault) => {
                    let _pending = self.shared.pending();
                    if self.spoil(fault, &client, &message, &request)? {
                        break;
                    }
                }
            }
            if message.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                break;
            }
        }
        client.shutdown(Shutdown::Both)
    }

    /// Whether the client's connection is cut now.
    fn spoil(&self, fault: Fault, client: &TcpStream, message: &Message, request: &Request) -> io::Result<bool> {
        match fault {
            Fault::LoseRequest => return Ok(true),
            Fault::LoseAnswer => {
                let _ = self.pass(message);
                return Ok(true);
            }
            Fault::Late(after) => {
                client.shutdown(Shutdown::Both)?;
                self.shared.pause(after);
                let _ = self.pass(message);
                return Ok(true);
            }
            Fault::DelayRequest(time) => {
                self.shared.pause(time);
                self.answer(client, request, self.pass(message))?;
            }
            Fault::Hold => {
                self.shared.hold();
                self.answer(client, request, self.pass(message))?;
            }
            Fault::DelayAnswer(time) => {
                let answer = self.pass(message);
                self.shared.pause(time);
                self.answer(client, request, answer)?;
            }
            Fault::Repeat(after) => {
                let _ = self.pass(message);
                self.shared.pause(after);
                self.answer(client, request, self.pass(message))?;
            }
            Fault::Refuse(status) => self.answer(client, request, Ok(Message::of_status(status)))?,
            Fault::Deny(status) => {
                let _ = self.pass(message);
                self.answer(client, request, Ok(Message::of_status(status)))?;
            }
            Fault::CutRequest => {
                let (mut stream, _visit) = self.shared.connect(self.server)?;
                stream.write_all(message.half())?;
                stream.shutdown(Shutdown::Write)?;
                // Until the server has made up its mind.
                let _ = io::copy(&mut stream.take(LONGEST_BODY), &mut io::sink());
                return Ok(true);
            }
            Fault::CutAnswer => {
                let mut client = client;
                client.write_all(self.pass(message)?.half())?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The server's answer, on a connection of its own.
    fn pass(&self, message: &Message) -> io::Result<Message> {
        let (mut stream, _visit) = self.shared.connect(self.server)?;
        stream.write_all(&message.bytes)?;
        let is_head = message.bytes.starts_with(b"HEAD ");
        let body = if is_head { Body::None } else { Body::OfAnswer };
        Message::read(&mut BufReader::new(stream), body)?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// Gives the client an answer; a server that gives none is a 502, as with any proxy.
    fn answer(&self, mut client: &TcpStream, request: &Request, answer: io::Result<Message>) -> io::Result<()> {
        let answer = answer.unwrap_or_else(|_| Message::of_status(502));
        let whole = if request.method == "HEAD" { &answer.bytes[..answer.head] } else { &answer.bytes };
        client.write_all(whole)
    }
}

/// A request or an answer.
struct Message {
    bytes: Vec<u8>,
    /// The length of its head, with the blank line.
    head: usize,
}

/// What says how long a body is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    None,
    OfRequest,
    OfAnswer,
}

impl Message {
    /// The next message; `None` at the end of the connection.
    fn read(from: &mut impl BufRead, body: Body) -> io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let room = LONGEST_HEAD.saturating_sub(bytes.len() as u64);
            if from.by_ref().take(room).read_until(b'\n', &mut bytes)? == 0 {
                return if bytes.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
        let mut message = Self { head: bytes.len(), bytes };
        let is_empty = ["204", "304"].map(|code| format!("HTTP/1.1 {code}")).iter().any(|it| message.begins(it));
        if body == Body::None || is_empty {
            return Ok(Some(message));
        }
        if message.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            message.read_chunks(from)?;
        } else if let Some(length) = message.header("content-length") {
            let length = length.parse().map_err(|_| io::ErrorKind::InvalidData)?;
            message.read_exactly(from, length)?;
        } else if body == Body::OfAnswer {
            from.take(LONGEST_BODY).read_to_end(&mut message.bytes)?;
        }
        Ok(Some(message))
    }

    fn read_exactly(&mut self, from: &mut impl BufRead, length: u64) -> io::Result<()> {
        let read = from.take(length.min(LONGEST_BODY)).read_to_end(&mut self.bytes)?;
        if read as u64 == length { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn read_chunks(&mut self, from: &mut impl BufRead) -> io::Result<()> {
        loop {
            let begin = self.bytes.len();
            from.take(LONGEST_HEAD).read_until(b'\n', &mut self.bytes)?;
            let line = String::from_utf8_lossy(&self.bytes[begin..]).into_owned();
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| io::ErrorKind::InvalidData)?;
            // With the line end behind the chunk; the last one is empty, and nobody sends trailers.
            self.read_exactly(from, size + 2)?;
            if size == 0 {
                return Ok(());
            }
        }
    }

    fn begins(&self, with: &str) -> bool {
        self.bytes.starts_with(with.as_bytes())
    }

    fn header(&self, name: &str) -> Option<String> {
        let head = String::from_utf8_lossy(&self.bytes[..self.head]);
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    }

    fn request(&self) -> io::Result<Request> {
        let head = String::from_utf8_lossy(&self.bytes[..self.head]);
        let mut words = head.split_whitespace();
        let (Some(method), Some(path)) = (words.next(), words.next()) else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        let destination = self.header("destination");
        Ok(Request { method: method.to_owned(), path: path.to_owned(), destination })
    }

    /// An answer with this status and a page of HTML, as proxies have it.
    fn of_status(status: u16) -> Self {
        let page = format!("<html><body><h1>{status} by the proxy</h1></body></html>\n");
        let length = page.len();
        let head = format!("HTTP/1.1 {status} Proxy\r\nContent-Type: text/html\r\nContent-Length: {length}\r\n\r\n");
        Self { head: head.len(), bytes: (head + &page).into_bytes() }
    }

    /// Its first half: of the body, if it has one.
    fn half(&self) -> &[u8] {
        let body = self.bytes.len() - self.head;
        let end = if body > 1 { self.head + body / 2 } else { self.head / 2 };
        &self.bytes[..end]
    }
}
