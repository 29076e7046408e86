//! References, looked up: which records stand for the rows that some rows refer to, and the other way round.

use deadpool_postgres::GenericClient;

use crate::bound::{Bound, Parent};
use crate::mapping::Row;
use crate::mapping::reference::{References, Wanted};
use crate::model::record::Record;
use crate::store::StoreError;
use crate::store::reference::{names_of_rows, rows_of_names};

impl Bound {
    /// What has to be known to encode these rows and decode these records. Asks nothing where nothing refers.
    ///
    /// # Errors
    /// When a statement fails.
    pub async fn references<'a>(
        &self,
        client: &impl GenericClient,
        rows: impl IntoIterator<Item = &'a Row>,
        records: impl IntoIterator<Item = &'a Record>,
    ) -> Result<References, StoreError> {
        let mut known = References::default();
        if self.parents.is_empty() {
            return Ok(known);
        }
        let mut wanted = Wanted::default();
        for row in rows {
            self.mapping.wants_of_row(row, &mut wanted);
        }
        for record in records {
            self.mapping.wants_of_record(record, &mut wanted);
        }
        for ((parent, by), keys) in wanted.keys {
            let keys: Vec<String> = keys.into_iter().collect();
            for (key, name) in names_of_rows(client, parent, by, &keys).await? {
                known.add(parent, by, key, name);
            }
        }
        for ((parent, by), names) in wanted.names {
            let names: Vec<String> = names.into_iter().collect();
            for (name, key) in rows_of_names(client, parent, by, &names).await? {
                known.add(parent, by, key, name);
            }
        }
        Ok(known)
    }

    /// The binding that a reference leads to.
    pub fn parent(&self, id: i32) -> Option<&Parent> {
        self.parents.iter().find(|parent| parent.id == id)
    }
}
