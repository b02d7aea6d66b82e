//! The figures of a queue in lines, the most important first.

use ratatui::layout::Rect;

use crate::console::text::{Zone, wrap};
use crate::console::theme::Role;
use crate::console::ui::Ui;
use crate::console::widgets::{Canvas, gauge};
use crate::core::cluster::{Name, Span, Timestamp};
use crate::core::format::{age, counted, duration, measured, number, plain};
use crate::core::queue::{Claim, Estimate, FEWEST, JobInHand, Stop, WorkerOrder, WorkerState};
use crate::view::{QueueView, SiteView, Snapshot, VmRow};

use super::waiting;

/// Columns of a line's first word.
const WORD: u16 = 9;
/// A job that takes longer than so many times its usual time is slow.
const SLOW: i64 = 2;

/// One line.
pub struct Fact {
    word: &'static str,
    /// A share, drawn as a gauge before the text.
    share: Option<f32>,
    pieces: Vec<(String, Role)>,
}

fn fact(word: &'static str, text: impl Into<String>, role: Role) -> Fact {
    Fact { word, share: None, pieces: vec![(text.into(), role)] }
}

/// A sentence in as many lines as it needs.
fn sentence(word: &'static str, text: &str, role: Role, columns: u16) -> Vec<Fact> {
    let lines = wrap(text, usize::from(columns.saturating_sub(WORD + 1)), 3, "");
    let words = std::iter::once(word).chain(std::iter::repeat(""));
    words.zip(lines).map(|(word, line)| fact(word, line, role)).collect()
}

impl Fact {
    fn and(mut self, text: impl Into<String>, role: Role) -> Self {
        self.pieces.push((text.into(), role));
        self
    }
}

/// Every line, for so many columns. `alone`: the pages that wait have no panel of their own.
pub fn all(row: &VmRow, view: &QueueView, snapshot: &Snapshot, ui: &Ui, (columns, alone): (u16, bool)) -> Vec<Fact> {
    let now = snapshot.at;
    let mut facts = Vec::new();
    let (word, does, role) = worker(row, view, now, ui.zone);
    let worker = sentence(word, &does, role, columns);
    // What keeps the worker from its work comes first.
    let (first, last) = if role == Role::Quiet { (Vec::new(), worker) } else { (worker, Vec::new()) };
    facts.extend(first);
    match view.claims() {
        [] => facts.push(fact("jobs", "nothing in hand", Role::Quiet)),
        claims => {
            facts.push(jobs(&claims[0]));
            facts.extend(
                claims.iter().filter_map(|claim| Some(fact("claim", claim.trouble.as_deref()?, Role::Warning))),
            );
            facts.extend(in_hand(&claims[0], view, now));
        }
    }
    let site = &view.site;
    let other = if site.is_away() { Some(&site.home) } else { site.away.as_ref() };
    facts.extend(left(site, &site.here, now, ui.zone));
    if alone {
        facts.push(waits(view, now));
    }
    facts.push(big(row, view));
    facts.extend(other.and_then(|other| left(site, other, now, ui.zone)));
    facts.extend(moves(site, now, columns));
    facts.extend(last);
    facts.extend(cost(row, snapshot));
    let places = [Some(&site.here), other].into_iter().flatten();
    facts.extend(places.flat_map(|place| rates(site, place, columns)));
    facts
}

/// Draws as many as there is room for.
pub fn draw(canvas: &mut Canvas<'_>, area: Rect, facts: &[Fact]) {
    for (y, fact) in (area.top()..area.bottom()).zip(facts) {
        canvas.put(area.x + 1, y, WORD, fact.word, Role::Quiet);
        let mut x = area.x + 1 + WORD;
        if let Some(share) = fact.share {
            x = gauge(canvas, x, y, 8.min(area.right().saturating_sub(x)), share, Role::Good) + 1;
        }
        let pieces: Vec<(&str, Role)> = fact.pieces.iter().map(|(text, role)| (text.as_str(), *role)).collect();
        canvas.line(x, y, area.right().saturating_sub(x), &pieces);
    }
}

/// A running clock, to the second: `41 s`, `4 min 12 s`, `1 h 4 min`.
fn clock(runs: Span) -> String {
    measured(Span::from_secs((runs.millis() / 1_000).max(1)))
}

fn jobs(claim: &Claim) -> Fact {
    let status = &claim.status;
    let (total, done, failed) = (status.total(), status.done.len(), status.failed.len());
    let left = total.saturating_sub(done + failed);
    let share = Some((done + failed) as f32 / total.max(1) as f32);
    let text = format!("{done} of {} done", counted(total, "job", "jobs"));
    let mut fact = Fact { word: "jobs", share, pieces: vec![(text, Role::Text)] };
    if failed > 0 {
        fact = fact.and(format!("   ! {failed} set aside"), Role::Warning);
    }
    fact.and(format!("   {left} left"), Role::Quiet)
}

