//! A VM's settings as they are and as they would be, side by side.

use std::fmt::Write;

use serde::Serialize;

use super::table::{moment, seconds, strip};
use crate::core::cluster::in_words;
use crate::core::insight::{Comparison, Outcome, Prices, Recording, Tried, Variant};
use crate::core::policy::{Decision, Settings};
use crate::view::what_if_word;

/// What was asked, and what came out.
pub(super) struct Compared<'a> {
    pub(super) vm: &'a str,
    pub(super) recording: &'a Recording,
    pub(super) old: &'a Settings,
    pub(super) new: &'a Settings,
    pub(super) prices: Prices,
    pub(super) comparison: &'a Comparison,
}

#[derive(Serialize)]
struct Form<'a> {
    vm: &'a str,
    from: String,
    to: String,
    changes: Vec<Change>,
    now: Side<'a>,
    would_be: Side<'a>,
    differences: Vec<Differs>,
    sensitivity: &'a [Variant],
}

#[derive(Serialize)]
struct Change {
    key: &'static str,
    now: String,
    would_be: String,
}

#[derive(Serialize)]
struct Side<'a> {
    #[serde(flatten)]
    outcome: &'a Outcome,
    requests_per_hour: f64,
    at_base_s: f64,
    cost: f64,
}

#[derive(Serialize)]
struct Differs {
    at: String,
    now: Decision,
    would_be: Decision,
}

impl<'a> Side<'a> {
    fn of(tried: &'a Tried) -> Self {
        let Tried { outcome, requests_per_hour, at_base, cost, .. } = tried;
        Self { outcome, requests_per_hour: *requests_per_hour, at_base_s: at_base.secs_f64(), cost: *cost }
    }
}

