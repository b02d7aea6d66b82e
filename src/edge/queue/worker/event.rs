//! What a worker says while it works: a line of JSON or of words for each.

use std::fmt;

use serde::Serialize;

use crate::core::cluster::{Span, Timestamp, rfc3339};
use crate::core::format::{counted, duration, measured, one_line};
use crate::core::queue::{Stop, WorkerOrder};

/// The most characters of a reason in a line of words.
const REASON: usize = 200;

/// Something that happened to a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorkEvent {
    /// When.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: WorkHappened,
}

/// What happened to a worker. A page is named as it was when it was claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum WorkHappened {
    /// It has started, and is the worker of its VM.
    Ready {
        /// The VM.
        vm: String,
        /// The queue.
        queue: String,
        /// This start of the worker.
        instance: String,
        /// Where it is.
        site: String,
    },
    /// It has claimed a page.
    Claimed {
        /// The claim.
        claim: String,
        /// The page.
        page: String,
        /// Its jobs.
        jobs: u32,
        /// Of them big.
        big: u32,
    },
    /// It goes on with a claim that was worked before.
    Continued {
        /// The claim.
        claim: String,
        /// The page.
        page: String,
        /// Jobs that have their output.
        done: u32,
        /// Jobs that were set aside.
        failed: u32,
        /// Jobs that are left.
        left: u32,
    },
    /// A job begins.
    Started {
        /// The page.
        page: String,
        /// The job's number.
        job: u32,
        /// Its grade; may be empty.
        tag: String,
        /// Which try it is, from 1.
        attempt: u32,
    },
    /// A job's output is delivered.
    Done {
        /// The page.
        page: String,
        /// The job's number.
        job: u32,
        /// How long it took.
        #[serde(rename = "took_ms")]
        took: Span,
    },
    /// A try of a job failed.
    Failed {
        /// The page.
        page: String,
        /// The job's number.
        job: u32,
        /// Why.
        error: String,
        /// It was the last try: the job is set aside, and its error is delivered.
        last: bool,
    },
    /// A job was broken off; the try does not count.
    Returned {
        /// The page.
        page: String,
        /// The job's number.
        job: u32,
    },
    /// Jobs that were set aside are tried again.
    Retried {
        /// The page.
        page: String,
        /// So many.
        jobs: u32,
    },
    /// A claim is no longer this worker's; nothing more is delivered for it.
    Lost {
        /// The claim.
        claim: String,
        /// The page.
        page: String,
        /// Why.
        why: String,
    },
    /// Each job of a page has its result.
    Finished {
        /// The claim.
        claim: String,
        /// The page.
        page: String,
        /// Jobs that have their output.
        done: u32,
        /// Jobs that were set aside.
        failed: u32,
    },
    /// No page waits.
    Idle,
    /// It was asked to stop, and until it may go on it does not.
    Paused {
        /// Who asked, what for, why and until when.
        order: WorkerOrder,
    },
    /// It may go on.
    Resumed,
    /// A page is not worked.
    Refused {
        /// The page.
        page: String,
        /// Why.
        why: String,
    },
    /// It is not known yet whether pages were claimed; it is looked at again.
    Unknown {
        /// So many.
        claims: u32,
    },
    /// Something keeps it from working; it tries again.
    Trouble {
        /// What.
        why: String,
    },
    /// That is over.
    Recovered,
    /// Something that an operator should know of the source.
    Warning {
        /// What.
        text: String,
    },
    /// It was told to end, and finishes the jobs in hand first.
    Ending {
        /// The page; empty: it has none.
        page: String,
        /// The jobs in hand.
        jobs: Vec<u32>,
    },
    /// It has ended.
    Ended {
        /// Why.
        why: String,
    },
}

