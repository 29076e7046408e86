//! SOQL, as far as records are read with it: fields, conditions, order, limit.

use std::cmp::Ordering;

use serde_json::Value;

use super::{
    Refusal,
    schema::{self, Holds},
};
use crate::{
    model::record::Record,
    simulator::value::{compare, text_of},
};

/// A query, its names checked.
#[derive(Debug)]
pub(super) struct Query {
    /// The fields to show; empty for a bare count.
    pub(super) fields: Vec<String>,
    pub(super) object: String,
    condition: Option<Condition>,
    /// Field, descending.
    orders: Vec<(String, bool)>,
    pub(super) limit: Option<usize>,
    pub(super) offset: usize,
}

#[derive(Debug)]
enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Not(Box<Condition>),
    Holds { field: String, operator: String, values: Vec<Value>, numeric: bool },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A name, a keyword, a number, a date: whatever stands without quotes.
    Word(String),
    Quoted(String),
    Sign(String),
}

fn malformed(message: impl Into<String>) -> Refusal {
    Refusal::of(400, "MALFORMED_QUERY", message)
}

fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
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

struct Reader {
    tokens: Vec<Token>,
    at: usize,
    object: String,
}

impl Reader {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Result<Token, Refusal> {
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

    fn need_word(&mut self, word: &str) -> Result<(), Refusal> {
        if self.take_word(word) { Ok(()) } else { Err(malformed(format!("expecting '{word}'"))) }
    }

    fn need_sign(&mut self, sign: &str) -> Result<(), Refusal> {
        if self.take_sign(sign) { Ok(()) } else { Err(malformed(format!("expecting '{sign}'"))) }
    }

    fn word(&mut self) -> Result<String, Refusal> {
        match self.next()? {
            Token::Word(word) => Ok(word),
            _ => Err(malformed("a name was expected")),
        }
    }

    fn field(&self, name: &str) -> Result<(String, Holds), Refusal> {
        let message = || {
            let object = &self.object;
            format!(
                "No such column '{name}' on entity '{object}'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name."
            )
        };
        let known = schema::field(&self.object, name).map(|(name, holds, _)| (name, holds));
        known.ok_or_else(|| Refusal::of(400, "INVALID_FIELD", message()))
    }

    /// Conditions that are joined by one word. To mix `and` and `or` needs brackets.
    fn conditions(&mut self) -> Result<Condition, Refusal> {
        let first = self.condition()?;
        let word = ["and", "or"].into_iter().find(|word| self.is_word(word));
        let Some(word) = word else { return Ok(first) };
        let mut joined = vec![first];
        while self.take_word(word) {
            joined.push(self.condition()?);
        }
        if self.is_word("and") || self.is_word("or") {
            return Err(malformed("unexpected token: and, or are mixed without brackets"));
        }
        Ok(if word == "and" { Condition::All(joined) } else { Condition::Any(joined) })
    }

    fn condition(&mut self) -> Result<Condition, Refusal> {
        if self.take_word("not") {
            return Ok(Condition::Not(Box::new(self.condition()?)));
        }
        if self.take_sign("(") {
            let inner = self.conditions()?;
            self.need_sign(")")?;
            return Ok(inner);
        }
        let name = self.word()?;
        let (field, holds) = self.field(&name)?;
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
                values.push(self.literal(&field, holds)?);
                if !self.take_sign(",") {
                    break;
                }
            }
            self.need_sign(")")?;
        } else {
            values.push(self.literal(&field, holds)?);
        }
        let numeric = matches!(holds, Holds::Number(..));
        let condition = Condition::Holds { field, operator, values, numeric };
        Ok(if negated { Condition::Not(Box::new(condition)) } else { condition })
    }

    /// A literal must be of the field's kind: texts in quotes, everything else without.
    fn literal(&mut self, field: &str, holds: Holds) -> Result<Value, Refusal> {
        let wrong = |must: &str| {
            let message = format!("filter criterion must be of type {must} for field '{field}'");
            Refusal::of(400, "INVALID_FIELD", message)
        };
        let quoted = matches!(holds, Holds::Text(..) | Holds::Email | Holds::Reference(_) | Holds::Id);
        match self.next()? {
            Token::Word(word) if word.eq_ignore_ascii_case("null") => Ok(Value::Null),
            Token::Quoted(text) if quoted => match holds {
                Holds::Reference(_) | Holds::Id => Ok(Value::String(schema::long_id(&text))),
                _ => Ok(Value::String(text)),
            },
            Token::Word(_) if quoted => Err(wrong("string and should be enclosed in quotes")),
            Token::Word(word) => match holds {
                Holds::Boolean if word.eq_ignore_ascii_case("true") => Ok(Value::Bool(true)),
                Holds::Boolean if word.eq_ignore_ascii_case("false") => Ok(Value::Bool(false)),
                Holds::Number(..) if word.parse::<f64>().is_ok() => {
                    Ok(serde_json::from_str(&word).unwrap_or(Value::Null))
                }
                Holds::Date if word.parse::<jiff::civil::Date>().is_ok() => Ok(Value::String(word)),
                // Without an offset it is not a moment.
                Holds::DateTime => match word.parse::<jiff::Timestamp>() {
                    Ok(stamp) => Ok(Value::String(schema::stamp_text(stamp.as_millisecond()))),
                    Err(_) => Err(wrong("dateTime")),
                },
                other => Err(wrong(other.type_name())),
            },
            _ => Err(wrong(holds.type_name())),
        }
    }
}

