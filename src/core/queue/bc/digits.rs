//! Numbers as text, in all of bc's bases.

use num_bigint::BigUint;

use super::Reason;
use super::meter::{Meter, conversion, words};
use super::number::{Number, times_ten};

impl Number {
    /// Reads a constant as bc does: a digit beyond the base counts as the base's last, unless it stands alone.
    pub fn read(constant: &str, base: u32, meter: &mut Meter) -> Result<Self, Reason> {
        let constant = constant.strip_suffix('.').unwrap_or(constant).trim_start_matches('0');
        let (whole, fraction) = constant.split_once('.').unwrap_or((constant, ""));
        let scale = fraction.len() as u64;
        meter.digits(whole.len() as f64, scale)?;
        meter.work(conversion(constant.len() as u64 / 19 + 1))?;
        let alone = whole.len() == 1 && (fraction.is_empty() || base != 10);
        let most = if alone { u32::MAX } else { base - 1 };
        // The point is no digit, and falls out.
        let value = |text: &str, most: u32| {
            let digits = text.chars().filter_map(|c| c.to_digit(36)).map(|digit| digit.min(most));
            from_digits(&digits.collect::<Vec<u32>>(), base)
        };
        let units = if base == 10 || fraction.is_empty() {
            value(constant, most)
        } else {
            let power = BigUint::from(base).pow(scale as u32);
            let after = times_ten(&value(fraction, base - 1), scale, meter)?.into_owned() / power;
            times_ten(&value(whole, most), scale, meter)?.into_owned() + after
        };
        Ok(Self { negative: false, units, scale })
    }

    /// Writes the number as bc prints it in a base of 2 or more.
    pub fn write(&self, base: u32, meter: &mut Meter) -> Result<String, Reason> {
        meter.room(self.units.bits() / (u64::from(base.ilog2()) + 1))?;
        let mut text = String::from(if self.negative { "-" } else { "" });
        if self.is_zero() {
            text.push('0');
            return Ok(text);
        }
        if base == 10 {
            meter.work(conversion(words(&self.units)))?;
            let digits = self.units.to_string();
            let (whole, fraction) = digits.split_at(digits.len().saturating_sub(self.scale as usize));
            text.push_str(whole);
            if self.scale > 0 {
                text.push('.');
                text.extend(std::iter::repeat_n('0', self.scale as usize - fraction.len()));
                text.push_str(fraction);
            }
            return Ok(text);
        }
        let one = times_ten(&BigUint::from(1_u8), self.scale, meter)?.into_owned();
        let whole = &self.units / &one;
        let mut fraction = &self.units % &one;
        for digit in to_digits(whole, base, meter)? {
            push_digit(&mut text, digit, base, true);
        }
        if self.scale > 0 {
            text.push('.');
            // As many digits as the power of the base has fewer decimal digits than the fraction.
            let mut power = BigUint::from(1_u8);
            while power < one {
                meter.work(8 * words(&one))?;
                fraction *= base;
                let digit = &fraction / &one;
                fraction %= &one;
                push_digit(&mut text, u32::try_from(digit).unwrap_or_default(), base, power.bits() > 1);
                power *= base;
            }
        }
        Ok(text)
    }
}

/// A digit up to F, or from base 17 on a decimal group of the length that the base needs, which may have a blank before.
fn push_digit(text: &mut String, digit: u32, base: u32, blank: bool) {
    if base <= 16 {
        text.extend(char::from_digit(digit, 16).map(|c| c.to_ascii_uppercase()));
    } else {
        let width = (base - 1).ilog10() as usize + 1;
        text.push_str(if blank { " " } else { "" });
        text.push_str(&format!("{digit:0width$}"));
    }
}

/// The digits of a number, highest first; none for zero.
fn to_digits(mut n: BigUint, base: u32, meter: &mut Meter) -> Result<Vec<u32>, Reason> {
    if base <= 256 && n.bits() > 0 {
        meter.work(conversion(words(&n)))?;
        return Ok(n.to_radix_be(base).into_iter().map(u32::from).collect());
    }
    let mut digits = Vec::new();
    while n.bits() > 0 {
        meter.work(2 * words(&n))?;
        digits.push(u32::try_from(&n % base).unwrap_or_default());
        n /= base;
    }
    digits.reverse();
    Ok(digits)
}

/// The number that these digits are, highest first: pairs of pieces become pieces twice as long.
fn from_digits(digits: &[u32], base: u32) -> BigUint {
    let piece = 64 / (base.ilog2() + 1);
    let word = |digits: &[u32]| digits.iter().fold(0_u64, |n, digit| n * u64::from(base) + u64::from(*digit));
    let mut pieces: Vec<BigUint> = digits.rchunks(piece as usize).map(|digits| word(digits).into()).collect();
    let mut power = BigUint::from(base).pow(piece);
    while pieces.len() > 1 {
        pieces = pieces
            .chunks(2)
            .map(|pair| pair[1..].iter().fold(pair[0].clone(), |low, high| low + high * &power))
            .collect();
        power = &power * &power;
    }
    pieces.pop().unwrap_or_default()
}
