//! Runs one command: its arguments, its process group, what it reads and prints, its end. No shell sees it.

use std::collections::VecDeque;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::Receiver;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::core::format::{measured, one_line};

/// How many bytes of a stream are read at once.
const PIECE: usize = 16 << 10;
/// How many bytes of a stream are read after the command has ended. A process that it left behind may go on printing for ever.
const REST: usize = 1 << 20;
/// How often to check whether a process group has ended.
const GONE: Duration = Duration::from_millis(50);

/// Why a command does not run.
#[derive(Debug)]
pub(in crate::edge) struct CannotStart {
    /// In words.
    pub(in crate::edge) why: String,
    /// Its arguments are longer than the system allows.
    pub(in crate::edge) is_too_long: bool,
}

/// A running command.
pub(in crate::edge) struct Process {
    child: Child,
    group: Option<Pid>,
    /// `None`: it has none, or all of it is written.
    input: Option<Box<Input>>,
    output: Output,
    /// Dropping this kills the command.
    bound: bool,
}

impl Process {
    /// Starts a command. If it has a tag, the tag is in its environment, it outlives this value, and its two streams are one, so
    /// that its lines keep their order.
    ///
    /// # Errors
    /// Why it cannot be started.
    pub(in crate::edge) fn start(argv: &[String], tag: Option<(&str, String)>) -> Result<Self, String> {
        let environment = tag.as_ref().map(|(name, value)| (*name, &**value));
        Self::spawn(argv, environment.as_slice(), tag.is_some(), None).map_err(|error| error.why)
    }

    /// Starts a command that reads this input to its end, with these variables in its environment. So many bytes of its output
    /// are kept as its answer.
    ///
    /// # Errors
    /// It cannot be started.
    pub(in crate::edge) fn with_input(
        argv: &[String],
        environment: &[(&str, &str)],
        input: Vec<u8>,
        most: usize,
    ) -> Result<Self, CannotStart> {
        let mut process = Self::spawn(argv, environment, false, Some(input))?;
        process.output.out.most = most;
        Ok(process)
    }

    fn spawn(
        argv: &[String],
        environment: &[(&str, &str)],
        outlives: bool,
        input: Option<Vec<u8>>,
    ) -> Result<Self, CannotStart> {
        let Some((program, arguments)) = argv.split_first() else {
            return Err(CannotStart { why: "there is no command".to_owned(), is_too_long: false });
        };
        let start = || -> io::Result<Self> {
            let (out, child_out) = pipe()?;
            let mut command = Command::new(program);
            command.args(arguments).envs(environment.iter().copied()).process_group(0);
            command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
            let err = if outlives {
                command.stderr(child_out.try_clone()?);
                None
            } else {
                let (err, child_err) = pipe()?;
                command.stderr(child_err);
                Some(err)
            };
            let mut child = command.stdout(child_out).spawn()?;
            let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
            let input = child.stdin.take().zip(input).map(|(pipe, bytes)| Box::new(Input { pipe, bytes, written: 0 }));
            Ok(Self { child, group, input, output: Output::new(Some(out), err), bound: !outlives })
        };
        start().map_err(|error| CannotStart {
            why: format!("{program} cannot be run: {}", without_number(&error)),
            is_too_long: error.kind() == io::ErrorKind::ArgumentListTooLong,
        })
    }

    /// Reads until the command ends. It is safe to cancel this and to call it again.
    pub(in crate::edge) async fn end(&mut self) -> io::Result<ExitStatus> {
        let status = tokio::select! {
            status = self.child.wait() => status,
            never = self.output.read() => match never {},
            never = write(&mut self.input) => match never {},
        };
        self.output.read_rest();
        self.bound = false;
        status
    }

    /// What it printed so far.
    pub(in crate::edge) const fn output(&self) -> &Output {
        &self.output
    }

    pub(in crate::edge) const fn group(&self) -> Option<Pid> {
        self.group
    }

