//! One try of a job: computed in this process, or a program in a process group of its own.
//!
//! A try that is dropped ends: the computation is told to stop, the process group is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::core::cluster::Span;
use crate::core::format::measured;
use crate::core::queue::JobKind;
use crate::core::queue::bc::{BcLimits, Reason, evaluate};
use crate::edge::process::{CannotStart, Process, fill, in_short};
use crate::edge::supervisor::{REPORT_IT, fault, panic_message};

/// The longest output of a program, in bytes.
const LONGEST_OUTPUT: usize = 16 << 20;
/// So many of the last lines of a program's standard error become the job's error.
const COMPLAINTS: usize = 10;

/// A job as it is worked.
#[derive(Debug)]
pub(super) struct JobOrder {
    pub number: u32,
    pub work: String,
    /// The name of its page.
    pub page: String,
    pub vm: String,
}

/// What became of a try.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TryEnd {
    /// It is done: this is its output.
    Output(Vec<u8>),
    /// It failed. Another try may succeed.
    Failed(String),
    /// It failed, and would fail each time.
    Hopeless(String),
    /// It could not begin, which is not its fault.
    NotBegun(String),
}

/// Works a job to its end or its deadline.
pub(super) async fn work(kind: Arc<JobKind>, order: JobOrder) -> TryEnd {
    fault("job");
    match &*kind {
        JobKind::Bc { digits, deadline } => compute(order.work, *digits, *deadline).await,
        JobKind::Exec { argv, deadline } => run(argv, *deadline, order).await,
    }
}

/// Tells a computation to stop when it is dropped.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

async fn compute(work: String, digits: u64, deadline: Span) -> TryEnd {
    let told = Arc::new(AtomicBool::new(false));
    let _stop = StopOnDrop(told.clone());
    let began = Instant::now();
    let computed = tokio::task::spawn_blocking(move || {
        let limits = BcLimits { digits, ..BcLimits::default() };
        evaluate(&work, &limits, &|| told.load(Ordering::Relaxed) || began.elapsed() >= deadline.to_std())
    });
    match computed.await {
        Ok(Ok(output)) => TryEnd::Output(output.into_bytes()),
        Ok(Err(refusal)) if refusal.reason == Reason::Stopped => TryEnd::Hopeless(too_long(deadline)),
        Ok(Err(refusal)) => TryEnd::Hopeless(refusal.to_string()),
        Err(error) => {
            let what = error.try_into_panic().map_or_else(|error| error.to_string(), |panic| panic_message(&*panic));
            TryEnd::Hopeless(format!("bc failed: {what}; {REPORT_IT}"))
        }
    }
}

async fn run(argv: &[String], deadline: Span, order: JobOrder) -> TryEnd {
    let argv = fill(argv, &[("job", &order.work)]);
    let number = order.number.to_string();
    let environment = [("WHIMBREL_JOB", &*number), ("WHIMBREL_PAGE", &order.page), ("WHIMBREL_VM", &order.vm)];
    let input = format!("{}\n", order.work).into_bytes();
    let mut process = match Process::with_input(&argv, &environment, input, LONGEST_OUTPUT) {
        Ok(process) => process,
        Err(CannotStart { why, is_too_long: true }) => return TryEnd::Hopeless(why),
        Err(CannotStart { why, .. }) => return TryEnd::NotBegun(why),
    };
    let ended = tokio::time::timeout(deadline.to_std(), process.end()).await;
    // What it has left running must not go on beside the next job.
    process.kill();
    let output = process.output();
    let how = match ended {
        Err(_) => too_long(deadline),
        Ok(Err(why)) => why.to_string(),
        Ok(Ok(status)) if !status.success() => in_short(status),
        Ok(Ok(_)) => match output.bytes() {
            Ok(bytes) => return TryEnd::Output(bytes.to_vec()),
            Err(why) => why,
        },
    };
    let lines: Vec<String> = [how].into_iter().chain(output.last_complaints(COMPLAINTS)).collect();
    TryEnd::Failed(lines.join("\n"))
}

