//! Words to a program for a stack machine. What is unfinished lies on a stack: the parser does not call itself.

use std::collections::BTreeMap;

use super::lexer::{Lexeme, Operator, next};
use super::{Reason, Refusal};

/// What a line does.
pub struct Program {
    pub steps: Vec<Step>,
    /// How many variables it has.
    pub variables: usize,
}

/// An instruction, and the byte of the line that it comes from.
pub struct Step {
    pub at: usize,
    pub what: Instruction,
}

/// What the machine does with its stack of numbers. Where an instruction goes to is an index of [`Program::steps`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instruction {
    /// Pushes the constant that begins at the step's byte and has this length.
    Constant(usize),
    /// Pushes what a register has.
    Load(Register),
    /// Sets a register to the top, which stays.
    Store(Register),
    /// Adds one to a register, or takes one away.
    Count {
        register: Register,
        up: bool,
    },
    /// Removes the top.
    Drop,
    /// Writes the top on a line, and removes it.
    Print,
    /// Replaces the top.
    Negate,
    Not,
    Sqrt,
    Length,
    Scale,
    /// Replaces the two on top. For `And` and `Or`: replaces the top, the right side, by what it says.
    Compute(Operator),
    /// If the top, the left side of `And` or `Or`, says it all: replaces it by that, and goes there. Else removes it.
    Branch(Operator, usize),
}

/// Where a line keeps a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Register {
    Variable(usize),
    Scale,
    Ibase,
    Obase,
}

/// bc has room for 32,767 variables, and uses 4 itself.
const MOST_VARIABLES: usize = 32_763;
/// bc numbers the places that it jumps to with 16 bits: `&&` has one, `||` two.
const MOST_BRANCHES: u32 = 65_535;
/// bc's parser gives up at 10,000 symbols. No level has more than four of them.
const DEEPEST: u32 = 2_000;

/// What waits for its operand, or for its end.
#[derive(Clone, Copy)]
enum Pending {
    Open(Option<Instruction>),
    Negate,
    Not,
    Assign(Register, Option<Operator>),
    /// With the step that branches to behind the right side, if it is `And` or `Or`.
    Operator(Operator, Option<usize>),
}

impl Pending {
    /// How tightly it binds what is to its right; zero: not at all.
    fn binds(self) -> u8 {
        match self {
            Self::Open(_) => 0,
            Self::Not => 3,
            Self::Assign(..) => 5,
            Self::Operator(operator, _) => binds(operator),
            Self::Negate => 9,
        }
    }
}

fn binds(operator: Operator) -> u8 {
    use Operator::*;
    match operator {
        Or => 1,
        And => 2,
        Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual => 4,
        Add | Subtract => 6,
        Multiply | Divide | Remainder => 7,
        Raise => 8,
    }
}

/// Reads a line.
///
/// # Errors
/// It is not bc's, has something that this bc leaves out, or is nested deeper than `depth`.
pub fn parse(line: &str, depth: u32) -> Result<Program, Refusal> {
    let mut parser = Parser {
        line,
        word: Lexeme::Semicolon,
        begin: 0,
        end: 0,
        depth: depth.min(DEEPEST),
        steps: Vec::new(),
        pending: Vec::new(),
        printed: Vec::new(),
        variables: BTreeMap::new(),
        branches: 0,
    };
    while parser.word != Lexeme::End {
        parser.advance()?;
        if !matches!(parser.word, Lexeme::Semicolon | Lexeme::End) {
            parser.statement()?;
        }
    }
    Ok(Program { steps: parser.steps, variables: parser.variables.len() })
}

struct Parser<'a> {
    line: &'a str,
    /// The word that is looked at, where it begins and ends.
    word: Lexeme<'a>,
    begin: usize,
    end: usize,
    depth: u32,
    steps: Vec<Step>,
    pending: Vec<(usize, Pending)>,
    /// Of each operand so far: whether a statement of it is printed. One of assignments alone is not.
    printed: Vec<bool>,
    variables: BTreeMap<&'a str, usize>,
    branches: u32,
}

