//! The keys of a policy as the config writes them, and what differs between two policies.

use serde::{Deserialize, Serialize};

use super::{BreakEven, HomeAfter, Resting, Rule, Settings};
use crate::core::cluster::Direction;
use crate::core::format::{exact, exact_span, is_hostile};

/// Which block an edit of a VM's policy goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Scope {
    /// The block the settings come from; a shared one changes every VM that uses it.
    #[default]
    Block,
    /// A block of the VM's own, made if it has none.
    Own,
}

/// A key of the config whose value changes. Its JSON is a contract: docs/whatif.md.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyChange {
    /// Its name in the config.
    pub key: String,
    /// Its value now, as the config writes it (`50`, `"45s"`); empty if there is none.
    #[serde(rename = "now")]
    pub old: String,
    /// Its value afterwards; empty if there is none.
    #[serde(rename = "would_be")]
    pub new: String,
}

/// A value as a config file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TomlValue {
    /// A text, without its quotes.
    Text(String),
    /// A number, a flag or a list.
    Bare(String),
}

impl TomlValue {
    /// As a file has it: a text in double quotes.
    pub fn toml(&self) -> String {
        let text = match self {
            Self::Text(text) => text,
            Self::Bare(value) => return value.clone(),
        };
        let mut quoted = String::from("\"");
        for c in text.chars() {
            match c {
                '"' | '\\' => quoted.extend(['\\', c]),
                c if is_hostile(c) => quoted.push_str(&format!("\\U{:08X}", u32::from(c))),
                c => quoted.push(c),
            }
        }
        quoted + "\""
    }
}

impl Settings {
    /// The keys of this policy with their values, defaults too, in the order of a file.
    pub fn written(&self) -> Vec<(&'static str, TomlValue)> {
        let (text, bare) = (|text: &str| TomlValue::Text(text.to_owned()), TomlValue::Bare);
        let mut keys = vec![("kind", text(self.rule.kind().word()))];
        if let Some(high) = self.rule.high() {
            keys.extend([("threshold", bare(exact(high.at))), ("tarry", bare(high.tarry.to_string()))]);
        }
        if let Some(low) = self.rule.low() {
            keys.extend([("low_threshold", bare(exact(low.at))), ("low_tarry", bare(low.tarry.to_string()))]);
        }
        match &self.rule {
            Rule::Threshold { .. } | Rule::Base { .. } => {}
            Rule::Schedule { hours, resting, .. } => {
                let resting = match resting {
                    Resting::Record => "record",
                    Resting::Off => "off",
                };
                let (windows, zone) = (text(&hours.windows()), text(hours.zone().name()));
                keys.extend([("hours", windows), ("zone", zone), ("resting", text(resting))]);
            }
            Rule::Site(site) => {
                let break_even = match site.break_even {
                    BreakEven::Show => "show",
                    BreakEven::Require => "require",
                };
                let home_after = match site.home_after {
                    HomeAfter::Off => "off".to_owned(),
                    HomeAfter::Auto => "auto".to_owned(),
                    HomeAfter::Idle(span) => exact_span(span),
                };
                keys.extend([
                    ("threshold", bare(site.threshold.to_string())),
                    ("home_tarry", bare(site.home_tarry.to_string())),
                    ("home_after", text(&home_after)),
                    ("break_even", text(break_even)),
                    ("margin", bare(exact(site.margin))),
                ]);
            }
        }
        let direction = match self.direction {
            Direction::HigherIsWorse => "higher-is-worse",
            Direction::LowerIsWorse => "lower-is-worse",
        };
        keys.extend([
            ("settle", text(&exact_span(self.settle))),
            ("stale_after", bare(self.stale_after.to_string())),
            ("direction", text(direction)),
        ]);
        keys
    }

    /// The keys that differ.
    pub fn differences(old: &Self, new: &Self) -> Vec<KeyChange> {
        let (old, new) = (old.written(), new.written());
        let value = |keys: &[(&str, TomlValue)], name: &str| {
            keys.iter().find(|(key, _)| *key == name).map_or_else(String::new, |(_, value)| value.toml())
        };
        let gone = old.iter().filter(|(name, _)| value(&new, name).is_empty());
        let names = new.iter().chain(gone).map(|(name, _)| *name);
        let changed =
            names.map(|name| KeyChange { key: name.to_owned(), old: value(&old, name), new: value(&new, name) });
        changed.filter(|change| change.old != change.new).collect()
    }
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
        all.map(|KeyChange { key, old, new }| format!("{key} {old} > {new}")).collect()
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
        let new = Settings::new(Rule::Site(SiteRule::new(2)), Direction::HigherIsWorse);
        let expected = [
            "kind \"base\" > \"site\"",
            "threshold 50 > 2",
            "home_tarry  > 3",
            "home_after  > \"off\"",
            "break_even  > \"show\"",
            "margin  > 1.5",
            "tarry 3 > ",
            "low_threshold 0.5 > ",
            "low_tarry 20 > ",
        ];
        assert_eq!(said(&base(), &new), expected);
    }
}
