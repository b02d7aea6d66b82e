//! A VM of the site policy as screens and the why line have it: what is known of its queue and its two sites, and what follows.
//! All figures come from here.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Engine;
use super::leave::silence;
use super::memory::Leaving;
use crate::core::cluster::{ArrayId, HostId, Name, Span, Timestamp, VmId};
use crate::core::format::{counted, duration};
use crate::core::policy::{BreakEven, Decision, HomeAfter, Rule, SiteRule, Verdict};
use crate::core::queue::{Claim, Estimate, MoveGain, QueueLook, Stop, UnknownRate, Ways, WorkerOrder};

/// What is known of a VM of the site policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteView {
    /// Its policy.
    pub rule: SiteRule,
    /// The home site.
    pub home: Name,
    /// The site that it is sent to; `None`: it never moves.
    pub away: Option<Name>,
    /// The site where it is.
    pub here: Name,
    /// It is on its way to this site.
    pub moving: Option<Name>,
    /// It leaves for the other site as soon as its worker has stopped.
    pub leaving: Option<Leaving<Name>>,
    /// The newest look at its queue; `None`: there was none yet.
    pub look: Option<Arc<QueueLook>>,
    /// How long its moves take.
    pub ways: Ways,
    /// Empty polls in a row at the other site.
    pub empty_polls: u32,
    /// It has had nothing to do there since then.
    pub idle_since: Option<Timestamp>,
    /// The next poll, and the time from one to the next.
    pub next_poll: Timestamp,
    /// The time from one poll to the next.
    pub interval: Span,
}

impl Engine {
    /// What is known of a VM of the site policy; `None`: it has another policy.
    pub fn site(&self, vm: VmId) -> Option<SiteView> {
        let Rule::Site(rule) = self.settings(vm).rule else { return None };
        let (described, live) = (self.cluster.vm(vm), self.live(vm));
        let site = |array: ArrayId| self.cluster.sites[self.cluster.array(array).site.index()].name.clone();
        Some(SiteView {
            rule,
            home: site(described.array),
            away: described.away.map(site),
            here: self.cluster.site_of(live.host).name.clone(),
            moving: self.across(vm).map(|to| self.cluster.site_of(to).name.clone()),
            leaving: live
                .leaving
                .as_deref()
                .cloned()
                .and_then(|l| l.map(|host| Some(self.cluster.host(*host).name.clone()))),
            look: live.transient.queue.clone(),
            ways: live.trips.ways(live.transient.forecast),
            empty_polls: live.policy.low_count,
            idle_since: live.policy.idle_since,
            next_poll: live.readings.next,
            interval: described.interval,
        })
    }
}

impl Engine {
    /// Whether the worker of a VM gives a sign of life, as far as that was looked at.
    pub(super) fn worker_is_alive(&self, vm: VmId, now: Timestamp) -> Result<(), String> {
        let look = self.live(vm).transient.queue.as_deref();
        look.and_then(|look| silence(look, now)).map_or(Ok(()), Err)
    }

    /// Whether it is known if a move away pays, where it must.
    pub(super) fn is_pay_known(&self, vm: VmId, now: Timestamp) -> Result<(), String> {
        match self.site(vm) {
            Some(site) if site.rule.break_even == BreakEven::Require => {
                site.gain(now).map(drop).map_err(|why| format!("whether a move pays is unknown: {why}"))
            }
            _ => Ok(()),
        }
    }

    /// Why a site policy has decided, with its figures.
    pub(super) fn why_between_sites(&self, vm: VmId, verdict: Verdict) -> String {
        let Some(site) = self.site(vm) else { return String::new() };
        let at = site.look.as_ref().map_or(Timestamp::default(), |look| look.at);
        let Some(claim) = site.hand() else {
            let idle = site.idle_since.map_or(Span::ZERO, |since| at.since(since));
            return format!("{}, {} without work", site.polls(verdict.low_count), duration(idle));
        };
        let (jobs, total) = (big(claim), claim.status.total());
        match verdict.decision {
            Decision::MoveHome => {
                format!("{jobs} of {total}, under {}: the rest is worked at home", site.rule.threshold)
            }
            _ => format!("{jobs} of {total}, at or above {}; {}", site.rule.threshold, site.gain_in_words(at)),
        }
    }

    /// The host to which a VM is on its way, if that is in another array.
    pub(super) fn across(&self, vm: VmId) -> Option<HostId> {
        let route = self.migration(vm)?.route;
        (self.cluster.host(route.from).array != self.cluster.host(route.to).array).then_some(route.to)
    }
}

