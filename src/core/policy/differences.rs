//! What differs between two policies, key by key as the config writes them.

use super::{BreakEven, Resting, Rule, Settings};
use crate::core::cluster::{Direction, written};

/// A key of the config that differs, its old value and its new one.
pub type Changed = (&'static str, String, String);

/// A key of the config and its value there.
type Written = (&'static str, String);

impl Settings {
    /// The keys that differ: their name in the config, the old value and the new one as the config writes them
    /// (`50`, `"45s"`); empty where one side has no such key.
    pub fn differences(old: &Self, new: &Self) -> Vec<Changed> {
        let (before, after) = (old.keys(), new.keys());
        let value = |side: &[Written], key| side.iter().find(|(k, _)| *k == key).map(|(_, v)| v.clone());
        let gone = before.iter().filter(|(key, _)| value(&after, *key).is_none());
        let both = after.iter().map(|(key, now)| (*key, value(&before, *key).unwrap_or_default(), now.clone()));
        let mut changed: Vec<_> = both.filter(|(_, was, now)| was != now).collect();
        changed.extend(gone.map(|(key, was)| (*key, was.clone(), String::new())));
        changed
    }

    /// Every key these settings have, defaults too.
    fn keys(&self) -> Vec<Written> {
        let mut keys = vec![("kind", quoted(self.rule.kind()))];
        if let Some(high) = self.rule.high() {
            keys.extend([("threshold", high.at.to_string()), ("tarry", high.tarry.to_string())]);
        }
        if let Some(low) = self.rule.low() {
            keys.extend([("low_threshold", low.at.to_string()), ("low_tarry", low.tarry.to_string())]);
        }
        match &self.rule {
            Rule::Schedule { hours, resting, .. } => keys.extend([
                ("hours", quoted(&hours.windows())),
                ("zone", quoted(hours.zone().name())),
                ("resting", quoted(if *resting == Resting::Off { "off" } else { "record" })),
            ]),
            Rule::Site(site) => keys.extend([
                ("threshold", site.threshold.to_string()),
                ("home_tarry", site.home_tarry.to_string()),
                ("break_even", quoted(if site.break_even == BreakEven::Require { "require" } else { "show" })),
                ("margin", site.margin.to_string()),
            ]),
            Rule::Threshold { .. } | Rule::Base { .. } => {}
        }
        let direction = match self.direction {
            Direction::HigherIsWorse => "higher-is-worse",
            Direction::LowerIsWorse => "lower-is-worse",
        };
        keys.extend([
            ("settle", quoted(&written(self.settle))),
            ("stale_after", self.stale_after.to_string()),
            ("direction", quoted(direction)),
        ]);
        keys
    }
}

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::Span;
    use crate::core::policy::{Bound, Field, SiteRule, WorkingHours};

    fn base() -> Settings {
        let (high, low) = (Bound { at: 50.0, tarry: 3 }, Bound { at: 0.5, tarry: 20 });
        Settings::new(Rule::Base { high, low }, Direction::HigherIsWorse)
    }

    fn said(old: &Settings, new: &Settings) -> Vec<String> {
        let all = Settings::differences(old, new).into_iter();
        all.map(|(key, old, new)| format!("{key} {old} > {new}")).collect()
    }

    #[test]
    fn the_same_settings_do_not_differ() {
        assert!(Settings::differences(&base(), &base()).is_empty());
    }

    #[test]
    fn each_number_differs_on_its_own() {
        let with = |field, value| base().with(field, value).unwrap();
        assert_eq!(said(&base(), &with(Field::Threshold, 60.0)), ["threshold 50 > 60"]);
        assert_eq!(said(&base(), &with(Field::Tarry, 4.0)), ["tarry 3 > 4"]);
        assert_eq!(said(&base(), &with(Field::LowThreshold, 0.25)), ["low_threshold 0.5 > 0.25"]);
        assert_eq!(said(&base(), &with(Field::LowTarry, 9.0)), ["low_tarry 20 > 9"]);
        let mut new = base();
        (new.settle, new.stale_after, new.direction) = (Span::from_secs(90), 5, Direction::LowerIsWorse);
        let expected =
            ["settle \"45s\" > \"1m30s\"", "stale_after 3 > 5", "direction \"higher-is-worse\" > \"lower-is-worse\""];
        assert_eq!(said(&base(), &new), expected);
    }

    #[test]
    fn hours_have_their_windows_and_their_zone() {
        let of = |text, zone, resting| {
            let (high, low) = (Bound { at: 50.0, tarry: 3 }, Bound { at: 0.5, tarry: 20 });
            let hours = WorkingHours::parse(text, zone).unwrap();
            Settings::new(Rule::Schedule { high, low, hours, resting }, Direction::HigherIsWorse)
        };
        let old = of("Mon-Fri 09:00-16:00", chrono_tz::UTC, Resting::Record);
        let new = of("Sat Sun 09:00-16:00, 22:00-02:00", chrono_tz::Europe::Oslo, Resting::Off);
        let expected = [
            "hours \"Mon-Fri 09:00-16:00\" > \"Sat Sun 09:00-16:00, 22:00-02:00\"",
            "zone \"UTC\" > \"Europe/Oslo\"",
            "resting \"record\" > \"off\"",
        ];
        assert_eq!(said(&old, &new), expected);
    }

    #[test]
    fn another_kind_brings_keys_and_takes_keys() {
        let site = SiteRule { threshold: 2, home_tarry: 3, break_even: BreakEven::Show, margin: 1.5 };
        let new = Settings::new(Rule::Site(site), Direction::HigherIsWorse);
        let expected = [
            "kind \"base\" > \"site\"",
            "threshold 50 > 2",
            "home_tarry  > 3",
            "break_even  > \"show\"",
            "margin  > 1.5",
            "tarry 3 > ",
            "low_threshold 0.5 > ",
            "low_tarry 20 > ",
        ];
        assert_eq!(said(&base(), &new), expected);
    }
}