/// The job in hand with its clock, and how long such a job usually takes if this one takes much longer.
fn in_hand(claim: &Claim, view: &QueueView, now: Timestamp) -> Option<Fact> {
    let oldest = claim.status.hand.iter().min_by_key(|hand| hand.since)?;
    let runs = now.since(oldest.since);
    let (tag, work) = named(oldest, view);
    let rates = view.look().and_then(|look| look.worker.as_ref()).map(|worker| &worker.rates);
    let usual = rates.and_then(|rates| rates.job(&claim.status.site, tag));
    let slow = usual.filter(|usual| runs > usual.high.scaled(SLOW, 1));
    let mut fact = fact("in hand", format!("{}  ", oldest.job), Role::Strong)
        .and(clock(runs), if slow.is_some() { Role::Warning } else { Role::Moving });
    if let Some(usual) = slow {
        fact = fact.and(format!(", usually {}", range(&usual)), Role::Warning);
    }
    if oldest.attempt > 1 {
        fact = fact.and(format!("  try {}", oldest.attempt), Role::Warning);
    }
    let others = claim.status.hand.len() - 1;
    if others > 0 {
        fact = fact.and(format!("  and {others} more"), Role::Quiet);
    }
    Some(fact.and(format!("  {tag}"), Role::Quiet).and(format!("  {work}"), Role::Text))
}

/// A job's grade and work, if it is in the window of jobs.
fn named<'a>(hand: &JobInHand, view: &'a QueueView) -> (&'a str, &'a str) {
    let line = view.jobs.as_ref().and_then(|jobs| jobs.rows.iter().find(|line| line.number == hand.job));
    line.map_or(("", ""), |line| (&line.tag, &line.work))
}

/// `18 min (15 to 22 min)`.
fn estimate(estimate: &Estimate) -> String {
    format!("{} ({})", duration(estimate.middle), range(estimate))
}

/// `15 to 22 min`, `50 s to 2 min`.
fn range(estimate: &Estimate) -> String {
    let (low, high) = (duration(estimate.low), duration(estimate.high));
    let unit = |text: &str| text.split(' ').nth(1).map(str::to_owned);
    let is_plain = |text: &str| text.split(' ').count() == 2;
    if low == high {
        return format!("about {high}");
    }
    if is_plain(&low) && is_plain(&high) && unit(&low) == unit(&high) {
        return format!("{} to {high}", low.split(' ').next().unwrap_or_default());
    }
    format!("{low} to {high}")
}

/// How long what is in hand still takes at a site.
fn left(site: &SiteView, place: &Name, now: Timestamp, zone: Zone) -> Option<Fact> {
    let is_here = *place == site.here;
    let word = if is_here { "left" } else { "or" };
    Some(match site.eta(place, now)? {
        Ok(left) if is_here && left.high == Span::ZERO => {
            fact(word, format!("it should be done by now in {place}"), Role::Warning)
        }
        Ok(left) => {
            let text = format!("{} in {place}", estimate(&left));
            // A worker that is paused works nothing until it goes on.
            let pause =
                site.look.as_ref().and_then(|look| look.control.orders(now).find(|order| order.stop == Stop::Working));
            let from = pause.map_or(Some(now), |order| order.until);
            let then = from.filter(|_| is_here).map(|from| format!(": done {}", when(from + left.middle, now, zone)));
            fact(word, text, if is_here { Role::Strong } else { Role::Text })
                .and(then.unwrap_or_default(), Role::Strong)
        }
        Err(unknown) => fact(word, format!("unknown: {unknown}"), Role::Quiet),
    })
}

/// An instant to the minute: `14:31`; on another day with its date.
fn instant(at: Timestamp, now: Timestamp, zone: Zone) -> String {
    let (then, today) = (zone.read(at), zone.read(now));
    let format = if then.date() == today.date() { "%H:%M" } else { "%-d %b %H:%M" };
    then.format(format).to_string()
}

/// When something will be: `about 14:31`; or when it was: `at 14:31`.
pub fn when(at: Timestamp, now: Timestamp, zone: Zone) -> String {
    format!("{} {}", if at < now { "at" } else { "about" }, instant(at, now, zone))
}

fn waits(view: &QueueView, now: Timestamp) -> Fact {
    let Some(look) = view.look() else { return fact("waits", "not looked at yet", Role::Quiet) };
    if let Some((name, why)) = look.refused.first().filter(|_| look.waiting == 0) {
        return fact("waits", format!("{name} is not worked: {why}"), Role::Warning);
    }
    if look.waiting == 0 {
        return fact("waits", waiting::nothing(view), Role::Quiet);
    }
    let fact = fact("waits", waiting::sum(look), Role::Text);
    let Some((page, why)) = look.open.iter().zip(&view.waits).min_by_key(|(page, _)| page.since) else { return fact };
    let since = page.since.map_or_else(String::new, |since| format!(" {}", age(now.since(since))));
    fact.and(format!("; {}{since}: ", page.name), Role::Quiet).and(&**why, Role::Strong)
}

