//! A look over a document before it is parsed: how deep, how many attributes, how many namespaces at once.
//!
//! The parser compares each attribute of an element with all before it, and hands each element that declares a
//! namespace all those above it: a text of a few megabytes could be made to cost minutes or gigabytes. What is
//! malformed is left to the parser; up to there, both see the same.

use super::xml::XmlError;

/// The deepest nesting.
pub(super) const DEEPEST: usize = 100;
/// The most attributes of one element.
const MOST_ATTRIBUTES: usize = 256;
/// The most namespaces that may be declared around one element, its own among them.
const MOST_NAMESPACES: usize = 128;

/// Refuses what has a document type, and what would cost too much.
pub(super) fn check(text: &str) -> Result<(), XmlError> {
    let mut rest = text;
    // The namespaces that each open element declares.
    let mut open: Vec<usize> = Vec::new();
    let mut declared = 0;
    while let Some((_, tag)) = rest.split_once('<') {
        let skipped = |end: &str| tag.split_once(end).map_or("", |(_, after)| after);
        rest = if tag.starts_with("!--") {
            tag.get(3..).and_then(|comment| comment.split_once("-->")).map_or("", |(_, after)| after)
        } else if tag.starts_with("![CDATA[") {
            skipped("]]>")
        } else if tag.starts_with('?') {
            skipped("?>")
        } else if tag.starts_with('!') {
            return Err(XmlError::DocumentType);
        } else if tag.starts_with('/') {
            declared -= open.pop().unwrap_or(0);
            skipped(">")
        } else {
            let start = Start::of(tag);
            if start.attributes > MOST_ATTRIBUTES || declared + start.namespaces > MOST_NAMESPACES {
                return Err(XmlError::TooLarge);
            }
            if open.len() >= DEEPEST {
                return Err(XmlError::TooDeep);
            }
            if !start.closed {
                declared += start.namespaces;
                open.push(start.namespaces);
            }
            start.after
        };
    }
    Ok(())
}

/// What a start tag holds.
struct Start<'a> {
    attributes: usize,
    namespaces: usize,
    /// It is an empty element.
    closed: bool,
    after: &'a str,
}

impl<'a> Start<'a> {
    /// Of a text that begins behind the `<`. A `>` within quotes does not end it.
    fn of(tag: &'a str) -> Self {
        let mut start = Self { attributes: 0, namespaces: 0, closed: false, after: "" };
        let mut rest = tag;
        while let Some(at) = rest.find(['>', '"', '\'']) {
            let (before, found) = rest.split_at(at);
            let quote = found.chars().next().unwrap_or('>');
            let behind = found.get(1..).unwrap_or_default();
            if quote == '>' {
                start.closed = before.ends_with('/');
                start.after = behind;
                break;
            }
            start.attributes += 1;
            start.namespaces += usize::from(before.contains("xmlns"));
            rest = behind.split_once(quote).map_or("", |(_, after)| after);
        }
        start
    }
}