impl SiteView {
    /// Whether it is at the other site.
    pub fn is_away(&self) -> bool {
        self.here != self.home
    }

    /// The site for which it leaves as soon as its worker has stopped; `None`: it stays.
    pub fn leaves_for(&self) -> Option<&Name> {
        let home = self.leaving.as_ref()?.action == Decision::MoveHome;
        if home { Some(&self.home) } else { self.away.as_ref() }
    }

    /// The claim in work.
    pub fn hand(&self) -> Option<&Claim> {
        self.look.as_ref()?.hand()
    }

    /// How long what is left of the claim in work takes at a site, from `now` on; `None`: nothing is in hand.
    pub fn eta(&self, site: &str, now: Timestamp) -> Option<Result<Estimate, UnknownRate>> {
        self.look.as_ref()?.eta(site, now)
    }

    /// The figures of a move away with the claim in work.
    ///
    /// # Errors
    /// What is not known, in words.
    pub fn gain(&self, now: Timestamp) -> Result<MoveGain, String> {
        let away = self.away.as_ref().ok_or("it has no array at another site")?;
        let unknown = |rate: UnknownRate| rate.to_string();
        let work = self.eta(&self.home, now).ok_or("nothing is in hand")?.map_err(unknown)?.middle;
        let there = self.eta(away, now).ok_or("nothing is in hand")?.map_err(unknown)?.middle;
        let out = self.ways.out.ok_or_else(|| format!("how long the way to {away} takes is not known"))?;
        let back =
            self.ways.back.ok_or_else(|| format!("how long the way back to {} takes is not known", self.home))?;
        let faster = work.secs_f64() / there.secs_f64().max(0.001);
        Ok(MoveGain { work, faster, out, back })
    }

    /// Whether a move away pays, with its figures: `pays: saves 41 min, out and back take 25 min, margin 1.5`.
    pub fn gain_in_words(&self, now: Timestamp) -> String {
        let margin = self.rule.margin;
        match self.gain(now) {
            Err(why) => format!("whether a move pays is unknown: {why}"),
            Ok(gain) => {
                let verdict = if gain.pays(margin) { "a move pays" } else { "a move does not pay" };
                let saved = Span::from_secs_f64(gain.saved().max(0.0));
                let ways = duration(gain.out + gain.back);
                format!("{verdict}: it saves {}, out and back take {ways}, margin {margin}", duration(saved))
            }
        }
    }

    /// What happens next, in one sentence. `when` says an instant: `about 14:31`, `in 4 min`.
    pub fn next(&self, now: Timestamp, when: &dyn Fn(Timestamp) -> String) -> String {
        let Some(look) = &self.look else { return format!("its queue is read {}", when(self.next_poll)) };
        if let Some(to) = &self.moving {
            return format!("is on its way to {to}");
        }
        if let Some(leaving) = &self.leaving {
            return self.leaves(leaving, look, now);
        }
        let paused = look.control.operator.as_ref().filter(|order| order.holds(now));
        match paused {
            Some(order) => format!("{}; {}", in_words(order, when), self.next_unpaused(look, now, when)),
            None => self.next_unpaused(look, now, when),
        }
    }

    fn next_unpaused(&self, look: &QueueLook, now: Timestamp, when: &dyn Fn(Timestamp) -> String) -> String {
        let away = self.away.as_deref().unwrap_or("nowhere");
        let through = |site: &Name| match self.eta(site, now) {
            Some(Ok(left)) => format!("through {}", when(now + left.middle)),
            Some(Err(why)) => format!("through at a time that is unknown: {why}"),
            None => String::new(),
        };
        match (look.hand(), self.is_away()) {
            _ if !look.is_alive() => self.silence(look, when),
            _ if self.away.is_none() => {
                let until = if look.hand().is_some() { through(&self.here) + "; " } else { String::new() };
                format!("{until}it has no array at another site: it never moves")
            }
            (Some(claim), true) if self.rule.is_big(claim.status.big) => {
                format!("{}, then home after {}", through(&self.here), self.polls(self.rule.home_tarry))
            }
            (Some(_), true) => format!("goes home to {}, where the rest is worked", self.home),
            (None, true) if look.waits() => "claims the page that waits".to_owned(),
            (None, true) => self.homewards(when),
            (Some(claim), false) if !self.rule.is_big(claim.status.big) => {
                format!(
                    "stays in {}: {}, under {}; {}",
                    self.home,
                    big(claim),
                    self.rule.threshold,
                    through(&self.home)
                )
            }
            (Some(_), false) if self.rule.break_even == BreakEven::Require => {
                let pays = self.gain(now).is_ok_and(|gain| gain.pays(self.rule.margin));
                let goes = if pays { "goes to" } else { "does not go to" };
                format!("{goes} {away}: {}", self.gain_in_words(now))
            }
            (Some(claim), false) => {
                format!(
                    "goes to {away}: {}, at or above {}; {}",
                    big(claim),
                    self.rule.threshold,
                    self.gain_in_words(now)
                )
            }
            (None, false) => format!("a queue of {} or more is worked in {away}", big_jobs(self.rule.threshold)),
        }
    }

