//! Runs a program: the registers, what is printed, and where it went wrong.

use std::cmp::Ordering;

use super::lexer::Operator;
use super::meter::Meter;
use super::number::Number;
use super::parser::{Instruction, Program, Register};
use super::{Reason, Refusal};

/// The largest `scale` and `obase`; a larger one is set to it with a warning.
const LARGEST: u32 = 2_147_483_647;

/// What a program prints.
///
/// # Errors
/// bc would report an error or warn; a limit.
pub fn run(line: &str, program: &Program, mut meter: Meter) -> Result<String, Refusal> {
    let zero = Number::from(0);
    meter.hold(zero.bytes() * program.variables as u64).map_err(|reason| Refusal { at: 1, reason })?;
    let variables = vec![zero; program.variables];
    let mut machine =
        Runner { line, meter, stack: Vec::new(), variables, scale: 0, ibase: 10, obase: 10, output: String::new() };
    let mut next = 0;
    while let Some(step) = program.steps.get(next) {
        let jump = machine.step(step.at, step.what).map_err(|reason| Refusal { at: step.at + 1, reason })?;
        next = jump.unwrap_or(next + 1);
    }
    Ok(machine.output)
}

struct Runner<'a> {
    line: &'a str,
    meter: Meter<'a>,
    stack: Vec<Number>,
    variables: Vec<Number>,
    scale: u32,
    ibase: u32,
    obase: u32,
    output: String,
}

impl Runner<'_> {
    /// Carries out an instruction: where it jumps to, if it does.
    fn step(&mut self, at: usize, what: Instruction) -> Result<Option<usize>, Reason> {
        self.meter.work(0)?;
        match what {
            Instruction::Constant(length) => {
                let number = Number::read(&self.line[at..at + length], self.ibase, &mut self.meter)?;
                self.push(number)?;
            }
            Instruction::Load(register) => {
                let number = self.load(register);
                self.push(number)?;
            }
            Instruction::Store(register) => self.store(register)?,
            Instruction::Count { register, up } => self.count(register, up)?,
            Instruction::Drop => drop(self.pop()),
            Instruction::Print => {
                let text = self.pop().write(self.obase, &mut self.meter)?;
                self.meter.output(text.len() + 1)?;
                self.output.push_str(&text);
                self.output.push('\n');
            }
            Instruction::Negate => {
                let number = self.pop().negate(&mut self.meter)?;
                self.push(number)?;
            }
            Instruction::Not => {
                let is_zero = self.pop().is_zero();
                self.push(is_zero.into())?;
            }
            Instruction::Sqrt => {
                let root = self.pop().root(self.scale.into(), &mut self.meter)?;
                self.push(root)?;
            }
            Instruction::Length => {
                let length = self.pop().length(&mut self.meter)?;
                self.push(length.into())?;
            }
            Instruction::Scale => {
                let scale = self.pop().scale;
                self.push(scale.into())?;
            }
            Instruction::Compute(operator) => {
                let right = self.pop();
                let result = self.compute(operator, right)?;
                self.push(result)?;
            }
            Instruction::Branch(operator, to) => {
                let left = self.pop();
                let is_and = operator == Operator::And;
                if left.is_zero() == is_and {
                    self.push(if is_and { left } else { true.into() })?;
                    return Ok(Some(to));
                }
            }
        }
        Ok(None)
    }

    fn compute(&mut self, operator: Operator, right: Number) -> Result<Number, Reason> {
        match operator {
            // bc leaves the zero that it has, with its scale and sign.
            Operator::And => return Ok(if right.is_zero() { right } else { true.into() }),
            Operator::Or => return Ok((!right.is_zero()).into()),
            _ => {}
        }
        let (left, meter, scale) = (self.pop(), &mut self.meter, u64::from(self.scale));
        let is = match operator {
            Operator::Add => return left.add(&right, meter),
            Operator::Subtract => return left.subtract(&right, meter),
            Operator::Multiply => return left.multiply(&right, scale, meter),
            Operator::Divide => return left.divide(&right, scale, meter),
            Operator::Remainder => return left.remainder(&right, scale, meter),
            Operator::Raise => return left.raise(&right, scale, meter),
            Operator::Less => Ordering::is_lt,
            Operator::LessOrEqual => Ordering::is_le,
            Operator::Greater => Ordering::is_gt,
            Operator::GreaterOrEqual => Ordering::is_ge,
            Operator::NotEqual => Ordering::is_ne,
            Operator::Equal | Operator::And | Operator::Or => Ordering::is_eq,
        };
        Ok(is(left.compare(&right, meter)?).into())
    }

    fn push(&mut self, number: Number) -> Result<(), Reason> {
        self.meter.hold(number.bytes())?;
        self.stack.push(number);
        Ok(())
    }

    fn pop(&mut self) -> Number {
        let number = self.stack.pop().expect("the parser gives each operation its operands");
        self.meter.release(number.bytes());
        number
    }

    fn load(&self, register: Register) -> Number {
        match register {
            Register::Variable(number) => self.variables[number].clone(),
            Register::Scale => u64::from(self.scale).into(),
            Register::Ibase => u64::from(self.ibase).into(),
            Register::Obase => u64::from(self.obase).into(),
        }
    }

    fn store(&mut self, register: Register) -> Result<(), Reason> {
        let number = self.pop();
        match register {
            Register::Variable(variable) => self.set(variable, number.clone())?,
            Register::Scale => self.scale = self.setting("scale", &number, 0, LARGEST)?,
            Register::Ibase => self.ibase = self.setting("ibase", &number, 2, 36)?,
            Register::Obase => self.obase = self.setting("obase", &number, 2, LARGEST)?,
        }
        self.push(number)
    }

    fn set(&mut self, variable: usize, number: Number) -> Result<(), Reason> {
        self.meter.release(self.variables[variable].bytes());
        self.meter.hold(number.bytes())?;
        self.variables[variable] = number;
        Ok(())
    }

    /// The whole part of a number. bc takes a fraction below one for a number that is too large.
    fn setting(&mut self, name: &'static str, number: &Number, least: u32, most: u32) -> Result<u32, Reason> {
        let whole = number.divide(&Number::from(1), 0, &mut self.meter)?;
        let fits = !number.negative && whole.is_zero() == number.is_zero();
        let value = u32::try_from(&whole.units).ok().filter(|value| fits && (least..=most).contains(value));
        value.ok_or(Reason::Setting { name, least, most })
    }

    fn count(&mut self, register: Register, up: bool) -> Result<(), Reason> {
        let (name, value, least, most) = match register {
            Register::Variable(variable) => {
                let one = Number::from(1);
                let number = &self.variables[variable];
                let next =
                    if up { number.add(&one, &mut self.meter)? } else { number.subtract(&one, &mut self.meter)? };
                return self.set(variable, next);
            }
            Register::Scale => ("scale", &mut self.scale, 0, LARGEST),
            Register::Ibase => ("ibase", &mut self.ibase, 2, 16),
            Register::Obase => ("obase", &mut self.obase, 2, LARGEST),
        };
        // bc counts up to 16 from below. What an assignment has set beyond that stays, with a warning.
        let is_free = if up { *value < most } else { *value > least };
        if !is_free {
            return Err(Reason::Setting { name, least, most });
        }
        *value = if up { *value + 1 } else { *value - 1 };
        Ok(())
    }
}
