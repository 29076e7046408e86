//! `FilterString`: SQL-like text, parsed by recursive descent and evaluated per line.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::{PARAMETER, Refusal};
use crate::simulator::value::{compare, number, text_of};

/// How deep conditions may be nested.
const DEPTH: usize = 64;

/// A field or a constant.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Key(String),
    Constant(Value),
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    /// `=`, `<>`, `>`, `>=`, `<`, `<=` or `like`.
    Compare(Operand, &'static str, Operand),
    In(Operand, Vec<Value>),
    Null(Operand),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(String),
    Sign(&'static str),
}

const SIGNS: [&str; 10] = ["<>", "!=", ">=", "<=", "=", ">", "<", "(", ")", ","];

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        // Kingdee's own form of a moment: {ts'2026-01-01 00:00:00'}.
        if let Some(inner) = rest.strip_prefix("{ts") {
            let (moment, after) = quoted(inner.trim_start().strip_prefix('\'')?)?;
            tokens.push(Token::Text(moment));
            rest = after.trim_start().strip_prefix('}')?.trim_start();
            continue;
        }
        if let Some(inner) = rest.strip_prefix('\'').or_else(|| rest.strip_prefix("N'")) {
            let (text, after) = quoted(inner)?;
            tokens.push(Token::Text(text));
            rest = after.trim_start();
            continue;
        }
        if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            tokens.push(Token::Sign(if *sign == "!=" { "<>" } else { sign }));
            rest = rest.get(sign.len()..)?.trim_start();
            continue;
        }
        let minus = usize::from(first == '-');
        let is_word = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '.');
        let length =
            rest.get(minus..)?.find(|letter: char| !is_word(letter)).map_or(rest.len(), |at| at + minus);
        let word = rest.get(..length)?;
        if word.len() == minus {
            return None;
        }
        let numeric = first == '-' || first.is_ascii_digit();
        if numeric && word.parse::<f64>().is_err() {
            return None;
        }
        tokens.push(if numeric { Token::Number(word.to_owned()) } else { Token::Word(word.to_owned()) });
        rest = rest.get(length..)?.trim_start();
    }
    Some(tokens)
}

/// A text up to its closing quote; a doubled quote is one.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut read = String::new();
    let mut rest = text;
    loop {
        let at = rest.find('\'')?;
        read.push_str(rest.get(..at)?);
        rest = rest.get(at + 1..)?;
        match rest.strip_prefix('\'') {
            Some(after) => {
                read.push('\'');
                rest = after;
            }
            None => return Some((read, rest)),
        }
    }
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

/// Parses a filter; an empty one is always true.
pub(super) fn parse(text: &str) -> Result<Condition, Refusal> {
    let refuse = || Refusal::new(PARAMETER, "FilterString", "过滤条件语法错误");
    let tokens = tokens(text).ok_or_else(refuse)?;
    if tokens.is_empty() {
        return Ok(Condition::All(Vec::new()));
    }
    let mut parser = Parser { tokens: tokens.into_iter().peekable() };
    let condition = parser.any(0).ok_or_else(refuse)?;
    if parser.tokens.next().is_some() { Err(refuse()) } else { Ok(condition) }
}

impl Parser {
    fn word(&mut self, word: &str) -> bool {
        let is = |token: &Token| matches!(token, Token::Word(found) if found.eq_ignore_ascii_case(word));
        self.tokens.next_if(is).is_some()
    }

