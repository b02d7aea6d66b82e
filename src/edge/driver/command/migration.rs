//! Carries one migration: starts its command, or finds it under way, and follows it to its end. Where the VM is then, is for others
//! to find out.
//!
//! A `migrate` may outlive the whimbrel that started it. It is found again by its environment, which says which migration it is.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, geteuid};
use tokio::net::unix::pipe::{OpenOptions, Receiver};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use super::{CommandContext, DriverEvent, Move};
use crate::core::format::{exact_span, measured};
use crate::edge::process::{Output, Process, end_group, in_short, shown, signal, with_line, within};

/// If only `progress` knows of a migration, it is over after this many calls in a row that do not tell of it.
const MISSES: u32 = 3;

/// How a migration's command ended.
#[derive(Debug)]
pub(super) struct CommandEnd {
    pub(super) detail: String,
    /// It ended by itself. Then the migration does not go on without it.
    pub(super) sure: bool,
}

/// What there is of a migration on this machine.
pub(super) enum MigrationProcess {
    /// Its command, which this driver has started.
    Own(Process),
    /// Its command, which an earlier whimbrel has started.
    Orphan(OrphanProcess),
    /// Nothing: only `progress` knows of it. Percent and a phrase.
    Told(u8, String),
}

/// Carries a migration. Its task and the supervisor share it.
pub(super) struct Carrier {
    context: Rc<CommandContext>,
    pub(super) migration: Move,
    /// Has the task stop the migration. Two requests before it looks count as one.
    pub(super) abort: Notify,
    /// Has the task tell the progress. Two requests before it looks count as one.
    pub(super) report: Notify,
    /// Meanwhile the engine has asked where the VM runs. The answer follows at the end, in case no progress was told in time.
    pub(super) is_asked: Cell<bool>,
    /// The progress that was told last.
    last: RefCell<(u8, String)>,
    rubbish_said: Cell<bool>,
    /// It got a signal, so that its status says nothing about the migration.
    signalled: Cell<bool>,
}

impl Carrier {
    pub(super) fn new(context: Rc<CommandContext>, migration: Move) -> Self {
        Self {
            context,
            migration,
            abort: Notify::new(),
            report: Notify::new(),
            is_asked: Cell::new(false),
            last: RefCell::default(),
            rubbish_said: Cell::new(false),
            signalled: Cell::new(false),
        }
    }

    /// Carries the migration to the end of its command.
    pub(super) async fn carry(&self, mut process: MigrationProcess) -> CommandEnd {
        match &process {
            MigrationProcess::Own(_) => {}
            MigrationProcess::Orphan(_) => self.say(),
            MigrationProcess::Told(percent, detail) => self.say_new(*percent, detail.clone()),
        }
        let alone = matches!(process, MigrationProcess::Told(..));
        tokio::select! {
            end = self.follow(&mut process) => end,
            () = self.watch(alone) => CommandEnd { detail: "progress tells of it no more".to_owned(), sure: false },
        }
    }

    async fn follow(&self, process: &mut MigrationProcess) -> CommandEnd {
        let started = Instant::now();
        let age = if let MigrationProcess::Orphan(orphan) = process { orphan.age } else { Duration::ZERO };
        let deadline = started + self.context.settings.migrate_deadline.to_std().saturating_sub(age);
        let mut looks = interval(self.context.pace.progress);
        loop {
            tokio::select! {
                end = process.end(self.context.pace.progress) => return self.ended(end, process, started),
                () = sleep_until(deadline) => break,
                () = self.abort.notified() => self.stop(process.group()),
                () = self.report.notified() => self.say(),
                _ = looks.tick() => self.say_line(process),
            }
        }
        self.kill(process).await;
        let detail = format!("killed after {}", exact_span(self.context.settings.migrate_deadline));
        CommandEnd { detail, sure: false }
    }

    fn ended(&self, status: Option<ExitStatus>, process: &MigrationProcess, started: Instant) -> CommandEnd {
        let Some(status) = status else {
            let detail = with_printed("it ended after whimbrel was started again; its status is not known", process);
            return CommandEnd { detail, sure: false };
        };
        let sure = status.code().is_some() && !self.signalled.get();
        let detail = if status.success() {
            format!("ended well in {}", measured(started.elapsed().into()))
        } else {
            with_printed(&in_short(status), process)
        };
        CommandEnd { detail, sure }
    }

