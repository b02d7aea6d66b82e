//! Guests: small machines with a web server, which tell what they do.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Lab, PATIENCE, at, desk, script};

/// A guest's disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disk {
    /// It has none.
    #[default]
    None,
    /// Served to all hosts over the network: libvirt takes a migration for safe.
    Nbd,
    /// A file of the host it boots on, which no other host has: libvirt refuses to migrate it.
    LocalFile,
}

/// A guest that is about to boot.
pub struct Boot<'l> {
    lab: &'l Lab,
    host: usize,
    name: String,
    uuid: Option<String>,
    memory: u32,
    disk: Disk,
    persistent: bool,
}

/// A guest that has booted. It keeps its address wherever it moves.
#[derive(Clone, Debug)]
pub struct Guest {
    /// As libvirt has it.
    pub name: String,
    /// As libvirt has it.
    pub uuid: String,
    /// Its web server's.
    pub ip: Ipv4Addr,
    pub(super) desk: PathBuf,
}

impl Lab {
    /// A guest for a host: transient, with 96 MiB and no disk, until told otherwise.
    pub fn guest(&self, host: usize, name: &str) -> Boot<'_> {
        let name = name.to_owned();
        Boot { lab: self, host, name, uuid: None, memory: 96, disk: Disk::None, persistent: false }
    }
}

impl Boot<'_> {
    /// Its memory in MiB; below 80 it does not boot.
    pub fn memory(mut self, mib: u32) -> Self {
        self.memory = mib;
        self
    }

    /// Its disk of 64 MiB. A shared one is by the guest's name: guests of one name have one disk.
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disk = disk;
        self
    }

    /// Libvirt defines it: it still knows it when it is off.
    pub fn persistent(mut self) -> Self {
        self.persistent = true;
        self
    }

    /// Its identity, where not a new one.
    pub fn uuid(mut self, uuid: &str) -> Self {
        self.uuid = Some(uuid.to_owned());
        self
    }

    /// Boots it, and returns when its web server answers.
    pub fn start(self) -> Guest {
        let octet = self.lab.addresses.fetch_add(1, Ordering::Relaxed) + 1;
        let uuid = self.uuid.unwrap_or_else(|| format!("00000000-77aa-4000-8000-{octet:012x}"));
        let mut command = script("boot");
        command.arg(self.lab.folder()).args([&self.host.to_string(), &self.name, &octet.to_string()]);
        command.env("LAB_UUID", &uuid).env("LAB_MEMORY", self.memory.to_string());
        command.env("LAB_PERSISTENT", if self.persistent { "1" } else { "" });
        let disk = match self.disk {
            Disk::None => "none",
            Disk::Nbd => "nbd",
            Disk::LocalFile => "file",
        };
        let output = command.env("LAB_DISK", disk).output().expect("bash is there");
        super::result(&output).unwrap_or_else(|why| panic!("{} on host {}: {why}", self.name, self.host));
        Guest { name: self.name, uuid, ip: Ipv4Addr::new(10, 77, 1, octet), desk: desk(self.lab.name()) }
    }
}

impl Guest {
    /// What its web server answers, within a minute.
    ///
    /// # Errors
    /// It does not.
    pub fn get(&self, path: &str) -> Result<String, String> {
        at(&self.desk, || get(self.ip, path, PATIENCE))
    }

    /// A counter that goes on each second while the guest runs, and begins anew when it boots.
    pub fn tick(&self) -> u64 {
        self.stat("tick").parse().expect("a number")
    }

    /// What is another one after every boot.
    pub fn boot_id(&self) -> String {
        self.stat("boot_id")
    }

    /// The counter as it stands on its disk.
    pub fn tick_on_disk(&self) -> u64 {
        self.stat("disk").parse().expect("a number")
    }

    fn stat(&self, key: &str) -> String {
        let page = self.get("/cgi-bin/stat").unwrap_or_else(|why| panic!("{}: {why}", self.name));
        let value = page.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {key} in {page}")).to_owned()
    }

    /// Writes the same memory again and again for a while, so that a slow migration does not get done with it.
    pub fn dirty(&self, mib: u32, secs: u32) {
        self.get(&format!("/cgi-bin/dirty?{mib},{secs}")).expect("a running guest");
    }

    /// Keeps its CPU busy for a while.
    pub fn burn(&self, secs: u32, processes: u32) {
        self.get(&format!("/cgi-bin/burn?{secs},{processes}")).expect("a running guest");
    }

    /// How long it takes to turn a loop so many times: the longer, the more its host is contended.
    pub fn work(&self, turns: u32) -> Duration {
        let begin = Instant::now();
        self.get(&format!("/cgi-bin/work?{turns}")).expect("a running guest");
        begin.elapsed()
    }

    /// The URL of a path that begins with `/`; that of `/cgi-bin/work?TURNS` takes as long as [`work`](Self::work).
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.ip)
    }
}

/// One request, from wherever this thread is.
pub(super) fn get(ip: Ipv4Addr, path: &str, limit: Duration) -> Result<String, String> {
    let said = |why: std::io::Error| why.to_string();
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((ip, 80)), limit).map_err(said)?;
    stream.set_read_timeout(Some(limit)).map_err(said)?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).map_err(said)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(said)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("half an answer")?;
    if head.contains(" 200 ") { Ok(body.to_owned()) } else { Err(head.to_owned()) }
}
