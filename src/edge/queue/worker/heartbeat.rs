//! The worker's sign of life, on a task of its own: reports, and renews the claims, whatever the loop waits for.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::now;
use crate::core::cluster::Span;
use crate::core::queue::{BEAT_EVERY, Held, WorkerStatus};
use crate::edge::queue::{Delivery, QueueStore};
use crate::edge::supervisor::fault;

/// Claims are renewed, and looked at, at least this often.
const RENEW_EVERY: Span = Span::from_secs(5);
/// After a report that failed, the next one comes at least this soon.
const AGAIN: Duration = Duration::from_secs(2);

/// What the loop wants to be reported and renewed.
#[derive(Debug, Clone)]
pub(super) struct Beat {
    /// Grows with each change that must be reported at once.
    pub version: u64,
    pub worker: WorkerStatus,
    pub held: Vec<Arc<Held>>,
}

/// What the heartbeat has found. Each field is what is known so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pulse {
    /// The newest version that is reported.
    pub reported: u64,
    /// Claims that are lost, with the reasons.
    pub lost: Vec<(String, String)>,
    /// Why the newest report failed, if it did.
    pub trouble: Option<String>,
    /// A later start of the VM's worker has taken over.
    pub taken_over: Option<String>,
}

/// Reports each new version at once and all others as often as a sign of life is due, and renews the claims at least three times
/// a lease. Ends when the loop is gone.
pub(super) async fn beat(
    store: Arc<QueueStore>,
    mut beats: watch::Receiver<Beat>,
    pulse: watch::Sender<Pulse>,
    lease: Span,
) {
    let renew_every = RENEW_EVERY.min(lease.scaled(1, 3)).to_std();
    let report_every = BEAT_EVERY.to_std();
    let mut told = 0;
    let (mut renew_at, mut report_at) = (Instant::now() + renew_every, Instant::now() + report_every);
    loop {
        fault("heartbeat");
        let wake = report_at.min(renew_at);
        tokio::select! {
            changed = beats.changed() => if changed.is_err() { return },
            () = sleep_until(wake) => {}
        }
        if Instant::now() >= renew_at {
            // First: a claim that is not renewed in time is another's.
            renew_at = Instant::now() + renew_every;
            let held = beats.borrow().held.clone();
            for held in held {
                if let Delivery::Lost(why) = store.renew(&held).await {
                    let name = held.claim.name.clone();
                    pulse.send_if_modified(|pulse| {
                        let is_new = pulse.lost.iter().all(|(lost, _)| *lost != name);
                        if is_new {
                            pulse.lost.push((name, why));
                        }
                        is_new
                    });
                }
            }
        }
        let beat = beats.borrow_and_update().clone();
        if Instant::now() < report_at && beat.version == told {
            continue;
        }
        told = beat.version;
        let worker = WorkerStatus { beat: now(), ..beat.worker };
        let pause = match store.report(&worker).await {
            Delivery::Done => {
                pulse.send_modify(|pulse| (pulse.reported, pulse.trouble) = (beat.version, None));
                report_every
            }
            Delivery::Lost(why) => {
                pulse.send_modify(|pulse| pulse.taken_over = Some(why));
                report_every
            }
            Delivery::Unknown(why) => {
                pulse.send_modify(|pulse| pulse.trouble = Some(why));
                AGAIN
            }
        };
        report_at = Instant::now() + pause;
    }
}