    /// Kills what is left of its process group.
    pub(in crate::edge) fn kill(&self) {
        if let Some(group) = self.group {
            signal(group, Signal::KILL);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.bound {
            self.kill();
        }
    }
}

/// Runs a short command to its end, but no longer than the deadline.
///
/// # Errors
/// Why it could not be run, that it hangs, or how it ended, if not with status 0.
pub(in crate::edge) async fn within(argv: &[String], deadline: Duration) -> Result<Process, String> {
    let mut process = Process::start(argv, None)?;
    let Ok(ended) = timeout(deadline, process.end()).await else {
        return Err(format!("no answer within {}", measured(deadline.into())));
    };
    match ended {
        Ok(status) if status.success() => Ok(process),
        Ok(status) => Err(with_line(&in_short(status), process.output())),
        Err(why) => Err(without_number(&why)),
    }
}

/// How a command ended: `status 3`, `ended by signal 9`.
pub(in crate::edge) fn in_short(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(number)) => format!("ended by signal {number}"),
        (None, None) => "no status".to_owned(),
    }
}

/// Adds the last line that the command printed, if there is one.
pub(in crate::edge) fn with_line(how: &str, output: &Output) -> String {
    let line = output.last_line();
    if line.is_empty() { how.to_owned() } else { format!("{how}: {line}") }
}

/// Sends a signal to a process group. An empty group is no error.
pub(in crate::edge) fn signal(group: Pid, which: Signal) {
    let _ = kill_process_group(group, which);
}

/// Sends SIGTERM to a process group, and after the grace period SIGKILL, if any process is left.
pub(in crate::edge) async fn end_group(group: Pid, grace: Duration) {
    signal(group, Signal::TERM);
    let last = Instant::now() + grace;
    while Instant::now() < last {
        if test_kill_process_group(group).is_err() {
            return;
        }
        sleep(GONE).await;
    }
    signal(group, Signal::KILL);
}

/// A pipe. The child's end is open for reading and writing, so that a command that prints after whimbrel has ended gets no SIGPIPE.
fn pipe() -> io::Result<(Receiver, OwnedFd)> {
    let (reader, writer) = io::pipe()?;
    let both = OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{}", writer.as_raw_fd()));
    // Without /proc it is an ordinary pipe.
    let child = both.map_or_else(|_| OwnedFd::from(writer), OwnedFd::from);
    Ok((Receiver::from_owned_fd(reader.into())?, child))
}

