//! XML as JSON values and back: what the filters `from_xml` and `to_xml` do, for documents that hold data.
//!
//! An element is the value of its name. With nothing but text in it, it is that text; with children, an object of
//! them; with attributes, they stand beside the children as `@name`, and its text as `#text`. Children of the same
//! name are an array; an empty element is null. Names lose their prefixes when they are read, since which prefix a
//! sender uses for a namespace is up to it; they are written as they are given.
//!
//! What comes from outside is bounded in depth and in the number of its nodes. There is no document type (DTD): so
//! no entities but the five that XML itself has, nothing that expands, and nothing that is fetched.

use roxmltree::{Document, Error, Node, ParsingOptions};
use serde_json::{Map, Value};

use super::xml_bounds::{self, DEEPEST};

/// The most nodes (elements, texts, comments) of one document.
const MOST_NODES: u32 = 1_000_000;
/// The longest text that is written, in bytes.
const LONGEST: usize = 64 * 1024 * 1024;
/// The namespace of `xsi:nil` and `xsi:type`: of how a value is written, not part of it.
const INSTANCE: &str = "http://www.w3.org/2001/XMLSchema-instance";
const TEXT: &str = "#text";
/// What XML calls white space.
const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

/// Why a text is not read, or a value not written. Nothing of the text or the value is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// The text is no XML; line and column count from 1.
    #[error("from_xml was given a text that is not well-formed XML (line {line}, column {column})")]
    Malformed { line: u32, column: u32 },
    #[error(
        "from_xml reads no document that has a document type (DTD): it could be made to grow without end"
    )]
    DocumentType,
    #[error(
        "from_xml was given a document of more than {MOST_NODES} nodes, or an element with hundreds of attributes or namespaces; ask for smaller pages"
    )]
    TooLarge,
    #[error("from_xml was given elements that are nested more than {DEEPEST} deep")]
    TooDeep,
    #[error("to_xml needs an object with one member, which is the root element")]
    Root,
    #[error("to_xml was given the name of an element or attribute that XML does not allow")]
    Name,
    #[error("to_xml was given an attribute or a #text that is neither a text nor a number nor a boolean")]
    Plain,
    #[error("to_xml was given an array in an array; the elements of one name are one array")]
    Nested,
    #[error("to_xml would write more than {LONGEST} bytes")]
    TooLong,
}

/// A document as a value: an object with one member, the root element.
///
/// # Errors
/// If the text is no XML, has a document type, or is too large or too deep.
pub fn from_xml(text: &str) -> Result<Value, XmlError> {
    let text = text.trim_start_matches(|char: char| char == '\u{feff}' || BLANK.contains(&char));
    // What XML does not allow, careless systems write all the same; it is no reason to lose a page.
    let cleaned: Option<String> =
        text.contains(|char| !allowed(char)).then(|| text.chars().filter(|char| allowed(*char)).collect());
    let text = cleaned.as_deref().unwrap_or(text);
    xml_bounds::check(text)?;
    let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options);
    let document = document.map_err(|error| match error {
        Error::DtdDetected => XmlError::DocumentType,
        Error::NodesLimitReached | Error::AttributesLimitReached | Error::NamespacesLimitReached => {
            XmlError::TooLarge
        }
        // Its words quote the text.
        other => XmlError::Malformed { line: other.pos().row, column: other.pos().col },
    })?;
    let root = document.root_element();
    let mut object = Map::new();
    object.insert(root.tag_name().name().to_owned(), element(root));
    Ok(Value::Object(object))
}

/// As deep as the look before has allowed.
fn element(node: Node<'_, '_>) -> Value {
    let mut object = Map::new();
    let mut nil = false;
    for attribute in node.attributes() {
        if attribute.namespace() == Some(INSTANCE) {
            nil |= attribute.name() == "nil" && matches!(attribute.value().trim(), "true" | "1");
            continue;
        }
        let name = format!("@{}", attribute.name());
        // Of `Name` and `sap:Name`, the element's own is the one without a prefix.
        if attribute.namespace().is_none() || !object.contains_key(&name) {
            object.insert(name, Value::from(attribute.value()));
        }
    }
    let mut text = String::new();
    let mut parent = false;
    for child in node.children() {
        if child.is_element() {
            parent = true;
            add(&mut object, child.tag_name().name(), element(child));
        } else if child.is_text() {
            text.push_str(child.text().unwrap_or_default());
        }
    }
    // White space between elements is the writer's taste.
    let trimmed = text.trim_matches(BLANK);
    let text = if parent { trimmed } else { text.as_str() };
    let text = Some(text).filter(|_| !nil && !trimmed.is_empty()).map(Value::from);
    match text {
        text if object.is_empty() => text.unwrap_or(Value::Null),
        text => {
            object.extend(text.map(|text| (TEXT.to_owned(), text)));
            Value::Object(object)
        }
    }
}

