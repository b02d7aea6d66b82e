//! `[policy.NAME]` and `policy = { … }`: which of the four policies, with its bounds.

use std::cell::Cell;
use std::ops::Range;

use chrono_tz::{TZ_VARIANTS, Tz};
use toml::Spanned;

use super::super::keys::{ConfigKey, Form, KindOfTable, WrittenKey, shape, words_of};
use super::super::report::Diagnostics;
use super::super::toml_reader::{Item, Shape, Table};
use super::super::words::{if_near, nearest};
use crate::core::cluster::{Direction, Span};
use crate::core::policy::{
    Bound, BreakEven, DEFAULT_HOME_TARRY, DEFAULT_MARGIN, DEFAULT_SETTLE, DEFAULT_STALE_AFTER, HomeAfter, HoursError,
    PolicyKind, Resting, Rule, Settings, SettingsError, SiteRule, TomlValue, WorkingHours,
};

const KINDS: [(&str, PolicyKind); 4] = [
    ("threshold", PolicyKind::Threshold),
    ("base", PolicyKind::Base),
    ("schedule", PolicyKind::Schedule),
    ("site", PolicyKind::Site),
];

const RESTINGS: [(&str, Resting); 2] = [("record", Resting::Record), ("off", Resting::Off)];
const BREAK_EVENS: [(&str, BreakEven); 2] = [("show", BreakEven::Show), ("require", BreakEven::Require)];

const ALL: &[PolicyKind] = &[PolicyKind::Threshold, PolicyKind::Base, PolicyKind::Schedule, PolicyKind::Site];
/// They compare samples with a threshold.
const RANGED: &[PolicyKind] = &[PolicyKind::Threshold, PolicyKind::Base, PolicyKind::Schedule];
/// They move to the base.
const BASED: &[PolicyKind] = &[PolicyKind::Base, PolicyKind::Schedule];
const SCHEDULE: &[PolicyKind] = &[PolicyKind::Schedule];
const SITE: &[PolicyKind] = &[PolicyKind::Site];

const KIND: ConfigKey =
    ConfigKey::new("kind", Form::Words(const { &words_of(&KINDS) }), "Which of the four policies").needed();
const THRESHOLD: ConfigKey =
    ConfigKey::new("threshold", Form::Number, "A sample past it is beyond, a value equal to it is not")
        .example("50")
        .needed();
const BIG_JOBS: ConfigKey =
    ConfigKey::new("threshold", Form::Number, "So many big jobs in a queue as it is claimed").example("2").needed();
const TARRY: ConfigKey =
    ConfigKey::new("tarry", Form::Number, "So many samples in a row beyond the threshold").example("3").needed();
const LOW_THRESHOLD: ConfigKey =
    ConfigKey::new("low_threshold", Form::Number, "A sample past it on the other side is low").example("1").needed();
const LOW_TARRY: ConfigKey =
    ConfigKey::new("low_tarry", Form::Number, "So many low samples in a row").example("20").needed();
const HOURS: ConfigKey = ConfigKey::new(
    "hours",
    Form::Text,
    "The working hours: windows parted by commas; 22:00-06:00 goes across midnight",
)
.example("\"Mon-Fri 09:00-16:00\"")
.needed();
const WORKSTART: ConfigKey =
    ConfigKey::new("workstart", Form::Number, "Instead of hours: the first 5-minute slot of the UTC day")
        .default("the hours")
        .example("108");
const WORKSTOP: ConfigKey = ConfigKey::new("workstop", Form::Number, "Instead of hours: the slot in which they end")
    .default("the hours")
    .example("170");

