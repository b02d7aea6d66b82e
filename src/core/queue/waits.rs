//! Why a page waits: the question that is asked most often of a queue.
//!
//! The answer follows from the page and from every worker that could take it. A wrong reason is worse than none, so a reason
//! names only what the source shows.

use serde::{Deserialize, Serialize};

use super::{Claim, OpenPage, QueueLook, WorkerControl, WorkerOrder, WorkerState, WorkerStatus};
use crate::core::cluster::Timestamp;
use crate::core::format::{counted, duration, one_line};

/// So many workers with one reason are named, more are counted.
const NAMED: usize = 2;
/// Characters of a reason.
const LONGEST: usize = 400;

/// What keeps a page waiting. In the order of hope: of several workers the most hopeful one says when the page is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// A worker is free and takes it, or an older page, at its next poll.
    Next,
    /// A worker is being told that it may claim again, or does not know yet whether it has claimed a page.
    Settling,
    /// A worker works on another page.
    Busy,
    /// The engine prepares a move of the VM.
    Moving,
    /// An operator paused the worker.
    Paused,
    /// Something keeps the worker from working.
    Trouble,
    /// The worker gives no sign of life.
    Silent,
    /// The worker has ended.
    Ended,
    /// No worker has ever run in the VM.
    NeverRan,
    /// No VM works this queue.
    NoWorker,
    /// The queue is set to another page.
    OtherPage,
    /// It is no page, or beyond a limit.
    Refused,
}

/// Why a page waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waits {
    /// In a word.
    pub why: WaitReason,
    /// In a sentence without a full stop.
    pub text: String,
}

/// A VM that could take a page, as its source shows it.
#[derive(Debug, Clone, Copy)]
pub struct PageTaker<'a> {
    /// The VM.
    pub vm: &'a str,
    /// Its worker; `None`: none has ever run.
    pub worker: Option<&'a WorkerStatus>,
    /// What is asked of it; `None`: nothing ever was.
    pub control: Option<&'a WorkerControl>,
    /// How many claims it has, and the one in work.
    pub claims: (usize, Option<&'a Claim>),
}

/// What all pages of a queue have in common.
#[derive(Debug, Clone, Copy)]
pub struct WaitingRoom<'a> {
    /// Only the page of this name is worked; `None`: every page.
    pub only: Option<&'a str>,
    /// Pages that are not worked, with the reasons.
    pub refused: &'a [(String, String)],
    /// The VMs that work the queue.
    pub takers: &'a [PageTaker<'a>],
    /// When.
    pub now: Timestamp,
}

impl QueueLook {
    /// Why each page of this look waits, if only this VM can take it, in the order of the pages. `only`: as in the queue.
    pub fn why_waits(&self, vm: &str, only: Option<&str>, now: Timestamp) -> Vec<Waits> {
        let worker = self.worker.as_ref();
        let taker =
            PageTaker { vm, worker, control: Some(&self.control), claims: (self.claims.len(), self.claims.first()) };
        let refused: &[_] = worker.map_or(&[], |worker| &worker.refused);
        WaitingRoom { only, refused, takers: &[taker], now }.waits(&self.open)
    }
}

impl WaitingRoom<'_> {
    /// Why each of these pages waits. They are in the order in which they are taken.
    pub fn waits(&self, pages: &[OpenPage]) -> Vec<Waits> {
        let mut before = 0;
        let mut wait = |page| {
            let waits = self.why(page, before);
            // A page that nobody takes keeps no other one waiting.
            before += usize::from(!matches!(waits.why, WaitReason::Refused | WaitReason::OtherPage));
            waits
        };
        pages.iter().map(&mut wait).collect()
    }

    /// Why a page waits, with so many older ones before it.
    fn why(&self, page: &OpenPage, before: usize) -> Waits {
        let is_page = |(name, _): &&(String, String)| *name == page.name;
        let (why, text) = if let Some((_, reason)) = self.refused.iter().find(is_page) {
            (WaitReason::Refused, reason.clone())
        } else if let Some(only) = self.only.filter(|only| *only != page.name) {
            (WaitReason::OtherPage, format!("the config has this queue work only the page {only}"))
        } else {
            self.hindered(before)
        };
        Waits { why, text: one_line(&text, LONGEST) }
    }

    /// What keeps the workers from taking a page.
    fn hindered(&self, before: usize) -> (WaitReason, String) {
        let mut reasons: Vec<_> = self.takers.iter().map(|taker| taker.hindrance(self.now)).collect();
        reasons.sort_by_key(|(why, _)| *why);
        let Some(first) = reasons.first().map(|(why, _)| *why) else {
            return (WaitReason::NoWorker, "no VM works this queue".to_owned());
        };
        let mut parts = Vec::new();
        for alike in reasons.chunk_by(|(one, _), (other, _)| one == other) {
            // A free worker takes it, whatever the others do.
            if first == WaitReason::Next && !parts.is_empty() {
                break;
            }
            match alike.first() {
                Some((why, ..)) if alike.len() > NAMED => parts.push(many(*why, alike.len())),
                _ => parts.extend(alike.iter().map(|(_, text)| text.clone())),
            }
        }
        if before > 0 && first <= WaitReason::Busy {
            let come = if before == 1 { "comes" } else { "come" };
            parts.push(format!("{} {come} first", counted(before as u64, "older page", "older pages")));
        }
        (first, parts.join("; "))
    }
}

