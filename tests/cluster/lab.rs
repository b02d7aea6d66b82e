//! The lab that the tests of real moves stand on: it does what it says, and leaves nothing behind.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::lab::{Disk, Guest, Lab, wait};
use crate::support::services::or_skip;
use rustix::process::{Pid, Signal, kill_process};

/// Without libvirt's word for it: a live migration from host to host.
fn moves(lab: &Lab, guest: &Guest, from: usize, to: usize) -> Result<String, String> {
    lab.virsh(from, &["migrate", "--live", "--p2p", &guest.name, &lab.peer_uri(to)])
}

#[test]
fn a_guest_moves_from_host_to_host_and_goes_on() {
    let Some(lab) = or_skip("a_guest_moves_from_host_to_host_and_goes_on", Lab::up(3)) else { return };
    let web1 = lab.guest(1, "web1").disk(Disk::Nbd).start();
    assert_eq!((lab.running_on("web1"), lab.executing_on("web1")), (vec![1], vec![1]));
    let (boot, tick) = (web1.boot_id(), web1.tick());
    let probe = web1.probe();
    for (from, to) in [(1, 2), (2, 3)] {
        moves(&lab, &web1, from, to).expect("a migration");
        assert_eq!((lab.running_on("web1"), lab.executing_on("web1")), (vec![to], vec![to]));
    }
    assert_eq!(web1.boot_id(), boot, "it was never off");
    wait("the counter goes on", || (web1.tick() > tick + 1).then_some(()));
    wait("the disk is written", || (web1.tick_on_disk() > tick + 1).then_some(()));
    let seen = probe.stop();
    assert!(seen.latencies.len() > 10 && seen.longest_gap >= seen.percentile(95), "{seen:?}");
}

#[test]
fn a_move_can_be_watched_slowed_and_broken() {
    let Some(lab) = or_skip("a_move_can_be_watched_slowed_and_broken", Lab::up(2)) else { return };
    let web1 = lab.guest(1, "web1").start();
    let boot = web1.boot_id();
    assert_eq!(lab.sent(1, "web1"), None);
    lab.speed(1, "web1", 1);
    let broken = std::thread::scope(|scope| {
        let under_way = scope.spawn(|| moves(&lab, &web1, 1, 2));
        lab.await_move(1, "web1");
        let both = lab.qemus("web1");
        assert_eq!(both.len(), 2, "{both:?}");
        assert_eq!((both[1].host, both[1].status.as_str()), (2, "inmigrate"));
        assert_eq!(lab.executing_on("web1"), [1]);
        lab.kill_guest(2, "web1");
        under_way.join().expect("no panic")
    });
    broken.expect_err("the destination died");
    assert_eq!((lab.running_on("web1"), lab.executing_on("web1")), (vec![1], vec![1]));
    assert_eq!(web1.boot_id(), boot);
}

#[test]
fn a_guest_can_be_made_to_run_twice() {
    let Some(lab) = or_skip("a_guest_can_be_made_to_run_twice", Lab::up(2)) else { return };
    let web1 = lab.guest(1, "web1").start();
    lab.speed(1, "web1", 2);
    let given_up = std::thread::scope(|scope| {
        let under_way = scope.spawn(|| moves(&lab, &web1, 1, 2));
        lab.await_move(1, "web1");
        lab.freeze_daemon(2);
        // The memory arrives, and the request to go on is heard by nobody.
        lab.speed(1, "web1", 1_000);
        under_way.join().expect("no panic")
    });
    given_up.expect_err("the destination is silent");
    assert_eq!(lab.executing_on("web1"), [1], "the source lets it go on");
    lab.thaw_daemon(2);
    wait("the destination lets it go on too", || (lab.executing_on("web1") == [1, 2]).then_some(()));
    wait("libvirt sees both, and does nothing", || (lab.running_on("web1") == [1, 2]).then_some(()));
}

#[test]
fn guests_of_one_name_have_one_disk() {
    let Some(lab) = or_skip("guests_of_one_name_have_one_disk", Lab::up(1)) else { return };
    let first = lab.guest(1, "web1").disk(Disk::Nbd).start();
    wait("its disk is written", || (first.tick() > 1).then_some(()));
    let port = || fs::read_to_string(lab.folder().join("web1.port")).expect("it is served");
    let before = port();
    lab.kill_guest(1, "web1");
    wait("libvirt notices that it is gone", || lab.running_on("web1").is_empty().then_some(()));
    let second = lab.guest(1, "web1").disk(Disk::Nbd).start();
    assert_ne!(first.ip, second.ip);
    wait("its disk is written", || (second.tick() > 1).then_some(()));
    second.tick_on_disk();
    assert_eq!(port(), before);
}

