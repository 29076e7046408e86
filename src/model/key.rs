//! Keys: the primary key of a mirror row as one text.
//!
//! A key of one column is that column's text; a key of several columns is a JSON array of their texts. The number
//! of key columns is a property of the table, so the two forms are never mixed within one binding.

/// Joins the texts of the key columns, in the order of the primary key.
pub fn encode_key<S: AsRef<str>>(columns: &[S]) -> String {
    match columns {
        [single] => single.as_ref().to_owned(),
        several => {
            let texts = several.iter().map(|text| serde_json::Value::from(text.as_ref())).collect();
            serde_json::Value::Array(texts).to_string()
        }
    }
}

/// Takes a key apart again; `None` when it does not have `columns` parts.
pub fn decode_key(key: &str, columns: usize) -> Option<Vec<String>> {
    if columns == 1 {
        return Some(vec![key.to_owned()]);
    }
    let texts: Vec<String> = serde_json::from_str(key).ok()?;
    (texts.len() == columns).then_some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_key_survives_the_round_trip(columns in prop::collection::vec(".*", 1..5)) {
            prop_assert_eq!(decode_key(&encode_key(&columns), columns.len()), Some(columns));
        }

        #[test]
        fn different_keys_stay_different(
            left in prop::collection::vec(".*", 2..4),
            right in prop::collection::vec(".*", 2..4),
        ) {
            prop_assert_eq!(left == right, encode_key(&left) == encode_key(&right));
        }
    }
}