/// Several workers with one reason.
fn many(why: WaitReason, workers: usize) -> String {
    let does = match why {
        WaitReason::Next => "are free and take the oldest page at their next poll",
        WaitReason::Settling => "are about to claim",
        WaitReason::Busy => "work on other pages",
        WaitReason::Moving => "claim nothing, as their VMs are to move",
        WaitReason::Paused => "are paused",
        WaitReason::Trouble => "cannot work",
        WaitReason::Silent => "give no sign of life",
        WaitReason::Ended => "have ended",
        _ => "have never run",
    };
    format!("{workers} workers {does}")
}

impl PageTaker<'_> {
    /// What keeps this worker from taking a page.
    fn hindrance(&self, now: Timestamp) -> (WaitReason, String) {
        let vm = self.vm;
        let Some(worker) = self.worker else {
            return (WaitReason::NeverRan, format!("no worker has ever run in {vm}"));
        };
        let holds = |order: &Option<WorkerOrder>| order.clone().filter(|order| order.holds(now));
        // Before a move the worker stops, and in a cold one it stands still.
        if let Some(order) = self.control.and_then(|control| holds(&control.engine)) {
            return (WaitReason::Moving, with_why(format!("{vm} claims nothing, as it is to move"), &order.why));
        }
        let silent = duration(now.since(worker.beat));
        if worker.state == WorkerState::Ended {
            return (WaitReason::Ended, format!("the worker of {vm} ended {silent} ago"));
        }
        if worker.is_silent(now) {
            return (WaitReason::Silent, format!("the worker of {vm} has given no sign of life for {silent}"));
        }
        if let Some(order) = self.control.and_then(|control| holds(&control.operator)) {
            let until = match order.until {
                Some(until) => format!("for {} more", duration(until.since(now))),
                None => "until it is told to go on".to_owned(),
            };
            return (WaitReason::Paused, with_why(format!("{vm} is paused by {} {until}", order.by), &order.why));
        }
        if let Some(trouble) = &worker.trouble {
            return (WaitReason::Trouble, format!("{vm} cannot work: {trouble}"));
        }
        match self.claims {
            (claims, Some(Claim { status, .. })) => {
                let done = format!("{} of {} jobs done", status.done.len(), status.total());
                let more = if claims > 1 { format!(", and has {} more", claims - 1) } else { String::new() };
                (WaitReason::Busy, format!("{vm} works on {} ({done}){more}", status.page))
            }
            _ if worker.unknown > 0 => {
                (WaitReason::Settling, format!("{vm} does not know yet whether it has claimed a page"))
            }
            _ if !worker.claims => (WaitReason::Settling, format!("{vm} has not heard yet that it may claim")),
            _ => (WaitReason::Next, format!("{vm} is free and takes the oldest page at its next poll")),
        }
    }
}

