//! Decimal numbers, and the rules of bc 1.07.1 for the scale, the sign and the last digit of what is computed.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::f64::consts::LOG10_2;

use num_bigint::BigUint;

use super::Reason;
use super::meter::{Meter, product, quotient, words};

/// The largest exponent that bc can hold.
const LARGEST_EXPONENT: u64 = 2_147_483_649;

/// `units` / 10^`scale`. Zero may be negative, as in bc.
#[derive(Debug, Clone)]
pub struct Number {
    pub negative: bool,
    pub units: BigUint,
    /// Digits after the point: part of the number, also if they are zeros.
    pub scale: u64,
}

impl From<u64> for Number {
    fn from(n: u64) -> Self {
        Self { negative: false, units: n.into(), scale: 0 }
    }
}

impl From<bool> for Number {
    fn from(is: bool) -> Self {
        Self::from(u64::from(is))
    }
}

impl Number {
    pub fn is_zero(&self) -> bool {
        self.units.bits() == 0
    }

    /// What it takes of the memory, in bytes.
    pub fn bytes(&self) -> u64 {
        8 * words(&self.units) + 64
    }

    /// Digits before the point and after it, as bc's `length` counts them.
    pub fn length(&self, meter: &mut Meter) -> Result<u64, Reason> {
        let digits = decimal_length(&self.units, meter)?;
        Ok(if digits > self.scale { digits } else { self.scale.max(1) })
    }

    /// As bc compares: a negative zero is less than zero.
    pub fn compare(&self, other: &Self, meter: &mut Meter) -> Result<Ordering, Reason> {
        let order = match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (negative, _) => {
                let (a, b, _) = aligned(self, other, meter)?;
                if negative { b.cmp(&a) } else { a.cmp(&b) }
            }
        };
        Ok(order)
    }

    pub fn add(&self, other: &Self, meter: &mut Meter) -> Result<Self, Reason> {
        self.sum(other, other.negative, meter)
    }

    pub fn subtract(&self, other: &Self, meter: &mut Meter) -> Result<Self, Reason> {
        self.sum(other, !other.negative, meter)
    }

    pub fn negate(&self, meter: &mut Meter) -> Result<Self, Reason> {
        Self::from(0).subtract(self, meter)
    }

    fn sum(&self, other: &Self, other_negative: bool, meter: &mut Meter) -> Result<Self, Reason> {
        let whole = self.whole_digits().max(other.whole_digits());
        meter.digits(whole, self.scale.max(other.scale))?;
        let (a, b, scale) = aligned(self, other, meter)?;
        let (negative, units) = if self.negative == other_negative {
            (self.negative, a.as_ref() + b.as_ref())
        } else {
            match a.cmp(&b) {
                Ordering::Less => (other_negative, b.as_ref() - a.as_ref()),
                Ordering::Equal => (false, BigUint::ZERO),
                Ordering::Greater => (self.negative, a.as_ref() - b.as_ref()),
            }
        };
        Ok(Self { negative, units, scale })
    }

    pub fn multiply(&self, other: &Self, scale: u64, meter: &mut Meter) -> Result<Self, Reason> {
        let full = self.scale + other.scale;
        let scale = full.min(scale.max(self.scale).max(other.scale));
        meter.digits(self.whole_digits() + other.whole_digits() - 1.0, scale)?;
        meter.work(product(words(&self.units), words(&other.units)))?;
        let units = over_ten(&self.units * &other.units, full - scale, meter)?;
        Ok(Self { negative: self.negative != other.negative && units.bits() > 0, units, scale })
    }

    pub fn divide(&self, by: &Self, scale: u64, meter: &mut Meter) -> Result<Self, Reason> {
        if by.is_zero() {
            return Err(Reason::DivideByZero);
        }
        let whole = self.whole_digits() - by.whole_digits();
        meter.digits(whole, scale)?;
        if self.is_zero() || whole + scale as f64 + 2.0 < 0.0 {
            return Ok(Self { negative: false, units: BigUint::ZERO, scale });
        }
        let units = ratio(self, &by.units, by.scale, scale, meter)?;
        Ok(Self { negative: self.negative != by.negative && units.bits() > 0, units, scale })
    }

    pub fn remainder(&self, by: &Self, scale: u64, meter: &mut Meter) -> Result<Self, Reason> {
        if by.is_zero() {
            return Err(Reason::ModuloByZero);
        }
        let quotient = self.divide(by, scale, meter)?;
        let whole = quotient.multiply(by, self.scale.max(by.scale + scale), meter)?;
        self.subtract(&whole, meter)
    }

    pub fn raise(&self, exponent: &Self, scale: u64, meter: &mut Meter) -> Result<Self, Reason> {
        if exponent.scale > 0 {
            return Err(Reason::FractionalExponent);
        }
        let times = u64::try_from(&exponent.units).ok().filter(|n| *n <= LARGEST_EXPONENT);
        let times = times.ok_or(Reason::LargeExponent)?;
        if times == 0 {
            return Ok(Self::from(1));
        }
        if self.is_zero() && exponent.negative {
            return Err(Reason::DivideByZero);
        }
        let full = self.scale.saturating_mul(times);
        meter.digits(log10(&self.units) * times as f64 - full as f64, full)?;
        let mut units = self.units.clone();
        for bit in (0..times.ilog2()).rev() {
            meter.work(product(words(&units), words(&units)))?;
            units = &units * &units;
            if times >> bit & 1 == 1 {
                meter.work(product(words(&units), words(&self.units)))?;
                units *= &self.units;
            }
        }
        // What bc multiplies has lost the sign of a zero. The cut afterwards leaves a negative zero.
        let negative = self.negative && times % 2 == 1 && (times == 1 || units.bits() > 0);
        if exponent.negative {
            return Self::from(1).divide(&Self { negative, units, scale: full }, scale, meter);
        }
        let scale = full.min(scale.max(self.scale));
        Ok(Self { negative, units: over_ten(units, full - scale, meter)?, scale })
    }

    /// Newton's method in bc's own steps: it may end one unit beside the root, and then so must this.
    pub fn root(&self, scale: u64, meter: &mut Meter) -> Result<Self, Reason> {
        if self.negative {
            return Err(Reason::NegativeRoot);
        }
        if self.is_zero() {
            return Ok(Self::from(0));
        }
        let one = Self::from(1);
        let order = self.compare(&one, meter)?;
        if order == Ordering::Equal {
            return Ok(one);
        }
        let scale = scale.max(self.scale);
        meter.digits(self.whole_digits() / 2.0, scale + 1)?;
        let mut guess = BigUint::from(1_u8);
        let (mut guess_scale, mut step_scale) = (0, self.scale);
        if order == Ordering::Greater {
            let whole = decimal_length(&self.units, meter)? - self.scale;
            guess = times_ten(&guess, whole / 2, meter)?.into_owned();
            step_scale = 3;
        }
        loop {
            let before = times_ten(&guess, step_scale - guess_scale, meter)?.into_owned();
            let other = ratio(self, &guess, guess_scale, step_scale, meter)?;
            guess = (other + &before) >> 1;
            guess_scale = step_scale;
            let apart = if guess > before { &guess - before } else { before - &guess };
            if apart.bits() > 1 {
                continue;
            }
            if step_scale > scale {
                break;
            }
            step_scale = (3 * step_scale).min(scale + 1);
        }
        Ok(Self { negative: false, units: over_ten(guess, guess_scale - scale, meter)?, scale })
    }

    /// About how many digits it has before the point; zero or less for what begins after it.
    fn whole_digits(&self) -> f64 {
        digits_of(&self.units) - self.scale as f64
    }
}

