//! What operators and the engine ask of a VM's worker.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Ranges;
use crate::core::cluster::{Name, Span, Timestamp, rfc3339};
use crate::core::format::duration;

/// Everything that is asked of one worker. It is `control/VM.json` in a folder and on a server, a row in a database. The
/// engine writes `engine` and `site`, operators write `operator` and `retry`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerControl {
    /// Grows with each change. A worker reports the one it obeys.
    pub serial: u64,
    /// The site where the VM is, unless the worker was told on its command line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The engine's order, while a move is prepared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<WorkerOrder>,
    /// An operator's pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<WorkerOrder>,
    /// Jobs that were set aside and are to be tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
}

/// An order to a worker. It ends by itself at `until`, so that an engine that dies does not keep a worker idle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerOrder {
    /// What the worker must not do.
    pub stop: Stop,
    /// Who gave it.
    pub by: String,
    /// Why, in a short phrase; may be empty.
    #[serde(default)]
    pub why: String,
    /// When.
    #[serde(with = "rfc3339")]
    pub at: Timestamp,
    /// It ends then; `None`: it lasts until it is taken back.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "maybe_rfc3339")]
    pub until: Option<Timestamp>,
}

/// What a worker is asked not to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stop {
    /// It claims nothing more, and works what it has.
    Claiming,
    /// It finishes the jobs in hand, begins no other, and claims nothing more.
    Working,
}

/// Jobs that are to be tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Of this claim.
    pub claim: String,
    /// These; none: all that were set aside.
    #[serde(default)]
    pub jobs: Ranges,
}

/// What an operator asks of one VM's worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueOrder {
    /// Whose worker.
    pub vm: Name,
    /// What of it.
    pub what: QueueRequest,
}

/// What an operator can ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueRequest {
    /// It finishes the jobs in hand, begins no other, and claims nothing more.
    Pause {
        /// Why, in a short phrase; may be empty.
        why: String,
        /// For so long; `None`: until it is asked to go on.
        lasts: Option<Span>,
    },
    /// It goes on after a pause.
    GoOn,
    /// A claim is given up: its page waits again, with the results that are there.
    Return {
        /// The claim's name.
        claim: String,
    },
    /// Jobs that were set aside are tried again.
    Retry {
        /// Of this claim.
        claim: String,
        /// These; none: all of them.
        jobs: Ranges,
    },
}

impl QueueRequest {
    /// Writes it into what is asked of the worker, but for the serial. A claim is returned in the source, not here.
    pub fn write(&self, control: &mut WorkerControl, by: &str, now: Timestamp) {
        match self {
            Self::Pause { why, lasts } => {
                let (by, why, until) = (by.to_owned(), why.clone(), lasts.map(|lasts| now + lasts));
                control.operator = Some(WorkerOrder { stop: Stop::Working, by, why, at: now, until });
            }
            Self::GoOn => control.operator = None,
            Self::Return { .. } => {}
            Self::Retry { claim, jobs } => control.retry = Some(Retry { claim: claim.clone(), jobs: jobs.clone() }),
        }
    }
}

/// As the log has it: `worker paused for 2 h: backup`.
impl fmt::Display for QueueRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pause { why, lasts } => {
                f.write_str("worker paused")?;
                lasts.map_or(Ok(()), |lasts| write!(f, " for {}", duration(lasts)))?;
                if why.is_empty() { Ok(()) } else { write!(f, ": {why}") }
            }
            Self::GoOn => f.write_str("worker goes on"),
            Self::Return { claim } => write!(f, "claim {claim} returned"),
            Self::Retry { claim, jobs } => match jobs.as_slice() {
                [] => write!(f, "all jobs of {claim} that were set aside are tried again"),
                [(one, same)] if one == same => write!(f, "job {one} of {claim} is tried again"),
                _ => write!(f, "{} jobs of {claim} are tried again", jobs.len()),
            },
        }
    }
}

impl WorkerOrder {
    /// Whether it holds at an instant.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl WorkerControl {
    /// The orders that hold at an instant, an operator's first.
    pub fn orders(&self, now: Timestamp) -> impl Iterator<Item = &WorkerOrder> {
        [&self.operator, &self.engine].into_iter().flatten().filter(move |order| order.holds(now))
    }

    /// Whether the worker may claim a page.
    pub fn may_claim(&self, now: Timestamp) -> bool {
        self.orders(now).next().is_none()
    }

    /// Whether the worker may begin a job.
    pub fn may_work(&self, now: Timestamp) -> bool {
        self.orders(now).all(|order| order.stop != Stop::Working)
    }
}

/// An instant that may be missing, in JSON as the event contract has it: for serde's `with`.
mod maybe_rfc3339 {
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::{Serialize, Serializer};

    use super::{Timestamp, rfc3339};

    #[derive(serde::Serialize, serde::Deserialize)]
    #[serde(transparent)]
    struct Instant(#[serde(with = "rfc3339")] Timestamp);

    pub fn serialize<S: Serializer>(at: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
        at.map(Instant).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<Instant>::deserialize(from)?.map(|Instant(at)| at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::Span;

    const NOW: Timestamp = Timestamp::from_secs(1_241_613_600);

    fn order(stop: Stop, until: Option<Timestamp>) -> Option<WorkerOrder> {
        Some(WorkerOrder { stop, by: "root".to_owned(), why: String::new(), at: NOW, until })
    }

    #[test]
    fn an_order_holds_until_its_end() {
        let until = NOW + Span::from_mins(5);
        let control = WorkerControl { engine: order(Stop::Claiming, Some(until)), ..WorkerControl::default() };
        assert!(!control.may_claim(NOW) && control.may_work(NOW));
        assert!(control.may_claim(until), "an engine that died keeps no worker idle");
        let control = WorkerControl { operator: order(Stop::Working, None), ..WorkerControl::default() };
        assert!(!control.may_claim(until) && !control.may_work(until));
    }

    #[test]
    fn a_pause_says_who_why_and_until_when() {
        let mut control = WorkerControl::default();
        let lasts = Some(Span::from_hours(2));
        QueueRequest::Pause { why: "backup".to_owned(), lasts }.write(&mut control, "root", NOW);
        let order = control.operator.clone().expect("an order");
        assert_eq!((&*order.by, &*order.why, order.at), ("root", "backup", NOW));
        assert_eq!((order.stop, order.until), (Stop::Working, Some(NOW + Span::from_hours(2))));
        QueueRequest::GoOn.write(&mut control, "root", NOW);
        assert_eq!(control, WorkerControl::default());
    }

    #[test]
    fn it_is_plain_json() {
        let control =
            WorkerControl { serial: 3, operator: order(Stop::Working, Some(NOW)), ..WorkerControl::default() };
        let json = serde_json::to_string(&control).expect("JSON");
        let order = r#"{"stop":"working","by":"root","why":"","at":"2009-05-06T12:40:00.000Z","until":"2009-05-06T12:40:00.000Z"}"#;
        assert_eq!(json, format!(r#"{{"serial":3,"operator":{order}}}"#));
        assert_eq!(serde_json::from_str::<WorkerControl>(&json).expect("a control"), control);
        assert_eq!(serde_json::from_str::<WorkerControl>("{}").expect("a control"), WorkerControl::default());
    }
}