/// Each key, and the kinds that have it. [`Settings::written`] gives its value.
const KEYS: [(ConfigKey, &[PolicyKind]); 17] = [
    (KIND, ALL),
    (THRESHOLD, RANGED),
    (BIG_JOBS, SITE),
    (TARRY, RANGED),
    (LOW_THRESHOLD, BASED),
    (LOW_TARRY, BASED),
    (HOURS, SCHEDULE),
    (ConfigKey::new("zone", Form::Zone, "Their zone: a name of the tz database"), SCHEDULE),
    (WORKSTART, SCHEDULE),
    (WORKSTOP, SCHEDULE),
    (
        ConfigKey::new(
            "resting",
            Form::Words(const { &words_of(&RESTINGS) }),
            "Readings outside the hours: recorded, or not made at all",
        ),
        SCHEDULE,
    ),
    (ConfigKey::new("home_tarry", Form::Number, "Empty polls in a row, away, before the VM goes home"), SITE),
    (
        ConfigKey::new(
            "home_after",
            Form::Duration,
            "And so long without work, or \"auto\": as long as the way out and back takes; or \"off\"",
        ),
        SITE,
    ),
    (
        ConfigKey::new(
            "break_even",
            Form::Words(const { &words_of(&BREAK_EVENS) }),
            "Whether a move away must pay: shown, or required",
        ),
        SITE,
    ),
    (ConfigKey::new("margin", Form::Number, "How much better than staying a move away must be, at least 1"), SITE),
    (ConfigKey::new("settle", Form::Duration, "After a move nothing counts for so long"), ALL),
    (
        ConfigKey::new(
            "stale_after",
            Form::Number,
            "So many readings without a value in a row, and the counts fall to 0",
        ),
        ALL,
    ),
];

/// A policy of this kind with the defaults of its keys; a needed key has any value.
fn blank(kind: PolicyKind) -> Settings {
    let bound = Bound { at: 0.0, tarry: 1 };
    let rule = match kind {
        PolicyKind::Threshold => Rule::Threshold { high: bound },
        PolicyKind::Base => Rule::Base { high: bound, low: bound },
        PolicyKind::Schedule => {
            let hours = WorkingHours::always();
            Rule::Schedule { high: bound, low: bound, hours, resting: Resting::default() }
        }
        PolicyKind::Site => Rule::Site(SiteRule::new(1)),
    };
    Settings::new(rule, Direction::default())
}

