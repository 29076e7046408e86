//! `$filter`: comparisons, functions of texts, and the words that join them.

use std::cmp::Ordering;

use serde_json::Value;

use super::{Version, Wrong, literal::Literal};
use crate::{model::record::Record, simulator::value::text_of};

/// How deep brackets may lie in each other.
const DEEPEST: usize = 64;

/// One side of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Side {
    Name(String),
    Given(Literal),
    /// `tolower(…)`, `toupper(…)`: letters no longer tell.
    Folded(Box<Side>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Compared {
        left: Side,
        sign: &'static str,
        right: Side,
    },
    Among {
        left: Side,
        values: Vec<Literal>,
    },
    /// A function of two texts: `contains`, `startswith`, `endswith`; the second one lies in the first.
    Holds {
        function: &'static str,
        whole: Side,
        part: Side,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// With what stood before the quotes.
    Quoted(String, String),
    Open,
    Close,
    Comma,
}

const SIGNS: [&str; 6] = ["eq", "ne", "gt", "ge", "lt", "le"];

fn syntax(message: impl Into<String>) -> Wrong {
    Wrong::Syntax(message.into())
}

fn tokens(text: &str) -> Result<Vec<Token>, Wrong> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    let mut word = String::new();
    loop {
        let next = chars.next();
        match next {
            Some('\'') => {
                let mut quoted = String::new();
                loop {
                    match chars.next() {
                        None => return Err(syntax("a text has no end")),
                        // A quote in a text is doubled.
                        Some('\'') if chars.peek() == Some(&'\'') => quoted.extend(chars.next()),
                        Some('\'') => break,
                        Some(other) => quoted.push(other),
                    }
                }
                tokens.push(Token::Quoted(std::mem::take(&mut word), quoted));
            }
            Some(char) if char.is_alphanumeric() || "_-+.:/@".contains(char) => word.push(char),
            other => {
                if !word.is_empty() {
                    tokens.push(Token::Word(std::mem::take(&mut word)));
                }
                match other {
                    None => return Ok(tokens),
                    Some('(') => tokens.push(Token::Open),
                    Some(')') => tokens.push(Token::Close),
                    Some(',') => tokens.push(Token::Comma),
                    Some(char) if char.is_whitespace() => {}
                    Some(char) => return Err(syntax(format!("{char} is not expected"))),
                }
            }
        }
    }
}

struct Reader {
    version: Version,
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
    depth: usize,
}

impl Reader {
    fn take(&mut self, token: &Token) -> bool {
        self.tokens.next_if(|next| next == token).is_some()
    }

    fn take_word(&mut self, word: &str) -> bool {
        self.take(&Token::Word(word.to_owned()))
    }

    fn need(&mut self, token: &Token) -> Result<(), Wrong> {
        if self.take(token) { Ok(()) } else { Err(syntax(format!("{token:?} was expected"))) }
    }

    /// `and` binds closer than `or`.
    fn any(&mut self) -> Result<Condition, Wrong> {
        let first = self.all()?;
        let mut joined = vec![first];
        while self.take_word("or") {
            joined.push(self.all()?);
        }
        Ok(one_or(joined, Condition::Any))
    }

    fn all(&mut self) -> Result<Condition, Wrong> {
        let first = self.one()?;
        let mut joined = vec![first];
        while self.take_word("and") {
            joined.push(self.one()?);
        }
        Ok(one_or(joined, Condition::All))
    }

    fn one(&mut self) -> Result<Condition, Wrong> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(syntax("the filter is too deep"));
        }
        let condition = self.bare();
        self.depth -= 1;
        condition
    }

    fn bare(&mut self) -> Result<Condition, Wrong> {
        if self.take_word("not") {
            return Ok(Condition::Not(Box::new(self.one()?)));
        }
        if self.take(&Token::Open) {
            let inner = self.any()?;
            self.need(&Token::Close)?;
            return Ok(inner);
        }
        if let Some(function) = self.function() {
            self.need(&Token::Open)?;
            let first = self.side()?;
            self.need(&Token::Comma)?;
            let second = self.side()?;
            self.need(&Token::Close)?;
            // The second version names the part first.
            let (whole, part) = if function == "substringof" { (second, first) } else { (first, second) };
            let holds = Condition::Holds { function, whole, part };
            // `substringof(…) eq true` is the same.
            if !self.take_word("eq") {
                return Ok(holds);
            }
            return match self.side()? {
                Side::Given(Literal::Bool(true)) => Ok(holds),
                Side::Given(Literal::Bool(false)) => Ok(Condition::Not(Box::new(holds))),
                _ => Err(syntax("true or false was expected")),
            };
        }
        let left = self.side()?;
        let Some(Token::Word(word)) = self.tokens.next() else {
            return Err(syntax("an operator was expected"));
        };
        if word == "in" && self.version == Version::V4 {
            self.need(&Token::Open)?;
            let mut values = Vec::new();
            loop {
                match self.side()? {
                    Side::Given(literal) => values.push(literal),
                    _ => return Err(syntax("a list holds values")),
                }
                if !self.take(&Token::Comma) {
                    break;
                }
            }
            self.need(&Token::Close)?;
            return Ok(Condition::Among { left, values });
        }
        let sign = SIGNS.into_iter().find(|sign| *sign == word);
        let sign = sign.ok_or_else(|| syntax(format!("{word} is no operator")))?;
        Ok(Condition::Compared { left, sign, right: self.side()? })
    }

    fn function(&mut self) -> Option<&'static str> {
        let known: &[&'static str] = match self.version {
            Version::V2 => &["substringof", "startswith", "endswith"],
            Version::V4 => &["contains", "startswith", "endswith"],
        };
        let found = known.iter().find(|name| self.tokens.peek() == Some(&Token::Word((**name).to_owned())));
        if found.is_some() {
            self.tokens.next();
        }
        found.copied()
    }

    fn side(&mut self) -> Result<Side, Wrong> {
        match self.tokens.next() {
            Some(Token::Word(word)) if ["tolower", "toupper"].contains(&word.as_str()) => {
                self.need(&Token::Open)?;
                let Some(Token::Word(name)) = self.tokens.next() else {
                    return Err(syntax("a name was expected"));
                };
                self.need(&Token::Close)?;
                Ok(Side::Folded(Box::new(Side::Name(name))))
            }
            Some(Token::Word(word)) => {
                Ok(Literal::of_word(self.version, &word).map_or(Side::Name(word), Side::Given))
            }
            Some(Token::Quoted(prefix, text)) => {
                Literal::of_quoted(self.version, &prefix, text).map(Side::Given)
            }
            _ => Err(syntax("a name or a value was expected")),
        }
    }
}

