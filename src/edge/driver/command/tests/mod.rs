//! The driver against commands that do what they should, and against commands that hang, fail, lie, flood and babble. The
//! array is a folder: a file for each host, with the names of the VMs that run there.

mod looks;
mod moves;
mod outlives;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::*;
use crate::core::cluster::{Domain, HostState, Reach, RequestId, Span};
use crate::edge::driver::{Guest, Machine};

/// Much longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

struct Lab {
    folder: tempfile::TempDir,
    settings: Commands,
    pace: Pacing,
    vm: &'static str,
    id: RequestId,
}

struct DriverUnderTest {
    driver: TakeCommand,
    facts: mpsc::Receiver<DriverEvent>,
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
        let pace = Pacing { round: PATIENCE, progress, again, quiet: Duration::from_millis(500), grace };
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

    fn open(&self) -> DriverUnderTest {
        let (tell, facts) = mpsc::channel();
        let hosts = ["mln1", "mln2"].iter().zip(1..);
        let hosts =
            hosts.map(|(name, index)| Machine { name: (*name).into(), reach: Reach::default(), index: Some(index) });
        let guests = vec![Guest { name: self.vm.into(), domain: Domain::default() }];
        let fleet = Fleet { hosts: hosts.collect(), guests };
        let tell: Tell = Arc::new(move |fact| drop(tell.send(fact)));
        DriverUnderTest { driver: paced(self.settings.clone(), fleet, tell, self.pace, None).unwrap(), facts }
    }

    fn migration(&self) -> Move {
        Move { id: self.id, vm: self.vm.into(), from: "mln1".into(), to: "mln2".into() }
    }
}

impl DriverUnderTest {
    #[track_caller]
    fn order(&self, command: DriverCommand) {
        (self.driver)(command).expect("the driver takes it");
    }

    /// The first fact to come that is one of these.
    #[track_caller]
    fn hears<T>(&self, what: impl Fn(DriverEvent) -> Option<T>) -> T {
        let last = Instant::now() + PATIENCE;
        loop {
            let left = last.saturating_duration_since(Instant::now());
            let fact = self.facts.recv_timeout(left).expect("the driver answers");
            if let Some(inbox) = what(fact) {
                return inbox;
            }
        }
    }

    #[track_caller]
    fn ended(&self) -> String {
        self.hears(|fact| if let DriverEvent::Ended { detail, .. } = fact { Some(detail) } else { None })
    }

    #[track_caller]
    fn refusal(&self, lab: &Lab) -> Option<String> {
        self.order(DriverCommand::Preflight(lab.migration()));
        self.hears(|fact| if let DriverEvent::Preflight { refusal, .. } = fact { Some(refusal) } else { None })
    }

    #[track_caller]
    fn presence(&self, lab: &Lab) -> (Presence, Presence) {
        self.order(DriverCommand::Confirm(lab.migration()));
        self.hears(|fact| match fact {
            DriverEvent::Presence { source, destination, .. } => Some((source, destination)),
            _ => None,
        })
    }

    #[track_caller]
    fn progress(&self) -> (u8, String) {
        self.hears(|fact| {
            if let DriverEvent::Progress { percent, detail, .. } = fact { Some((percent, detail)) } else { None }
        })
    }

    #[track_caller]
    fn trouble(&self) -> String {
        self.hears(|fact| if let DriverEvent::Trouble { text, .. } = fact { Some(text) } else { None })
    }

    #[track_caller]
    fn host(&self, name: &str) -> (HostState, Option<String>) {
        self.hears(|fact| match fact {
            DriverEvent::Host { host, state, why, .. } if host == name => Some((state, why)),
            _ => None,
        })
    }

    #[track_caller]
    fn found(&self) -> Vec<Name> {
        self.hears(|fact| if let DriverEvent::Found { hosts, .. } = fact { Some(hosts) } else { None })
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