    fn sign(&mut self, sign: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Sign(found) if *found == sign)).is_some()
    }

    fn any(&mut self, depth: usize) -> Option<Condition> {
        let mut parts = vec![self.all(depth)?];
        while self.word("or") {
            parts.push(self.all(depth)?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(Condition::Any(parts)) }
    }

    fn all(&mut self, depth: usize) -> Option<Condition> {
        let mut parts = vec![self.one(depth)?];
        while self.word("and") {
            parts.push(self.one(depth)?);
        }
        if parts.len() == 1 { parts.pop() } else { Some(Condition::All(parts)) }
    }

    fn one(&mut self, depth: usize) -> Option<Condition> {
        if depth > DEPTH {
            return None;
        }
        if self.word("not") {
            return Some(Condition::Not(Box::new(self.one(depth + 1)?)));
        }
        if self.sign("(") {
            let inner = self.any(depth + 1)?;
            return self.sign(")").then_some(inner);
        }
        let left = self.operand()?;
        if self.word("is") {
            let negated = self.word("not");
            let null = self.word("null").then(|| Condition::Null(left))?;
            return Some(if negated { Condition::Not(Box::new(null)) } else { null });
        }
        let negated = self.word("not");
        let condition = if self.word("in") {
            Condition::In(left, self.list()?)
        } else if self.word("like") {
            Condition::Compare(left, "like", self.operand()?)
        } else if negated {
            return None;
        } else {
            match self.tokens.next()? {
                Token::Sign(sign @ ("=" | "<>" | ">" | ">=" | "<" | "<=")) => {
                    Condition::Compare(left, sign, self.operand()?)
                }
                _ => return None,
            }
        };
        Some(if negated { Condition::Not(Box::new(condition)) } else { condition })
    }

    fn list(&mut self) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        if !self.sign("(") {
            return None;
        }
        loop {
            match self.operand()? {
                Operand::Constant(value) => values.push(value),
                Operand::Key(_) => return None,
            }
            if self.sign(")") {
                return Some(values);
            }
            if !self.sign(",") {
                return None;
            }
        }
    }

    fn operand(&mut self) -> Option<Operand> {
        const RESERVED: [&str; 7] = ["and", "or", "not", "in", "like", "is", "null"];
        match self.tokens.next()? {
            Token::Word(word) if RESERVED.iter().any(|reserved| word.eq_ignore_ascii_case(reserved)) => None,
            Token::Word(word) => Some(Operand::Key(word)),
            Token::Text(text) => Some(Operand::Constant(Value::String(text))),
            Token::Number(digits) => Some(Operand::Constant(number(&digits))),
            Token::Sign(_) => None,
        }
    }
}

impl Condition {
    /// The fields that the condition names.
    pub(super) fn keys(&self, into: &mut Vec<String>) {
        let mut add = |operand: &Operand| {
            if let Operand::Key(key) = operand {
                into.push(key.clone());
            }
        };
        match self {
            Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| part.keys(into)),
            Condition::Not(inner) => inner.keys(into),
            Condition::Compare(left, _, right) => {
                add(left);
                add(right);
            }
            Condition::In(left, _) | Condition::Null(left) => add(left),
        }
    }

    /// The conditions that must all hold.
    pub(super) fn conjuncts(&self) -> Vec<&Condition> {
        match self {
            Condition::All(parts) => parts.iter().flat_map(Condition::conjuncts).collect(),
            other => vec![other],
        }
    }

    /// Whether the condition holds. A comparison with nothing does not, as in SQL.
    pub(super) fn holds(&self, look: &dyn Fn(&str) -> Option<Value>) -> bool {
        self.truth(look) == Some(true)
    }

    /// True, false, or unknown.
    fn truth(&self, look: &dyn Fn(&str) -> Option<Value>) -> Option<bool> {
        let value = |operand: &Operand| match operand {
            Operand::Key(key) => look(key),
            Operand::Constant(value) => Some(value.clone()),
        };
        match self {
            Condition::All(parts) => {
                let mut unknown = false;
                for part in parts {
                    match part.truth(look) {
                        Some(false) => return Some(false),
                        None => unknown = true,
                        Some(true) => {}
                    }
                }
                if unknown { None } else { Some(true) }
            }
            Condition::Any(parts) => {
                let mut unknown = false;
                for part in parts {
                    match part.truth(look) {
                        Some(true) => return Some(true),
                        None => unknown = true,
                        Some(false) => {}
                    }
                }
                if unknown { None } else { Some(false) }
            }
            Condition::Not(inner) => inner.truth(look).map(|truth| !truth),
            Condition::Null(operand) => Some(value(operand).is_none()),
            Condition::In(operand, list) => {
                let found = value(operand)?;
                Some(list.iter().any(|other| ordered(&found, other) == Some(Ordering::Equal)))
            }
            Condition::Compare(left, sign, right) => {
                let (left, right) = (value(left)?, value(right)?);
                if *sign == "like" {
                    return Some(like(&text_of(&left)?.to_lowercase(), &text_of(&right)?.to_lowercase()));
                }
                let order = ordered(&left, &right)?;
                Some(match *sign {
                    "=" => order.is_eq(),
                    "<>" => order.is_ne(),
                    ">" => order.is_gt(),
                    ">=" => order.is_ge(),
                    "<" => order.is_lt(),
                    _ => order.is_le(),
                })
            }
        }
    }
}

