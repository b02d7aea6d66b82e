//! What the worker says: to whoever reads its output, and in its report.

use std::sync::Arc;

use tokio::time::Instant;

use super::active::Workplace;
use super::event::{WorkEvent, WorkHappened};
use super::heartbeat::Beat;
use super::patience::WorkStep;
use super::{LOOK_EVERY, QueueWorker, now};
use crate::core::queue::{Held, Rates, Stop, WorkerOrder, WorkerState, WorkerStatus};
use crate::edge::queue::Delivery;

/// So many pages that are not worked are reported.
const MOST_REFUSED: usize = 20;

impl QueueWorker {
    /// Reports whether it may claim, and says who keeps it from working. Nothing is being claimed meanwhile, so that the report
    /// is true.
    pub(super) fn obey(&mut self) {
        let at = now();
        let order = self.control.orders(at).max_by_key(|order| order.stop == Stop::Working).cloned();
        // An order that is renewed is no other one.
        let said =
            |order: &Option<WorkerOrder>| order.as_ref().map(|order| (order.stop, order.by.clone(), order.why.clone()));
        if said(&order) != said(&self.order) {
            self.order.clone_from(&order);
            self.happened(order.map_or(WorkHappened::Resumed, |order| WorkHappened::Paused { order }));
        }
        self.publish(None);
    }

    pub(super) fn happened(&mut self, what: WorkHappened) {
        (self.say)(WorkEvent { at: now(), what });
    }

    pub(super) fn failed(&mut self, step: WorkStep, why: String) {
        if self.patience.failed(step, why.clone(), Instant::now()) {
            self.happened(WorkHappened::Trouble { why });
        }
    }

    pub(super) fn succeeded(&mut self, step: WorkStep) {
        if self.patience.succeeded(step) {
            self.happened(WorkHappened::Recovered);
        }
    }

    /// A step for the active claim was not done.
    pub(super) fn judge(&mut self, step: WorkStep, delivery: Delivery) {
        match delivery {
            Delivery::Done => self.succeeded(step),
            Delivery::Unknown(why) => self.failed(step, why),
            Delivery::Lost(why) => {
                let name = self.active.as_ref().map(|active| active.name().to_owned());
                name.into_iter().for_each(|name| self.lose(&name, why.clone()));
            }
        }
    }

    pub(super) fn say_refused(&mut self) {
        // In order.
        let refused = self.store.refused();
        for (page, why) in
            refused.iter().filter(|page| self.refused.binary_search(page).is_err()).cloned().collect::<Vec<_>>()
        {
            self.happened(WorkHappened::Refused { page, why });
        }
        self.refused = refused;
    }

    /// Hands the heartbeat what is to be reported, and has it reported at once if that matters to somebody.
    pub(super) fn publish(&mut self, state: Option<WorkerState>) {
        let (claims, is_last) = (self.may_claim() && state.is_none(), state.is_some());
        if claims && !self.beats.borrow().worker.claims {
            self.report_first();
        }
        let unknown = self.store.doubtful();
        if unknown > 0 && unknown != self.unknown {
            self.happened(WorkHappened::Unknown { claims: unknown });
        }
        self.unknown = unknown;
        let state = state.unwrap_or(match &self.active {
            _ if !self.control.may_work(now()) => WorkerState::Paused,
            Some(_) => WorkerState::Working,
            None => WorkerState::Idle,
        });
        let refused = self.refused.iter().take(MOST_REFUSED).cloned().collect();
        let held: Vec<Arc<Held>> = self.active.iter().map(|active| &active.handle).chain(&self.held).cloned().collect();
        let rates = (is_last || self.rates_at.elapsed() >= LOOK_EVERY).then(|| self.rates.clone());
        if rates.is_some() {
            self.rates_at = Instant::now();
        }
        let (started, beat) = (self.beats.borrow().worker.started, self.beats.borrow().worker.beat);
        let worker = WorkerStatus {
            vm: self.settings.vm.clone(),
            instance: self.instance.clone(),
            site: self.site().to_owned(),
            started,
            beat,
            state,
            obeys: self.control.serial,
            claims,
            unknown,
            refused,
            trouble: self.patience.why().map(str::to_owned),
            rates: Rates::default(),
        };
        let must_report = self.must_report;
        self.beats.send_if_modified(|beat| {
            let known = std::mem::take(&mut beat.worker.rates);
            let is_new = beat.worker != worker || beat.version < must_report;
            *beat = Beat {
                version: beat.version + u64::from(is_new),
                worker: WorkerStatus { rates: rates.unwrap_or(known), ..worker },
                held,
            };
            is_new
        });
    }

    /// Nothing is claimed before the next version is reported.
    pub(super) fn report_first(&mut self) {
        self.must_report = self.beats.borrow().version + 1;
    }

    pub(super) fn may_claim(&self) -> bool {
        self.ending.is_none() && self.control.may_claim(now())
    }

    pub(super) fn site(&self) -> &str {
        let told = self.settings.site.as_deref().or(self.control.site.as_deref());
        told.unwrap_or(&self.settings.home)
    }

    pub(super) fn place(&self) -> Workplace {
        let (site, vm) = (self.site().to_owned(), self.settings.vm.clone());
        let parallel = self.settings.queue.parallel.at(&site) as usize;
        Workplace { kind: self.kind.clone(), vm, site, parallel }
    }
}