    /// `leaves for oslo when its worker has stopped, asked 12 s ago; 8 min not serving`.
    fn leaves(&self, leaving: &Leaving<Name>, look: &QueueLook, now: Timestamp) -> String {
        let to = self.leaves_for().map_or("", |to| to.as_str());
        let takes = if leaving.action == Decision::MoveHome { self.ways.back } else { self.ways.out };
        let job = look.hand().and_then(|claim| claim.status.hand.first());
        let when = match (leaving.stop, job, &leaving.trouble) {
            (_, _, Some(trouble)) => format!("its worker has stopped; it could not be asked: {trouble}"),
            (Stop::Working, Some(job), _) => format!("job {} is done and its worker has stopped", job.job),
            (Stop::Working, None, _) => "its worker has stopped".to_owned(),
            (Stop::Claiming, ..) => "its worker has confirmed that it claims nothing more".to_owned(),
        };
        let serving = takes.map_or_else(String::new, |takes| format!("; {} not serving", duration(takes)));
        format!("leaves for {to} when {when}, asked {} ago{serving}", duration(now.since(leaving.since)))
    }

    /// `home after 2 more empty polls, about 14:31; 8 min not serving`.
    fn homewards(&self, when: &dyn Fn(Timestamp) -> String) -> String {
        let missing = self.rule.home_tarry.saturating_sub(self.empty_polls).max(1);
        let by_polls = self.next_poll + self.interval.scaled(i64::from(missing) - 1, 1);
        let idle = self.rule.idle_at_least(self.ways.round_trip());
        // It is looked at from poll to poll.
        let enough = self.idle_since.unwrap_or(self.next_poll) + idle;
        let late = enough.since(by_polls).millis();
        let more = (late + self.interval.millis() - 1) / self.interval.millis().max(1);
        let at = by_polls + self.interval.scaled(more, 1);
        let idle = match self.rule.home_after {
            HomeAfter::Off => String::new(),
            HomeAfter::Auto if self.ways.round_trip().is_none() => String::new(),
            HomeAfter::Auto => format!(" and {} without work, as long as out and back take", duration(idle)),
            HomeAfter::Idle(_) => format!(" and {} without work", duration(idle)),
        };
        let serving = self.ways.back.map_or_else(String::new, |back| format!("; {} not serving", duration(back)));
        format!("home after {}{idle}, {}{serving}", self.more_polls(missing), when(at))
    }

    fn more_polls(&self, missing: u32) -> String {
        if self.empty_polls == 0 {
            self.polls(missing)
        } else {
            counted(missing, "more empty poll", "more empty polls")
        }
    }

    fn polls(&self, polls: u32) -> String {
        counted(polls, "empty poll", "empty polls")
    }

    fn silence(&self, look: &QueueLook, when: &dyn Fn(Timestamp) -> String) -> String {
        match &look.worker {
            None => "no worker has run in it yet: start whimbrel work there".to_owned(),
            Some(worker) => {
                format!("its worker gave its last sign of life {}: its policy moves nothing", when(worker.beat))
            }
        }
    }
}

fn big(claim: &Claim) -> String {
    big_jobs(claim.status.big)
}

/// So many jobs that are big.
pub fn big_jobs(jobs: u32) -> String {
    counted(jobs, "big job", "big jobs")
}

/// `paused by root until 15:00: the disk is full`.
fn in_words(order: &WorkerOrder, when: &dyn Fn(Timestamp) -> String) -> String {
    let until = order.until.map_or_else(|| "until resumed".to_owned(), |until| format!("until {}", when(until)));
    let why = if order.why.is_empty() { String::new() } else { format!(": {}", order.why) };
    format!("paused by {} {until}{why}", order.by)
}