/// In words.
impl fmt::Display for WorkHappened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tame = |text: &str| one_line(text, REASON);
        match self {
            Self::Ready { vm, queue, site, .. } => write!(f, "ready: {vm} works {queue} at {site}"),
            Self::Claimed { page, jobs, big, .. } => {
                let big = if *big == 0 { String::new() } else { format!(", {big} big") };
                write!(f, "claimed {}: {}{big}", tame(page), counted(*jobs, "job", "jobs"))
            }
            Self::Continued { page, done, failed, left, .. } => {
                write!(f, "goes on with {}: {done} done, {failed} set aside, {left} left", tame(page))
            }
            Self::Started { page, job, tag, attempt } => {
                let tag = if tag.is_empty() { String::new() } else { format!(" ({})", tame(tag)) };
                let attempt = if *attempt == 1 { String::new() } else { format!(", try {attempt}") };
                write!(f, "begins job {job} of {}{tag}{attempt}", tame(page))
            }
            Self::Done { page, job, took } => write!(f, "did job {job} of {} in {}", tame(page), measured(*took)),
            Self::Failed { page, job, error, last } => {
                let then = if *last { "is set aside" } else { "failed, and is tried again" };
                write!(f, "job {job} of {} {then}: {}", tame(page), tame(error))
            }
            Self::Returned { page, job } => {
                write!(f, "broke off job {job} of {}; the try does not count", tame(page))
            }
            Self::Retried { page, jobs } => {
                let jobs = counted(*jobs, "job that was", "jobs that were");
                write!(f, "tries {jobs} set aside of {} again", tame(page))
            }
            Self::Lost { page, why, .. } => write!(f, "lost {}: {}", tame(page), tame(why)),
            Self::Finished { page, done, failed, .. } => {
                write!(f, "finished {}: {done} done, {failed} set aside", tame(page))
            }
            Self::Idle => f.write_str("idle: no page waits"),
            Self::Paused { order } => {
                let what = match order.stop {
                    Stop::Claiming => "claims nothing more",
                    Stop::Working => "paused",
                };
                write!(f, "{what}: asked by {}", tame(&order.by))?;
                if let Some(until) = order.until {
                    write!(f, ", for {}", duration(until.since(order.at)))?;
                }
                if order.why.is_empty() { Ok(()) } else { write!(f, ": {}", tame(&order.why)) }
            }
            Self::Resumed => f.write_str("goes on"),
            Self::Refused { page, why } => write!(f, "does not work {}: {}", tame(page), tame(why)),
            Self::Unknown { claims } => {
                let pages = counted(*claims, "page", "pages");
                write!(f, "it is not known yet whether {pages} were claimed; looks again later")
            }
            Self::Trouble { why } => write!(f, "waits and tries again: {}", tame(why)),
            Self::Recovered => f.write_str("that is over: goes on"),
            Self::Warning { text } => write!(f, "warning: {}", tame(text)),
            Self::Ending { jobs, .. } if jobs.is_empty() => f.write_str("ending"),
            Self::Ending { page, jobs } => {
                let numbers: Vec<String> = jobs.iter().map(u32::to_string).collect();
                let jobs = if jobs.len() == 1 { "job" } else { "jobs" };
                write!(f, "ending: finishes {jobs} {} of {} first", numbers.join(", "), tame(page))
            }
            Self::Ended { why } => write!(f, "ended: {}", tame(why)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both(what: WorkHappened) -> (String, String) {
        let event = WorkEvent { at: Timestamp::from_secs(1_241_613_600), what };
        (event.what.to_string(), serde_json::to_string(&event).expect("JSON"))
    }

    #[test]
    fn an_event_is_a_line_of_words_or_of_json() {
        let [claim, page] = ["nii4.0123456789ab.1", "render-7"].map(str::to_owned);
        let (text, json) = both(WorkHappened::Claimed { claim, page: page.clone(), jobs: 52, big: 3 });
        assert_eq!(text, "claimed render-7: 52 jobs, 3 big");
        let at = r#""at":"2009-05-06T12:40:00.000Z""#;
        let rest = r#""type":"claimed","claim":"nii4.0123456789ab.1","page":"render-7","jobs":52,"big":3"#;
        assert_eq!(json, format!("{{{at},{rest}}}"));
        let (text, json) = both(WorkHappened::Done { page: page.clone(), job: 7, took: Span::from_millis(4_200) });
        assert_eq!(text, "did job 7 of render-7 in 4.2 s");
        assert!(json.ends_with(r#""type":"done","page":"render-7","job":7,"took_ms":4200}"#), "{json}");
        let (text, _) = both(WorkHappened::Ending { page, jobs: vec![7, 9] });
        assert_eq!(text, "ending: finishes jobs 7, 9 of render-7 first");
    }

    #[test]
    fn a_pause_says_who_asked_how_long_and_why() {
        let at = Timestamp::from_secs(1_241_613_600);
        let until = Some(at + Span::from_hours(2));
        let order = WorkerOrder { stop: Stop::Working, by: "root".to_owned(), why: "disk\nswap".to_owned(), at, until };
        let (text, json) = both(WorkHappened::Paused { order });
        assert_eq!(text, "paused: asked by root, for 2 h: disk swap");
        assert!(
            json.contains(r#""type":"paused","order":{"stop":"working","by":"root","why":"disk\nswap","#),
            "{json}"
        );
    }

    #[test]
    fn nothing_of_a_page_or_an_error_can_disturb_a_terminal() {
        let page = "a\u{1b}[31mb\nc".to_owned();
        let (text, _) = both(WorkHappened::Failed { page, job: 1, error: "x\u{7}\ny".repeat(500), last: true });
        assert!(text.chars().all(|c| !c.is_control()) && text.chars().count() < 400, "{text}");
    }
}