/// The text of an error without its number, which tells an operator nothing.
fn without_number(why: &io::Error) -> String {
    let text = why.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

async fn readable(stream: Option<&Receiver>) {
    match stream {
        // If the stream fails, the next read will see that.
        Some(stream) => drop(stream.readable().await),
        None => std::future::pending().await,
    }
}

/// What a command reads.
struct Input {
    pipe: ChildStdin,
    bytes: Vec<u8>,
    written: usize,
}

/// Writes a command's input and closes it. Never ends; safe to cancel.
async fn write(input: &mut Option<Box<Input>>) -> std::convert::Infallible {
    while let Some(to) = input {
        match to.pipe.write(&to.bytes[to.written..]).await {
            Ok(written @ 1..) => to.written += written,
            // All of it is written; or the command does not read it, which is no error.
            _ => *input = None,
        }
    }
    std::future::pending().await
}

/// How many bytes of each stream are kept for people, the newest.
const TAIL: usize = 4 << 10;
/// How many bytes of a stream are kept as an answer unless told, the oldest: the names of some thousand VMs.
const HEAD: usize = 64 << 10;
/// The most characters of a line for people.
const LINE: usize = 200;

/// What a command has printed, and what it still prints.
#[derive(Debug, Default)]
pub(in crate::edge) struct Output {
    out: OutputStream,
    err: OutputStream,
}

/// One of a command's two streams. It keeps the beginning, which may be an answer, and the end, which people see.
#[derive(Debug, Default)]
struct OutputStream {
    /// `None`: it is closed.
    pipe: Option<Receiver>,
    head: Vec<u8>,
    /// How many bytes the head may have.
    most: usize,
    overflowed: bool,
    tail: VecDeque<u8>,
}

impl OutputStream {
    /// Takes one piece, and closes the stream at its end.
    fn read(&mut self) {
        let mut piece = [0; PIECE];
        match self.pipe.as_ref().map(|pipe| pipe.try_read(&mut piece)) {
            Some(Ok(read @ 1..)) => self.take(&piece[..read]),
            Some(Err(why)) if why.kind() == io::ErrorKind::WouldBlock => {}
            _ => self.pipe = None,
        }
    }

    fn read_rest(&mut self) {
        let (mut piece, mut left) = ([0; PIECE], REST);
        while let Some(Ok(read @ 1..)) = self.pipe.as_ref().map(|pipe| rustix::io::read(pipe, &mut piece[..])) {
            self.take(&piece[..read]);
            left = left.saturating_sub(read);
            if left == 0 {
                return;
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        self.tail.extend(&bytes[bytes.len().saturating_sub(TAIL)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
        let room = self.most - self.head.len();
        self.overflowed |= bytes.len() > room;
        self.head.extend(&bytes[..bytes.len().min(room)]);
    }

    fn last_lines(&self, most: usize) -> Vec<String> {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.rsplit(['\n', '\r']).map(shown).filter(|line| !line.is_empty());
        let mut lines: Vec<String> = lines.take(most).collect();
        lines.reverse();
        lines
    }

    fn last_line(&self) -> Option<String> {
        self.last_lines(1).pop()
    }
}

impl Output {
    pub(in crate::edge) fn new(out: Option<Receiver>, err: Option<Receiver>) -> Self {
        let stream = |pipe| OutputStream { pipe, most: HEAD, ..OutputStream::default() };
        Self { out: stream(out), err: stream(err) }
    }

    /// Takes what is printed. Never ends; safe to cancel.
    pub(in crate::edge) async fn read(&mut self) -> std::convert::Infallible {
        loop {
            tokio::select! {
                () = readable(self.out.pipe.as_ref()) => self.out.read(),
                () = readable(self.err.pipe.as_ref()) => self.err.read(),
            }
        }
    }

    /// Reads what was printed and not yet read, even if the runtime has not noticed it.
    pub(in crate::edge) fn read_rest(&mut self) {
        self.out.read_rest();
        self.err.read_rest();
    }

    /// The lines of its output that are not empty, without blanks at their ends.
    ///
    /// # Errors
    /// The output is too long for an answer, or is not UTF-8.
    pub(in crate::edge) fn lines(&self) -> Result<Vec<&str>, String> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| "what it printed is no text".to_owned())?;
        Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).collect())
    }

    /// Its whole output.
    ///
    /// # Errors
    /// The output is too long for an answer.
    pub(in crate::edge) fn bytes(&self) -> Result<&[u8], String> {
        if self.out.overflowed {
            return Err(format!("it printed more than {} KiB", self.out.most >> 10));
        }
        Ok(&self.out.head)
    }

    /// The last lines of its error stream that are not empty, for people.
    pub(in crate::edge) fn last_complaints(&self, most: usize) -> Vec<String> {
        self.err.last_lines(most)
    }

    /// The last line that is not empty, for people: of the error stream, if it has one. A carriage return also ends a line.
    pub(in crate::edge) fn last_line(&self) -> String {
        self.err.last_line().or_else(|| self.out.last_line()).unwrap_or_default()
    }
}

/// A line for people.
pub(in crate::edge) fn shown(line: &str) -> String {
    one_line(line, LINE)
}

/// Replaces each `{name}` that has a value. All other text stays as it is, other braces too. Nothing reads a value again: it is not
/// searched for placeholders, and no shell gets it.
pub(in crate::edge) fn fill(template: &[String], values: &[(&str, &str)]) -> Vec<String> {
    template.iter().map(|argument| filled(argument, values)).collect()
}

/// Whether a template has this placeholder.
pub(in crate::edge) fn names(template: &[String], name: &str) -> bool {
    let placeholder = format!("{{{name}}}");
    template.iter().any(|argument| argument.contains(&placeholder))
}

fn filled(argument: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(argument.len());
    let mut rest = argument;
    while let Some(at) = rest.find('{') {
        let (before, placeholder) = rest.split_at(at);
        out.push_str(before);
        let value = placeholder.find('}').and_then(|end| {
            let value = values.iter().find(|(name, _)| *name == &placeholder[1..end])?.1;
            Some((value, end))
        });
        rest = match value {
            Some((value, end)) => {
                out.push_str(value);
                &placeholder[end + 1..]
            }
            None => {
                out.push('{');
                &placeholder[1..]
            }
        };
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn printed(text: &str) -> Output {
        let mut output = Output::new(None, None);
        output.out.take(text.as_bytes());
        output
    }

    #[test]
    fn the_last_line_is_told_without_what_would_disturb_a_screen() {
        assert_eq!(printed("one\ntwo \x1b[31mred\x1b[0m\x07\n\n").last_line(), "two red");
        assert_eq!(printed("Migration: [ 12 %]\rMigration: [ 97 %]\r").last_line(), "Migration: [ 97 %]");
        assert_eq!(printed(" \n\t\n").last_line(), "");
        assert_eq!(printed("a\u{202e}b").last_line(), "a b");
    }

    #[test]
    fn a_complaint_comes_before_whatever_was_printed_last() {
        let mut output = printed("mln1");
        assert_eq!(output.last_line(), "mln1");
        output.err.take(b"no route\n");
        output.out.take(b"mln1\n");
        assert_eq!(output.last_line(), "no route");
    }

    #[test]
    fn a_long_line_is_cut_and_a_flood_keeps_its_end() {
        assert_eq!(printed(&"x".repeat(LINE + 1)).last_line().chars().count(), LINE + 1);
        let mut output = Output::new(None, None);
        for _ in 0..1_000 {
            output.err.take(&[b'y'; 10_000]);
        }
        output.err.take(b"\nthe end");
        assert_eq!((output.err.tail.len(), output.last_line().as_str()), (TAIL, "the end"));
        assert!(output.out.head.is_empty(), "errors are no answer");
    }

    #[test]
    fn lines_are_an_answer_only_if_they_are_whole_and_text() {
        assert_eq!(printed(" web1 \n\nweb2\r\n").lines().unwrap(), ["web1", "web2"]);
        assert!(printed(&"y\n".repeat(HEAD)).lines().unwrap_err().contains("64 KiB"));
        let mut output = Output::new(None, None);
        output.out.take(&[0xff, 0xfe]);
        assert_eq!(output.lines().unwrap_err(), "what it printed is no text");
    }

    proptest! {
        #[test]
        fn whatever_is_printed_a_line_is_shown_without_control_characters(bytes in any::<Vec<u8>>()) {
            let mut output = Output::new(None, None);
            output.out.take(&bytes);
            prop_assert!(output.last_line().chars().all(|c| !c.is_control()));
        }
    }

    fn one(argument: &str, values: &[(&str, &str)]) -> String {
        fill(&[argument.to_owned()], values).remove(0)
    }

    #[test]
    fn placeholders_stand_for_their_values() {
        let values = [("vm", "nii1"), ("index", "2"), ("to", "mln2")];
        assert_eq!(one("/root/.vmmanage/{vm}.{index}.mln", &values), "/root/.vmmanage/nii1.2.mln");
        assert_eq!(one("{to}{to}", &values), "mln2mln2");
        assert_eq!(one("{vm}.{index}.mln", &[("vm", "nii1"), ("index", "")]), "nii1..mln");
    }

    #[test]
    fn a_value_is_not_filled_in_turn() {
        assert_eq!(one("{vm} {to}", &[("vm", "{to}"), ("to", "{vm}")]), "{to} {vm}");
    }

    #[test]
    fn other_braces_stay() {
        assert_eq!(one("awk {print} {vm", &[("vm", "a")]), "awk {print} {vm");
        assert_eq!(one("{{vm}}", &[("vm", "a")]), "{a}");
        assert!(names(&["x{host}y".to_owned()], "host") && !names(&["{hosts}".to_owned()], "host"));
    }

    proptest! {
        #[test]
        fn text_without_placeholders_stays_and_a_value_comes_whole(text in "[^{}]*", value in any::<String>()) {
            prop_assert_eq!(&one(&text, &[("vm", &value)]), &text);
            prop_assert_eq!(one(&format!("{text}{{vm}}"), &[("vm", &value)]), format!("{text}{value}"));
        }
    }
}
