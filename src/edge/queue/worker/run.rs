//! The worker's loop: what is asked, what is claimed, what is begun, what is delivered, the end.
//!
//! The loop owns all of it. Tries, deliveries and the heartbeat are tasks of their own, so that none of them waits for another.
//! The loop may be dropped at any instant, as if the process were killed: then what it had in hand is tried again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::active::{ActiveClaim, Collected};
use super::event::WorkHappened;
use super::heartbeat::{Pulse, beat};
use super::patience::WorkStep;
use super::{LOOK_EVERY, QueueWorker, Turn, WorkerEnd, now};
use crate::core::format::counted;
use crate::core::queue::WorkerState;
use crate::edge::queue::{Delivery, Trouble};
use crate::edge::supervisor::{REPORT_IT, panic_message};

/// How long a worker that was told to end tries to deliver what it has.
const LAST_DELIVERIES: Duration = Duration::from_secs(60);
/// How long each of its last words may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl QueueWorker {
    /// Works until it ends. `told` counts how often it was told to end: once, it finishes the jobs in hand; twice, it breaks them
    /// off.
    pub async fn run(mut self, told: watch::Receiver<u32>) -> WorkerEnd {
        let end = tokio::select! {
            end = self.work(told.clone()) => end,
            () = told_twice(told) => WorkerEnd::AtOnce,
        };
        let why = match &end {
            WorkerEnd::InOrder => "in order".to_owned(),
            WorkerEnd::AtOnce => {
                self.break_off().await;
                "at once".to_owned()
            }
            WorkerEnd::TakenOver(why)
            | WorkerEnd::Unusable(why)
            | WorkerEnd::Undelivered(why)
            | WorkerEnd::Fault(why) => why.clone(),
        };
        self.active = None;
        if self.heart.is_some() && !matches!(end, WorkerEnd::TakenOver(_)) {
            self.report_the_end().await;
        }
        self.happened(WorkHappened::Ended { why });
        end
    }

    async fn work(&mut self, mut told: watch::Receiver<u32>) -> WorkerEnd {
        if let Err(end) = self.begin(&mut told).await {
            return end;
        }
        loop {
            if *told.borrow_and_update() > 0 && self.ending.is_none() {
                self.ending = Some(Instant::now());
                let active = self.active.as_ref();
                let (page, jobs) = active.map(|active| (active.page_name(), active.running())).unwrap_or_default();
                self.happened(WorkHappened::Ending { page, jobs });
            }
            let turn = match self.turn().await {
                Ok(true) => Ok(()),
                Ok(false) => self.wait(&mut told).await,
                Err(end) => Err(end),
            };
            if let Err(end) = turn {
                return end;
            }
        }
    }

    // ---- the start

    async fn begin(&mut self, told: &mut watch::Receiver<u32>) -> Turn {
        let (held, rates) = loop {
            let begun = async {
                let warnings = self.store.probe().await?;
                Ok((warnings, self.store.begin(&self.settings.vm, &self.instance).await?))
            };
            match begun.await {
                Ok((warnings, begun)) => {
                    self.succeeded(WorkStep::Begin);
                    warnings.into_iter().for_each(|text| self.happened(WorkHappened::Warning { text }));
                    break begun;
                }
                Err(Trouble::Refused(why)) => return Err(WorkerEnd::Unusable(why)),
                Err(Trouble::Unreachable(why)) => self.failed(WorkStep::Begin, why),
            }
            let until = self.patience.until().unwrap_or_else(Instant::now);
            tokio::select! {
                () = sleep_until(until) => {}
                () = told_once(told) => return Err(WorkerEnd::InOrder),
            }
        };
        self.rates = rates;
        self.held = held.into_iter().map(Arc::new).collect();
        self.beats.send_modify(|beat| beat.worker.started = now());
        let (pulse, read) = watch::channel(Pulse::default());
        self.pulse = read;
        self.heart =
            Some(tokio::spawn(beat(self.store.clone(), self.beats.subscribe(), pulse, self.settings.queue.lease)));
        self.read_control().await;
        let (vm, queue) = (self.settings.vm.clone(), self.settings.queue.name.to_string());
        let (instance, site) = (self.instance.clone(), self.site().to_owned());
        self.happened(WorkHappened::Ready { vm, queue, instance, site });
        Ok(())
    }

    // ---- the loop

    /// Does what can be done now. True: there is more to do at once.
    async fn turn(&mut self) -> Turn<bool> {
        self.heed_pulse()?;
        if Instant::now() >= self.look_at && !self.patience.waits_for_source(Instant::now()) {
            self.read_control().await;
            if self.store.doubtful() > 0 {
                self.settle().await;
            }
        }
        self.obey();
        if self.active.is_some() { self.work_on().await } else { self.next_claim().await }
    }

    async fn wait(&mut self, told: &mut watch::Receiver<u32>) -> Turn {
        let place = self.place();
        let due = self.due();
        let something_ends = async {
            match &mut self.active {
                Some(active) => active.something_ends(&place).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            collected = something_ends => match collected {
                Ok(collected) => self.collected(collected),
                Err(error) => return Err(fault("a job", error)),
            },
            Ok(()) = self.pulse.changed() => {}
            () = told_once(told), if self.ending.is_none() => {}
            end = stopped(&mut self.heart) => return Err(end),
            () = sleep_until(due) => {}
        }
        Ok(())
    }

    /// When to look again although nothing has happened.
    fn due(&self) -> Instant {
        let looks = match self.patience.until() {
            Some(until) if self.patience.waits_for_source(Instant::now()) => self.look_at.max(until),
            _ => self.look_at,
        };
        let tries = self.patience.until().into_iter();
        let polls = Some(self.poll_at).filter(|_| self.active.is_none());
        // What was due and is kept from being done comes with the next look.
        tries.chain(polls).filter(|at| *at > Instant::now()).fold(looks, Instant::min)
    }

    fn heed_pulse(&mut self) -> Turn {
        let pulse = self.pulse.borrow_and_update().clone();
        if let Some(why) = pulse.taken_over {
            return Err(WorkerEnd::TakenOver(why));
        }
        for (claim, why) in pulse.lost {
            self.lose(&claim, why);
        }
        match pulse.trouble {
            Some(why) => self.failed(WorkStep::Report, why),
            None => self.succeeded(WorkStep::Report),
        }
        Ok(())
    }

    /// Reads what is asked, and does what can be done at once.
    pub(super) async fn read_control(&mut self) {
        self.look_at = Instant::now() + LOOK_EVERY;
        match self.store.control(&self.settings.vm).await {
            Ok(control) => {
                self.succeeded(WorkStep::Control);
                self.control = control;
            }
            Err(Trouble::Unreachable(why) | Trouble::Refused(why)) => self.failed(WorkStep::Control, why),
        }
        if let Some(retry) = self.control.retry.clone() {
            self.try_again(retry).await;
        }
    }

    async fn work_on(&mut self) -> Turn<bool> {
        let (place, at, attempts) = (self.place(), Instant::now(), self.settings.queue.attempts);
        let may_begin = self.ending.is_none() && self.control.may_work(now());
        let Some(active) = &mut self.active else { return Ok(true) };
        let mut said = Vec::new();
        if may_begin {
            said = active.start(&place);
        } else {
            active.put_down();
        }
        let mut saved = None;
        if !self.patience.waits_for_source(at) {
            if may_begin && !self.patience.waits(at) {
                active.take(&place, attempts);
            }
            active.deliver(&self.store);
            if active.work.is_finished() && active.is_quiet() {
                return self.finish().await;
            }
            if active.must_save(self.saved_at) {
                self.saved_at = Instant::now();
                let delivery = self.store.save(active.work.to_save(now(), &place.site)).await;
                if delivery == Delivery::Done {
                    active.saved();
                    said.extend(active.start(&place));
                }
                saved = Some(delivery);
            }
        }
        let is_over = self.ending.is_some() && active.is_quiet() && !active.work.is_changed();
        let undelivered = active.undelivered();
        said.into_iter().for_each(|what| self.happened(what));
        if let Some(delivery) = saved {
            self.judge(WorkStep::Save, delivery);
        }
        match self.ending {
            Some(_) if is_over => Err(WorkerEnd::InOrder),
            Some(since)
                if since.elapsed() > LAST_DELIVERIES && self.patience.why().is_some() && self.runs_nothing() =>
            {
                let (results, why) =
                    (counted(undelivered as u32, "result", "results"), self.patience.why().unwrap_or_default());
                Err(WorkerEnd::Undelivered(format!("{results} could not be delivered, and are made again: {why}")))
            }
            _ => Ok(false),
        }
    }

    fn runs_nothing(&self) -> bool {
        self.active.as_ref().is_none_or(|active| active.running().is_empty())
    }

    async fn finish(&mut self) -> Turn<bool> {
        let site = self.site().to_owned();
        let Some(active) = &mut self.active else { return Ok(true) };
        match self.store.finish(active.work.to_save(now(), &site)).await {
            Delivery::Done => {
                let (claim, page) = (active.name().to_owned(), active.page_name());
                let status = &active.work.held().claim.status;
                let (done, failed) = (status.done.len(), status.failed.len());
                self.active = None;
                self.poll_at = Instant::now();
                self.succeeded(WorkStep::Finish);
                self.happened(WorkHappened::Finished { claim, page, done, failed });
                Ok(true)
            }
            other => {
                self.judge(WorkStep::Finish, other);
                Ok(false)
            }
        }
    }

    /// What tries and deliveries that have ended mean.
    fn collected(&mut self, collected: Collected) {
        let parallel = self.active.as_ref().map_or(1, ActiveClaim::parallel);
        for (grade, took, site) in collected.learned {
            self.rates.add(&site, &grade, took, parallel);
        }
        collected.said.into_iter().for_each(|what| self.happened(what));
        if collected.tried {
            self.succeeded(WorkStep::Job);
        }
        if let Some(why) = collected.not_begun {
            self.failed(WorkStep::Job, why);
        }
        if collected.delivered {
            self.succeeded(WorkStep::Deliver);
        }
        if let Some(why) = collected.undelivered {
            self.failed(WorkStep::Deliver, why);
        }
        if let Some(why) = collected.lost
            && let Some(name) = self.active.as_ref().map(|active| active.name().to_owned())
        {
            self.lose(&name, why);
        }
    }

    // ---- the end

    /// Breaks off what is in hand.
    async fn break_off(&mut self) {
        let site = self.site().to_owned();
        let Some(active) = &mut self.active else { return };
        let page = active.page_name();
        let jobs = active.break_off();
        // If this fails, they have used up a try.
        let _ = timeout(LAST_WORDS, self.store.save(active.work.to_save(now(), &site))).await;
        jobs.into_iter().for_each(|job| self.happened(WorkHappened::Returned { page: page.clone(), job }));
    }

    async fn report_the_end(&mut self) {
        self.publish(Some(WorkerState::Ended));
        let last = self.beats.borrow().version;
        let reported = self.pulse.wait_for(|pulse| pulse.reported >= last || pulse.taken_over.is_some());
        // If this fails, its silence tells.
        let _ = timeout(LAST_WORDS, reported).await;
        if let Some(heart) = self.heart.take() {
            heart.abort();
        }
    }
}

async fn told_once(told: &mut watch::Receiver<u32>) {
    // Without anybody who could tell, it is never told.
    if told.wait_for(|times| *times > 0).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn told_twice(mut told: watch::Receiver<u32>) {
    if told.wait_for(|times| *times > 1).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The end of a heart that has stopped.
async fn stopped(heart: &mut Option<JoinHandle<()>>) -> WorkerEnd {
    match heart {
        Some(heart) => match heart.await {
            Ok(()) => WorkerEnd::Fault(format!("the worker's heartbeat has ended; {REPORT_IT}")),
            Err(error) => fault("the worker's heartbeat", error),
        },
        None => std::future::pending().await,
    }
}

fn fault(what: &str, error: tokio::task::JoinError) -> WorkerEnd {
    let why = error.try_into_panic().map_or_else(|error| error.to_string(), |panic| panic_message(&*panic));
    WorkerEnd::Fault(format!("{what} failed: {why}; {REPORT_IT}"))
}