fn too_long(deadline: Span) -> String {
    format!("it was not done within {}", measured(deadline))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::queue::DEFAULT_DIGITS;

    const LONG: Span = Span::from_secs(60);

    async fn script(script: &str, work: &str, deadline: Span) -> TryEnd {
        let argv = ["/bin/sh", "-c", script, "sh", "<{job}>"].map(str::to_owned).to_vec();
        one(JobKind::Exec { argv, deadline }, work).await
    }

    async fn one(kind: JobKind, text: &str) -> TryEnd {
        let [page, vm] = ["render-7", "nii4"].map(str::to_owned);
        work(Arc::new(kind), JobOrder { number: 7, work: text.to_owned(), page, vm }).await
    }

    fn output(text: &str) -> TryEnd {
        TryEnd::Output(text.as_bytes().to_vec())
    }

    #[tokio::test]
    async fn a_program_gets_the_work_as_an_argument_and_as_its_input_and_no_shell_reads_it() {
        let said =
            script(r#"printf '%s %s' "$1" "$WHIMBREL_JOB $WHIMBREL_PAGE $WHIMBREL_VM "; cat"#, "$(id);{job}", LONG)
                .await;
        assert_eq!(said, output("<$(id);{job}> 7 render-7 nii4 $(id);{job}\n"));
    }

    #[tokio::test]
    async fn a_program_that_fails_says_why_with_its_last_lines() {
        let said = script("echo out; for n in $(seq 20); do echo line $n >&2; done; exit 3", "", LONG).await;
        let lines: Vec<String> = (11..=20).map(|n| format!("line {n}")).collect();
        assert_eq!(said, TryEnd::Failed(format!("status 3\n{}", lines.join("\n"))));
        assert_eq!(script("kill -9 $$", "", LONG).await, TryEnd::Failed("ended by signal 9".to_owned()));
    }

    #[tokio::test]
    async fn a_program_that_does_not_read_its_input_has_an_output_nevertheless() {
        assert_eq!(script("exec 0<&-; echo done", &"x".repeat(100_000), LONG).await, output("done\n"));
    }

    #[tokio::test]
    async fn a_long_output_is_whole_and_one_that_is_too_long_fails() {
        let TryEnd::Output(bytes) = script("head -c 16777216 /dev/zero", "", LONG).await else { panic!("no output") };
        assert_eq!(bytes.len(), LONGEST_OUTPUT);
        let said = script("head -c 16777217 /dev/zero", "", LONG).await;
        assert_eq!(said, TryEnd::Failed("it printed more than 16384 KiB".to_owned()));
    }

    #[tokio::test]
    async fn at_the_deadline_the_whole_process_group_is_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a fifo");
        // It ends when nobody is left who could write.
        let path = fifo.clone();
        let read = tokio::task::spawn_blocking(move || std::fs::read(path));
        let left_behind = format!("sleep 1000 >'{}' & echo waits >&2; wait", fifo.display());
        let said = script(&left_behind, "", Span::from_secs(2)).await;
        assert_eq!(said, TryEnd::Failed("it was not done within 2 s\nwaits".to_owned()));
        assert_eq!(read.await.expect("no panic").expect("a fifo"), b"");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_not_the_jobs_fault_and_too_long_an_argument_is() {
        let missing = JobKind::Exec { argv: vec!["/nowhere/render".to_owned()], deadline: LONG };
        let why = "/nowhere/render cannot be run: No such file or directory".to_owned();
        assert_eq!(one(missing, "").await, TryEnd::NotBegun(why));
        let long = "x".repeat(1 << 20);
        assert!(matches!(script("true", &long, LONG).await, TryEnd::Hopeless(why) if why.contains("too long")));
    }

    #[tokio::test]
    async fn bc_computes_refuses_and_stops_at_its_deadline() {
        let bc = |deadline| JobKind::Bc { digits: DEFAULT_DIGITS, deadline };
        assert_eq!(one(bc(LONG), "123^2").await, output("15129\n"));
        assert!(matches!(one(bc(LONG), "1+").await, TryEnd::Hopeless(_)));
        let slow = "x=3^400000;".repeat(10_000);
        assert_eq!(
            one(bc(Span::from_millis(100)), &slow).await,
            TryEnd::Hopeless("it was not done within 100 ms".to_owned())
        );
    }
}
