//! The language of a list's `query`: conditions, joined by AND (or by nothing) and OR, in brackets where need be.

use std::cmp::Ordering;

use serde_json::Value;

use super::schema::millis;
use crate::{model::record::Record, simulator::value::text_of};

/// How deep brackets may lie in each other.
const DEEPEST: usize = 24;

/// A condition on a record.
#[derive(Debug)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Holds { name: String, order: Option<(Ordering, bool)>, value: String },
}

#[derive(Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Word(String),
    Text(String),
}

fn tokens(text: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut rest = text.chars();
    while let Some(char) = rest.next() {
        let ends = char.is_whitespace() || "()\"'".contains(char);
        if ends && !word.is_empty() {
            found.push(Token::Word(std::mem::take(&mut word)));
        }
        match char {
            '(' => found.push(Token::Open),
            ')' => found.push(Token::Close),
            '"' | '\'' => {
                let mut text = String::new();
                while let Some(next) = rest.next() {
                    match next {
                        '\\' => text.extend(rest.next()),
                        next if next == char => break,
                        next => text.push(next),
                    }
                }
                found.push(Token::Text(text));
            }
            char if char.is_whitespace() => {}
            char => word.push(char),
        }
    }
    if !word.is_empty() {
        found.push(Token::Word(word));
    }
    found
}

/// Reads a search; what cannot be read is left out, as the real one does with a warning.
pub(super) fn parse(text: &str) -> Condition {
    any(&mut tokens(text).into_iter().peekable(), 0)
}

type Rest = std::iter::Peekable<std::vec::IntoIter<Token>>;

fn any(rest: &mut Rest, deep: usize) -> Condition {
    let mut parts = vec![all(rest, deep)];
    while rest.next_if_eq(&Token::Word("OR".to_owned())).is_some() {
        parts.push(all(rest, deep));
    }
    Condition::Any(parts)
}

fn all(rest: &mut Rest, deep: usize) -> Condition {
    let mut parts = Vec::new();
    loop {
        match rest.peek() {
            None | Some(Token::Close) => break,
            Some(Token::Word(word)) if word == "OR" => break,
            _ => {}
        }
        match rest.next() {
            Some(Token::Open) if deep < DEEPEST => {
                parts.push(any(rest, deep + 1));
                rest.next_if_eq(&Token::Close);
            }
            Some(Token::Word(word)) if word != "AND" => parts.extend(condition(&word, rest)),
            _ => {}
        }
    }
    Condition::All(parts)
}

fn condition(word: &str, rest: &mut Rest) -> Option<Condition> {
    let (name, value) = word.split_once(':')?;
    let signs = [
        (">=", Some((Ordering::Greater, true))),
        ("<=", Some((Ordering::Less, true))),
        (">", Some((Ordering::Greater, false))),
        ("<", Some((Ordering::Less, false))),
        ("", None),
    ];
    let (order, value) =
        signs.into_iter().find_map(|(sign, order)| Some((order, value.strip_prefix(sign)?)))?;
    let value = match (value.is_empty(), rest.peek()) {
        (true, Some(Token::Text(_))) => match rest.next() {
            Some(Token::Text(text)) => text,
            _ => String::new(),
        },
        _ => value.to_owned(),
    };
    Some(Condition::Holds { name: name.to_owned(), order, value })
}

/// `first_name` as the record has it: `firstName`.
fn camel(name: &str) -> String {
    let mut parts = name.split('_');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |done, part| {
        let mut chars = part.chars();
        let head = chars.next().map(|char| char.to_ascii_uppercase()).into_iter();
        done.chars().chain(head).chain(chars).collect()
    })
}

impl Condition {
    pub(super) fn takes(&self, record: &Record) -> bool {
        match self {
            Condition::All(parts) => parts.iter().all(|part| part.takes(record)),
            Condition::Any(parts) => parts.iter().any(|part| part.takes(record)),
            Condition::Holds { name, order, value } => holds(record, name, *order, value),
        }
    }
}

fn holds(record: &Record, name: &str, order: Option<(Ordering, bool)>, value: &str) -> bool {
    let found = if name.starts_with("metafields.") { record.get(name) } else { record.get(&camel(name)) };
    let texts: Vec<String> = match found {
        None | Some(Value::Null) => return false,
        Some(Value::Array(list)) => list.iter().filter_map(text_of).collect(),
        Some(value) => text_of(value).into_iter().collect(),
    };
    let Some((wanted, or_equal)) = order else {
        // Words are compared without their case.
        let value = value.to_lowercase();
        return texts.iter().any(|text| {
            let own = if name == "id" { text.rsplit('/').next().unwrap_or_default() } else { text };
            own.to_lowercase() == value
        });
    };
    let number = |text: &str| match name {
        "id" => text.rsplit('/').next().and_then(|digits| digits.parse::<i64>().ok()),
        _ => millis(text).or_else(|| text.parse().ok()),
    };
    texts.iter().any(|text| match number(text).zip(number(value)) {
        Some((own, other)) => own.cmp(&other) == wanted || (or_equal && own == other),
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_are_joined_as_the_pages_say() {
        let record = json!({"id": "gid://shopify/Customer/12", "updatedAt": "2026-03-01T10:11:12Z", "firstName": "Ä \"x\"",
            "metafields.custom.number": "C1", "tags": ["a", "b c"]});
        let record = record.as_object().unwrap();
        for (text, holds) in [
            ("", true),
            ("id:>11", true),
            ("id:>12 AND first_name:x", false),
            ("id:12", true),
            ("updated_at:>='2026-03-01T10:11:12Z'", true),
            ("updated_at:>\"2026-03-01T10:11:12Z\"", false),
            (
                "((metafields.custom.number:\"c1\" AND first_name:\"ä \\\"x\\\"\") OR (first_name:b)) AND id:>3",
                true,
            ),
            ("(first_name:b) OR (tags:\"b c\")", true),
            ("first_name:b tags:a", false),
        ] {
            assert_eq!(parse(text).takes(record), holds, "{text}");
        }
        parse(&"(".repeat(100_000));
    }
}