/// Both numbers' units at the larger scale, and that.
fn aligned<'a>(
    a: &'a Number,
    b: &'a Number,
    meter: &mut Meter,
) -> Result<(Cow<'a, BigUint>, Cow<'a, BigUint>, u64), Reason> {
    let scale = a.scale.max(b.scale);
    let (left, right) = (times_ten(&a.units, scale - a.scale, meter)?, times_ten(&b.units, scale - b.scale, meter)?);
    meter.work(words(&left).max(words(&right)) / 4)?;
    Ok((left, right, scale))
}

/// The units of `a` / (`by` / 10^`by_scale`), cut off after `scale` digits.
fn ratio(a: &Number, by: &BigUint, by_scale: u64, scale: u64, meter: &mut Meter) -> Result<BigUint, Reason> {
    let scale = scale + by_scale;
    let units = if scale >= a.scale {
        times_ten(&a.units, scale - a.scale, meter)?
    } else {
        Cow::Owned(over_ten(a.units.clone(), a.scale - scale, meter)?)
    };
    meter.work(quotient(words(&units), words(by)))?;
    Ok(units.as_ref() / by)
}

/// `n` · 10^`digits`: times 5^`digits`, and shifted, which is the shorter product.
pub fn times_ten<'a>(n: &'a BigUint, digits: u64, meter: &mut Meter) -> Result<Cow<'a, BigUint>, Reason> {
    if digits == 0 || n.bits() == 0 {
        return Ok(Cow::Borrowed(n));
    }
    let power = power_of_five(digits, meter)?;
    meter.work(product(words(n), words(&power)))?;
    Ok(Cow::Owned((n * power) << digits))
}

/// `n` / 10^`digits`, cut off.
pub fn over_ten(n: BigUint, digits: u64, meter: &mut Meter) -> Result<BigUint, Reason> {
    // It has fewer digits: 10^digits has more than 3 bits each.
    if digits == 0 || n.bits() < 3 * digits {
        return Ok(if digits == 0 { n } else { BigUint::ZERO });
    }
    let power = power_of_five(digits, meter)?;
    let shifted = n >> digits;
    meter.work(quotient(words(&shifted), words(&power)))?;
    Ok(shifted / power)
}

fn power_of_five(digits: u64, meter: &mut Meter) -> Result<BigUint, Reason> {
    let words = digits / 27 + 1;
    meter.work(product(words, words))?;
    let exponent = u32::try_from(digits).expect("two numbers have at most 2,000,000,000 digits");
    Ok(BigUint::from(5_u8).pow(exponent))
}

/// About log10 `n`, to nine digits after the point. Zero for zero.
fn log10(n: &BigUint) -> f64 {
    let mut words = n.iter_u64_digits().rev();
    let Some(first) = words.next() else { return 0.0 };
    let second = words.next().unwrap_or(0);
    let below = words.len() as f64 + f64::from(u8::from(n.bits() > 64));
    (first as f64 + second as f64 / 2_f64.powi(64)).log10() + below * 64.0 * LOG10_2
}

/// About how many decimal digits `n` has. A power of ten may count for one too few.
fn digits_of(n: &BigUint) -> f64 {
    if n.bits() == 0 { 0.0 } else { (log10(n) - 1e-6).floor() + 1.0 }
}

/// How many decimal digits `n` has.
fn decimal_length(n: &BigUint, meter: &mut Meter) -> Result<u64, Reason> {
    let log = log10(n);
    let near = log.round();
    if n.bits() == 0 {
        Ok(0)
    } else if (log - near).abs() > 1e-6 {
        Ok(log as u64 + 1)
    } else {
        let power = times_ten(&BigUint::from(1_u8), near as u64, meter)?.into_owned();
        Ok(near as u64 + u64::from(*n >= power))
    }
}
