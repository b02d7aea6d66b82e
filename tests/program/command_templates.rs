//! The command driver through the real binary: commands that do as they are told, and commands that lie, fail, hang, flood
//! and print rubbish. What `locate` says is the outcome, whatever `migrate` says.
//!
//! The cluster is a folder: a file of the VM's name holds the names of the hosts on which it runs.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::support::moves::Moves;
use crate::support::{Config, Run, answer, call, whimbrel};

/// What a `migrate` does that works.
const MOVES: &str = r#"echo "$2" > "$3""#;

/// A cluster of two hosts, with a VM on the first of them that has to move at once.
struct Cluster {
    config: Config,
    /// No other test's: a running `migrate` is known by the names in it, all over the machine.
    vm: String,
    moves: Moves,
}

impl Cluster {
    /// A shell's lines for `migrate`, with the source as `$1`, the destination as `$2` and the VM's file as `$3`; and the
    /// driver's other settings.
    fn begin(migrate: &str, settings: &str) -> Self {
        Self::with_fault(migrate, settings, "")
    }

    /// The same with a fault inside the program.
    fn with_fault(migrate: &str, settings: &str, fault: &str) -> Self {
        let config = Config::new("");
        let vm: String = config.beside("").display().to_string().chars().filter(char::is_ascii_alphanumeric).collect();
        fs::write(config.beside(&vm), "mln1\n").expect("the folder can be written");
        let (url, place) = (service(), config.beside("{vm}").display().to_string());
        let locate = if settings.contains("locate") { "" } else { r#"locate = ["cat", "PLACE"]"# };
        let text = format!(
            r#"
mode = "auto"
[history]
file = "past.db"
[[array]]
name = "a"
host = ["mln1", "mln2"]
[array.driver]
kind = "command"
migrate = ["sh", "-c", '''{migrate}''', "sh", "{{from}}", "{{to}}", "PLACE"]
{locate}
{settings}
[[vm]]
name = "{vm}"
host = "mln1"
interval = "1s"
monitor = {{ kind = "http", url = "{url}" }}
policy = {{ kind = "threshold", threshold = 1, tarry = 1, settle = "1h" }}
"#
        );
        config.write(&text.replace("PLACE", &place));
        let mut command = whimbrel();
        command.env("WHIMBREL_FAULT", fault).arg("run").arg(config.path()).args(["--format", "json"]);
        let moves = Moves::of(Run::start(&mut command));
        Self { config, vm, moves }
    }

    /// A file beside the one that tells where the VM is.
    fn file(&self, end: &str) -> PathBuf {
        self.config.beside(&format!("{}{end}", self.vm))
    }

    /// Where `locate` is to find the VM from now on.
    fn put(&self, hosts: &str) {
        fs::write(self.file(""), hosts).expect("the folder can be written");
    }

    /// What began once had this outcome, told so.
    #[track_caller]
    fn ends(&mut self, outcome: &str) -> String {
        let (phase, why) = self.moves.outcome();
        let told = (phase.as_str(), self.moves.known_phases(), self.moves.requests());
        let wanted = (outcome, vec!["running".to_owned(), outcome.to_owned()], 1);
        assert_eq!(told, wanted, "{why}: {:#?}", self.moves.story());
        why
    }

    /// Ends it, with a row for the table.
    #[expect(clippy::print_stdout, reason = "the table is what the matrix is for")]
    fn row(mut self, fault: &str) {
        self.moves.run.stop();
        println!("| {fault} | {} |", self.moves.story().join("; "));
    }
}

/// A service whose every answer takes a few milliseconds; it ends with the test's process.
fn service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 1_024]);
            std::thread::sleep(Duration::from_millis(5));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    url
}