/// One more child: the second of a name makes an array of both. No element is an array by itself.
fn add(object: &mut Map<String, Value>, name: &str, value: Value) {
    match object.get_mut(name) {
        Some(Value::Array(several)) => several.push(value),
        Some(first) => {
            let first = first.take();
            object.insert(name.to_owned(), Value::Array(vec![first, value]));
        }
        None => drop(object.insert(name.to_owned(), value)),
    }
}

/// A value as a document, without a declaration: the way back from [`from_xml`]. Characters that XML cannot hold are
/// left out.
///
/// # Errors
/// If the value is no object of one member, or holds what has no form in XML.
pub fn to_xml(value: &Value) -> Result<String, XmlError> {
    let Value::Object(members) = value else { return Err(XmlError::Root) };
    let mut members = members.iter();
    let (Some((name, root)), None) = (members.next(), members.next()) else { return Err(XmlError::Root) };
    if root.is_array() || name.starts_with(['@', '#']) {
        return Err(XmlError::Root);
    }
    let mut xml = String::new();
    write_element(&mut xml, name, root)?;
    Ok(xml)
}

fn write_element(xml: &mut String, name: &str, value: &Value) -> Result<(), XmlError> {
    if xml.len() > LONGEST {
        return Err(XmlError::TooLong);
    }
    check_name(name)?;
    xml.push('<');
    xml.push_str(name);
    let start = xml.len();
    match value {
        Value::Array(_) => return Err(XmlError::Nested),
        Value::Object(members) => {
            let attributes =
                members.iter().filter_map(|(name, value)| Some((name.strip_prefix('@')?, value)));
            for (name, value) in attributes.filter(|(_, value)| !value.is_null()) {
                check_name(name)?;
                xml.push(' ');
                xml.push_str(name);
                xml.push_str("=\"");
                escape(xml, &plain(value)?, true);
                xml.push('"');
            }
            xml.push('>');
            let inside = xml.len();
            for (name, value) in members.iter().filter(|(name, _)| !name.starts_with('@')) {
                match value {
                    Value::Null if name == TEXT => {}
                    value if name == TEXT => escape(xml, &plain(value)?, false),
                    Value::Array(several) => {
                        for value in several {
                            write_element(xml, name, value)?;
                        }
                    }
                    value => write_element(xml, name, value)?,
                }
            }
            if xml.len() == inside {
                xml.pop();
                xml.push_str("/>");
                return Ok(());
            }
        }
        Value::Null => {}
        value => {
            xml.push('>');
            escape(xml, &plain(value)?, false);
        }
    }
    if xml.len() <= start + 1 {
        xml.truncate(start);
        xml.push_str("/>");
        return Ok(());
    }
    xml.push_str("</");
    xml.push_str(name);
    xml.push('>');
    Ok(())
}

fn plain(value: &Value) -> Result<String, XmlError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(bool) => Ok(bool.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(XmlError::Plain),
    }
}

/// Readers turn raw line ends into `\n`, and those of attributes into spaces: they are written by number.
fn escape(xml: &mut String, text: &str, attribute: bool) {
    for char in text.chars() {
        match char {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' if attribute => xml.push_str("&quot;"),
            '\r' => xml.push_str("&#13;"),
            '\n' if attribute => xml.push_str("&#10;"),
            '\t' if attribute => xml.push_str("&#9;"),
            char if allowed(char) => xml.push(char),
            _ => {}
        }
    }
}

/// What a document of XML 1.0 may hold.
fn allowed(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// A name as XML 1.0 has it, with at most one prefix.
fn check_name(name: &str) -> Result<(), XmlError> {
    let part = |part: &str| part.starts_with(begins_name) && part.chars().all(continues_name);
    let good = match name.split_once(':') {
        Some((prefix, local)) => part(prefix) && part(local),
        None => part(name),
    };
    if good { Ok(()) } else { Err(XmlError::Name) }
}

fn begins_name(char: char) -> bool {
    matches!(char, 'A'..='Z' | 'a'..='z' | '_' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

fn continues_name(char: char) -> bool {
    let joins =
        matches!(char, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}');
    joins || begins_name(char)
}

#[cfg(test)]
#[path = "xml_tests.rs"]
mod tests;