impl<'a> Parser<'a> {
    fn advance(&mut self) -> Result<(), Refusal> {
        (self.word, self.begin, self.end) = next(self.line, self.end)?;
        Ok(())
    }

    fn refuse<T>(&self, reason: Reason) -> Result<T, Refusal> {
        Err(Refusal { at: self.begin + 1, reason })
    }

    /// The word that is looked at does not fit.
    fn misplaced<T>(&self) -> Result<T, Refusal> {
        let word = &self.line[self.begin..self.end];
        let shown = if word.is_empty() { "the end of the line".to_owned() } else { format!("`{word:.20}`") };
        self.refuse(Reason::Syntax(shown))
    }

    fn step(&mut self, at: usize, what: Instruction) {
        self.steps.push(Step { at, what });
    }

    fn wait(&mut self, at: usize, what: Pending) -> Result<(), Refusal> {
        if self.pending.len() >= self.depth as usize {
            return Err(Refusal { at: at + 1, reason: Reason::Deep(self.depth) });
        }
        self.pending.push((at, what));
        Ok(())
    }

    /// Up to the next semicolon.
    fn statement(&mut self) -> Result<(), Refusal> {
        let at = self.begin;
        loop {
            self.operand()?;
            if !self.operator()? {
                break;
            }
        }
        let print = self.printed.pop() == Some(true);
        self.step(at, if print { Instruction::Print } else { Instruction::Drop });
        Ok(())
    }

