//! What a remote can do, and what it makes of values: chosen by the seed. The manifest and the server are made of it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dice::Dice;

/// The abilities of one simulated remote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Abilities {
    /// Records carry a version, and a write that is based on an older one is refused.
    pub versions: bool,
    /// A write that changes nothing still makes a new version.
    pub bumps: bool,
    pub numeric_ids: bool,
    /// There is a field in which the id of an attempt can be planted.
    pub plants: bool,
    /// A create that is sent twice makes one record.
    pub idempotent: bool,
    pub create_batch: usize,
    pub update_batch: usize,
    pub delete_batch: usize,
    pub read_batch: usize,
    pub find_batch: usize,
    /// Records on one page of a list.
    pub page: usize,
    /// Stamps are whole seconds.
    pub seconds: bool,
    /// Deleted records stay in lists, marked; otherwise they are simply not there any more.
    pub tombstones: bool,
    /// The answer to a write holds the record.
    pub echo: bool,
    /// One bad record in a batch refuses the whole call.
    pub atomic: bool,
    /// So many calls pass before a new record can be listed or found.
    pub lag: usize,
    /// Spaces around texts are cut off.
    pub trims: bool,
    /// Names are stored in capitals.
    pub capitals: bool,
    /// Numbers keep one digit after the point.
    pub rounds: bool,
    /// Numbers are texts.
    pub decimal_text: bool,
    /// An empty text is stored as nothing.
    pub blank_is_null: bool,
    /// Calls at the same time.
    pub in_flight: usize,
}

impl Abilities {
    pub fn by(dice: &mut Dice) -> Self {
        let batch = |dice: &mut Dice| if dice.percent(50) { 1 } else { dice.between(2, 5) };
        Self {
            versions: dice.percent(40),
            bumps: dice.percent(30),
            numeric_ids: dice.percent(40),
            plants: dice.percent(30),
            idempotent: dice.percent(15),
            create_batch: batch(dice),
            update_batch: batch(dice),
            delete_batch: batch(dice),
            read_batch: dice.between(1, 6),
            find_batch: dice.between(1, 4),
            page: dice.between(1, 6),
            seconds: dice.percent(40),
            tombstones: dice.percent(40),
            echo: dice.percent(40),
            atomic: dice.percent(40),
            lag: if dice.percent(20) { dice.between(1, 4) } else { 0 },
            trims: dice.percent(40),
            capitals: dice.percent(20),
            rounds: dice.percent(25),
            decimal_text: dice.percent(40),
            blank_is_null: dice.percent(50),
            in_flight: dice.between(1, 4),
        }
    }

    /// What the remote stores when it is given this value for a field.
    pub fn stored(&self, field: &str, value: &Value) -> Value {
        match value {
            Value::String(text) if field == "name" || field == "tel" => {
                let mut text = if self.trims { text.trim().to_owned() } else { text.clone() };
                if self.capitals && field == "name" {
                    text = text.to_uppercase();
                }
                if self.blank_is_null && text.is_empty() { Value::Null } else { Value::from(text) }
            }
            Value::String(text) if field == "credit" && self.rounds => Value::from(rounded(text)),
            Value::Number(number) if field == "credit" && self.rounds => {
                serde_json::from_str(&rounded(&number.to_string())).unwrap()
            }
            other => other.clone(),
        }
    }
}

/// A decimal of hundredths with one digit after the point; halves go up.
fn rounded(text: &str) -> String {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits: String = format!("{part}00").chars().take(2).collect();
    let hundredths: i64 = whole.parse::<i64>().unwrap() * 100 + digits.parse::<i64>().unwrap();
    let tenths = (hundredths + 5) / 10;
    format!("{}.{}", tenths / 10, tenths % 10)
}