#[test]
fn libvirt_refuses_what_the_lab_gives_it_to_refuse() {
    let Some(lab) = or_skip("libvirt_refuses_what_the_lab_gives_it_to_refuse", Lab::up(2)) else { return };
    let (db1, namesake) = (lab.guest(1, "db1").disk(Disk::LocalFile).start(), lab.guest(2, "web1").start());
    let web1 = lab.guest(1, "web1").memory(128).persistent().start();
    assert_ne!(web1.uuid, namesake.uuid);
    let why = moves(&lab, &db1, 1, 2).expect_err("no shared storage");
    assert!(why.contains("shared storage"), "{why}");
    let why = moves(&lab, &web1, 1, 2).expect_err("another one has the name");
    assert!(why.contains("already exists with uuid"), "{why}");
    assert_eq!((lab.running_on("web1"), lab.executing_on("web1")), (vec![1, 2], vec![1, 2]));
    lab.kill_guest(1, "web1");
    assert_eq!(lab.executing_on("web1"), [2]);
    wait("libvirt knows that it is off", || (lab.running_on("web1") == [2]).then_some(()));
    lab.virsh(1, &["domuuid", "web1"]).expect("a persistent one is still known");
}

#[test]
fn hosts_cables_and_daemons_fail_and_come_back() {
    let Some(lab) = or_skip("hosts_cables_and_daemons_fail_and_come_back", Lab::up(2)) else { return };
    let web1 = lab.guest(1, "web1").start();
    let boot = web1.boot_id();

    lab.kill_daemon(1);
    lab.await_daemon(1);
    lab.stop_daemon(1);
    let why = lab.virsh(1, &["list"]).expect_err("no libvirtd");
    assert!(why.contains("Connection refused"), "{why}");
    assert_eq!((lab.running_on("web1"), lab.executing_on("web1")), (vec![], vec![1]), "the guest goes on");
    lab.start_daemon(1);
    assert_eq!(lab.running_on("web1"), [1]);
    lab.freeze_daemon(1);
    assert_eq!((lab.running_on("web1"), lab.executing_on("web1")), (vec![], vec![1]), "the guest goes on");
    lab.thaw_daemon(1);
    assert_eq!(lab.running_on("web1"), [1]);

    lab.cut(1);
    assert_eq!((lab.running_on("web1"), lab.executing_on("web1")), (vec![], vec![1]), "the guest goes on");
    lab.mend(1);
    wait("the host is back", || (lab.running_on("web1") == [1]).then_some(()));
    assert_eq!(web1.boot_id(), boot, "it was never off");

    lab.power_off(1);
    assert_eq!(lab.qemus("web1"), []);
    lab.power_on(1);
    assert_eq!(lab.virsh(1, &["list", "--all", "--name"]).as_deref(), Ok(""), "a transient guest is forgotten");
}

#[test]
fn the_desk_reaches_guests_and_runs_programs() {
    let Some(lab) = or_skip("the_desk_reaches_guests_and_runs_programs", Lab::crowded(1, 40)) else { return };
    let web1 = lab.guest(1, "web1").start();
    lab.at_desk(|| std::net::TcpStream::connect((web1.ip, 80))).expect("the desk is on the guests' network");
    web1.dirty(4, 1);
    web1.burn(1, 1);
    assert!(web1.work(100) > std::time::Duration::ZERO);
    assert!(lab.whimbrel().arg("--version").output().expect("it is built").status.success());

    // Who signals the child signals the program.
    let mut child = lab.command("sleep").arg("1000").spawn().expect("sleep is there");
    let comm = || fs::read_to_string(format!("/proc/{}/comm", child.id())).unwrap_or_default();
    wait("the child is the program", || (comm() == "sleep\n").then_some(()));
    child.kill().expect("it runs");
    child.wait().expect("it is dead");
}

#[test]
fn a_host_is_reached_by_ssh() {
    let test = "a_host_is_reached_by_ssh";
    let Some(lab) = or_skip(test, Lab::up(1)) else { return };
    let Some(uri) = or_skip(test, lab.ssh_uri(1)) else { return };
    let output = lab.command("virsh").args(["-c", &uri, "hostname"]).output().expect("virsh is installed");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "lab1", "{output:?}");
}

#[test]
fn two_labs_side_by_side_have_nothing_to_do_with_each_other() {
    let test = "two_labs_side_by_side_have_nothing_to_do_with_each_other";
    let Some((one, other)) = or_skip(test, Lab::up(1).and_then(|one| Ok((one, Lab::up(1)?)))) else { return };
    let web1 = [&one, &other].map(|lab| lab.guest(1, "web1").start());
    assert_eq!(web1[0].ip, web1[1].ip);
    assert_ne!(web1[0].boot_id(), web1[1].boot_id());
    one.power_off(1);
    assert_eq!((one.executing_on("web1"), other.executing_on("web1")), (vec![], vec![1]));
    web1[1].get("/").expect("the other goes on");
}