pub(super) fn kinds() -> Vec<KindOfTable> {
    let docs = [
        "A VM moves on when `tarry` samples in a row are past the threshold, in the direction that is worse",
        "And it goes to the base when `low_tarry` samples in a row are past the low threshold, on its other side",
        "As \"base\" inside working hours; outside them the VM rests on the base",
        "For a VM that works through job queues. A queue of many big jobs is worked away from home",
    ];
    let kind = |((word, kind), doc): ((&'static str, PolicyKind), &'static str)| {
        let blank = blank(kind).written();
        let default = |key: &ConfigKey| {
            let written = blank.iter().find(|(name, _)| *name == key.name && !key.is_needed)?;
            Some(written.1.toml())
        };
        let of_kind = KEYS.iter().filter(|(_, kinds)| kinds.contains(&kind));
        let keys = of_kind.map(|(key, _)| (*key, default(key))).collect();
        KindOfTable { kind: word, doc, keys }
    };
    KINDS.into_iter().zip(docs).map(kind).collect()
}

/// The keys of a policy, as a file has them. Its direction is in the VM's monitor.
pub(in super::super) fn write_policy(settings: &Settings) -> Vec<WrittenKey> {
    let kind = settings.rule.kind();
    let blank = blank(kind).written();
    let key = |written: (&str, TomlValue)| {
        let (key, _) = KEYS.iter().find(|(key, kinds)| key.name == written.0 && kinds.contains(&kind))?;
        let is_default = !key.is_needed && blank.contains(&written);
        Some(WrittenKey::new(*key, written.1, is_default))
    };
    settings.written().into_iter().filter_map(key).collect()
}

/// Its keys are the policies' names.
pub(super) const POLICIES: Shape = Shape { name: "[policy]", keys: || &["NAME"] };

pub(super) const POLICY: Shape = shape!("a policy", every_key);

fn every_key() -> Vec<KindOfTable> {
    KindOfTable::plain(&KEYS.map(|(key, _)| key))
}

/// A policy before the direction of an indicator is known; what could not be read is `None`.
#[derive(Debug, Default)]
pub(super) struct Policy {
    /// Where it stands: its header, its braces, or the first of its dotted keys.
    pub place: Range<usize>,
    pub kind: Option<Spanned<PolicyKind>>,
    /// The threshold, but the site policy's.
    pub high: Option<Spanned<f64>>,
    tarry: Option<u32>,
    low: Option<Spanned<f64>>,
    low_tarry: Option<u32>,
    hours: Option<WorkingHours>,
    resting: Resting,
    site: Option<SiteRule>,
    settle: Option<Span>,
    stale_after: Option<u32>,
    /// The directions (higher, lower is worse) for which its bounds were compared; none if no VM uses it.
    checked: Cell<(bool, bool)>,
}

pub(super) fn read(table: Table<'_>) -> Policy {
    let kind = table.need(&KIND);
    let kind = kind.and_then(|item| item.choice(&KINDS).map(|kind| Spanned::new(item.span(), kind)));
    let is = |wanted: &[PolicyKind]| kind.as_ref().is_some_and(|kind| wanted.contains(kind.get_ref()));
    // If the kind cannot be read, every key that is there is read, and none is missing.
    let unknown = kind.is_none();
    let ask = |key: ConfigKey, wanted: &[PolicyKind]| match (is(wanted), unknown) {
        (true, _) => table.need(&key),
        (false, true) => table.get(key.name),
        (false, false) => None,
    };
    let whole = |item: Item<'_>| item.whole(1..=u32::MAX);
    let policy = Policy {
        place: table.span(),
        high: ask(THRESHOLD, RANGED).and_then(|item| item.number()),
        tarry: ask(TARRY, RANGED).and_then(whole),
        low: ask(LOW_THRESHOLD, BASED).and_then(|item| item.number()),
        low_tarry: ask(LOW_TARRY, BASED).and_then(whole),
        hours: if is(SCHEDULE) || unknown { hours(&table, unknown) } else { None },
        resting: if is(SCHEDULE) || unknown { resting(&table) } else { Resting::default() },
        site: if is(SITE) { site(&table) } else { None },
        settle: table.get("settle").and_then(|item| item.duration()).map(Spanned::into_inner),
        stale_after: table.get("stale_after").and_then(whole),
        checked: Cell::default(),
        kind,
    };
    table.finish(policy.kind().map(PolicyKind::word));
    policy
}

impl Policy {
    /// The policy's word, if it could be read.
    pub fn kind(&self) -> Option<PolicyKind> {
        self.kind.as_ref().map(|kind| *kind.get_ref())
    }

    /// Where a VM chooses the kind: in its own block, or by the name of a shared block, which is `given`.
    pub fn kind_place(&self, given: &Item<'_>) -> Range<usize> {
        let own = self.kind.as_ref().filter(|_| given.is_table());
        own.map_or_else(|| given.span(), |kind| kind.span())
    }

    /// The settings that a VM gets from it. `vm` names the VM in an error that depends on its direction.
    pub fn settings(&self, direction: Direction, vm: &str, diagnostics: &Diagnostics<'_>) -> Option<Settings> {
        let (higher, lower) = self.checked.get();
        let (new, checked) = match direction {
            Direction::HigherIsWorse => (!higher, (true, lower)),
            Direction::LowerIsWorse => (!lower, (higher, true)),
        };
        self.checked.set(checked);
        if let Some(rule) = self.bounds().filter(|_| new) {
            self.check(Settings::new(rule, direction), Some(vm), diagnostics);
        }
        let rule = match self.kind()? {
            PolicyKind::Threshold | PolicyKind::Base => self.bounds()?,
            PolicyKind::Schedule => {
                let (high, low) = (self.bounds()?.high()?, self.bounds()?.low()?);
                Rule::Schedule { high, low, hours: self.hours.clone()?, resting: self.resting }
            }
            PolicyKind::Site => Rule::Site(self.site?),
        };
        let settle = self.settle.unwrap_or(DEFAULT_SETTLE);
        let stale_after = self.stale_after.unwrap_or(DEFAULT_STALE_AFTER);
        Some(Settings { rule, direction, settle, stale_after })
    }

    /// Checks a policy that no VM uses. Its direction is unknown, so the only rule is that its bounds differ.
    pub fn check_alone(&self, diagnostics: &Diagnostics<'_>) {
        let touch = self.high.as_ref().zip(self.low.as_ref()).is_some_and(|(high, low)| high == low);
        let used = self.checked.get() != (false, false);
        if let Some(rule) = self.bounds().filter(|_| touch && !used) {
            self.check(Settings::new(rule, Direction::HigherIsWorse), None, diagnostics);
        }
    }

    /// The bounds as a rule. A wrong tarry is already recorded; the bounds are compared all the same.
    fn bounds(&self) -> Option<Rule> {
        let high = Bound { at: *self.high.as_ref()?.get_ref(), tarry: self.tarry.unwrap_or(1) };
        match &self.low {
            Some(low) => {
                Some(Rule::Base { high, low: Bound { at: *low.get_ref(), tarry: self.low_tarry.unwrap_or(1) } })
            }
            None => Some(Rule::Threshold { high }),
        }
    }

    fn check(&self, settings: Settings, vm: Option<&str>, diagnostics: &Diagnostics<'_>) {
        let Err(error) = settings.check() else { return };
        let message = match (settings.direction, vm) {
            (Direction::LowerIsWorse, Some(vm)) => format!("{error}: for VM '{vm}' lower is worse"),
            _ => error.to_string(),
        };
        let place = self.low.as_ref().or(self.high.as_ref()).map_or(0..0, |bound| bound.span());
        let help = match error {
            SettingsError::BoundsCross { high, must, .. } => {
                format!("write a low_threshold {must} {high}, or change the threshold; they may not touch")
            }
            _ => "write a number that can stand".to_owned(),
        };
        diagnostics.error(place, message, help);
    }
}

fn resting(table: &Table<'_>) -> Resting {
    table.get("resting").and_then(|item| item.choice(&RESTINGS)).unwrap_or_default()
}

fn site(table: &Table<'_>) -> Option<SiteRule> {
    let whole = |item: Item<'_>| item.whole(1..=u32::MAX);
    let home_tarry = table.get("home_tarry").map_or(Some(DEFAULT_HOME_TARRY), whole);
    let break_even = table.get("break_even").map_or(Some(BreakEven::default()), |item| item.choice(&BREAK_EVENS));
    let margin = table.get("margin").map_or(Some(DEFAULT_MARGIN), |item| item.number_in(1.0..=f64::MAX, "at least 1"));
    let home_after = table.get("home_after").map_or(Some(HomeAfter::Off), |item| home_after(&item));
    let threshold = table.need(&BIG_JOBS).and_then(whole);
    Some(SiteRule {
        threshold: threshold?,
        home_tarry: home_tarry?,
        home_after: home_after?,
        break_even: break_even?,
        margin: margin?,
    })
}

fn home_after(item: &Item<'_>) -> Option<HomeAfter> {
    if item.as_text() == Some("auto") {
        return Some(HomeAfter::Auto);
    }
    item.duration_or_off().map(|span| span.map_or(HomeAfter::Off, HomeAfter::Idle))
}

fn hours(table: &Table<'_>, optional: bool) -> Option<WorkingHours> {
    let [hours, zone, start, stop] = ["hours", "zone", "workstart", "workstop"].map(|key| table.get(key));
    let slots = start.as_ref().or(stop.as_ref());
    if let (Some(words), Some(slots)) = (hours.as_ref().or(zone.as_ref()), slots) {
        let message = "working hours are given twice, in two notations";
        // The later of the two is the wrong one.
        let place = if words.span().start > slots.span().start { words } else { slots };
        place.wrong(message, "keep hours and zone, or workstart and workstop");
        return None;
    }
    if slots.is_some() {
        return slots_hours(table, start, stop);
    }
    let zone = zone.map_or(Some(Tz::UTC), |item| read_zone(&item));
    let Some(item) = hours else {
        if !optional {
            let help = format!("add {}, and zone = \"Europe/Oslo\"", HOURS.how());
            table.lacks("a policy of kind 'schedule' needs 'hours'", help);
        }
        return None;
    };
    let text = item.text()?.into_inner();
    // The days and times do not depend on the zone.
    match WorkingHours::parse(text, zone.unwrap_or(Tz::UTC)) {
        Ok(hours) => zone.map(|_| hours),
        Err(error) => {
            hours_wrong(&item, &error);
            None
        }
    }
}

fn slots_hours<'a>(table: &Table<'a>, start: Option<Item<'a>>, stop: Option<Item<'a>>) -> Option<WorkingHours> {
    let slot = |item: &Item<'_>| item.whole(0..=288);
    let start = start.or_else(|| table.need(&WORKSTART));
    let item = stop.or_else(|| table.need(&WORKSTOP));
    let (start, stop) = (start.as_ref().and_then(slot), item.as_ref().and_then(slot));
    let (start, stop, item) = (start?, stop?, item?);
    let hours = WorkingHours::from_slots(i64::from(start), i64::from(stop));
    if hours.is_err() {
        item.wrong("these hours never open: they begin when they end", "write a workstop other than workstart");
    }
    hours.ok()
}

