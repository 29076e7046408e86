//! Foresee: what the first meeting of rows and records would bring, found out by looking records up. Writes nothing.

use std::collections::HashMap;

use crate::bound::Bound;
use crate::deliver::create::agrees;
use crate::deliver::send::chunks;
use crate::model::diff::project;
use crate::model::merge::Stamps;
use crate::model::record::{Record, RemoteRecord, same_value};
use crate::remote::gate::Priority;

/// A row without a twin.
#[derive(Debug, Clone)]
pub struct Single {
    /// What would be sent to create its record.
    pub record: Record,
    /// The row in the record's form.
    pub encoded: Record,
}

/// What would become of rows without a twin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Foreseen {
    /// Rows that would find their record.
    pub matched: usize,
    /// Of these, rows that differ from it; and in how many of them the record, and the row, gives a value.
    pub differ: usize,
    pub record_wins: usize,
    pub row_wins: usize,
    /// Rows that agree with several records, or share one record with other rows.
    pub ambiguous: usize,
    /// Rows for which a record would be made.
    pub create: usize,
    /// Rows that could not be looked up, and why: the day's calls are used up, or the system does not answer.
    pub not_read: usize,
    pub reason: Option<String>,
}

/// Looks the records of these rows up, with the priority of a backfill, so that the calls that are kept for people's
/// edits stay theirs. `progress` is told how many rows are done.
pub async fn foresee(bound: &Bound, rows: Vec<Single>, mut progress: impl FnMut(usize)) -> Foreseen {
    let fields = &bound.mapping.match_fields;
    let mut foreseen = Foreseen::default();
    let (searched, rest): (Vec<Single>, Vec<Single>) = rows
        .into_iter()
        .partition(|one| fields.iter().all(|field| !same_value(one.record.get(field), None, true)));
    foreseen.create = rest.len();
    progress(rest.len());
    let mut pairs: HashMap<String, Vec<(Single, RemoteRecord)>> = HashMap::new();
    for chunk in chunks(searched, bound.abilities.find_batch) {
        let count = chunk.len();
        if foreseen.reason.is_some() {
            foreseen.not_read += count;
            continue;
        }
        let by: Vec<Record> =
            chunk.iter().map(|one| project(&one.record, fields.iter().map(String::as_str))).collect();
        let found =
            match bound.client.find(&bound.object, &bound.record_fields(), &by, Priority::Backfill).await {
                Ok(found) => found,
                Err(outcome) => {
                    foreseen.reason = Some(outcome.reason().to_owned());
                    foreseen.not_read += count;
                    continue;
                }
            };
        for one in chunk {
            let mut twins = found
                .iter()
                .filter(|record| !record.deleted && agrees(&one.record, &record.fields, fields, true));
            match (twins.next(), twins.next()) {
                (None, _) => foreseen.create += 1,
                (Some(twin), None) => {
                    let twin = twin.clone();
                    pairs.entry(twin.id.clone()).or_default().push((one, twin));
                }
                _ => foreseen.ambiguous += 1,
            }
        }
        progress(count);
    }
    for rivals in pairs.into_values() {
        match rivals.as_slice() {
            [(one, twin)] => foreseen.count_match(bound, one, twin),
            several => foreseen.ambiguous += several.len(),
        }
    }
    foreseen
}

impl Foreseen {
    fn count_match(&mut self, bound: &Bound, one: &Single, twin: &RemoteRecord) {
        self.matched += 1;
        let stamps = Stamps { row_ms: None, record_ms: twin.modified_ms };
        let merged = bound.mapping.first_meeting(&one.encoded, &twin.fields, bound.prefer, stamps);
        self.differ += usize::from(!merged.take.is_empty() || !merged.give.is_empty());
        self.record_wins += usize::from(!merged.take.is_empty());
        self.row_wins += usize::from(!merged.give.is_empty());
    }
}