    /// Runs the operator's abort command, which may know more than this machine does. If there is none, it sends SIGTERM.
    fn stop(&self, group: Option<Pid>) {
        if self.context.settings.abort.is_some() {
            let (context, migration) = (self.context.clone(), self.migration.clone());
            spawn_local(async move { context.run_abort(&migration).await });
        } else if let Some(group) = group {
            self.signalled.set(true);
            signal(group, Signal::TERM);
        } else {
            let Move { vm, .. } = &self.migration;
            self.context.trouble(format!("the migration of {vm} cannot be stopped: there is no abort command"));
        }
    }

    /// Kills a command whose deadline has passed. It does not wait long for a process that cannot be killed.
    async fn kill(&self, process: &mut MigrationProcess) {
        self.context.run_abort(&self.migration).await;
        let Some(group) = process.group() else { return };
        let grace = self.context.pace.grace;
        let gone = async {
            tokio::join!(end_group(group, grace), process.end(grace));
        };
        // SIGKILL has been sent by then.
        let _ = timeout(grace * 2, gone).await;
    }

    /// Asks for the progress again and again. Ends only if `progress` alone knows of the migration, and tells of it no more.
    async fn watch(&self, alone: bool) {
        let Some(template) = &self.context.settings.progress else { return std::future::pending().await };
        let argv = self.context.fill(template, &self.migration);
        let mut missed = 0;
        loop {
            sleep(self.context.pace.progress).await;
            match self.context.progress(&argv).await {
                Ok((percent, detail)) => {
                    missed = if percent < 100 { 0 } else { missed + 1 };
                    self.say_new(percent, detail);
                }
                Err(why) => {
                    missed += 1;
                    if !self.rubbish_said.replace(true) {
                        self.context.trouble(format!("progress of {}: {why}", self.migration.vm));
                    }
                }
            }
            if alone && missed >= MISSES {
                return;
            }
        }
    }

    /// If there is no `progress` command, tells the last line that the command printed.
    fn say_line(&self, process: &MigrationProcess) {
        if self.context.settings.progress.is_some() {
            return;
        }
        let line = process.output().map(Output::last_line).unwrap_or_default();
        if !line.is_empty() && line != self.last.borrow().1 {
            self.say_new(0, line);
        }
    }

    fn say_new(&self, percent: u8, detail: String) {
        *self.last.borrow_mut() = (percent, detail);
        self.say();
    }

    fn say(&self) {
        let (percent, detail) = self.last.borrow().clone();
        self.context.say(DriverEvent::Progress { id: self.migration.id, percent, detail, transfer: None });
    }
}

impl MigrationProcess {
    /// Waits for the end of the command. Its status is known only of a child of ours. It is safe to cancel this and to call it again.
    async fn end(&mut self, look: Duration) -> Option<ExitStatus> {
        match self {
            Self::Own(process) => process.end().await.ok(),
            Self::Orphan(orphan) => {
                while orphan.is_there() {
                    tokio::select! {
                        () = sleep(look) => {}
                        never = orphan.output.read() => match never {},
                    }
                }
                orphan.output.read_rest();
                None
            }
            Self::Told(..) => std::future::pending().await,
        }
    }

    const fn group(&self) -> Option<Pid> {
        match self {
            Self::Own(process) => process.group(),
            Self::Orphan(orphan) => Some(orphan.group),
            Self::Told(..) => None,
        }
    }

    const fn output(&self) -> Option<&Output> {
        match self {
            Self::Own(process) => Some(process.output()),
            Self::Orphan(orphan) => Some(&orphan.output),
            Self::Told(..) => None,
        }
    }
}

fn with_printed(how: &str, process: &MigrationProcess) -> String {
    process.output().map_or_else(|| how.to_owned(), |output| with_line(how, output))
}