fn with_why(text: String, why: &str) -> String {
    if why.is_empty() { text } else { format!("{text}: {why}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::Span;
    use crate::core::queue::{ClaimStatus, Ranges, Stop, WorkerOrder};

    const NOW: Timestamp = Timestamp::from_secs(1_241_613_600);

    fn page(name: &str) -> OpenPage {
        OpenPage { name: name.to_owned(), since: None, bytes: 0, grades: None, returned: false }
    }

    fn idle(vm: &str) -> WorkerStatus {
        WorkerStatus { vm: vm.to_owned(), beat: NOW, claims: true, ..WorkerStatus::default() }
    }

    fn busy() -> Claim {
        let status = ClaimStatus {
            page: "render-6".to_owned(),
            grades: vec![("grade b".to_owned(), 10)],
            done: [1, 2, 3].into_iter().collect::<Ranges>(),
            ..ClaimStatus::default()
        };
        Claim { name: "nii4.0123456789ab.1".to_owned(), status, trouble: None }
    }

    fn order(by: &str, why: &str, until: Option<Timestamp>) -> Option<WorkerOrder> {
        Some(WorkerOrder { stop: Stop::Working, by: by.to_owned(), why: why.to_owned(), at: NOW, until })
    }

    /// Why one page waits, with this look at its VM's worker.
    fn why(look: QueueLook) -> (WaitReason, String) {
        let look = QueueLook { open: vec![page("p")], ..look };
        let waits = look.why_waits("nii4", None, NOW).remove(0);
        (waits.why, waits.text)
    }

    #[test]
    fn what_keeps_one_worker_from_taking_a_page_is_told() {
        let with = |worker: WorkerStatus| QueueLook { worker: Some(worker), ..QueueLook::default() };
        let control = |control| QueueLook { control, ..with(idle("nii4")) };
        let past = NOW - Span::from_mins(12);
        for (look, reason, text) in [
            (QueueLook::default(), WaitReason::NeverRan, "no worker has ever run in nii4"),
            (
                with(WorkerStatus { beat: past, ..idle("nii4") }),
                WaitReason::Silent,
                "the worker of nii4 has given no sign of life for 12 min",
            ),
            (
                with(WorkerStatus { state: WorkerState::Ended, beat: past, ..idle("nii4") }),
                WaitReason::Ended,
                "the worker of nii4 ended 12 min ago",
            ),
            (
                control(WorkerControl {
                    operator: order("root", "the disk is full", Some(NOW + Span::from_hours(2))),
                    engine: order("engine", "going home", Some(past)),
                    ..WorkerControl::default()
                }),
                WaitReason::Paused,
                "nii4 is paused by root for 2 h more: the disk is full",
            ),
            (
                control(WorkerControl { operator: order("root", "", None), ..WorkerControl::default() }),
                WaitReason::Paused,
                "nii4 is paused by root until it is told to go on",
            ),
            (
                control(WorkerControl {
                    operator: order("root", "long ago", Some(past)),
                    engine: order("engine", "going home", None),
                    ..WorkerControl::default()
                }),
                WaitReason::Moving,
                "nii4 claims nothing, as it is to move: going home",
            ),
            (
                with(WorkerStatus { trouble: Some("no room on the disk".to_owned()), ..idle("nii4") }),
                WaitReason::Trouble,
                "nii4 cannot work: no room on the disk",
            ),
            (
                QueueLook { claims: vec![busy(), busy()], ..with(idle("nii4")) },
                WaitReason::Busy,
                "nii4 works on render-6 (3 of 10 jobs done), and has 1 more",
            ),
            (
                with(WorkerStatus { unknown: 1, ..idle("nii4") }),
                WaitReason::Settling,
                "nii4 does not know yet whether it has claimed a page",
            ),
            (
                with(WorkerStatus { claims: false, ..idle("nii4") }),
                WaitReason::Settling,
                "nii4 has not heard yet that it may claim",
            ),
            (with(idle("nii4")), WaitReason::Next, "nii4 is free and takes the oldest page at its next poll"),
        ] {
            assert_eq!(why(look), (reason, text.to_owned()));
        }
    }

    #[test]
    fn a_page_that_is_not_worked_keeps_no_other_waiting() {
        let refused = vec![("b".to_owned(), "the page is no text".to_owned())];
        let worker = WorkerStatus { refused, ..idle("nii4") };
        let look = QueueLook {
            open: ["a", "b", "c", "d"].map(page).into(),
            claims: vec![busy()],
            worker: Some(worker),
            ..QueueLook::default()
        };
        let texts = |only| look.why_waits("nii4", only, NOW).into_iter().map(|waits| waits.text).collect::<Vec<_>>();
        let busy = "nii4 works on render-6 (3 of 10 jobs done)";
        assert_eq!(
            texts(None),
            [
                busy,
                "the page is no text",
                &format!("{busy}; 1 older page comes first"),
                &format!("{busy}; 2 older pages come first"),
            ]
        );
        let other = "the config has this queue work only the page c";
        assert_eq!(texts(Some("c")), [other, "the page is no text", busy, other]);
    }

    #[test]
    fn of_several_workers_the_most_hopeful_says_when() {
        let (free, silent) = (idle("a"), WorkerStatus { beat: NOW - Span::from_hours(1), ..idle("s") });
        let taker = |vm, worker| PageTaker { vm, worker, control: None, claims: (0, None) };
        let claim = busy();
        let working = |vm| PageTaker { claims: (1, Some(&claim)), ..taker(vm, Some(&free)) };
        let why = |takers: &[PageTaker<'_>]| {
            let room = WaitingRoom { only: None, refused: &[], takers, now: NOW };
            let waits = room.waits(&[page("p")]).remove(0);
            (waits.why, waits.text)
        };
        let told = |why, text: &str| (why, text.to_owned());
        assert_eq!(why(&[]), told(WaitReason::NoWorker, "no VM works this queue"));
        assert_eq!(
            why(&[taker("s", Some(&silent)), taker("a", Some(&free))]),
            told(WaitReason::Next, "a is free and takes the oldest page at its next poll")
        );
        assert_eq!(
            why(&[taker("s", Some(&silent)), taker("n", None), working("b")]),
            told(
                WaitReason::Busy,
                "b works on render-6 (3 of 10 jobs done); the worker of s has given no sign of life for 60 min; \
                 no worker has ever run in n"
            )
        );
        assert_eq!(
            why(&[working("a"), working("b"), working("c"), taker("n", None)]),
            told(WaitReason::Busy, "3 workers work on other pages; no worker has ever run in n")
        );
    }
}