    /// Prefixes and an operand.
    fn operand(&mut self) -> Result<(), Refusal> {
        loop {
            let (word, at) = (self.word, self.begin);
            let length = self.end - at;
            match word {
                Lexeme::Constant(_) => {
                    self.advance()?;
                    self.step(at, Instruction::Constant(length));
                    self.printed.push(true);
                    return Ok(());
                }
                Lexeme::Open => self.open(at, None)?,
                Lexeme::Sqrt => self.function(at, Instruction::Sqrt)?,
                Lexeme::Length => self.function(at, Instruction::Length)?,
                Lexeme::Not => {
                    self.advance()?;
                    self.wait(at, Pending::Not)?;
                }
                Lexeme::Operator(Operator::Subtract) => {
                    self.advance()?;
                    self.wait(at, Pending::Negate)?;
                }
                Lexeme::Increment | Lexeme::Decrement => {
                    self.advance()?;
                    let Some(register) = self.register()? else { return self.misplaced() };
                    self.step(at, Instruction::Count { register, up: word == Lexeme::Increment });
                    self.step(at, Instruction::Load(register));
                    self.printed.push(true);
                    return Ok(());
                }
                _ => {
                    let Some(register) = self.register()? else { return self.misplaced() };
                    if word == Lexeme::Scale && self.word == Lexeme::Open {
                        self.open(at, Some(Instruction::Scale))?;
                    } else if self.named(at, register)? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// What follows a register: its new value comes, or it is an operand.
    fn named(&mut self, at: usize, register: Register) -> Result<bool, Refusal> {
        if let Lexeme::Assign(operator) = self.word {
            let sign = self.begin;
            self.advance()?;
            if operator.is_some() {
                self.step(at, Instruction::Load(register));
            }
            self.wait(sign, Pending::Assign(register, operator))?;
            return Ok(false);
        }
        self.step(at, Instruction::Load(register));
        if matches!(self.word, Lexeme::Increment | Lexeme::Decrement) {
            self.step(self.begin, Instruction::Count { register, up: self.word == Lexeme::Increment });
            self.advance()?;
        }
        self.printed.push(true);
        Ok(true)
    }

    /// A variable or a setting, if one stands here.
    fn register(&mut self) -> Result<Option<Register>, Refusal> {
        let register = match self.word {
            Lexeme::Scale => Register::Scale,
            Lexeme::Ibase => Register::Ibase,
            Lexeme::Obase => Register::Obase,
            Lexeme::Name(name) => {
                let (at, number) = (self.begin, self.variables.len());
                self.advance()?;
                if self.word == Lexeme::Open {
                    let function = Reason::LeftOut(format!("the function `{name:.20}` is"));
                    return Err(Refusal { at: at + 1, reason: function });
                }
                let number = *self.variables.entry(name).or_insert(number);
                if number >= MOST_VARIABLES {
                    return Err(Refusal { at: at + 1, reason: Reason::Variables(MOST_VARIABLES) });
                }
                return Ok(Some(Register::Variable(number)));
            }
            _ => return Ok(None),
        };
        self.advance()?;
        Ok(Some(register))
    }

    fn function(&mut self, at: usize, what: Instruction) -> Result<(), Refusal> {
        self.advance()?;
        if self.word == Lexeme::Open { self.open(at, Some(what)) } else { self.misplaced() }
    }

    fn open(&mut self, at: usize, function: Option<Instruction>) -> Result<(), Refusal> {
        self.advance()?;
        self.wait(at, Pending::Open(function))
    }

    /// What follows an operand: closing parentheses, and an operator; or, if this is false, the end of the statement.
    fn operator(&mut self) -> Result<bool, Refusal> {
        loop {
            match self.word {
                Lexeme::Close => {
                    self.finish(|_| true);
                    let Some((at, Pending::Open(function))) = self.pending.pop() else { return self.misplaced() };
                    function.into_iter().for_each(|function| self.step(at, function));
                    self.printed.pop();
                    self.printed.push(true);
                    self.advance()?;
                }
                Lexeme::Semicolon | Lexeme::End => {
                    self.finish(|_| true);
                    return if self.pending.is_empty() { Ok(false) } else { self.misplaced() };
                }
                Lexeme::Operator(operator) => {
                    let (at, tightness) = (self.begin, binds(operator));
                    self.finish(|left| left > tightness || left == tightness && operator != Operator::Raise);
                    let branch = self.branch(at, operator)?;
                    self.wait(at, Pending::Operator(operator, branch))?;
                    self.advance()?;
                    return Ok(true);
                }
                _ => return self.misplaced(),
            }
        }
    }

    /// Ends what has its operands and binds them tightly enough, up to the last open parenthesis.
    fn finish(&mut self, ends: impl Fn(u8) -> bool) {
        while let Some((at, pending)) = self.pending.pop_if(|(_, pending)| pending.binds() > 0 && ends(pending.binds()))
        {
            match pending {
                Pending::Open(_) => {}
                Pending::Negate => self.step(at, Instruction::Negate),
                Pending::Not => self.step(at, Instruction::Not),
                Pending::Assign(register, operator) => {
                    operator.into_iter().for_each(|operator| self.step(at, Instruction::Compute(operator)));
                    self.step(at, Instruction::Store(register));
                    self.printed.pop();
                    self.printed.push(false);
                }
                Pending::Operator(operator, branch) => {
                    self.step(at, Instruction::Compute(operator));
                    if let Some(branch) = branch {
                        self.steps[branch].what = Instruction::Branch(operator, self.steps.len());
                    }
                    let right = self.printed.pop() == Some(true);
                    let left = self.printed.pop() == Some(true);
                    self.printed.push(left || right || binds(operator) == binds(Operator::Less));
                }
            }
        }
    }

    /// The step after the left side of `&&` and `||`; where it goes to is known later.
    fn branch(&mut self, at: usize, operator: Operator) -> Result<Option<usize>, Refusal> {
        self.branches += match operator {
            Operator::And => 1,
            Operator::Or => 2,
            _ => return Ok(None),
        };
        if self.branches > MOST_BRANCHES {
            return self.refuse(Reason::Branches);
        }
        self.step(at, Instruction::Branch(operator, 0));
        Ok(Some(self.steps.len() - 1))
    }
}
