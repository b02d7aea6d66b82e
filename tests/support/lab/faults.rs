//! What can go wrong with hosts, cables, daemons and guests, done on purpose.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use super::witness::Process;
use super::{Lab, wait};

impl Lab {
    /// Kills a host's libvirtd, as a crash does. Its guests go on, and its supervisor starts it again in a moment.
    pub fn kill_daemon(&self, host: usize) {
        let pid = wait("the host's libvirtd runs", || self.daemon(host));
        end(pid);
    }

    /// Kills a host's libvirtd, which stays away until [`start_daemon`](Self::start_daemon). Its guests go on.
    pub fn stop_daemon(&self, host: usize) {
        fs::write(self.host_folder(host).join("stopped"), "").expect("the lab's folder can be written");
        self.kill_daemon(host);
    }

    /// Lets a host have its libvirtd again. Returns when it answers.
    pub fn start_daemon(&self, host: usize) {
        // After a kill there is nothing to undo.
        let _ = fs::remove_file(self.host_folder(host).join("stopped"));
        self.await_daemon(host);
    }

    /// Stops a host's libvirtd where it is: connections to it stay, and nothing is answered. Its guests go on.
    pub fn freeze_daemon(&self, host: usize) {
        let pid = wait("the host's libvirtd runs", || self.daemon(host));
        signal(pid, Signal::STOP);
        wait("all of it stands still", || stands_still(pid).then_some(()));
    }

    /// Lets it go on.
    pub fn thaw_daemon(&self, host: usize) {
        signal(self.daemon(host).expect("the host's libvirtd runs"), Signal::CONT);
    }

    /// Returns when a host's libvirtd answers.
    pub fn await_daemon(&self, host: usize) {
        self.run("answers", &[&host.to_string()]).expect("the host answers");
    }

    /// Kills a guest's QEMU on one host, as a crash does. Returns when it is gone.
    pub fn kill_guest(&self, host: usize, name: &str) {
        let qemu = self.qemus_on(host, name).pop().unwrap_or_else(|| panic!("no {name} on host {host}"));
        end(qemu);
    }

    /// Stops a guest's QEMU on one host without ending it: it holds what it has, and does and answers nothing.
    pub fn freeze_guest(&self, host: usize, name: &str) {
        let qemu = self.qemus_on(host, name).pop().unwrap_or_else(|| panic!("no {name} on host {host}"));
        signal(qemu, Signal::STOP);
    }

    /// Lets a stopped one go on.
    pub fn thaw_guest(&self, host: usize, name: &str) {
        self.qemus_on(host, name).into_iter().for_each(|qemu| signal(qemu, Signal::CONT));
    }

    /// What the desk says to a host is lost from now on. The other hosts reach it as before.
    pub fn hide(&self, host: usize) {
        self.mislead("desk", "sw0", host);
    }

    /// The desk reaches a host again.
    pub fn show(&self, host: usize) {
        self.remind("desk", "sw0", host);
    }

    /// What a host says to another one is lost from now on. The desk reaches both.
    pub fn part(&self, host: usize, peer: usize) {
        self.mislead(&host.to_string(), "br0", peer);
    }

    /// The host reaches the other one again.
    pub fn join(&self, host: usize, peer: usize) {
        self.remind(&host.to_string(), "br0", peer);
    }

    /// Somebody takes nobody's address for a host's.
    fn mislead(&self, who: &str, device: &str, host: usize) {
        let (address, nobody) = (self.address(host), ["lladdr", "02:77:00:00:00:ff", "nud", "permanent"]);
        self.ip(who, &[&["neigh", "replace", &address, "dev", device], &nobody[..]].concat());
    }

    fn remind(&self, who: &str, device: &str, host: usize) {
        self.ip(who, &["neigh", "flush", "to", &self.address(host), "dev", device, "nud", "all"]);
    }

    /// Pulls a host's network cable. Host and guests go on, and hear and say nothing.
    pub fn cut(&self, host: usize) {
        self.cable(host, "down");
    }

    /// Puts the cable back in.
    pub fn mend(&self, host: usize) {
        self.cable(host, "up");
    }

    fn cable(&self, host: usize, state: &str) {
        self.ip("desk", &["link", "set", &format!("host{host}"), state]);
    }

    /// In the namespace of the desk or of a host.
    fn ip(&self, who: &str, args: &[&str]) {
        let mut ip = Command::new("ip");
        ip.args(["-n", &format!("{}-{who}", self.name())]).args(args);
        assert!(ip.status().expect("ip is installed").success(), "{ip:?}");
    }

    /// A power cut: the host's cable is dead, then all that runs on it. Returns when it has ended.
    pub fn power_off(&self, host: usize) {
        self.run("power", &[&host.to_string(), "off"]).expect("a host that is on");
    }

    /// Powers a host on again. What was defined there is known and off, what was transient is forgotten. Returns when it
    /// answers.
    pub fn power_on(&self, host: usize) {
        self.run("power", &[&host.to_string(), "on"]).expect("a host that is off");
        self.await_daemon(host);
    }

    /// The most that a migration of this guest may send, in MiB/s; also one that is under way.
    pub fn speed(&self, host: usize, name: &str, mib: u32) {
        self.virsh(host, &["migrate-setspeed", name, &mib.to_string()]).expect("a known guest");
    }

    fn host_folder(&self, host: usize) -> PathBuf {
        self.folder.join(format!("host{host}"))
    }

    /// The libvirtd of a host, outside of it.
    pub fn daemon(&self, host: usize) -> Option<u32> {
        let own = |process: &Process| process.words.first().is_some_and(|word| word == "libvirtd");
        // A libvirtd that is about to become another program is its child.
        self.processes(host).into_iter().filter(own).map(|process| process.pid).min()
    }
}

/// Kills a process. Returns when it is gone with all of its threads and connections.
fn end(pid: u32) {
    signal(pid, Signal::KILL);
    wait("it is gone", || (!Path::new("/proc").join(pid.to_string()).exists()).then_some(()));
}

/// No thread of it runs any more.
fn stands_still(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let stats = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    stats.into_iter().all(|stat| stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('T')))
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process id");
    // It may have ended by itself, which is as well.
    let _ = kill_process(pid, signal);
}