impl Compared<'_> {
    /// One object (`docs/whatif.md`), and a line's end.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        let told = self.comparison;
        let changes = Settings::differences(self.old, self.new).into_iter();
        let differences = told.differences.iter();
        let form = Form {
            vm: self.vm,
            from: told.from.rfc3339(),
            to: told.to.rfc3339(),
            changes: changes.map(|(key, now, would_be)| Change { key, now, would_be }).collect(),
            now: Side::of(&told.old),
            would_be: Side::of(&told.new),
            differences: differences.map(|d| Differs { at: d.at.rfc3339(), now: d.old, would_be: d.new }).collect(),
            sensitivity: &told.strip,
        };
        Ok(serde_json::to_string(&form)? + "\n")
    }

    /// What an operator reads.
    pub(super) fn table(&self) -> String {
        let (told, mut out) = (self.comparison, String::new());
        let outcome = &told.new.outcome;
        // Writing into a String cannot fail.
        let _ = writeln!(out, "{}, {} to {}", self.vm, moment(told.from), moment(told.to));
        let every = in_words(self.recording.median());
        let _ = writeln!(out, "{} samples, one every {every}, {} missing\n", outcome.samples, outcome.gaps);
        let mut row = |name: &str, now: &str, would_be: &str| {
            let line = format!("{name:<22}{now:>14}  {would_be:>14}");
            let _ = writeln!(out, "{}", line.trim_end());
        };
        row("", "NOW", "WOULD BE");
        for (key, now, would_be) in Settings::differences(self.old, self.new) {
            row(key, or_dash(&now), or_dash(&would_be));
        }
        for (name, [now, would_be]) in self.figures() {
            row(name, &now, &would_be);
        }
        if !told.differences.is_empty() {
            let _ = writeln!(out, "\n{:<22}{:>14}  {:>14}", "FIRST DIFFERENCES", "NOW", "WOULD BE");
        }
        for each in &told.differences {
            let _ =
                writeln!(out, "{:<22}{:>14}  {:>14}", moment(each.at), what_if_word(each.old), what_if_word(each.new));
        }
        strip(&mut out, &told.strip);
        out
    }

    fn figures(&self) -> Vec<(&'static str, [String; 2])> {
        let sides = [&self.comparison.old, &self.comparison.new];
        let has_base = sides.iter().any(|side| side.outcome.moves_to_base > 0);
        let mut figures = vec![("ring moves", sides.map(|s| s.outcome.moves.to_string()))];
        if has_base {
            figures.push(("moves to base", sides.map(|s| s.outcome.moves_to_base.to_string())));
        }
        figures.push(("quick repeats", sides.map(|s| s.outcome.quick_moves.to_string())));
        figures.push(("beyond the threshold", sides.map(|s| seconds(s.outcome.beyond_s))));
        figures.push(("requests an hour", sides.map(|s| format!("{:.2}", s.requests_per_hour))));
        if has_base {
            figures.push(("time at base", sides.map(|s| in_words(s.at_base))));
        }
        if self.prices != Prices::default() {
            figures.push(("cost", sides.map(|s| format!("{:.2}", s.cost))));
        }
        figures
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::cluster::{Direction, Timestamp};
    use crate::core::insight::compare;
    use crate::core::policy::{Bound, Rule};

    const PRICES: Prices = Prices { ring: 0.2, base: 0.05 };

    fn said(format: impl Fn(&Compared<'_>) -> String) -> String {
        let values = [vec![60.0; 7], vec![30.0; 3], vec![0.0; 10]].concat();
        let at = |n: usize| Timestamp::from_secs(1_241_613_600 + 60 * n as i64);
        let recording = Recording::new(values.iter().enumerate().map(|(n, v)| (at(n), *v))).unwrap();
        let high = |at| Bound { at, tarry: 3 };
        let old = Settings::new(Rule::Threshold { high: high(50.0) }, Direction::HigherIsWorse);
        let rule = Rule::Base { high: high(70.0), low: Bound { at: 1.0, tarry: 4 } };
        let new = Settings { rule, ..old };
        let mut comparison = compare(&recording, &old, &new, PRICES).unwrap();
        comparison.strip = recording.strip(&new);
        let (vm, prices) = ("nii1", PRICES);
        let compared = Compared { vm, recording: &recording, old: &old, new: &new, prices, comparison: &comparison };
        format(&compared)
    }

    #[test]
    fn old_and_new_stand_side_by_side() {
        let said = said(|compared| compared.table());
        let expected = "\
nii1, 2009-05-06T12:40:00Z to 2009-05-06T12:59:00Z
20 samples, one every 60 s, 0 missing

                                 NOW        WOULD BE
kind                     \"threshold\"          \"base\"
threshold                         50              70
low_threshold                      -               1
low_tarry                          -               4
ring moves                         2               0
moves to base                      0               1
quick repeats                      1               0
beyond the threshold           7 min             0 s
requests an hour                6.00            3.00
time at base                     0 s           7 min
cost                            0.07            0.05

FIRST DIFFERENCES                NOW        WOULD BE
2009-05-06T12:42:00Z           moves           stays
2009-05-06T12:45:00Z           moves           stays
2009-05-06T12:53:00Z           stays         to base

   threshold  tarry   moves
          56      3       2
";
        assert!(said.starts_with(expected), "{said}");
        assert!(said.ends_with("an estimate, not a promise\n"), "{said}");
    }

    #[test]
    fn json_has_both_sides_and_the_strip() {
        let said: serde_json::Value = serde_json::from_str(&said(|c| c.json().unwrap())).unwrap();
        assert_eq!((&said["vm"], &said["from"]), (&"nii1".into(), &"2009-05-06T12:40:00.000Z".into()));
        let change = serde_json::json!({"key": "threshold", "now": "50", "would_be": "70"});
        assert_eq!(said["changes"][1], change);
        assert_eq!((&said["now"]["moves"], &said["would_be"]["moves_to_base"]), (&2.into(), &1.into()));
        assert_eq!(said["would_be"]["at_base_s"], 420.0);
        let first = serde_json::json!({"at": "2009-05-06T12:42:00.000Z", "now": "move", "would_be": "stay"});
        assert_eq!(said["differences"][0], first);
        assert_eq!(said["sensitivity"].as_array().map(Vec::len), Some(8));
    }
}
