//! What GNU bc 1.07.1 answers to a line of work, to the digit; or why this bc does not answer it.
//!
//! Nobody trusts the line. Limits are judged before each operation begins, and nothing here recurses over the line.
//!
//! | file | its story |
//! | --- | --- |
//! | `lexer` | the line's words |
//! | `parser` | words to a program for a stack machine, with bc's precedences |
//! | `machine` | runs a program: variables, bases, what is printed |
//! | `number` | decimal numbers and bc's rules for scales, signs and cutting off |
//! | `digits` | numbers as text, in bases 2 and up |
//! | `meter` | the limits, and what an operation costs |

mod digits;
mod lexer;
mod machine;
mod meter;
mod number;
mod parser;
#[cfg(test)]
mod tests;

use thiserror::Error;

pub use meter::BcLimits;

/// What bc 1.07.1 writes to standard output when it reads `work` as one line, with `BC_LINE_LENGTH=0`.
///
/// `stop` is asked before every operation. The operations of numbers with a million digits take up to half a second.
///
/// # Errors
/// bc writes to standard error, also if only to warn; the line has something that this bc leaves out; it goes beyond
/// the limits; `stop` says so. There is no output then.
pub fn evaluate(work: &str, limits: &BcLimits, stop: &dyn Fn() -> bool) -> Result<String, Refusal> {
    if work.len() > limits.line {
        return Err(Refusal { at: limits.line + 1, reason: Reason::LongLine(limits.line) });
    }
    let program = parser::parse(work, limits.depth)?;
    machine::run(work, &program, meter::Meter::new(limits, stop))
}

/// Why a line is not answered, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("character {at}: {reason}")]
pub struct Refusal {
    /// The character of the line, from 1.
    pub at: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Reason {
    /// bc's grammar has no such line.
    #[error("{0} cannot stand here")]
    Syntax(String),
    /// No word of bc has this character.
    #[error("bc has no use for {0:?}")]
    Character(char),
    /// bc has it, and this bc leaves it out.
    #[error("{0} not part of what whimbrel's bc does")]
    LeftOut(String),
    /// More variables than bc can hold.
    #[error("bc holds no more than {0} variables")]
    Variables(usize),
    /// More `&&` and `||` than bc's code can hold.
    #[error("too many && and ||: bc says that the program is too big")]
    Branches,
    /// Divided by zero.
    #[error("divide by zero")]
    DivideByZero,
    /// The remainder of a division by zero.
    #[error("modulo by zero")]
    ModuloByZero,
    /// A square root of a negative number.
    #[error("square root of a negative number")]
    NegativeRoot,
    /// An exponent with digits after the point.
    #[error("the exponent has a fraction: bc cuts it off, with a warning")]
    FractionalExponent,
    /// An exponent that bc cannot hold.
    #[error("the exponent is too large: bc takes up to 2147483649")]
    LargeExponent,
    /// A `scale`, `ibase` or `obase` that bc takes only with a warning.
    #[error("{name} must be {least} to {most}: bc warns of anything else")]
    Setting {
        /// Which one.
        name: &'static str,
        /// The least value.
        least: u32,
        /// The largest value.
        most: u32,
    },
    /// More bytes than [`BcLimits::line`].
    #[error("the line is longer than the limit of {0} bytes")]
    LongLine(usize),
    /// More levels than [`BcLimits::depth`].
    #[error("nested deeper than the limit of {0}")]
    Deep(u32),
    /// A number longer than [`BcLimits::digits`].
    #[error("a number of about {digits} digits: the limit is {limit}")]
    Digits {
        /// How many it would have.
        digits: u64,
        /// How many it may have.
        limit: u64,
    },
    /// More than [`BcLimits::work`].
    #[error("more work than its time allows: the limit is {0} units")]
    Work(u64),
    /// More than [`BcLimits::memory`].
    #[error("too many long numbers at a time: the limit is {0} bytes")]
    Memory(u64),
    /// More than [`BcLimits::output`].
    #[error("too much output: the limit is {0} bytes")]
    Output(usize),
    /// Whoever asked does not want the answer any more.
    #[error("stopped")]
    Stopped,
}
