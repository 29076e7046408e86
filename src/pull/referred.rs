//! Referred: records that others refer to by their number or code, and whose id is therefore not known yet.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use crate::model::record::{Record, same_value};
use crate::pull::apply::Batch;
use crate::pull::{Puller, Turned};
use crate::remote::gate::Priority;
use crate::store::StoreError;
use crate::store::inbox::{Waiting, clear_records, reject_record};
use crate::store::limits::book_read;

/// What the inbox says of such a record.
pub(super) const BY_REFERENCE: &str = "referred to by reference";
/// What the inbox says of a record that another one names by its id.
pub(super) const BY_ID: &str = "referred to";
/// What becomes of it when it cannot be had.
pub(super) const NOT_GIVEN: &str = "another record refers to it, but the system does not give it; it may be deleted, or the user may lack the right";

impl Puller {
    /// Finds and applies records by the names that others use for them.
    pub(super) async fn read_referred(&self, due: &[Waiting]) -> Result<Turned, StoreError> {
        let bound = &self.bound;
        let names: Vec<String> = due.iter().map(|one| one.remote_id.clone()).collect();
        let Some(field) = bound.abilities.reference_field.as_ref().filter(|_| bound.abilities.can_find)
        else {
            let client = self.store.client().await?;
            for name in &names {
                let why =
                    "another record refers to it by its number, and the connector cannot look numbers up";
                reject_record(&client, bound.id, name, why).await?;
            }
            return Ok(Turned { seen: 0, rest: None });
        };
        let by: Vec<Record> = names
            .iter()
            .map(|name| {
                let mut by = Record::new();
                by.insert(field.clone(), Value::from(name.as_str()));
                by
            })
            .collect();
        let read_at = self.store.clock().await?;
        let found = bound.client.find(&bound.object, &bound.record_fields(), &by, Priority::Backfill).await;
        let records = match found {
            Ok(records) => records,
            Err(outcome) => return self.not_read(&names, outcome).await,
        };
        let present: BTreeSet<String> = records
            .iter()
            .filter(|record| !record.deleted)
            .filter_map(|record| record.reference.clone())
            .collect();
        // a name may have been heard of long before a create of ours gave it to a record
        let first_seen = self.store.clock().await?;
        let mut client = self.store.client().await?;
        let mut transaction = client.transaction().await?;
        clear_records(&transaction, bound.id, due).await?;
        for name in &names {
            let here = Value::from(name.as_str());
            if !present.iter().any(|other| same_value(Some(&here), Some(&Value::from(other.as_str())), true))
            {
                reject_record(&transaction, bound.id, name, NOT_GIVEN).await?;
            }
        }
        let count = records.len();
        let batch = Batch {
            bound,
            records,
            read_at,
            first_seen,
            heard_of: HashMap::new(),
            loose: BTreeSet::new(),
            waved: BTreeSet::new(),
        };
        batch.apply(&mut transaction).await?;
        book_read(&transaction, bound.id, count).await?;
        transaction.commit().await?;
        self.free_children().await?;
        Ok(Turned { seen: names.len(), rest: None })
    }
}