fn ordered(left: &Value, right: &Value) -> Option<Ordering> {
    let plain = |value: &Value| match value {
        Value::Bool(flag) => json!(if *flag { "1" } else { "0" }),
        Value::String(text) => match moment(text) {
            Some(moment) => Value::String(moment),
            None => value.clone(),
        },
        other => other.clone(),
    };
    compare(&plain(left), &plain(right), false)
}

/// A date or moment in one spelling, so that texts compare as moments do.
fn moment(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let dash = |at: usize| bytes.get(at) == Some(&b'-');
    if bytes.len() < 10 || !dash(4) || !dash(7) || !bytes.iter().take(4).all(u8::is_ascii_digit) {
        return None;
    }
    if bytes.len() == 10 {
        return Some(format!("{text}T00:00:00"));
    }
    let spelled = text.replacen(' ', "T", 1);
    Some(if spelled.contains('.') {
        spelled.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        spelled
    })
}

/// SQL's `like` with `%` and `_`, in time linear in pattern times text.
fn like(text: &str, pattern: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // reachable[i]: the pattern so far matches the first i letters.
    let mut reachable = vec![false; text.len() + 1];
    if let Some(first) = reachable.first_mut() {
        *first = true;
    }
    for part in pattern {
        let mut next = vec![false; text.len() + 1];
        let mut before = false;
        for (at, slot) in next.iter_mut().enumerate() {
            let here = reachable.get(at).copied().unwrap_or(false);
            let previous = at.checked_sub(1);
            let step = previous.is_some_and(|p| reachable.get(p).copied().unwrap_or(false));
            let letter = previous.and_then(|p| text.get(p));
            *slot = match part {
                '%' => here || before,
                '_' => step,
                other => step && letter == Some(&other),
            };
            before = *slot;
        }
        reachable = next;
    }
    reachable.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(filter: &str) -> bool {
        let record = json!({"FName": "O'Brien 公司", "FQty": 10, "FCUSTID": 100040, "FCustId.FNumber": "C1",
            "FModifyDate": "2026-03-01T10:11:12.34", "FVip": true});
        parse(filter).unwrap().holds(&|key| record.get(key).cloned())
    }

    #[test]
    fn conditions_hold_as_sql_would_have_it() {
        for filter in [
            "",
            "FName = 'O''Brien 公司'",
            "FName like '%brien%' and FQty >= 9",
            "(FQty < 9 or FQty > 9) and FCUSTID in (1, 100040)",
            "FQty<>9 and FQty!='8'",
            "FCustId.FNumber='C1' and not FQty=1",
            "FNothing is null and FName is not null",
            "FCustId.FNumber not in ('C2','C3') AND FName NOT LIKE '_x%'",
            "FModifyDate>='2026-03-01 10:11:12' and FModifyDate < {ts'2026-03-02'}",
            "FModifyDate>'2026-03-01' and FVip='1' and 1=1",
        ] {
            assert!(holds(filter), "{filter}");
        }
        for filter in
            ["FNothing <> 'x'", "not FNothing = 1", "FQty = 9", "FModifyDate>'2026-03-01 10:11:12.340'"]
        {
            assert!(!holds(filter), "{filter}");
        }
    }

    #[test]
    fn what_cannot_be_parsed_is_refused() {
        let deep = format!("{}FQty=1{}", "(".repeat(100_000), ")".repeat(100_000));
        let nots = format!("{}FQty=1", "not ".repeat(100_000));
        for filter in [
            "FName =",
            "FName = 'x",
            "and",
            "FName in ()",
            "FName in (FQty)",
            "(FQty=1",
            "FQty=1)",
            "- ",
            "FName ; drop",
            "FQty not 1",
            "1x=1",
            &deep,
            &nots,
        ] {
            assert!(parse(filter).is_err(), "{}", filter.chars().take(40).collect::<String>());
        }
    }
}