/// The worker: what it does, or what keeps it from it. Quiet if all is well.
fn worker(row: &VmRow, view: &QueueView, now: Timestamp, zone: Zone) -> (&'static str, String, Role) {
    const WORKER: &str = "worker";
    let Some(look) = view.look() else { return (WORKER, "not heard of yet".to_owned(), Role::Quiet) };
    let Some(worker) = &look.worker else {
        let text = format!("none has ever run in {}: start 'whimbrel work' there", row.name);
        return (WORKER, text, Role::Warning);
    };
    let heard = duration(now.since(worker.beat));
    if worker.state == WorkerState::Ended {
        return (WORKER, format!("it has ended, {heard} ago: start it in {}", row.name), Role::Alarm);
    }
    // Since the look nothing is known of it.
    if !look.is_alive() {
        return (WORKER, format!("no sign of life for {heard}: look into {}", row.name), Role::Alarm);
    }
    if let Some(order) = view.pause(now) {
        return ("paused", asked(order, now, zone), Role::Waiting);
    }
    if let Some(order) = look.control.engine.as_ref().filter(|order| order.holds(now)) {
        return ("stopped", asked(order, now, zone), Role::Moving);
    }
    if let Some(trouble) = &worker.trouble {
        return (WORKER, trouble.clone(), Role::Warning);
    }
    if worker.unknown > 0 {
        let claims = counted(worker.unknown, "claim", "claims");
        return (WORKER, format!("it does not know yet whether it has made {claims}"), Role::Warning);
    }
    let does = match worker.state {
        WorkerState::Working => "works",
        WorkerState::Paused => "was asked to pause, and goes on soon",
        WorkerState::Idle | WorkerState::Ended => "waits for a page",
    };
    (WORKER, format!("{does} in {}, heard {heard} ago", worker.site), Role::Quiet)
}

/// Who gave an order, when, until when, and why: `by root at 14:32, until 16:44: backup`.
fn asked(order: &WorkerOrder, now: Timestamp, zone: Zone) -> String {
    let until = match order.until {
        Some(until) => format!("until {}", instant(until, now, zone)),
        None => "until somebody has it go on".to_owned(),
    };
    let why = if order.why.is_empty() { String::new() } else { format!(": {}", order.why) };
    format!("by {} at {}, {until}{why}", order.by, instant(order.at, now, zone))
}

fn big(row: &VmRow, view: &QueueView) -> Fact {
    let bound = row.bounds.high.map_or_else(|| "-".to_owned(), number);
    let Some(claim) = view.claims().first() else {
        return fact("big", format!("none in hand, away from {bound} on"), Role::Quiet);
    };
    let (big, total) = (claim.status.big, claim.status.total());
    let beyond = row.bounds.is_beyond(f64::from(big));
    let says = if beyond { "away" } else { "home" };
    let text = format!("{big} of {total}, threshold {bound}: {says}");
    fact("big", text, if beyond { Role::Beyond } else { Role::Text })
}

/// The ways between the sites, and whether a move away pays.
fn moves(site: &SiteView, now: Timestamp, columns: u16) -> Vec<Fact> {
    let Some(away) = &site.away else { return Vec::new() };
    let way = |takes: Option<Span>| takes.map_or_else(|| "unknown".to_owned(), duration);
    let (out, back) = (way(site.ways.out), way(site.ways.back));
    let mut facts = vec![fact("ways", format!("out to {away} {out}, back to {} {back}", site.home), Role::Text)];
    if site.hand().is_some() {
        facts.extend(sentence("pays", &site.gain_in_words(now), Role::Quiet, columns));
    }
    facts
}

/// What the VM cost so far, at home and away.
fn cost(row: &VmRow, snapshot: &Snapshot) -> Option<Fact> {
    let told = snapshot.activity.as_ref().filter(|view| view.ask.vm.as_ref() == Some(&row.name))?;
    let stays = &told.activity.stays;
    let home = stays.ring.cost + stays.rest.cost + stays.base.cost;
    let hours = stays.ring.hours + stays.rest.hours + stays.base.hours;
    let text = format!("{home:.2} at home, {:.2} away in {}", stays.away.cost, duration(told.ask.span));
    let hours = format!("   {} h and {} h there", plain(hours), plain(stays.away.hours));
    Some(fact("cost", text, Role::Text).and(hours, Role::Quiet))
}

/// How long one job takes at a site, by grade.
fn rates(site: &SiteView, place: &Name, columns: u16) -> Vec<Fact> {
    let Some(look) = &site.look else { return Vec::new() };
    let open = || look.open.iter().find_map(|page| page.grades.as_ref());
    let grades = look.hand().map(|claim| &claim.status.grades).or_else(open);
    let (Some(worker), Some(grades)) = (&look.worker, grades.filter(|grades| !grades.is_empty())) else {
        return Vec::new();
    };
    let known = &worker.rates;
    let rate = |(grade, _): &(String, u32)| {
        let jobs = known.of(place, grade).map_or(0, |took| took.jobs);
        let told = match known.job(place, grade) {
            Some(job) => estimate(&job),
            None => format!("unknown ({jobs} of {FEWEST})"),
        };
        format!("{} {told}", if grade.is_empty() { "untagged" } else { grade })
    };
    let rates: Vec<String> = grades.iter().map(rate).collect();
    let word = if *place == site.here { "a job" } else { "" };
    sentence(word, &format!("in {place}: {}", rates.join(", ")), Role::Quiet, columns)
}