/// Asks again and again until it is so.
fn wait(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The process whose number a command has written down.
fn lives(note: &Path) -> bool {
    let pid = fs::read_to_string(note).unwrap_or_default();
    !pid.is_empty() && fs::metadata(format!("/proc/{}", pid.trim())).is_ok()
}

#[test]
fn a_command_that_moves_is_confirmed() {
    let mut cluster = Cluster::begin(MOVES, "");
    let why = cluster.ends("confirmed");
    assert!(why.starts_with("ended well in"), "{why}");
    cluster.row("command that moves");
}

#[test]
fn a_command_that_lies_has_failed() {
    let mut cluster = Cluster::begin("echo done", "");
    let why = cluster.ends("failed");
    assert!(why.starts_with("ended well in"), "{why}");
    cluster.row("command that says done and does nothing");
}

#[test]
fn a_command_that_fails_is_kept_with_its_last_line() {
    let mut cluster = Cluster::begin("echo begin; echo no such domain >&2; exit 3", "");
    assert_eq!(cluster.ends("failed"), "status 3: no such domain");
    cluster.row("command that fails");
}

#[test]
fn a_command_that_says_that_it_failed_and_moved_is_confirmed() {
    let mut cluster = Cluster::begin(&format!("{MOVES}; exit 1"), "");
    assert_eq!(cluster.ends("confirmed"), "status 1");
    cluster.row("command that moves and fails");
}

#[test]
fn a_command_that_is_not_there_has_failed_in_words() {
    let mut cluster = Cluster::begin("exec /nowhere/at/all", "");
    let why = cluster.ends("failed");
    assert!(why.contains("/nowhere/at/all") && why.contains("not found"), "{why}");
    cluster.row("command that is not there");
}

#[test]
fn a_command_that_hangs_is_killed_at_its_deadline_with_all_that_it_started() {
    let mut cluster = Cluster::begin(r#"sleep 1000 & echo $! > "$3.child"; wait"#, r#"migrate_deadline = "1s""#);
    let child = cluster.file(".child");
    cluster.moves.phase("unknown");
    wait("what it started is gone", || !lives(&child));
    assert_eq!(cluster.ends("failed"), "killed after 1s");
    cluster.row("command that hangs");
}

#[test]
fn a_command_that_is_aborted_ends_with_all_that_it_started() {
    let mut cluster = Cluster::begin(r#"echo $$ > "$3.started"; sleep 1000; echo "$2" > "$3""#, "");
    let started = cluster.file(".started");
    wait("it runs", || lives(&started));
    let abort = format!(r#"{{"command":{{"abort":{{"vm":"{}"}}}}}}"#, cluster.vm);
    let taken = answer(&mut call(&cluster.config.beside("past.db.sock"), &abort));
    assert_eq!(taken["ok"], true, "{taken}");
    wait("it is gone", || !lives(&started));
    assert_eq!(cluster.ends("aborted"), "ended by signal 15");
    cluster.row("command that is aborted");
}

#[test]
fn a_command_that_floods_neither_stops_nor_fills_whimbrel() {
    let flood = "head -c 300000000 /dev/zero | tr '\\0' x; head -c 100000000 /dev/zero | tr '\\0' '\\n' >&2";
    let mut cluster = Cluster::begin(&format!("{flood}; {MOVES}"), "");
    cluster.ends("confirmed");
    let status = fs::read_to_string(format!("/proc/{}/status", cluster.moves.run.pid())).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    assert!(peak.is_some_and(|kib: u64| kib < 150_000), "{peak:?} KiB");
    cluster.row("command that prints 400 MB");
}

#[test]
fn rubbish_of_a_command_is_shown_without_what_a_terminal_would_obey() {
    let mut cluster = Cluster::begin(r"printf '\033[2J\033]0;x\007\377\376 half\n'; exit 9", "");
    let why = cluster.ends("failed");
    assert!(why.starts_with("status 9") && why.contains("half"), "{why}");
    assert!(!why.chars().any(char::is_control), "{why:?}");
    cluster.row("command that prints rubbish");
}

#[test]
fn a_locate_that_prints_rubbish_fails_or_hangs_leaves_all_unknown() {
    let locate = r#"locate = ["sh", "-c", 'test -e "$0.hangs" && exec sleep 1000; test -e "$0.fails" && exit 5; cat "$0"', "PLACE"]
deadline = "1s""#;
    let mut cluster = Cluster::begin(r#"echo "<<no host>>" > "$3""#, locate);
    assert_eq!(cluster.moves.phase("unknown"), "mln1 does not answer, mln2 does not answer");
    let (hangs, fails) = (cluster.file(".hangs"), cluster.file(".fails"));
    fs::write(&fails, "").expect("the folder can be written");
    cluster.put("mln2\n");
    cluster.moves.beyond_and("migrating");
    fs::write(&hangs, "").expect("the folder can be written");
    cluster.moves.beyond_and("migrating");
    assert_eq!(cluster.moves.phases(), ["running", "unknown"]);
    fs::remove_file(&fails).and_then(|()| fs::remove_file(&hangs)).expect("both are there");
    cluster.ends("confirmed");
    cluster.row("locate that prints rubbish, fails, hangs");
}

#[test]
fn a_command_that_loses_a_vm_is_an_alarm() {
    let mut cluster = Cluster::begin(r#": > "$3""#, "");
    cluster.ends("lost");
    assert_eq!(
        cluster.moves.alarm("is lost"),
        format!("{} is lost: it runs neither on mln1 nor on mln2; start it, then release it", cluster.vm)
    );
    cluster.row("command after which it runs nowhere");
}

#[test]
fn a_command_that_doubles_a_vm_is_an_alarm() {
    let mut cluster = Cluster::begin(r#"printf "%s\n" "$1" "$2" > "$3""#, "");
    cluster.ends("double");
    let said = format!("{} runs twice, on mln1 and on mln2: stop one, then release it", cluster.vm);
    assert_eq!(cluster.moves.alarm("runs twice"), said);
    cluster.row("command after which it runs twice");
}

#[test]
fn a_host_whose_state_command_fails_is_not_moved_to() {
    let cluster = Cluster::begin(MOVES, r#"host_state = ["test", "{host}", "=", "mln1"]"#);
    let mut moves = cluster.moves;
    moves.alarm("host mln2 is down");
    while !moves.blocked("destination").contains("mln2 down") {}
    assert_eq!(moves.requests(), 0);
}

#[test]
fn a_driver_whose_thread_fails_and_one_whose_supervisor_fails_are_alarms_and_begin_again() {
    for (fault, alarm) in [
        ("driver:once", "the command driver of array a failed; it is started again in 1 s"),
        ("driver supervisor:once", "failed and begins again: asked for by WHIMBREL_FAULT"),
    ] {
        let mut cluster = Cluster::with_fault(MOVES, "", fault);
        cluster.moves.alarm(alarm);
        // What the old one owed was answered. The new one tells of the hosts, and no host is passed over for its death.
        cluster.ends("confirmed");
        cluster.moves.run.stop();
    }
}

#[test]
fn a_command_outlives_whimbrel_and_is_followed_by_the_next_one() {
    let slow = format!(r#"echo $$ >> "$3.started"; while test ! -e "$3.go"; do sleep 0.05; done; {MOVES}"#);
    let mut cluster = Cluster::begin(&slow, "");
    let started = cluster.file(".started");
    cluster.moves.phase("running");
    wait("it runs", || lives(&started));
    cluster.moves.run.kill();
    assert!(lives(&started), "it goes on");
    cluster.moves.go_on(Run::config(&cluster.config.path()));
    cluster.moves.phase("running");
    fs::write(cluster.file(".go"), "").expect("the folder can be written");
    cluster.ends("confirmed");
    let started = fs::read_to_string(&started).expect("it has run");
    assert_eq!(started.lines().count(), 1, "it was started once");
    cluster.row("whimbrel killed while its command runs");
}