impl CommandContext {
    /// Starts a migration's command.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub(super) fn start(&self, migration: &Move) -> Result<Process, String> {
        Process::start(&self.fill(&self.settings.migrate, migration), Some((TAG_NAME, process_tag(migration))))
    }

    /// The progress of a migration, from the operator's command.
    ///
    /// # Errors
    /// Why it is not known.
    pub(super) async fn progress(&self, argv: &[String]) -> Result<(u8, String), String> {
        let process = within(argv, self.deadline()).await?;
        let lines = process.output().lines()?;
        let line = lines.first().copied().unwrap_or_default();
        percent(line).ok_or_else(|| format!("'{}' does not begin with a number from 0 to 100", shown(line)))
    }

    /// Runs the operator's command that stops a migration, if there is one.
    pub(super) async fn run_abort(&self, migration: &Move) {
        let Some(template) = &self.settings.abort else { return };
        if let Err(why) = within(&self.fill(template, migration), self.deadline()).await {
            self.trouble(format!("the abort of {}'s migration failed: {why}", migration.vm));
        }
    }
}

/// `42 1.2 GiB left`, `42.5% done`.
fn percent(line: &str) -> Option<(u8, String)> {
    let (number, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let number: f64 = number.strip_suffix('%').unwrap_or(number).parse().ok()?;
    (0.0..=100.0).contains(&number).then(|| (number as u8, shown(rest)))
}

/// The variable in the environment of a `migrate` that has its request, the time of its start, VM, source and destination.
pub(super) const TAG_NAME: &str = "WHIMBREL_MIGRATION";

/// While a process becomes another program it shows no environment. This is how often to look again.
const EXEC_PACE: Duration = Duration::from_millis(20);
/// The longest time that a process takes to become another program.
const EXEC_PATIENCE: Duration = Duration::from_secs(10);

/// The tag of a migration that starts now.
pub(super) fn process_tag(migration: &Move) -> String {
    let Move { id, vm, from, to } = migration;
    format!("{}\t{}\t{vm}\t{from}\t{to}", id.0, since_epoch().as_secs())
}

/// A `migrate` that runs but is not our child.
pub(super) struct OrphanProcess {
    /// It leads this group.
    pub(super) group: Pid,
    /// How long it has run.
    pub(super) age: Duration,
    /// What it prints, if its pipe can be opened again.
    pub(super) output: Output,
    /// The clock tick at which its process began. Of all processes with its number only this one has it.
    begun: u64,
}

impl OrphanProcess {
    /// Whether it still runs, as this or as another program.
    pub(super) fn is_there(&self) -> bool {
        ProcessStat::of(self.group.as_raw_pid()).is_some_and(|stat| stat.begun == self.begun && !stat.is_dead())
    }
}

/// Looks for the command of a migration among the processes of this user. Waits for processes that are just becoming another program.
pub(super) async fn find_orphan(migration: &Move) -> Option<OrphanProcess> {
    let last = Instant::now() + EXEC_PATIENCE;
    let entries = fs::read_dir("/proc").ok()?;
    let mut pids: Vec<i32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    loop {
        let mut undecided = Vec::new();
        for pid in pids {
            match look(pid) {
                ProcessLook::Tagged(tag, begun) => {
                    let Some(started) = started(&tag, migration) else { continue };
                    let (output, age) = (Output::new(stream(pid), None), since_epoch().saturating_sub(started));
                    return Some(OrphanProcess { group: Pid::from_raw(pid)?, age, output, begun });
                }
                ProcessLook::InExec => undecided.push(pid),
                ProcessLook::Other => {}
            }
        }
        if undecided.is_empty() || Instant::now() > last {
            return None;
        }
        pids = undecided;
        sleep(EXEC_PACE).await;
    }
}

/// When the migration was started, if this is its tag.
fn started(tag: &str, migration: &Move) -> Option<Duration> {
    let parts: Vec<&str> = tag.split('\t').collect();
    let [id, started, vm, from, to] = parts[..] else { return None };
    let same = id.parse() == Ok(migration.id.0) && migration.vm == vm && migration.from == from && migration.to == to;
    started.parse().ok().filter(|_| same).map(Duration::from_secs)
}

/// What a look at a process shows.
#[derive(Debug, PartialEq, Eq)]
enum ProcessLook {
    /// This user's leader of a process group, with this tag. It began at this clock tick.
    Tagged(String, u64),
    /// It is just becoming another program, and what it is cannot be told yet.
    InExec,
    Other,
}

/// A child of the command inherits the tag, but it does not lead the group.
fn look(pid: i32) -> ProcessLook {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let is_ours = || fs::metadata(&folder).is_ok_and(|folder| folder.uid() == geteuid().as_raw());
    let Some(stat) = ProcessStat::of(pid).filter(|stat| !stat.is_dead() && !stat.is_kernels && is_ours()) else {
        return ProcessLook::Other;
    };
    let Ok(environment) = fs::read(folder.join("environ")) else { return ProcessLook::Other };
    if environment.is_empty() {
        // A program may have no environment, but it has arguments.
        let is_in_exec = fs::read(folder.join("cmdline")).is_ok_and(|arguments| arguments.is_empty());
        return if is_in_exec { ProcessLook::InExec } else { ProcessLook::Other };
    }
    let prefix = format!("{TAG_NAME}=");
    let tag = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(prefix.as_bytes()));
    match tag.and_then(|tag| String::from_utf8(tag.to_vec()).ok()) {
        Some(tag) if stat.leads_its_group(pid) => ProcessLook::Tagged(tag, stat.begun),
        _ => ProcessLook::Other,
    }
}

