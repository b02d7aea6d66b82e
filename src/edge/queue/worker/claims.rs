//! Which claims the worker has: its own from before, those it makes, those it loses.

use std::sync::Arc;

use tokio::time::Instant;

use super::active::ActiveClaim;
use super::event::WorkHappened;
use super::patience::{Patience, WorkStep};
use super::{LOOK_EVERY, QueueWorker, Turn, WorkerEnd};
use crate::core::queue::{Held, Retry, WorkerControl};
use crate::edge::queue::{Delivery, Trouble};

impl QueueWorker {
    /// Goes on with its own claims, then claims another page.
    pub(super) async fn next_claim(&mut self) -> Turn<bool> {
        if self.ending.is_some() {
            return Err(WorkerEnd::InOrder);
        }
        if let Some(held) = self.held.pop_front() {
            self.go_on_with(Arc::unwrap_or_clone(held));
            return Ok(true);
        }
        if self.patience.waits(Instant::now()) || Instant::now() < self.poll_at {
            return Ok(false);
        }
        self.read_control().await;
        self.obey();
        // An engine that saw "claims nothing more" must see first that this is over.
        if !self.may_claim() || self.pulse.borrow().reported < self.must_report {
            return Ok(false);
        }
        if !self.settle().await || !self.held.is_empty() {
            return Ok(!self.held.is_empty());
        }
        let claimed = self.store.claim().await;
        self.say_refused();
        self.publish(None);
        match claimed {
            Ok(Some(held)) => {
                self.succeeded(WorkStep::Claim);
                self.go_on_with(held);
                Ok(true)
            }
            Ok(None) => {
                self.succeeded(WorkStep::Claim);
                self.found_nothing()
            }
            Err(Trouble::Unreachable(why) | Trouble::Refused(why)) => {
                self.failed(WorkStep::Claim, why);
                Ok(false)
            }
        }
    }

    fn found_nothing(&mut self) -> Turn<bool> {
        let is_in_doubt = self.store.doubtful() > 0;
        if !self.is_idle {
            self.is_idle = true;
            self.happened(WorkHappened::Idle);
        }
        if self.settings.once && !is_in_doubt {
            return Err(WorkerEnd::InOrder);
        }
        let interval = self.settings.interval.to_std();
        self.poll_at = Instant::now() + if is_in_doubt { LOOK_EVERY.min(interval) } else { interval };
        Ok(false)
    }

    /// Looks at what is in doubt. False: it could not.
    pub(super) async fn settle(&mut self) -> bool {
        let found = self.store.settle_doubtful().await;
        let is_settled = match found {
            Ok(found) => {
                self.held.extend(found.into_iter().map(Arc::new));
                true
            }
            Err(Trouble::Unreachable(why) | Trouble::Refused(why)) => {
                self.failed(WorkStep::Claim, why);
                false
            }
        };
        self.publish(None);
        is_settled
    }

    fn go_on_with(&mut self, held: Held) {
        let active = ActiveClaim::new(held, self.settings.queue.attempts);
        let (claim, page) = (active.name().to_owned(), active.page_name());
        let status = &active.work.held().claim.status;
        let (done, failed, total) = (status.done.len(), status.failed.len(), active.work.held().page.count());
        let is_new = done + failed == 0 && status.attempts.is_empty();
        let what = if is_new {
            WorkHappened::Claimed { claim, page, jobs: total, big: status.big }
        } else {
            WorkHappened::Continued { claim, page, done, failed, left: active.work.left() }
        };
        self.active = Some(active);
        self.is_idle = false;
        self.happened(what);
        self.publish(None);
    }

    /// A claim is no longer this worker's.
    pub(super) fn lose(&mut self, name: &str, why: String) {
        let page = match self.active.take_if(|active| active.name() == name) {
            Some(active) => active.page_name(),
            None => {
                let Some(at) = self.held.iter().position(|held| held.claim.name == name) else { return };
                self.held.remove(at).map(|held| held.claim.status.page.clone()).unwrap_or_default()
            }
        };
        // Whatever failed, failed because of that.
        self.patience = Patience::default();
        self.happened(WorkHappened::Lost { claim: name.to_owned(), page, why });
        // It may have been taken over by a later start: the next report tells.
        self.report_first();
        self.publish(None);
    }

    pub(super) async fn try_again(&mut self, retry: Retry) {
        let tried = match &mut self.active {
            Some(active) if active.name() == retry.claim => {
                let mut held = active.work.held().clone();
                let tried = self.store.try_again(&mut held, &retry.jobs).await;
                if tried == Delivery::Done {
                    let failed = &held.claim.status.failed;
                    let mut again = active.work.set_aside_of(&retry.jobs);
                    again.retain(|job| !failed.contains(*job));
                    again.iter().for_each(|job| active.work.reopened(*job));
                    let (page, jobs) = (active.page_name(), again.len() as u32);
                    self.happened(WorkHappened::Retried { page, jobs });
                }
                tried
            }
            _ => match self.held.iter_mut().find(|held| held.claim.name == retry.claim) {
                Some(held) => self.store.try_again(Arc::make_mut(held), &retry.jobs).await,
                // That claim has ended meanwhile.
                None => Delivery::Done,
            },
        };
        if tried != Delivery::Done {
            return self.judge(WorkStep::Retry, tried);
        }
        // Once: a job that is set aside again stays so.
        let done = |control: &mut WorkerControl| {
            control.retry.take_if(|other| *other == retry);
        };
        match self.store.ask(&self.settings.vm, &done).await {
            Ok(control) => {
                self.succeeded(WorkStep::Retry);
                self.control = control;
            }
            Err(Trouble::Unreachable(why) | Trouble::Refused(why)) => self.failed(WorkStep::Retry, why),
        }
    }
}
