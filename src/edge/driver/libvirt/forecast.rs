//! What a migration will be like, as a phrase.

use super::task::Learned;
use crate::core::insight::precopy::in_words;

/// `about 4.2 s in 6 rounds`, for so many bytes of memory; `None` where nothing is known of the network yet.
pub(super) fn phrase(memory: u64, learned: Learned) -> Option<String> {
    let rate = learned.rate.filter(|rate| *rate > 0)?;
    let mb = |bytes: u64| bytes as f64 / 1e6;
    Some(in_words(mb(memory), mb(learned.dirty.unwrap_or_default()), mb(rate)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learned(rate: u64, dirty: u64) -> Learned {
        Learned { rate: Some(rate), dirty: Some(dirty) }
    }

    #[test]
    fn a_forecast_is_a_short_phrase() {
        assert_eq!(phrase(4_096_000_000, learned(117_000_000, 20_000_000)).unwrap(), "about 42.2 s in 6 rounds");
        assert_eq!(phrase(90_000_000, learned(30_000_000, 0)).unwrap(), "about 3.0 s in 1 round");
    }

    #[test]
    fn what_will_not_converge_is_said_with_its_figures() {
        let said = phrase(512_000_000, learned(30_000_000, 120_000_000)).unwrap();
        assert_eq!(said, "will not converge: writes 120 MB/s, sends 30 MB/s");
    }

    #[test]
    fn without_a_rate_nothing_is_foretold() {
        assert_eq!(phrase(1, Learned { rate: None, dirty: Some(1) }), None);
        assert_eq!(phrase(1, learned(0, 0)), None);
    }
}