fn read_zone(item: &Item<'_>) -> Option<Tz> {
    let name = item.text()?.into_inner();
    let zone = name.parse().ok();
    if zone.is_none() {
        let help = match nearest(name, TZ_VARIANTS.iter().map(|zone| zone.name())) {
            Some(near) => format!("did you mean '{near}'?"),
            None => "write a name of the tz database, such as Europe/Oslo".to_owned(),
        };
        item.wrong(format!("unknown zone '{name}'"), help);
    }
    zone
}

fn hours_wrong(item: &Item<'_>, error: &HoursError) {
    let (message, help) = match error {
        HoursError::Empty => ("there is no window in these hours".to_owned(), format!("write {}", HOURS.how())),
        HoursError::Day(day) => {
            let day = if_near(day, ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]);
            let what = if day.is_empty() { "one of these days" } else { day.trim() };
            (format!("{what} is no day"), "write Mon Tue Wed Thu Fri Sat Sun, or a range such as Mon-Fri".to_owned())
        }
        HoursError::Time(time) => {
            // A text with letters may be a secret.
            let is_shown = !time.chars().any(char::is_alphabetic);
            let what = if is_shown { format!("'{time}'") } else { "one of these times".to_owned() };
            (format!("{what} is no time of day"), "write a window as HH:MM-HH:MM, from 00:00 to 24:00".to_owned())
        }
        HoursError::NeverOpens(window) => (
            format!("these hours never open: '{window}' begins when it ends"),
            "write a later end, or 00:00-24:00 for the whole day".to_owned(),
        ),
        HoursError::Slot(_) => (error.to_string(), "write a slot from 0 to 288".to_owned()),
    };
    item.wrong(message, help);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_of_a_policy_has_a_row_and_each_row_a_key() {
        for (word, kind) in KINDS {
            let settings = blank(kind);
            // The direction is a key of the monitor, and the slots are another way to write the hours.
            let mut written: Vec<_> = settings.written().into_iter().map(|(name, _)| name).collect();
            written.retain(|name| *name != "direction");
            let rows = KEYS.iter().filter(|(_, kinds)| kinds.contains(&kind)).map(|(key, _)| key.name);
            let rows: Vec<_> = rows.filter(|name| ![WORKSTART.name, WORKSTOP.name].contains(name)).collect();
            assert_eq!(written, rows, "{word}");
            assert_eq!(settings.rule.kind().word(), word);
        }
    }
}