/// Reads a query.
pub(super) fn parse(text: &str) -> Result<Query, Refusal> {
    let tokens = tokens(text)?;
    let mut reader = Reader { tokens, at: 0, object: String::new() };
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
    let unsupported = || {
        let message = format!("sObject type '{name}' is not supported.");
        Refusal::of(400, "INVALID_TYPE", message)
    };
    reader.object = schema::object(&name).ok_or_else(unsupported)?.0;
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
            let (name, _) = reader.field(&name)?;
            let descending = reader.take_word("desc");
            if !descending {
                reader.take_word("asc");
            }
            orders.push((name, descending));
            if !reader.take_sign(",") {
                break;
            }
        }
    }
    let number = |reader: &mut Reader, word: &str| -> Result<Option<usize>, Refusal> {
        if !reader.take_word(word) {
            return Ok(None);
        }
        reader.word()?.parse().map(Some).map_err(|_| malformed(format!("{word} needs a number")))
    };
    let limit = number(&mut reader, "limit")?;
    let offset = number(&mut reader, "offset")?.unwrap_or(0);
    if offset > 2_000 {
        return Err(Refusal::of(400, "NUMBER_OUTSIDE_VALID_RANGE", "Maximum SOQL offset allowed is 2000"));
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

    /// Which of two records comes first. What has no value comes first; without an order it is that of the ids.
    pub(super) fn order(&self, left: &Record, right: &Record) -> Ordering {
        let by_id = [("Id".to_owned(), false)];
        for (field, descending) in self.orders.iter().chain(&by_id) {
            let (one, other) = (left.get(field), right.get(field));
            let absent = |value: Option<&Value>| value.is_none_or(Value::is_null);
            let order = match (absent(one), absent(other)) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                _ => one.zip(other).and_then(|(l, r)| compare(l, r, false)).unwrap_or(Ordering::Equal),
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
        Condition::Holds { field, operator, values, numeric } => {
            let found = record.get(field).unwrap_or(&Value::Null);
            let first = values.first().unwrap_or(&Value::Null);
            match operator.as_str() {
                "=" => equal(field, found, first, *numeric),
                "!=" | "<>" => !equal(field, found, first, *numeric),
                "in" => values.iter().any(|value| equal(field, found, value, *numeric)),
                "like" => like(&folded(found), &folded(first)),
                _ if found.is_null() || first.is_null() => false,
                sign => match compare(found, first, *numeric) {
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

/// Texts are the same in any case, but for ids.
fn equal(field: &str, one: &Value, other: &Value, numeric: bool) -> bool {
    match (one, other) {
        (Value::Null, Value::Null) => true,
        (Value::Null, _) | (_, Value::Null) => false,
        (Value::String(one), Value::String(other)) if field.ends_with("Id") => one == other,
        (Value::String(one), Value::String(other)) => one.to_lowercase() == other.to_lowercase(),
        _ => compare(one, other, numeric) == Some(Ordering::Equal),
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn takes(condition: &str) -> bool {
        let query = parse(&format!("SELECT Id FROM Account WHERE {condition}")).unwrap();
        let record = json!({"Id": "001A0000006Vm9uIAC", "Name": "O'Hara's", "AnnualRevenue": 12.5, "Phone": null,
            "IsDeleted": false, "SystemModstamp": "2026-03-01T10:11:12.000+0000"});
        query.takes(record.as_object().unwrap())
    }

    #[test]
    fn conditions_hold_as_they_are_written() {
        for (condition, whether) in [
            ("Name = 'o\\'hara\\'s'", true),
            ("Name LIKE 'O_ha%'", true),
            ("Name NOT IN ('x', 'O\\'Hara\\'s')", false),
            ("AnnualRevenue >= 12.50 AND IsDeleted = false", true),
            ("Phone = null AND (Name = 'x' OR AnnualRevenue < 13)", true),
            ("SystemModstamp > 2026-03-01T10:11:11Z", true),
            ("SystemModstamp > 2026-03-01T11:11:12+01:00", false),
            ("NOT Id > '001A0000006Vm9u'", true),
        ] {
            assert_eq!(takes(condition), whether, "{condition}");
        }
    }

    #[test]
    fn what_the_real_parser_refuses_is_refused() {
        for (query, code) in [
            ("SELECT Nme FROM Account", "INVALID_FIELD"),
            ("SELECT Id FROM Accounts", "INVALID_TYPE"),
            ("SELECT Id FROM Account WHERE Name = 5", "INVALID_FIELD"),
            ("SELECT Id FROM Account WHERE SystemModstamp > '2026-03-01T00:00:00Z'", "INVALID_FIELD"),
            ("SELECT Id FROM Account WHERE Name = 'a' OR Name = 'b' AND Phone = null", "MALFORMED_QUERY"),
            ("SELECT Id FROM Account WHERE Name = 'a", "MALFORMED_QUERY"),
            ("SELECT Id, id FROM Account", "MALFORMED_QUERY"),
            ("SELECT Id FROM Account LIMIT 5 EXTRA", "MALFORMED_QUERY"),
        ] {
            assert_eq!(parse(query).unwrap_err().code, code, "{query}");
        }
    }
}
