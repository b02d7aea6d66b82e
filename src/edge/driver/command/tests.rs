//! The driver against commands that do what they should, and against commands that hang, fail, lie, flood and babble. The
//! array is a folder: a file for each host, with the names of the VMs that run there.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::*;
use crate::core::cluster::{Domain, HostState, Reach, RequestId, Span};
use crate::edge::driver::{Guest, Machine};

/// Much longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Lab {
    folder: tempfile::TempDir,
    settings: Commands,
    pace: Pace,
    vm: &'static str,
    id: RequestId,
}

struct Desk {
    driver: Command,
    facts: Receiver<Fact>,
}

impl Lab {
    /// `vm` runs on mln1; `migrate` puts it where it shall be.
    fn new() -> Self {
        Self::of("nii1")
    }

    fn of(vm: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let settings = Commands {
            migrate: Vec::new(),
            locate: vec!["cat".to_owned(), at("{host}")],
            progress: None,
            abort: None,
            host_state: None,
            migrate_deadline: Span::from_secs(60),
            deadline: Span::from_secs(20),
        };
        let [progress, again, grace] = [20, 10, 200].map(Duration::from_millis);
        let pace = Pace { round: PATIENCE, progress, again, quiet: Duration::from_millis(500), grace };
        // A migration is found again among all processes: two tests' may not look alike.
        static LABS: AtomicU64 = AtomicU64::new(1);
        let id = RequestId(LABS.fetch_add(1, Ordering::Relaxed) + u64::from(std::process::id()) * 1_000);
        let mut lab = Self { folder, settings, pace, vm, id };
        lab.runs(&["mln1"]);
        lab.migrate(r#"echo "copying $1"; : > "$2"; echo "$1" > "$3""#);
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A script in the folder, with VM, source and destination as `$1` to `$3`.
    fn script(&self, script: &str) -> Vec<String> {
        let script = format!("cd '{}'; {script}", self.folder.path().display());
        ["sh", "-c", &script, "sh", "{vm}", "{from}", "{to}", "{index}"].map(str::to_owned).to_vec()
    }

    fn migrate(&mut self, script: &str) {
        self.settings.migrate = self.script(script);
    }

    /// The VM is on these hosts.
    fn runs(&self, on: &[&str]) {
        for host in ["mln1", "mln2"] {
            let line = if on.contains(&host) { format!("other\n{}\n", self.vm) } else { "other\n".to_owned() };
            fs::write(self.path(host), line).unwrap();
        }
    }

    fn touch(&self, name: &str) {
        fs::write(self.path(name), "").unwrap();
    }

    /// The same file for VMs: asked where one runs, not who runs there.
    fn asked_of_vms(&mut self) {
        self.settings.locate =
            self.script(r#"for host in mln1 mln2; do grep -qx "$1" $host && echo $host; done; true"#);
    }

    fn open(&self) -> Desk {
        let (tell, facts) = channel();
        let hosts = ["mln1", "mln2"].iter().zip(1..);
        let hosts = hosts.map(|(name, index)| Machine {
            name: (*name).to_owned(),
            reach: Reach::default(),
            index: Some(index),
        });
        let guests = vec![Guest { name: self.vm.to_owned(), domain: Domain::default() }];
        let fleet = Fleet { hosts: hosts.collect(), guests };
        let tell: Tell = Arc::new(move |fact| drop(tell.send(fact)));
        Desk { driver: Command::paced(self.settings.clone(), fleet, tell, self.pace), facts }
    }

    fn way(&self) -> Way {
        Way { id: self.id, vm: self.vm.to_owned(), from: "mln1".to_owned(), to: "mln2".to_owned() }
    }
}

impl Desk {
    /// The first fact to come that is one of these.
    #[track_caller]
    fn hears<T>(&self, what: impl Fn(Fact) -> Option<T>) -> T {
        let last = Instant::now() + PATIENCE;
        loop {
            let left = last.saturating_duration_since(Instant::now());
            let fact = self.facts.recv_timeout(left).expect("the driver answers");
            if let Some(heard) = what(fact) {
                return heard;
            }
        }
    }

    #[track_caller]
    fn ended(&self) -> String {
        self.hears(|fact| if let Fact::Ended { detail, .. } = fact { Some(detail) } else { None })
    }

    #[track_caller]
    fn refusal(&self, lab: &Lab) -> Option<String> {
        self.driver.order(Job::Preflight(lab.way()));
        self.hears(|fact| if let Fact::Preflight { refusal, .. } = fact { Some(refusal) } else { None })
    }

    #[track_caller]
    fn presence(&self, lab: &Lab) -> (Presence, Presence) {
        self.driver.order(Job::Confirm(lab.way()));
        self.hears(|fact| match fact {
            Fact::Presence { source, destination, .. } => Some((source, destination)),
            _ => None,
        })
    }

    #[track_caller]
    fn progress(&self) -> (u8, String) {
        self.hears(
            |fact| if let Fact::Progress { percent, detail, .. } = fact { Some((percent, detail)) } else { None },
        )
    }

    #[track_caller]
    fn trouble(&self) -> String {
        self.hears(|fact| if let Fact::Trouble(text) = fact { Some(text) } else { None })
    }

    #[track_caller]
    fn host(&self, name: &str) -> (HostState, Option<String>) {
        self.hears(|fact| match fact {
            Fact::Host { host, state, why, .. } if host == name => Some((state, why)),
            _ => None,
        })
    }

    #[track_caller]
    fn found(&self) -> Vec<String> {
        self.hears(|fact| if let Fact::Found { hosts, .. } = fact { Some(hosts) } else { None })
    }
}

#[track_caller]
fn comes(what: &str, mut is_so: impl FnMut() -> bool) {
    let last = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < last, "{what} never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process runs; one that is dead and not yet buried does not.
fn lives(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X'])))
}

use Presence::{Absent, Runs, Unknown};

#[test]
fn a_move_is_checked_started_and_confirmed_by_where_the_vm_runs() {
    for asked_of_vms in [false, true] {
        let mut lab = Lab::new();
        if asked_of_vms {
            lab.asked_of_vms();
        }
        let desk = lab.open();
        assert_eq!(desk.refusal(&lab), None);
        desk.driver.order(Job::Start(lab.way()));
        let detail = desk.ended();
        assert!(detail.starts_with("ended well in "), "{detail}");
        assert_eq!(desk.presence(&lab), (Absent, Runs));
    }
}

#[test]
fn a_command_that_lies_is_not_believed() {
    let mut lab = Lab::new();
    lab.migrate("echo migrated; exit 0");
    let desk = lab.open();
    desk.driver.order(Job::Start(lab.way()));
    assert!(desk.ended().starts_with("ended well"));
    assert_eq!(desk.presence(&lab), (Runs, Absent));
}

#[test]
fn a_command_that_fails_says_why_in_its_last_line() {
    let mut lab = Lab::new();
    lab.migrate(r"printf 'a line\n\033[31merror: no room\033[0m\n\n' >&2; exit 3");
    let desk = lab.open();
    desk.driver.order(Job::Start(lab.way()));
    assert_eq!(desk.ended(), "status 3: error: no room");
    assert_eq!(desk.presence(&lab), (Runs, Absent));
}

#[test]
fn a_command_that_is_not_there_is_named() {
    let mut lab = Lab::new();
    lab.settings.migrate = vec!["no-such-program".to_owned()];
    let desk = lab.open();
    desk.driver.order(Job::Start(lab.way()));
    assert_eq!(desk.ended(), "no-such-program cannot be run: No such file or directory");
}

#[test]
fn a_vm_that_is_lost_or_runs_twice_is_told_as_it_is() {
    for (on, says) in [(&[][..], (Absent, Absent)), (&["mln1", "mln2"], (Runs, Runs))] {
        let lab = Lab::new();
        let desk = lab.open();
        desk.driver.order(Job::Start(lab.way()));
        desk.ended();
        lab.runs(on);
        assert_eq!(desk.presence(&lab), says);
    }
}

#[test]
fn arguments_arrive_as_they_are_and_no_shell_sees_them() {
    let mut lab = Lab::of(r#"a b"c'd$(touch owned)`touch owned`;touch owned|&&{to}*\"#);
    lab.migrate(r#"printf '%s\n' "$@" > arguments"#);
    let desk = lab.open();
    desk.driver.order(Job::Start(lab.way()));
    desk.ended();
    let arguments = fs::read_to_string(lab.path("arguments")).unwrap();
    assert_eq!(arguments, format!("{}\nmln1\nmln2\n2\n", lab.vm));
    assert!(!lab.path("owned").exists());
    assert_eq!(desk.presence(&lab), (Runs, Absent), "and its name is known in an answer");
}

#[test]
fn a_flood_keeps_nobody_waiting() {
    let mut lab = Lab::new();
    lab.migrate(
        "yes 'a flood' | head -c 20000000; yes 'of errors' | head -c 20000000 >&2; sleep 0.1; echo the end; exit 1",
    );
    let desk = lab.open();
    desk.driver.order(Job::Start(lab.way()));
    assert_eq!(desk.ended(), "status 1: the end");
    lab.settings.locate = lab.script("yes | head -c 20000000");
    let desk = lab.open();
    assert_eq!(desk.refusal(&lab).unwrap().split(": ").last(), Some("it printed more than 64 KiB"));
}

#[test]
fn a_locate_that_hangs_or_fails_or_babbles_tells_nothing() {
    let babble = [
        (["sleep", "1000"].map(str::to_owned).to_vec(), "no answer within 1 s"),
        (Lab::new().script("echo {host}; echo no route >&2; exit 255"), "status 255: no route"),
        (Lab::new().script("echo {host}; echo Id   Name   State"), "it printed 'Id Name State', not a VM's name"),
        (Lab::new().script("echo mln9"), "it printed 'mln9', which is no host of the array"),
    ];
    for (locate, why) in babble {
        let mut lab = Lab::new();
        lab.settings.locate = locate;
        lab.settings.deadline = Span::from_secs(1);
        let desk = lab.open();
        let refusal = desk.refusal(&lab).unwrap();
        assert!(refusal.starts_with("mln1 cannot be asked: ") && refusal.ends_with(why), "{refusal}");
        assert_eq!(desk.presence(&lab), (Unknown, Unknown));
    }
}

#[test]
fn a_move_that_cannot_start_is_refused_in_words() {
    let mut lab = Lab::new();
    lab.settings.host_state = Some(lab.script("echo out of order; exit 1"));
    assert_eq!(lab.open().refusal(&lab).unwrap(), "mln2 is not up: status 1: out of order");
    lab.settings.host_state = None;
    let desk = lab.open();
    lab.runs(&["mln2"]);
    assert_eq!(desk.refusal(&lab).unwrap(), "nii1 does not run on mln1, but on mln2");
    lab.runs(&["mln1", "mln2"]);
    assert_eq!(desk.refusal(&lab).unwrap(), "nii1 runs on mln1, and also on mln2");
    lab.runs(&[]);
    assert_eq!(desk.refusal(&lab).unwrap(), "nii1 does not run on mln1");
}

#[test]
fn progress_is_a_number_and_what_follows_it_and_rubbish_is_said_once() {
    let mut lab = Lab::new();
    lab.migrate("until [ -e stop ]; do sleep 0.02; done");
    lab.settings.progress = Some(lab.script("cat how-far"));
    fs::write(lab.path("how-far"), "101 %\n").unwrap();
    let desk = lab.open();
    desk.driver.order(Job::Start(lab.way()));
    assert_eq!(desk.trouble(), "progress of nii1: '101 %' does not begin with a number from 0 to 100");
    fs::write(lab.path("how-far"), "nonsense\n").unwrap();
    fs::write(lab.path("new"), "42.7% 1.2 GiB left\nmore\n").unwrap();
    fs::rename(lab.path("new"), lab.path("how-far")).unwrap();
    let heard = desk.hears(|fact| match fact {
        Fact::Progress { percent, detail, .. } => Some(format!("{percent} {detail}")),
        Fact::Trouble(text) => Some(text),
        _ => None,
    });
    assert_eq!(heard, "42 1.2 GiB left");
    lab.touch("stop");
    desk.ended();
}

#[test]
fn without_a_progress_command_the_last_line_is_shown() {
    let mut lab = Lab::new();
    lab.migrate("printf 'Migration: [ 12 %%]\\r' >&2; until [ -e stop ]; do sleep 0.02; done");
    let desk = lab.open();
    desk.driver.order(Job::Start(lab.way()));
    assert_eq!(desk.progress(), (0, "Migration: [ 12 %]".to_owned()));
    lab.touch("stop");
    desk.ended();
}

#[test]
fn an_abort_is_the_operators_command() {
    let mut lab = Lab::new();
    lab.migrate("touch started; until [ -e stop ]; do sleep 0.02; done; echo stopped >&2; exit 4");
    lab.settings.abort = Some(lab.script("touch stop"));
    let desk = lab.open();
    desk.driver.order(Job::Start(lab.way()));
    comes("the migration", || lab.path("started").exists());
    desk.driver.order(Job::Abort(lab.way()));
    assert_eq!(desk.ended(), "status 4: stopped");
    assert_eq!(desk.presence(&lab), (Runs, Absent), "it ended by itself: nothing goes on without it");
}

#[test]
fn an_abort_that_fails_is_said_and_kills_nothing() {
    let mut lab = Lab::new();
    lab.migrate("until [ -e stop ]; do sleep 0.02; done");
    lab.settings.abort = Some(lab.script("echo no job; exit 1"));
    let desk = lab.open();
    desk.driver.order(Job::Start(lab.way()));
    desk.driver.order(Job::Abort(lab.way()));
    assert_eq!(desk.trouble(), "the abort of nii1's migration failed: status 1: no job");
    lab.touch("stop");
    assert!(desk.ended().starts_with("ended well"));
}

#[test]
fn without_an_abort_command_the_whole_group_is_told_to_end() {
    let mut lab = Lab::new();
    lab.migrate("sleep 1000 & echo $! > child.new; mv child.new child; wait");
    let desk = lab.open();
    desk.driver.order(Job::Start(lab.way()));
    comes("the migration", || lab.path("child").exists());
    let child = fs::read_to_string(lab.path("child")).unwrap();
    desk.driver.order(Job::Abort(lab.way()));
    assert_eq!(desk.ended(), "ended by signal 15");
    comes("the child's end", || !lives(&child));
    // What was asked of the hosts may go on without the command: the source is believed only after a while.
    assert_eq!(desk.presence(&lab), (Runs, Unknown));
    comes("the outcome", || desk.presence(&lab) == (Runs, Absent));
}

#[test]
fn a_deadline_ends_the_whole_group_even_if_it_will_not() {
    let mut lab = Lab::new();
    lab.settings.migrate_deadline = Span::from_millis(300);
    lab.settings.abort = Some(lab.script("touch aborted"));
    lab.migrate(r#"trap "" TERM; sh -c 'trap "" TERM; echo $$ > child; while :; do sleep 1; done' & wait; wait"#);
    let desk = lab.open();
    desk.driver.order(Job::Start(lab.way()));
    assert_eq!(desk.ended(), "killed after 300ms");
    let child = fs::read_to_string(lab.path("child")).unwrap();
    comes("the child's end", || !lives(&child));
    assert!(lab.path("aborted").exists(), "the operator's command first: it may know of more than a process here");
}

#[test]
fn a_short_command_that_hangs_is_killed_with_what_it_started() {
    let mut lab = Lab::new();
    lab.settings.deadline = Span::from_millis(300);
    lab.settings.host_state = Some(lab.script("sleep 1000 & echo $! > child; wait"));
    let desk = lab.open();
    assert_eq!(desk.host("mln2"), (HostState::Down, Some("no answer within 1 s".to_owned())));
    let child = fs::read_to_string(lab.path("child")).unwrap();
    comes("the child's end", || !lives(&child));
}

#[test]
fn a_driver_that_is_dropped_leaves_the_migration_alone_and_reads_on() {
    let mut lab = Lab::new();
    lab.migrate(r"touch started; until [ -e go ]; do sleep 0.02; done; yes | head -c 1000000; touch done");
    let desk = lab.open();
    desk.driver.order(Job::Start(lab.way()));
    comes("the migration", || lab.path("started").exists());
    drop(desk.driver);
    lab.touch("go");
    comes("the migration's end", || lab.path("done").exists());
    assert!(desk.facts.iter().all(|fact| !matches!(fact, Fact::Ended { .. })), "nobody is told any more");
}

#[test]
fn a_driver_that_is_dropped_holds_the_migration_to_its_deadline() {
    let mut lab = Lab::new();
    lab.settings.migrate_deadline = Span::from_millis(500);
    lab.migrate("echo $$ > me.new; mv me.new me; sleep 1000");
    let desk = lab.open();
    desk.driver.order(Job::Start(lab.way()));
    comes("the migration", || lab.path("me").exists());
    drop(desk);
    let me = fs::read_to_string(lab.path("me")).unwrap();
    comes("its end", || !lives(&me));
}

/// A `migrate` as an earlier whimbrel left it behind, with its streams in the air.
fn left_behind(lab: &Lab, age: u64) -> std::process::Child {
    use std::os::unix::process::CommandExt;
    let argv = argv::fill(&lab.settings.migrate, &[("vm", lab.vm), ("from", "mln1"), ("to", "mln2")]);
    let mark = mark::of(&lab.way());
    let mut parts: Vec<String> = mark.split('\t').map(str::to_owned).collect();
    parts[1] = (parts[1].parse::<u64>().unwrap() - age).to_string();
    let mut command = std::process::Command::new(&argv[0]);
    command.args(&argv[1..]).env(mark::NAME, parts.join("\t")).process_group(0);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_migration_that_outlived_whimbrel_is_found_and_followed_to_its_end() {
    let mut lab = Lab::new();
    lab.migrate(r#"echo halfway; until [ -e go ]; do sleep 0.02; done; : > "$2"; echo "$1" > "$3""#);
    let mut child = left_behind(&lab, 0);
    let desk = lab.open();
    desk.driver.order(Job::Confirm(lab.way()));
    assert_eq!(desk.progress(), (0, String::new()), "at once");
    assert_eq!(desk.progress(), (0, "halfway".to_owned()), "what it prints is still to be had");
    lab.touch("go");
    child.wait().unwrap();
    assert_eq!(desk.ended(), "it ended after whimbrel was started again; its status is not known: halfway");
    assert_eq!(desk.presence(&lab), (Absent, Runs));
}

#[test]
fn a_migration_that_outlived_whimbrel_can_be_aborted_and_has_its_old_deadline() {
    let mut lab = Lab::new();
    lab.migrate("exec sleep 1000");
    let mut child = left_behind(&lab, 0);
    let desk = lab.open();
    desk.driver.order(Job::Confirm(lab.way()));
    desk.progress();
    desk.driver.order(Job::Abort(lab.way()));
    comes("its end", || child.try_wait().unwrap().is_some());
    desk.ended();
    let mut child = left_behind(&lab, 3_600);
    desk.driver.order(Job::Confirm(lab.way()));
    comes("its end", || child.try_wait().unwrap().is_some());
    assert_eq!(desk.ended(), "killed after 1m");
}

#[test]
fn a_migration_goes_on_when_whimbrel_is_gone_and_it_prints() {
    let lab = Lab::new();
    let script = lab.script("until [ -e go ]; do sleep 0.02; done; echo one; echo two >&2; echo three && touch done");
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        drop(process::Process::start(&script, Some((mark::NAME, mark::of(&lab.way())))).unwrap());
    });
    lab.touch("go");
    comes("the migration's end", || lab.path("done").exists());
}

#[test]
fn of_a_migration_nobody_saw_the_end_the_source_is_believed_after_a_while() {
    let lab = Lab::new();
    let desk = lab.open();
    assert_eq!(desk.presence(&lab), (Runs, Unknown));
    comes("the outcome", || desk.presence(&lab) == (Runs, Absent));
    lab.runs(&["mln2"]);
    assert_eq!(lab.open().presence(&lab), (Absent, Runs), "at the destination alone it has arrived");
}

#[test]
fn of_a_migration_nobody_saw_the_end_progress_can_tell_that_it_goes_on() {
    let mut lab = Lab::new();
    lab.settings.progress = Some(lab.script("cat how-far"));
    fs::write(lab.path("how-far"), "40 copying").unwrap();
    let desk = lab.open();
    desk.driver.order(Job::Confirm(lab.way()));
    assert_eq!(desk.progress(), (40, "copying".to_owned()));
    fs::remove_file(lab.path("how-far")).unwrap();
    assert_eq!(desk.ended(), "progress tells of it no more");
    assert_eq!(desk.presence(&lab), (Runs, Unknown));
}

#[test]
fn while_a_migration_runs_confirming_tells_how_far_it_is() {
    let mut lab = Lab::new();
    lab.migrate("until [ -e stop ]; do sleep 0.02; done");
    let desk = lab.open();
    desk.driver.order(Job::Start(lab.way()));
    desk.driver.order(Job::Confirm(lab.way()));
    assert_eq!(desk.progress(), (0, String::new()));
    lab.touch("stop");
    desk.ended();
}

#[test]
fn hosts_are_up_as_their_command_says() {
    let mut lab = Lab::new();
    lab.pace.round = Duration::from_millis(20);
    lab.settings.host_state =
        Some(vec!["test".to_owned(), "-e".to_owned(), lab.path("{host}.up").display().to_string()]);
    lab.touch("mln1.up");
    let desk = lab.open();
    assert_eq!(desk.host("mln1"), (HostState::Up, None));
    lab.touch("mln2.up");
    comes("the other host", || desk.host("mln2") == (HostState::Up, None));
    fs::remove_file(lab.path("mln1.up")).unwrap();
    assert_eq!(desk.host("mln1"), (HostState::Down, Some("status 1".to_owned())));
}

#[test]
fn without_a_command_hosts_are_up_when_they_tell_their_vms() {
    let mut lab = Lab::new();
    lab.pace.round = Duration::from_millis(20);
    fs::remove_file(lab.path("mln2")).unwrap();
    let desk = lab.open();
    let (state, why) = desk.host("mln2");
    assert_eq!(state, HostState::Unknown);
    assert!(why.unwrap().contains("No such file"));
    lab.runs(&["mln1"]);
    assert_eq!(desk.host("mln2"), (HostState::Up, None));
    lab.asked_of_vms();
    assert_eq!(lab.open().host("mln2"), (HostState::Up, None));
}

#[test]
fn where_a_vm_runs_is_told_at_first_and_when_it_changes() {
    for asked_of_vms in [false, true] {
        let mut lab = Lab::new();
        lab.pace.round = Duration::from_millis(20);
        if asked_of_vms {
            lab.asked_of_vms();
        }
        let desk = lab.open();
        assert_eq!(desk.found(), ["mln1"]);
        lab.runs(&["mln2"]);
        comes("the move", || desk.found() == ["mln2"]);
        fs::write(lab.path("mln1"), format!("{}\n", lab.vm)).unwrap();
        assert_eq!(desk.found(), ["mln1", "mln2"]);
        fs::remove_file(lab.path("mln1")).unwrap();
        comes("it elsewhere", || desk.found() == ["mln2"]);
    }
}

#[test]
fn a_driver_on_a_runtime_that_never_waits_works() {
    let lab = Lab::new();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    // The runtime's only thread is taken until the answer is there.
    runtime.block_on(async { assert_eq!(lab.open().refusal(&lab), None) });
}

#[test]
fn what_it_cannot_measure_it_says() {
    let lab = Lab::new();
    let desk = lab.open();
    desk.driver.order(Job::Measure { vm: "nii1".to_owned() });
    let usage = desk.hears(|fact| if let Fact::Measured { usage, .. } = fact { Some(usage) } else { None });
    assert_eq!(usage, Err("the command driver cannot measure: use another monitor".to_owned()));
}

#[test]
fn a_driver_that_is_not_there_still_answers() {
    let lab = Lab::new();
    let (jobs, _) = unbounded_channel();
    let (tell, facts) = channel();
    let driver = Command { jobs, tell: Arc::new(move |fact| drop(tell.send(fact))) };
    let desk = Desk { driver, facts };
    assert!(desk.refusal(&lab).unwrap().contains("start whimbrel again"));
    assert_eq!(desk.presence(&lab), (Unknown, Unknown));
}
