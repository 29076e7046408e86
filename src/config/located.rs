//! YAML with places: a document as JSON, and for each of its parts the line and column where it stands.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

/// Where something stands in a file; lines and columns count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: u64,
    pub column: u64,
}

/// A YAML document read into JSON, with the place of every part by its JSON pointer.
#[derive(Debug)]
pub struct Located {
    pub value: Value,
    places: BTreeMap<String, Place>,
}

impl Located {
    /// Reads one document.
    ///
    /// # Errors
    /// The parser's message, with line and column inside it.
    pub fn parse(text: &str) -> Result<Self, serde_saphyr::Error> {
        let node: Node = serde_saphyr::from_str(text)?;
        let mut places = BTreeMap::new();
        let value = node.into_json("", &mut places);
        Ok(Self { value, places })
    }

    /// The place of the part with this JSON pointer, or of the nearest part around it.
    pub fn place(&self, pointer: &str) -> Place {
        let mut pointer = pointer;
        loop {
            if let Some(place) = self.places.get(pointer) {
                return *place;
            }
            match pointer.rfind('/') {
                Some(end) => pointer = pointer.get(..end).unwrap_or(""),
                None => return Place { line: 1, column: 1 },
            }
        }
    }
}

/// One step of a JSON pointer, escaped.
pub fn step(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

struct Node(Spanned<Part>);

enum Part {
    Map(Vec<(Spanned<String>, Node)>),
    Sequence(Vec<Node>),
    Scalar(Value),
}

impl Node {
    fn into_json(self, pointer: &str, places: &mut BTreeMap<String, Place>) -> Value {
        let location = self.0.referenced;
        places
            .entry(pointer.to_owned())
            .or_insert(Place { line: location.line().max(1), column: location.column().max(1) });
        match self.0.value {
            Part::Scalar(value) => value,
            Part::Sequence(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| item.into_json(&format!("{pointer}/{index}"), places))
                .collect(),
            Part::Map(entries) => {
                let mut map = serde_json::Map::new();
                for (name, node) in entries {
                    let inner = format!("{pointer}/{}", step(&name.value));
                    // the place of a member is that of its name: this is what a person looks for
                    let place = Place {
                        line: name.referenced.line().max(1),
                        column: name.referenced.column().max(1),
                    };
                    places.insert(inner.clone(), place);
                    let value = node.into_json(&inner, places);
                    map.insert(name.value, value);
                }
                Value::Object(map)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::<Part>::deserialize(deserializer).map(Node)
    }
}

impl<'de> Deserialize<'de> for Part {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PartVisitor)
    }
}

struct PartVisitor;

impl<'de> Visitor<'de> for PartVisitor {
    type Value = Part;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a YAML value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Part, E> {
        Ok(Part::Scalar(Value::from(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Part, E> {
        Ok(Part::Scalar(Value::from(value)))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Part, E> {
        Ok(Part::Scalar(Value::from(value)))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Part, E> {
        Ok(Part::Scalar(Value::from(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Part, E> {
        Ok(Part::Scalar(Value::from(value)))
    }

    fn visit_unit<E>(self) -> Result<Part, E> {
        Ok(Part::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Part, E> {
        Ok(Part::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Part, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Part, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Part::Sequence(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Part, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Part::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_knows_its_line() {
        let text =
            "systems:\n  crm:\n    connector: fxiaoke\ntables:\n  a/b:\n    - x: 1\n    - y: [true, null]\n";
        let document = Located::parse(text).unwrap();
        assert_eq!(document.value["tables"]["a/b"][1]["y"], serde_json::json!([true, null]));
        assert_eq!(document.place("/systems/crm/connector"), Place { line: 3, column: 5 });
        assert_eq!(document.place("/tables/a~1b/1/y").line, 7);
        assert_eq!(document.place("/tables/a~1b/1/nothing/here").line, 7);
    }

    #[test]
    fn broken_yaml_is_an_error_with_its_line() {
        let error = Located::parse("a: [1, 2\nb: 3").unwrap_err().to_string();
        assert!(error.contains("line"), "{error}");
    }
}
