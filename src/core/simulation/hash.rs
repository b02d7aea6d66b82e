//! Chance without state: numbers that depend on nothing but a key and a position, so that no order of calls matters.

/// What a number is drawn for, so that no two uses share one.
#[derive(Debug, Clone, Copy)]
pub(super) enum For {
    Phase,
    Drift,
    Flicker,
    Burst,
    BurstAt,
    BurstLength,
    Response,
    Stagger,
    QueueAt,
    QueueKind,
    QueueSize,
    JobLength,
    Transfer,
}

/// SplitMix64's output function (Steele, Lea, Flood 2014): every bit of the input moves every bit of the output.
pub(super) const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The key of the `index`-th thing of a seed.
pub(super) const fn key(seed: u64, index: u64) -> u64 {
    mix(mix(seed) ^ index)
}

/// A number from 0 to under 1.
pub(super) const fn unit(key: u64, what: For, n: i64) -> f64 {
    const SCALE: f64 = 1.0 / (1_u64 << 53) as f64;
    let salt = (what as u64 + 1).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mix(key ^ salt ^ (n as u64).wrapping_mul(0xa076_1d64_78bd_642f)) >> 11) as f64 * SCALE
}

/// A whole number from `low` to `high`, both included.
pub(super) fn between(key: u64, what: For, n: i64, low: u32, high: u32) -> u32 {
    low + (unit(key, what, n) * f64::from(high - low + 1)) as u32
}

/// A sine of period 1, within 0.002, from `+ − ×` alone: the same bits on every machine.
pub(super) fn wave(turns: f64) -> f64 {
    let x = 2.0 * (turns - (turns + 0.5).floor());
    let y = 4.0 * x * (1.0 - x.abs());
    0.225 * (y * y.abs() - y) + y
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_spread_evenly() {
        let mean = (0..10_000).map(|n| unit(key(1, 7), For::Drift, n)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        assert!((0..10_000).map(|n| unit(3, For::Burst, n)).all(|u| (0.0..1.0).contains(&u)));
    }

    #[test]
    fn uses_do_not_share_their_numbers() {
        assert_ne!(unit(1, For::Burst, 5), unit(1, For::BurstAt, 5));
        assert_ne!(unit(key(1, 0), For::Burst, 5), unit(key(1, 1), For::Burst, 5));
        assert_ne!(unit(key(1, 0), For::Burst, 5), unit(key(2, 0), For::Burst, 5));
    }

    #[test]
    fn the_wave_is_a_sine() {
        for n in -100..100 {
            let turns = f64::from(n) / 37.0;
            assert!((wave(turns) - (turns * std::f64::consts::TAU).sin()).abs() < 0.002, "{turns}");
        }
    }
}