fn one_or(mut joined: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    match joined.pop() {
        Some(only) if joined.is_empty() => only,
        last => {
            joined.extend(last);
            join(joined)
        }
    }
}

/// Reads a filter.
pub(super) fn parse(version: Version, text: &str) -> Result<Condition, Wrong> {
    let mut reader = Reader { version, tokens: tokens(text)?.into_iter().peekable(), depth: 0 };
    let condition = reader.any()?;
    match reader.tokens.next() {
        None => Ok(condition),
        Some(token) => Err(syntax(format!("{token:?} is not expected"))),
    }
}

/// The names that a side speaks of.
fn name(side: &Side) -> Option<&str> {
    match side {
        Side::Name(name) => Some(name),
        Side::Given(_) => None,
        Side::Folded(inner) => name(inner),
    }
}

impl Condition {
    /// Every name that it speaks of, each time.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Condition::All(parts) | Condition::Any(parts) => {
                parts.iter().flat_map(Condition::names).collect()
            }
            Condition::Not(part) => part.names(),
            Condition::Among { left, .. } => name(left).into_iter().collect(),
            Condition::Compared { left, right, .. } => [left, right].into_iter().filter_map(name).collect(),
            Condition::Holds { whole, part, .. } => [whole, part].into_iter().filter_map(name).collect(),
        }
    }

    /// Whether it holds for a record; `folded`: texts are the same in any case.
    pub(super) fn holds(&self, record: &Record, folded: bool) -> bool {
        match self {
            Condition::All(parts) => parts.iter().all(|part| part.holds(record, folded)),
            Condition::Any(parts) => parts.iter().any(|part| part.holds(record, folded)),
            Condition::Not(part) => !part.holds(record, folded),
            Condition::Among { left, values } => {
                values.iter().any(|value| equal(record, left, &Side::Given(value.clone()), folded))
            }
            Condition::Compared { left, sign: "eq", right } => equal(record, left, right, folded),
            Condition::Compared { left, sign: "ne", right } => !equal(record, left, right, folded),
            Condition::Compared { left, sign, right } => match order(record, left, right, folded) {
                Some(Ordering::Less) => matches!(*sign, "lt" | "le"),
                Some(Ordering::Equal) => matches!(*sign, "le" | "ge"),
                Some(Ordering::Greater) => matches!(*sign, "gt" | "ge"),
                None => false,
            },
            Condition::Holds { function, whole, part } => {
                let folded = folded || [whole, part].iter().any(|side| matches!(side, Side::Folded(_)));
                let text = |side: &Side| {
                    let text = text_of(&value(record, side))?;
                    Some(if folded { text.to_lowercase() } else { text })
                };
                let (Some(whole), Some(part)) = (text(whole), text(part)) else { return false };
                match *function {
                    "startswith" => whole.starts_with(&part),
                    "endswith" => whole.ends_with(&part),
                    _ => whole.contains(&part),
                }
            }
        }
    }
}

fn value(record: &Record, side: &Side) -> Value {
    match side {
        Side::Name(name) => record.get(name).cloned().unwrap_or(Value::Null),
        Side::Folded(inner) => value(record, inner),
        Side::Given(Literal::Null) => Value::Null,
        Side::Given(Literal::Bool(flag)) => Value::Bool(*flag),
        Side::Given(Literal::Number(digits)) => digits.clone(),
        Side::Given(literal) => Value::String(literal.text()),
    }
}

fn order(record: &Record, left: &Side, right: &Side, folded: bool) -> Option<Ordering> {
    let folded = folded || [left, right].iter().any(|side| matches!(side, Side::Folded(_)));
    match (left, right) {
        (left, Side::Given(literal)) => literal.compare(&value(record, left), folded),
        (Side::Given(literal), right) => {
            literal.compare(&value(record, right), folded).map(Ordering::reverse)
        }
        (left, right) => crate::simulator::value::compare(&value(record, left), &value(record, right), false),
    }
}

fn equal(record: &Record, left: &Side, right: &Side, folded: bool) -> bool {
    let absent = |side: &Side| value(record, side).is_null();
    match (absent(left), absent(right)) {
        (true, true) => true,
        (false, false) => order(record, left, right, folded) == Some(Ordering::Equal),
        _ => false,
    }
}
