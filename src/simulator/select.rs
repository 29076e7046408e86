//! Queries of the kind `select … from … where …`, as SOQL and COQL have them: fields, conditions, order, limit.
//!
//! What a name and a literal mean is the system's own matter: see [`Tongue`].

use std::cmp::Ordering;

use serde_json::Value;

use super::value::{compare, text_of};
use crate::model::record::Record;

/// How two values of a field compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    /// As texts in any case.
    Folded,
    /// As texts, byte by byte.
    Exactly,
    /// By value.
    ByNumber,
}

/// A literal of a query, as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written<'a> {
    Quoted(&'a str),
    Bare(&'a str),
}

/// Why a query is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It cannot be read.
    Query(String),
    /// There is no such object.
    Object(String),
    /// The object has no such field.
    Field(String),
    /// A literal is not of the kind of its field, which this names.
    Literal(String),
    /// The limit or the offset is out of range.
    Range(String),
}

/// What a system means by the words of a query.
pub(super) trait Tongue {
    /// The object's own spelling.
    fn object(&self, name: &str) -> Option<String>;
    /// The field's own spelling, and how its values compare.
    fn field(&self, object: &str, name: &str) -> Option<(String, Compared)>;
    /// The value that a literal stands for; `None` where the field takes no such literal.
    fn literal(&self, object: &str, field: &str, written: Written<'_>) -> Option<Value>;
    /// How many conditions may be joined without brackets.
    fn joined(&self) -> usize {
        usize::MAX
    }
    /// Rows that a query without a limit gives, and the most that it may ask for.
    fn limits(&self) -> (Option<usize>, usize, usize);
}

/// A query, its names checked.
#[derive(Debug)]
pub(super) struct Query {
    /// The fields to show; empty for a bare count.
    pub(super) fields: Vec<String>,
    pub(super) object: String,
    condition: Option<Condition>,
    /// Field, how it compares, descending.
    orders: Vec<(String, Compared, bool)>,
    pub(super) limit: Option<usize>,
    pub(super) offset: usize,
}

#[derive(Debug)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Holds { field: String, operator: String, values: Vec<Value>, compared: Compared },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A name, a keyword, a number, a date: whatever stands without quotes.
    Word(String),
    Quoted(String),
    Sign(String),
}

fn malformed(message: impl Into<String>) -> Wrong {
    Wrong::Query(message.into())
}

fn tokens(text: &str) -> Result<Vec<Token>, Wrong> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            _ if char.is_whitespace() => {}
            '\'' => {
                let mut quoted = String::new();
                loop {
                    match chars.next() {
                        None => return Err(malformed("unterminated string literal")),
                        Some('\'') => break,
                        Some('\\') => match chars.next() {
                            Some('n') => quoted.push('\n'),
                            Some('r') => quoted.push('\r'),
                            Some('t') => quoted.push('\t'),
                            Some(escaped @ ('\'' | '"' | '\\' | '_' | '%')) => quoted.push(escaped),
                            _ => return Err(malformed("Invalid string literal: illegal character sequence")),
                        },
                        Some(other) => quoted.push(other),
                    }
                }
                tokens.push(Token::Quoted(quoted));
            }
            '(' | ')' | ',' | '=' => tokens.push(Token::Sign(char.to_string())),
            '<' | '>' | '!' => {
                let mut sign = char.to_string();
                if chars.peek() == Some(&'=') || (char == '<' && chars.peek() == Some(&'>')) {
                    sign.extend(chars.next());
                }
                tokens.push(Token::Sign(sign));
            }
            _ if char.is_alphanumeric() || "_-+.:".contains(char) => {
                let mut word = char.to_string();
                while let Some(next) = chars.peek().filter(|c| c.is_alphanumeric() || "_-+.:".contains(**c)) {
                    word.push(*next);
                    chars.next();
                }
                tokens.push(Token::Word(word));
            }
            _ => return Err(malformed(format!("unexpected token: '{char}'"))),
        }
    }
    Ok(tokens)
}

struct Reader<'a> {
    tongue: &'a dyn Tongue,
    tokens: Vec<Token>,
    at: usize,
    object: String,
}

