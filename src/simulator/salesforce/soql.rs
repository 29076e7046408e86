//! SOQL: what its names and literals mean. The form of a query is read by [`select`](crate::simulator::select).

use serde_json::Value;

use super::{
    Refusal,
    schema::{self, Holds},
};
use crate::simulator::select::{self, Compared, Query, Tongue, Written, Wrong};

struct Soql;

impl Tongue for Soql {
    fn object(&self, name: &str) -> Option<String> {
        schema::object(name).map(|(name, ..)| name)
    }

    fn field(&self, object: &str, name: &str) -> Option<(String, Compared)> {
        let (name, holds, _) = schema::field(object, name)?;
        let compared = match holds {
            Holds::Number(..) => Compared::ByNumber,
            Holds::Text(..) | Holds::Email => Compared::Folded,
            _ => Compared::Exactly,
        };
        Some((name, compared))
    }

    /// Texts stand in quotes, everything else without.
    fn literal(&self, object: &str, field: &str, written: Written<'_>) -> Option<Value> {
        let (_, holds, _) = schema::field(object, field)?;
        match (holds, written) {
            (Holds::Text(..) | Holds::Email, Written::Quoted(text)) => Some(Value::from(text)),
            (Holds::Reference(_) | Holds::Id, Written::Quoted(id)) => Some(Value::from(schema::long_id(id))),
            (Holds::Boolean, Written::Bare(word)) => word.to_lowercase().parse().ok().map(Value::Bool),
            (Holds::Number(..), Written::Bare(word)) if word.parse::<f64>().is_ok() => {
                serde_json::from_str(word).ok()
            }
            (Holds::Date, Written::Bare(word)) => {
                word.parse::<jiff::civil::Date>().ok().map(|_| Value::from(word))
            }
            // Without an offset it is not a moment.
            (Holds::DateTime, Written::Bare(word)) => {
                let stamp = word.parse::<jiff::Timestamp>().ok()?;
                Some(Value::from(schema::stamp_text(stamp.as_millisecond())))
            }
            _ => None,
        }
    }

    fn limits(&self) -> (Option<usize>, usize, usize) {
        (None, usize::MAX, 2_000)
    }
}

/// Reads a query.
pub(super) fn parse(text: &str) -> Result<Query, Refusal> {
    select::parse(&Soql, text).map_err(|wrong| match wrong {
        Wrong::Query(said) => Refusal::of(400, "MALFORMED_QUERY", said),
        Wrong::Object(name) => {
            Refusal::of(400, "INVALID_TYPE", format!("sObject type '{name}' is not supported."))
        }
        Wrong::Field(name) => Refusal::of(
            400,
            "INVALID_FIELD",
            format!(
                "No such column '{name}' on entity. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name."
            ),
        ),
        Wrong::Literal(field) => {
            let message = format!("value of filter criterion for field '{field}' must be of the field's type and enclosed in quotes where it is a text");
            Refusal::of(400, "INVALID_FIELD", message)
        }
        Wrong::Range(said) => Refusal::of(400, "NUMBER_OUTSIDE_VALID_RANGE", said),
    })
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
