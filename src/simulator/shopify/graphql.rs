//! The part of GraphQL that clients send here: one operation, its variables put in, aliases, arguments, inline fragments.

use serde_json::{Map, Value};

/// How deep selections and values may lie in each other.
const DEEPEST: usize = 24;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) mutation: bool,
    pub(super) fields: Vec<Field>,
}

/// A field with its arguments and what is asked for within it.
#[derive(Debug, Clone)]
pub(super) struct Field {
    /// The name in the answer.
    pub(super) key: String,
    pub(super) name: String,
    pub(super) arguments: Map<String, Value>,
    pub(super) within: Vec<Selected>,
}

/// A part of a selection.
#[derive(Debug, Clone)]
pub(super) enum Selected {
    Field(Field),
    /// `... on TYPE { … }`
    On(String, Vec<Selected>),
}

impl Field {
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.arguments.get(name).and_then(Value::as_str)
    }

    /// The fields asked for of a record of this type.
    pub(super) fn of<'a>(&'a self, type_name: &'a str) -> Vec<&'a Field> {
        of(&self.within, type_name)
    }

    /// A field within this one, whatever the type.
    pub(super) fn inner(&self, name: &str) -> Option<&Field> {
        self.within.iter().find_map(|part| match part {
            Selected::Field(field) if field.name == name => Some(field),
            _ => None,
        })
    }
}

fn of<'a>(within: &'a [Selected], type_name: &'a str) -> Vec<&'a Field> {
    let mut fields = Vec::new();
    for part in within {
        match part {
            Selected::Field(field) => fields.push(field),
            Selected::On(name, parts) if name == type_name => fields.extend(of(parts, type_name)),
            Selected::On(..) => {}
        }
    }
    fields
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Variable(String),
    Text(String),
    Number(String),
    Sign(char),
    Spread,
}

/// Why a text is no question: shown in the answer.
pub(super) type Wrong = String;

fn tokens(text: &str) -> Result<Vec<Token>, Wrong> {
    let mut found = Vec::new();
    let mut rest = text.chars().peekable();
    let is_name = |char: char| char.is_ascii_alphanumeric() || char == '_';
    while let Some(char) = rest.next() {
        let mut word = |first: String, fits: &dyn Fn(char) -> bool| {
            let mut word = first;
            while let Some(next) = rest.next_if(|next| fits(*next)) {
                word.push(next);
            }
            word
        };
        match char {
            char if char.is_whitespace() || char == ',' || char == '\u{feff}' => {}
            '#' => {
                word(String::new(), &|next| next != '\n');
            }
            '$' => found.push(Token::Variable(word(String::new(), &is_name))),
            '-' | '0'..='9' => found.push(Token::Number(word(char.to_string(), &|next| {
                next.is_ascii_alphanumeric() || ".+-".contains(next)
            }))),
            '"' => found.push(Token::Text(quoted(&mut rest)?)),
            '.' => {
                if word(String::new(), &|next| next == '.') != ".." {
                    return Err("syntax error, unexpected .".to_owned());
                }
                found.push(Token::Spread);
            }
            char if is_name(char) => found.push(Token::Name(word(char.to_string(), &is_name))),
            '{' | '}' | '(' | ')' | '[' | ']' | ':' | '!' | '=' | '@' | '|' => found.push(Token::Sign(char)),
            other => return Err(format!("syntax error, unexpected {other:?}")),
        }
    }
    Ok(found)
}