impl Reader<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Result<Token, Wrong> {
        let token = self.peek().cloned().ok_or_else(|| malformed("unexpected end of the query: '<EOF>'"));
        self.at += 1;
        token
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(text)) if text.eq_ignore_ascii_case(word))
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(text)) if text == sign)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let there = self.is_word(word);
        self.at += usize::from(there);
        there
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let there = self.is_sign(sign);
        self.at += usize::from(there);
        there
    }

    fn need_word(&mut self, word: &str) -> Result<(), Wrong> {
        if self.take_word(word) { Ok(()) } else { Err(malformed(format!("expecting '{word}'"))) }
    }

    fn need_sign(&mut self, sign: &str) -> Result<(), Wrong> {
        if self.take_sign(sign) { Ok(()) } else { Err(malformed(format!("expecting '{sign}'"))) }
    }

    fn word(&mut self) -> Result<String, Wrong> {
        match self.next()? {
            Token::Word(word) => Ok(word),
            _ => Err(malformed("a name was expected")),
        }
    }

    fn field(&self, name: &str) -> Result<(String, Compared), Wrong> {
        self.tongue.field(&self.object, name).ok_or_else(|| Wrong::Field(name.to_owned()))
    }

    /// Conditions that are joined by one word. To mix `and` and `or` needs brackets.
    fn conditions(&mut self) -> Result<Condition, Wrong> {
        let first = self.condition()?;
        let word = ["and", "or"].into_iter().find(|word| self.is_word(word));
        let Some(word) = word else { return Ok(first) };
        let mut joined = vec![first];
        while self.take_word(word) {
            joined.push(self.condition()?);
        }
        if self.is_word("and") || self.is_word("or") || joined.len() > self.tongue.joined() {
            return Err(malformed("unexpected token: conditions are joined without brackets"));
        }
        Ok(if word == "and" { Condition::All(joined) } else { Condition::Any(joined) })
    }

    fn condition(&mut self) -> Result<Condition, Wrong> {
        if self.take_word("not") {
            return Ok(Condition::Not(Box::new(self.condition()?)));
        }
        if self.take_sign("(") {
            let inner = self.conditions()?;
            self.need_sign(")")?;
            return Ok(inner);
        }
        let name = self.word()?;
        let (field, compared) = self.field(&name)?;
        let negated = self.take_word("not");
        let operator = match self.next()? {
            Token::Sign(sign) if ["=", "!=", "<>", "<", "<=", ">", ">="].contains(&sign.as_str()) => sign,
            Token::Word(word) if word.eq_ignore_ascii_case("in") => "in".to_owned(),
            Token::Word(word) if word.eq_ignore_ascii_case("like") => "like".to_owned(),
            _ => return Err(malformed("unknown operator")),
        };
        let mut values = Vec::new();
        if operator == "in" {
            self.need_sign("(")?;
            loop {
                values.push(self.literal(&field)?);
                if !self.take_sign(",") {
                    break;
                }
            }
            self.need_sign(")")?;
        } else {
            values.push(self.literal(&field)?);
        }
        let condition = Condition::Holds { field, operator, values, compared };
        Ok(if negated { Condition::Not(Box::new(condition)) } else { condition })
    }

    fn literal(&mut self, field: &str) -> Result<Value, Wrong> {
        let token = self.next()?;
        let written = match &token {
            Token::Word(word) if word.eq_ignore_ascii_case("null") => return Ok(Value::Null),
            Token::Word(word) => Written::Bare(word),
            Token::Quoted(text) => Written::Quoted(text),
            Token::Sign(_) => return Err(malformed("a value was expected")),
        };
        let value = self.tongue.literal(&self.object, field, written);
        value.ok_or_else(|| Wrong::Literal(field.to_owned()))
    }
}