/// What `/proc/PID/stat` says about a process.
#[derive(Debug, PartialEq, Eq)]
struct ProcessStat {
    state: String,
    group: i32,
    session: i32,
    is_kernels: bool,
    /// In clock ticks since the machine's start.
    begun: u64,
}

impl ProcessStat {
    fn of(pid: i32) -> Option<Self> {
        Self::read(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn read(stat: &str) -> Option<Self> {
        /// `PF_KTHREAD`: a thread of the kernel's own.
        const KERNELS: u64 = 0x0020_0000;
        // The name before it may have any character in it, brackets too.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
        Some(Self {
            state: (*fields.first()?).to_owned(),
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            is_kernels: number(6)? & KERNELS != 0,
            begun: number(19)?,
        })
    }

    fn is_dead(&self) -> bool {
        matches!(self.state.as_str(), "Z" | "X")
    }

    /// Whether it leads a group but not a session. A process that went into the background by itself leads both.
    const fn leads_its_group(&self, pid: i32) -> bool {
        self.group == pid && self.session != pid
    }
}

/// The pipe into which a process prints, if it is one. Both its streams go there.
fn stream(pid: i32) -> Option<Receiver> {
    OpenOptions::new().open_receiver(format!("/proc/{pid}/fd/1")).ok()
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::core::cluster::RequestId;

    fn migration() -> Move {
        Move { id: RequestId(7), vm: "nii1".into(), from: "mln1".into(), to: "mln2".into() }
    }

    #[test]
    fn a_tag_is_one_migrations() {
        let tag = process_tag(&migration());
        assert!(started(&tag, &migration()).is_some());
        assert!(started(&tag, &Move { id: RequestId(8), ..migration() }).is_none());
        assert!(started(&tag, &Move { to: "mln3".into(), ..migration() }).is_none());
        assert!(started("7\t1", &migration()).is_none());
    }

    #[test]
    fn a_group_is_told_from_a_session_and_from_the_dead() {
        let stat = |state: &str, group: i32, session: i32| {
            ProcessStat::read(&format!(
                "42 (a) b) {state} 1 {group} {session} 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 900 0"
            ))
            .unwrap()
        };
        assert!(stat("S", 42, 7).leads_its_group(42) && !stat("S", 42, 7).is_dead());
        assert!(stat("Z", 42, 7).is_dead(), "a zombie");
        assert!(!stat("S", 42, 42).leads_its_group(42), "it went into the background");
        assert!(!stat("S", 41, 7).leads_its_group(42), "a child of it");
        assert_eq!((stat("S", 42, 7).begun, stat("S", 42, 7).is_kernels), (900, false));
        assert_eq!(ProcessStat::read("rubbish"), None);
    }
}
