//! The settings that are asked about: given whole, or over those a VM has.

use clap::Args;

use super::super::span;
use crate::core::cluster::{Direction, Span};
use crate::core::insight::NoWhatIf;
use crate::core::policy::{Bound, DEFAULT_SETTLE, Resting, Rule, Settings, WorkingHours};

/// Over a config's VM, each stands for the VM's own.
#[derive(Debug, Default, Args)]
pub(super) struct Wanted {
    /// The threshold
    #[arg(long, value_name = "V", required_unless_present = "config", allow_negative_numbers = true)]
    threshold: Option<f64>,
    /// So many samples in a row beyond it make a move
    #[arg(long, value_name = "N", required_unless_present = "config")]
    tarry: Option<u32>,
    /// The low threshold: samples past it lead to the base
    #[arg(long, value_name = "V", allow_negative_numbers = true)]
    low_threshold: Option<f64>,
    /// So many in a row
    #[arg(long, value_name = "N")]
    low_tarry: Option<u32>,
    /// After a move nothing counts for so long [default: 45s]
    #[arg(long, value_name = "SPAN", value_parser = settle)]
    settle: Option<Span>,
    /// Working hours, such as "Mon-Fri 09:00-16:00"; outside them the VM is on the base
    #[arg(long, value_name = "HOURS")]
    hours: Option<String>,
    /// Their time zone [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "hours")]
    zone: Option<chrono_tz::Tz>,
}

/// A settle may be nothing at all.
fn settle(text: &str) -> Result<Span, String> {
    if matches!(text, "0" | "0s") { Ok(Span::ZERO) } else { span::parse(text) }
}

/// Both parts of a bound, or neither, where there is none to begin with.
const HALF: &str = "--low-threshold and --low-tarry go together";

impl Wanted {
    /// The settings alone; the command line has seen to it that there are a threshold and a tarry.
    pub(super) fn alone(&self, direction: Direction) -> Result<Settings, String> {
        let (at, tarry) = self.threshold.zip(self.tarry).ok_or("--threshold and --tarry go together")?;
        let mut settings = Settings::new(Rule::Threshold { high: Bound { at, tarry } }, direction);
        settings.settle = DEFAULT_SETTLE;
        self.over(&settings)
    }

    /// These settings with what is wanted instead.
    pub(super) fn over(&self, own: &Settings) -> Result<Settings, String> {
        let high = own.rule.high().ok_or_else(|| NoWhatIf::Site.to_string())?;
        let high = Bound { at: self.threshold.unwrap_or(high.at), tarry: self.tarry.unwrap_or(high.tarry) };
        let (at, tarry) = (self.low_threshold, self.low_tarry);
        let low = match own.rule.low() {
            Some(low) => Some(Bound { at: at.unwrap_or(low.at), tarry: tarry.unwrap_or(low.tarry) }),
            None if at.is_some() != tarry.is_some() => return Err(HALF.to_owned()),
            None => at.zip(tarry).map(|(at, tarry)| Bound { at, tarry }),
        };
        let (own_hours, resting) = match &own.rule {
            Rule::Schedule { hours, resting, .. } => (Some(hours.clone()), *resting),
            _ => (None, Resting::Record),
        };
        let zone = self.zone.or_else(|| own_hours.as_ref().map(WorkingHours::zone)).unwrap_or(chrono_tz::UTC);
        let hours = match &self.hours {
            Some(text) => Some(WorkingHours::parse(text, zone).map_err(|why| why.to_string())?),
            None => own_hours,
        };
        let rule = match (low, hours) {
            (None, None) => Rule::Threshold { high },
            (None, Some(_)) => return Err("--hours needs --low-threshold and --low-tarry".to_owned()),
            (Some(low), None) => Rule::Base { high, low },
            (Some(low), Some(hours)) => Rule::Schedule { high, low, hours, resting },
        };
        let settings = Settings { rule, settle: self.settle.unwrap_or(own.settle), ..*own };
        settings.check().map_err(|why| why.to_string()).map(|()| settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::policy::{BreakEven, SiteRule};

    fn base() -> Settings {
        let (high, low) = (Bound { at: 50.0, tarry: 3 }, Bound { at: 1.0, tarry: 20 });
        Settings::new(Rule::Base { high, low }, Direction::LowerIsWorse)
    }

    fn schedule() -> Settings {
        let (high, low) = (Bound { at: 50.0, tarry: 3 }, Bound { at: 1.0, tarry: 20 });
        let hours = WorkingHours::parse("Mon-Fri 09:00-16:00", chrono_tz::Europe::Oslo).unwrap();
        Settings::new(Rule::Schedule { high, low, hours, resting: Resting::Off }, Direction::HigherIsWorse)
    }

    #[test]
    fn what_is_not_wanted_otherwise_is_the_vms_own() {
        let wanted = Wanted { low_tarry: Some(5), settle: Some(Span::ZERO), ..Wanted::default() };
        let own = Settings { direction: Direction::HigherIsWorse, stale_after: 7, ..base() };
        let new = wanted.over(&own).unwrap();
        assert_eq!(new.rule.low(), Some(Bound { at: 1.0, tarry: 5 }));
        assert_eq!((new.rule.high(), new.settle, new.stale_after), (own.rule.high(), Span::ZERO, 7));
        assert_eq!(Wanted::default().over(&schedule()).unwrap(), schedule());
    }

    #[test]
    fn other_hours_are_in_the_vms_own_zone() {
        let wanted = Wanted { hours: Some("Mon-Fri 08:00-12:00".to_owned()), ..Wanted::default() };
        let new = wanted.over(&schedule()).unwrap();
        let Rule::Schedule { hours, resting, .. } = new.rule else { panic!("{new:?}") };
        assert_eq!((hours.zone(), resting), (chrono_tz::Europe::Oslo, Resting::Off));
    }

    #[test]
    fn a_policy_may_become_another_one() {
        let threshold = Settings::new(Rule::Threshold { high: Bound { at: 50.0, tarry: 3 } }, Direction::HigherIsWorse);
        let wanted = Wanted { low_threshold: Some(1.0), low_tarry: Some(4), ..Wanted::default() };
        assert_eq!(wanted.over(&threshold).unwrap().rule.kind(), "base");
        let wanted = Wanted { hours: Some("09:00-16:00".to_owned()), ..wanted };
        assert_eq!(wanted.over(&threshold).unwrap().rule.kind(), "schedule");
    }

    #[test]
    fn what_cannot_be_is_said() {
        let threshold = Settings::new(Rule::Threshold { high: Bound { at: 50.0, tarry: 3 } }, Direction::HigherIsWorse);
        let said = |wanted: Wanted, own: &Settings| wanted.over(own).unwrap_err();
        let low = |at, tarry| Wanted { low_threshold: at, low_tarry: tarry, ..Wanted::default() };
        assert_eq!(said(low(Some(1.0), None), &threshold), HALF);
        assert_eq!(said(low(None, Some(1)), &threshold), HALF);
        let hours = Wanted { hours: Some("09:00-16:00".to_owned()), ..Wanted::default() };
        assert!(said(hours, &threshold).contains("--hours needs --low-threshold"));
        let crossed = Wanted { low_threshold: Some(60.0), ..Wanted::default() };
        assert!(said(crossed, &schedule()).contains("below"));
        let site = SiteRule { threshold: 2, home_tarry: 3, break_even: BreakEven::Show, margin: 1.5 };
        let site = Settings::new(Rule::Site(site), Direction::HigherIsWorse);
        assert!(said(Wanted::default(), &site).contains("queue in hand"));
    }
}