/// Reads a query.
pub(super) fn parse(tongue: &dyn Tongue, text: &str) -> Result<Query, Wrong> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tongue, tokens, at: 0, object: String::new() };
    reader.need_word("select")?;
    let mut names = Vec::new();
    if reader.take_word("count") {
        reader.need_sign("(")?;
        reader.need_sign(")")?;
    } else {
        loop {
            names.push(reader.word()?);
            if !reader.take_sign(",") {
                break;
            }
        }
    }
    reader.need_word("from")?;
    let name = reader.word()?;
    reader.object = tongue.object(&name).ok_or(Wrong::Object(name))?;
    let mut fields = Vec::new();
    for name in names {
        let (name, _) = reader.field(&name)?;
        if fields.contains(&name) {
            return Err(malformed(format!("duplicate field selected: {name}")));
        }
        fields.push(name);
    }
    let condition = if reader.take_word("where") { Some(reader.conditions()?) } else { None };
    let mut orders = Vec::new();
    if reader.take_word("order") {
        reader.need_word("by")?;
        loop {
            let name = reader.word()?;
            let (name, compared) = reader.field(&name)?;
            let descending = reader.take_word("desc");
            if !descending {
                reader.take_word("asc");
            }
            orders.push((name, compared, descending));
            if !reader.take_sign(",") {
                break;
            }
        }
    }
    let number = |reader: &mut Reader<'_>, word: &str| -> Result<Option<usize>, Wrong> {
        if !reader.take_word(word) {
            return Ok(None);
        }
        reader.word()?.parse().map(Some).map_err(|_| malformed(format!("{word} needs a number")))
    };
    let (usual, most, furthest) = tongue.limits();
    let mut limit = number(&mut reader, "limit")?;
    let mut offset = number(&mut reader, "offset")?;
    // `limit 100, 50` is the other way to write an offset.
    if reader.take_sign(",") {
        offset = limit;
        limit = Some(reader.word()?.parse().map_err(|_| malformed("limit needs a number"))?);
    }
    let (limit, offset) = (limit.or(usual), offset.unwrap_or(0));
    if limit.is_some_and(|limit| limit > most) || offset > furthest {
        return Err(Wrong::Range(format!("the most is a limit of {most} and an offset of {furthest}")));
    }
    if reader.peek().is_some() {
        return Err(malformed("unexpected token after the end of the query"));
    }
    Ok(Query { fields, object: reader.object, condition, orders, limit, offset })
}

impl Query {
    /// Whether a record is meant.
    pub(super) fn takes(&self, record: &Record) -> bool {
        self.condition.as_ref().is_none_or(|condition| holds(condition, record))
    }

    /// Which of two records comes first. What has no value comes first.
    pub(super) fn order(&self, left: &Record, right: &Record) -> Ordering {
        for (field, compared, descending) in &self.orders {
            let (one, other) = (left.get(field), right.get(field));
            let absent = |value: Option<&Value>| value.is_none_or(Value::is_null);
            let numeric = *compared == Compared::ByNumber;
            let order = match (absent(one), absent(other)) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                _ => one.zip(other).and_then(|(l, r)| compare(l, r, numeric)).unwrap_or(Ordering::Equal),
            };
            let order = if *descending { order.reverse() } else { order };
            if order != Ordering::Equal {
                return order;
            }
        }
        Ordering::Equal
    }
}

fn holds(condition: &Condition, record: &Record) -> bool {
    match condition {
        Condition::All(parts) => parts.iter().all(|part| holds(part, record)),
        Condition::Any(parts) => parts.iter().any(|part| holds(part, record)),
        Condition::Not(part) => !holds(part, record),
        Condition::Holds { field, operator, values, compared } => {
            let found = record.get(field).unwrap_or(&Value::Null);
            let first = values.first().unwrap_or(&Value::Null);
            match operator.as_str() {
                "=" => equal(found, first, *compared),
                "!=" | "<>" => !equal(found, first, *compared),
                "in" => values.iter().any(|value| equal(found, value, *compared)),
                "like" => like(&folded(found), &folded(first)),
                _ if found.is_null() || first.is_null() => false,
                sign => match compare(found, first, *compared == Compared::ByNumber) {
                    Some(Ordering::Less) => matches!(sign, "<" | "<="),
                    Some(Ordering::Equal) => matches!(sign, "<=" | ">="),
                    Some(Ordering::Greater) => matches!(sign, ">" | ">="),
                    None => false,
                },
            }
        }
    }
}

fn folded(value: &Value) -> String {
    text_of(value).unwrap_or_default().to_lowercase()
}

fn equal(one: &Value, other: &Value, compared: Compared) -> bool {
    match (one, other) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::String(_), Value::String(_)) if compared == Compared::Folded => folded(one) == folded(other),
        _ => compare(one, other, compared == Compared::ByNumber) == Some(Ordering::Equal),
    }
}

fn like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    // How far the pattern's beginning fits each beginning of the text.
    let mut fits = vec![false; text.len() + 1];
    if let Some(first) = fits.first_mut() {
        *first = true;
    }
    for part in pattern {
        let mut next = vec![false; text.len() + 1];
        let mut any = false;
        for (at, fit) in fits.iter().enumerate() {
            any |= *fit;
            let place = if part == '%' { at } else { at + 1 };
            let good = match part {
                '%' => any,
                '_' => *fit,
                char => *fit && text.get(at) == Some(&char),
            };
            if let (true, Some(slot)) = (good, next.get_mut(place)) {
                *slot = true;
            }
        }
        fits = next;
    }
    fits.last() == Some(&true)
}
