//! What can go wrong with hosts, cables, daemons and guests, done on purpose.

use rustix::process::{Pid, Signal, kill_process};

use super::{Lab, wait};

impl Lab {
    /// Kills a host's libvirtd, as a crash does. Its guests go on, and its supervisor starts it again in a moment.
    pub fn kill_daemon(&self, host: usize) {
        let pid = wait("the host's libvirtd runs", || self.daemon(host));
        kill(pid);
        wait("it is dead", || (self.daemon(host) != Some(pid)).then_some(()));
    }

    /// Kills a host's libvirtd, which stays away until [`start_daemon`](Self::start_daemon). Its guests go on.
    pub fn stop_daemon(&self, host: usize) {
        std::fs::write(self.host_folder(host).join("stopped"), "").expect("the lab's folder can be written");
        self.kill_daemon(host);
    }

    /// Lets a host have its libvirtd again. Returns when it answers.
    pub fn start_daemon(&self, host: usize) {
        // After a kill there is nothing to undo.
        let _ = std::fs::remove_file(self.host_folder(host).join("stopped"));
        self.await_daemon(host);
    }

    /// Returns when a host's libvirtd answers.
    pub fn await_daemon(&self, host: usize) {
        self.run("answers", &[&host.to_string()]).expect("the host answers");
    }

    /// Kills a guest's QEMU on one host, as a crash does. Returns when it is gone.
    pub fn kill_guest(&self, host: usize, name: &str) {
        let qemu = self.qemus_on(host, name).pop().unwrap_or_else(|| panic!("no {name} on host {host}"));
        kill(qemu);
        wait("the guest is dead", || (!self.qemus_on(host, name).contains(&qemu)).then_some(()));
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
        let namespace = format!("{}-desk", self.name());
        let mut ip = std::process::Command::new("ip");
        ip.args(["-n", &namespace, "link", "set", &format!("host{host}"), state]);
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

    fn host_folder(&self, host: usize) -> std::path::PathBuf {
        self.folder.join(format!("host{host}"))
    }

    /// The libvirtd of a host.
    fn daemon(&self, host: usize) -> Option<u32> {
        let own = |process: &super::witness::Process| process.words.first().is_some_and(|word| word == "libvirtd");
        // A libvirtd that is about to become another program is its child.
        self.processes(host).into_iter().filter(own).map(|process| process.pid).min()
    }
}

fn kill(pid: u32) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process id");
    // It may have ended by itself, which is as well.
    let _ = kill_process(pid, Signal::KILL);
}