#[test]
fn nothing_is_left_behind() {
    let Some(lab) = or_skip("nothing_is_left_behind", Lab::crowded(1, 100)) else { return };
    lab.guest(1, "web1").disk(Disk::Nbd).start();
    let traces = Traces::of(lab.folder());
    assert!(traces.left().iter().any(|left| left.contains("qemu-nbd")), "{:?}", traces.left());
    // Also when the test fails.
    catch_unwind(AssertUnwindSafe(|| {
        let _lab = lab;
        std::panic::resume_unwind(Box::new("a test that fails"));
    }))
    .expect_err("it fails");
    assert_eq!(traces.left(), BTreeSet::new());
}

#[test]
fn nothing_is_left_behind_when_keeper_or_owner_are_killed() {
    let test = "nothing_is_left_behind_when_keeper_or_owner_are_killed";
    let Some(lab) = or_skip(test, Lab::up(1)) else { return };
    let traces = Traces::of(lab.folder());
    let keeper = fs::read_to_string(lab.folder().join("keeper")).expect("a note");
    kill(keeper.split(' ').next().and_then(|pid| pid.parse().ok()).expect("its process"));
    drop(lab);
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab");
    // Now nobody is left to clean up. Another lab that comes up at this moment may do it before we do.
    assert!(Command::new(scripts.join("clean")).status().expect("bash is there").success());
    wait("all is removed", || traces.left().is_empty().then_some(()));

    let folder = tempfile::Builder::new().prefix("whimbrel-lab-").tempdir().expect("a temporary folder").keep();
    let mut owner = Command::new("sleep").arg("1000").stdout(Stdio::piped()).spawn().expect("sleep is there");
    let mut command = Command::new(scripts.join("instance"));
    command.env("LAB_CACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/lab-guest")).arg(&folder).arg("1");
    command.stdin(owner.stdout.take().expect("a pipe")).stdout(Stdio::null());
    let mut keeper = command.spawn().expect("bash is there");
    wait("a host is there", || folder.join("host1/daemon").exists().then_some(()));
    let traces = Traces::of(&folder);
    assert!(!traces.left().is_empty());
    owner.kill().expect("it runs");
    owner.wait().expect("it is dead");
    assert!(keeper.wait().expect("it ends").success());
    assert_eq!(traces.left(), BTreeSet::new());
}

/// What belongs to a lab, so that it can be looked for when the lab is gone.
struct Traces {
    name: String,
    folder: PathBuf,
    /// What ran in its network namespaces, with its start.
    processes: BTreeSet<(PathBuf, String)>,
}

impl Traces {
    fn of(folder: &Path) -> Self {
        let name = folder.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let space = |path: &Path| fs::metadata(path).map(|space| space.ino()).ok();
        let own = entries("/run/netns").into_iter().filter(|path| path.display().to_string().contains(&name));
        let own: Vec<_> = own.map(|path| space(&path)).collect();
        assert_eq!(own.len(), 2, "desk and host");
        let inside = entries("/proc").into_iter().filter(|process| own.contains(&space(&process.join("ns/net"))));
        let processes =
            inside.filter_map(|process| Some((started(&process)?, process))).map(|(start, process)| (process, start));
        Self { name, folder: folder.to_owned(), processes: processes.collect() }
    }

    /// Processes, namespaces, groups, mounts and files of it.
    fn left(&self) -> BTreeSet<String> {
        let folders = ["/run/netns", "/sys/fs/cgroup/cpu"].into_iter().flat_map(entries);
        let mut left: BTreeSet<String> =
            folders.map(|path| path.display().to_string()).filter(|path| path.contains(&self.name)).collect();
        for process in entries("/proc") {
            let line = fs::read(process.join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let known = started(&process).is_some_and(|start| self.processes.contains(&(process, start)));
            if known || line.contains(&self.name) {
                left.insert(line);
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("a list of mounts");
        left.extend(mounts.lines().filter(|line| line.contains(&self.name)).map(str::to_owned));
        left.extend(self.folder.exists().then(|| self.folder.display().to_string()));
        left
    }
}

/// When a process started, unless it is one no more.
fn started(process: &Path) -> Option<String> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    (fields[0] != "Z").then(|| fields[19].to_owned())
}

fn entries(folder: &str) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).expect("a process id"), Signal::KILL).expect("it runs");
}