fn quoted(rest: &mut impl Iterator<Item = char>) -> Result<String, Wrong> {
    let unfinished = || "syntax error, a text does not end".to_owned();
    let mut text = String::new();
    loop {
        match rest.next().ok_or_else(unfinished)? {
            '"' => return Ok(text),
            '\\' => match rest.next().ok_or_else(unfinished)? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}

struct Reader<'a> {
    tokens: std::vec::IntoIter<Token>,
    next: Option<Token>,
    variables: &'a Map<String, Value>,
    defaults: Map<String, Value>,
}

impl Reader<'_> {
    fn take(&mut self) -> Option<Token> {
        std::mem::replace(&mut self.next, self.tokens.next())
    }

    fn take_sign(&mut self, sign: char) -> bool {
        let there = self.next == Some(Token::Sign(sign));
        if there {
            self.take();
        }
        there
    }

    fn need_sign(&mut self, sign: char) -> Result<(), Wrong> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.unexpected(&format!("{sign}"))) }
    }

    fn unexpected(&self, wanted: &str) -> Wrong {
        match &self.next {
            Some(token) => format!("syntax error, unexpected {token:?}, expecting {wanted}"),
            None => format!("syntax error, unexpected end of file, expecting {wanted}"),
        }
    }

    fn name(&mut self) -> Result<String, Wrong> {
        match self.take() {
            Some(Token::Name(name)) => Ok(name),
            other => Err(format!("syntax error, unexpected {other:?}, expecting a name")),
        }
    }

    /// `[TYPE!]!`: which type it is does not matter here.
    fn type_name(&mut self, deep: usize) -> Result<(), Wrong> {
        if deep > DEEPEST {
            return Err("syntax error, a type lies too deep".to_owned());
        }
        if self.take_sign('[') {
            self.type_name(deep + 1)?;
            self.need_sign(']')?;
        } else {
            self.name()?;
        }
        self.take_sign('!');
        Ok(())
    }

    fn variables(&mut self) -> Result<(), Wrong> {
        if !self.take_sign('(') {
            return Ok(());
        }
        while !self.take_sign(')') {
            let Some(Token::Variable(name)) = self.take() else {
                return Err("syntax error, expecting a variable".to_owned());
            };
            self.need_sign(':')?;
            self.type_name(0)?;
            if self.take_sign('=') {
                let value = self.value(0)?;
                self.defaults.insert(name, value);
            }
        }
        Ok(())
    }

    fn value(&mut self, deep: usize) -> Result<Value, Wrong> {
        if deep > DEEPEST {
            return Err("syntax error, a value lies too deep".to_owned());
        }
        Ok(match self.take() {
            Some(Token::Variable(name)) => {
                let given = self.variables.get(&name).or_else(|| self.defaults.get(&name));
                given.cloned().unwrap_or(Value::Null)
            }
            Some(Token::Text(text)) => Value::String(text),
            Some(Token::Number(text)) => {
                serde_json::from_str(&text).map_err(|_| format!("syntax error, {text} is no number"))?
            }
            Some(Token::Name(name)) => match name.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" => Value::Null,
                _ => Value::String(name),
            },
            Some(Token::Sign('[')) => {
                let mut list = Vec::new();
                while !self.take_sign(']') {
                    list.push(self.value(deep + 1)?);
                }
                Value::Array(list)
            }
            Some(Token::Sign('{')) => {
                let mut object = Map::new();
                while !self.take_sign('}') {
                    let name = self.name()?;
                    self.need_sign(':')?;
                    object.insert(name, self.value(deep + 1)?);
                }
                Value::Object(object)
            }
            other => return Err(format!("syntax error, unexpected {other:?}, expecting a value")),
        })
    }

    fn selection(&mut self, deep: usize) -> Result<Vec<Selected>, Wrong> {
        if deep > DEEPEST {
            return Err("syntax error, a selection lies too deep".to_owned());
        }
        let mut parts = Vec::new();
        while !self.take_sign('}') {
            if self.next == Some(Token::Spread) {
                self.take();
                if self.name()? != "on" {
                    return Err("fragments by name are not simulated".to_owned());
                }
                let name = self.name()?;
                self.need_sign('{')?;
                parts.push(Selected::On(name, self.selection(deep + 1)?));
                continue;
            }
            let first = self.name()?;
            let (key, name) =
                if self.take_sign(':') { (first, self.name()?) } else { (first.clone(), first) };
            let mut arguments = Map::new();
            if self.take_sign('(') {
                while !self.take_sign(')') {
                    let name = self.name()?;
                    self.need_sign(':')?;
                    arguments.insert(name, self.value(deep + 1)?);
                }
            }
            let within = if self.take_sign('{') { self.selection(deep + 1)? } else { Vec::new() };
            parts.push(Selected::Field(Field { key, name, arguments, within }));
        }
        Ok(parts)
    }
}

/// Reads a question.
pub(super) fn parse(text: &str, variables: &Map<String, Value>) -> Result<Document, Wrong> {
    let mut tokens = tokens(text)?.into_iter();
    let next = tokens.next();
    let mut reader = Reader { tokens, next, variables, defaults: Map::new() };
    let mut mutation = false;
    if let Some(Token::Name(word)) = reader.next.clone() {
        mutation = word == "mutation";
        if !mutation && word != "query" {
            return Err(format!("syntax error, unexpected {word}"));
        }
        reader.take();
        if matches!(reader.next, Some(Token::Name(_))) {
            reader.take();
        }
        reader.variables()?;
    }
    reader.need_sign('{')?;
    let parts = reader.selection(0)?;
    if reader.next.is_some() {
        return Err("one operation in a document is simulated".to_owned());
    }
    let fields = parts.into_iter().filter_map(|part| match part {
        Selected::Field(field) => Some(field),
        Selected::On(..) => None,
    });
    Ok(Document { mutation, fields: fields.collect() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_question_is_taken_apart() {
        let variables = json!({"n": 5, "i": {"email": "a"}});
        let text = r#"query Q($n: Int!, $q: String = "x", $i: [In!]!) { # a word
            a: customers(first: $n, query: $q, sort: ID, more: [1, {b: "\"é\""}]) { nodes { id m: metafield(key: "k") { value } } }
            node(id: "1") { ... on Order { id } ... on Customer { email } } }"#;
        let document = parse(text, variables.as_object().unwrap()).unwrap();
        assert!(!document.mutation);
        let list = &document.fields[0];
        assert_eq!((list.key.as_str(), list.name.as_str()), ("a", "customers"));
        let expected = json!({"first": 5, "query": "x", "sort": "ID", "more": [1, {"b": "\"é\""}]});
        assert_eq!(Value::Object(list.arguments.clone()), expected);
        let nodes = list.inner("nodes").unwrap().of("Customer");
        assert_eq!(nodes.iter().map(|field| field.key.as_str()).collect::<Vec<_>>(), ["id", "m"]);
        assert_eq!(nodes[1].text("key"), Some("k"));
        assert_eq!(document.fields[1].of("Customer")[0].name, "email");
    }

    #[test]
    fn what_is_no_question_is_refused() {
        let deep = format!("{{ {} }}", "a { ".repeat(5000));
        for text in ["", "{", "{ a(b: ) }", "{ a } }", "subscription { a }", "{ \"a }", "{ .. }", &deep] {
            assert!(parse(text, &Map::new()).is_err(), "{}", text.chars().take(40).collect::<String>());
        }
    }
}
