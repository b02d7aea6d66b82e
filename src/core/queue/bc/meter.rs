//! The limits of a line, and what an operation costs, judged before it begins.

use num_bigint::BigUint;

use super::Reason;
use crate::core::cluster::Span;
use crate::core::queue::{DEFAULT_DIGITS, DEFAULT_JOB_DEADLINE, LONGEST_LINE};

/// How far a line may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BcLimits {
    /// The longest line, in bytes.
    pub line: usize,
    /// Parentheses, prefixes and unfinished operators within each other. bc's own parser ends somewhere above 2,000: what
    /// is set higher counts as 2,000.
    pub depth: u32,
    /// The longest number, in decimal digits before and after the point: to within one digit. At most 1,000,000,000.
    pub digits: u64,
    /// Units of work, of about 10 ns each on a machine of 2020. They are counted before an operation begins, and do not
    /// depend on the machine.
    pub work: u64,
    /// What variables and unfinished expressions hold, in bytes. An operation under way has up to ten numbers of the
    /// greatest length beside it.
    pub memory: u64,
    /// The longest output, in bytes.
    pub output: usize,
}

impl BcLimits {
    /// For numbers of so many digits, and the work that a machine of 2020 does in four times the deadline: `stop` keeps
    /// to the deadline itself. With memory for five numbers of that length, at least 64 MiB, and 16 MiB of output.
    pub fn new(digits: u64, deadline: Span) -> Self {
        let work = u64::try_from(deadline.millis()).unwrap_or(0).saturating_mul(400_000);
        let memory = digits.saturating_mul(2).max(64 << 20);
        Self { line: LONGEST_LINE, depth: 500, digits, work, memory, output: 16 << 20 }
    }
}

impl Default for BcLimits {
    /// As for a job of a queue that sets none.
    fn default() -> Self {
        Self::new(DEFAULT_DIGITS, DEFAULT_JOB_DEADLINE)
    }
}

/// What an operation costs besides its numbers' length.
const OPERATION: u64 = 20;

/// Counts what a line has used of its limits.
pub struct Meter<'a> {
    limits: &'a BcLimits,
    stop: &'a dyn Fn() -> bool,
    worked: u64,
    held: u64,
    written: usize,
}

impl<'a> Meter<'a> {
    pub fn new(limits: &'a BcLimits, stop: &'a dyn Fn() -> bool) -> Self {
        Self { limits, stop, worked: 0, held: 0, written: 0 }
    }

    /// Before an operation: takes what it costs.
    pub fn work(&mut self, units: u64) -> Result<(), Reason> {
        if (self.stop)() {
            return Err(Reason::Stopped);
        }
        self.worked = self.worked.saturating_add(units).saturating_add(OPERATION);
        if self.worked > self.limits.work { Err(Reason::Work(self.limits.work)) } else { Ok(()) }
    }

    /// Before a number is made: whether it may have so many digits before the point and after it.
    pub fn digits(&self, whole: f64, scale: u64) -> Result<(), Reason> {
        let digits = (whole.max(1.0) as u64).saturating_add(scale);
        let limit = self.limits.digits.min(1_000_000_000);
        if digits > limit { Err(Reason::Digits { digits, limit }) } else { Ok(()) }
    }

    /// Before a text of at least this length is made.
    pub fn room(&self, bytes: u64) -> Result<(), Reason> {
        let room = self.limits.output.saturating_sub(self.written) as u64;
        if bytes > room { Err(Reason::Output(self.limits.output)) } else { Ok(()) }
    }

    /// Before text of this length is written.
    pub fn output(&mut self, bytes: usize) -> Result<(), Reason> {
        self.written = self.written.saturating_add(bytes);
        if self.written > self.limits.output { Err(Reason::Output(self.limits.output)) } else { Ok(()) }
    }

    /// A variable or an unfinished expression has a number of so many bytes.
    pub fn hold(&mut self, bytes: u64) -> Result<(), Reason> {
        self.held += bytes;
        if self.held > self.limits.memory { Err(Reason::Memory(self.limits.memory)) } else { Ok(()) }
    }

    /// That number is gone.
    pub fn release(&mut self, bytes: u64) {
        self.held -= bytes;
    }
}

/// The words of 64 bits in a number: at least one.
pub fn words(n: &BigUint) -> u64 {
    n.bits().div_ceil(64).max(1)
}

/// What it costs to multiply numbers of `a` and `b` words.
pub fn product(a: u64, b: u64) -> u64 {
    let (long, short) = (a.max(b), a.min(b));
    long.saturating_mul(short.isqrt() + 1)
}

/// What it costs to divide a number of `a` words by one of `b` words.
pub fn quotient(a: u64, b: u64) -> u64 {
    product(a.saturating_sub(b) + 1, b).saturating_mul(3)
}

/// What it costs to write a number of `words` in another base, or to read it.
pub fn conversion(words: u64) -> u64 {
    product(words, words).saturating_mul(4)
}
