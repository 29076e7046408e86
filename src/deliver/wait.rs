//! Wait: a row goes after the rows that it refers to, and a record is deleted after those that refer to it (R10).
//!
//! Waiting costs no calls. A row that waits is released when the record that it waits for exists.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::deliver::Deliverer;
use crate::deliver::look::Looked;
use crate::deliver::settle::Settler;
use crate::mapping::reference::Missing;
use crate::model::binding::ReferredBy;
use crate::store::StoreError;
use crate::store::filter::inside;
use crate::store::link::{LinkState, links_by_key};
use crate::store::mirror::existing_keys;
use crate::store::outbox::Settlement;

/// How long a delete waits before the rows that refer to it are looked at again.
const LOOK_AGAIN_MS: i64 = 200;
/// How often it does: in about half a minute.
const PATIENCE: i32 = 20;

impl Deliverer {
    /// Parks rows until the records that they refer to exist, and has those made.
    pub(super) async fn wait(
        &self,
        settler: &Settler<'_>,
        keys: Vec<(Looked, Missing)>,
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        let mut by_parent: BTreeMap<i32, BTreeSet<String>> = BTreeMap::new();
        for (_, missing) in &keys {
            by_parent.entry(missing.parent).or_default().insert(missing.name.clone());
        }
        let mut present: HashMap<i32, BTreeSet<String>> = HashMap::new();
        let mut never: HashMap<(i32, String), &'static str> = HashMap::new();
        for (id, wanted) in &by_parent {
            let Some(parent) = self.bound.parent(*id) else { continue };
            let wanted: Vec<String> = wanted.iter().cloned().collect();
            let client = self.store.client().await?;
            let there = existing_keys(&client, &parent.table, &wanted).await?;
            let bound_rows = inside(&client, &parent.table, parent.filter.as_deref(), &there).await?;
            for key in there.iter().filter(|key| !bound_rows.contains(*key)) {
                never.insert((*id, key.clone()), "that row is outside of the filter (`where`) of its table");
            }
            for (key, link) in links_by_key(&client, *id, &there).await? {
                if link.state == LinkState::Kept {
                    never.insert((*id, key), "its record is gone, and by policy that row gets no other");
                }
            }
            drop(client);
            if parent.pushes {
                self.store.await_rows(*id, &there).await?;
            }
            present.insert(*id, there.into_iter().collect());
        }
        let settlements = keys
            .iter()
            .map(|(one, missing)| {
                let there = present.get(&missing.parent).is_some_and(|keys| keys.contains(&missing.name));
                let moves = self.bound.parent(missing.parent).is_some_and(|to| to.pushes || to.pulls);
                if let Some(why) = never.get(&(missing.parent, missing.name.clone())) {
                    return refused(one, missing, why);
                }
                match (there, moves) {
                    (true, true) => waiting(one, missing),
                    (true, false) => refused(
                        one,
                        missing,
                        &format!("its record is not known, and {} flows neither way", missing.table),
                    ),
                    (false, _) => refused(one, missing, "there is no such row; correct the column"),
                }
            })
            .collect();
        settler.settle(settlements).await?;
        // one of them may have got its record in this very moment
        for (id, keys) in by_parent {
            let keys: Vec<String> = keys.into_iter().collect();
            self.store.release_waiting(id, &keys).await?;
        }
        Ok(())
    }

    /// Leaves out deletes of records that other records still refer to while those wait to be sent themselves.
    pub(super) async fn after_children(
        &self,
        settler: &Settler<'_>,
        keys: Vec<(Looked, bool)>,
    ) -> Result<Vec<(Looked, bool)>, StoreError> {
        let bound = &self.bound;
        // what was put off that often goes: rows that refer to each other would wait for each other, and the system
        // itself refuses what is still referred to, with a reason
        let (patient, mut now): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|(one, _)| one.attempts < PATIENCE);
        let keys = patient;
        if keys.is_empty() || bound.children.is_empty() {
            now.extend(keys);
            return Ok(now);
        }
        let mut held_back: BTreeMap<String, String> = BTreeMap::new();
        for child in &bound.children {
            let names: HashMap<String, &str> = keys
                .iter()
                .filter_map(|(one, _)| {
                    let link = one.link.as_ref()?;
                    let name = match child.by {
                        ReferredBy::Id => link.remote_id.clone()?,
                        ReferredBy::Reference => link.reference.clone()?,
                    };
                    Some((name, one.key.as_str()))
                })
                .collect();
            let wanted: Vec<String> = names.keys().cloned().collect();
            for (name, row) in self
                .store
                .referring_rows(child.id, child.collection.as_deref(), &child.field, &wanted)
                .await?
            {
                // a record that refers to itself goes with itself
                match names.get(&name) {
                    Some(key) if child.id != bound.id || *key != row => {
                        held_back.insert((*key).to_owned(), format!("{} {row}", child.table_name));
                    }
                    _ => {}
                }
            }
        }
        let (later, free): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|(one, _)| held_back.contains_key(&one.key));
        let settlements = later
            .iter()
            .map(|(one, _)| Settlement {
                key: one.key.clone(),
                verdict: "again",
                wait_ms: Some(LOOK_AGAIN_MS * i64::from(one.attempts.clamp(1, 10))),
                reason: held_back.get(&one.key).map(|row| format!("the record of {row} still refers to it")),
                ..Settlement::default()
            })
            .collect();
        settler.settle(settlements).await?;
        now.extend(free);
        Ok(now)
    }
}

/// The settlement of a row that waits.
pub(super) fn waiting(one: &Looked, missing: &Missing) -> Settlement {
    Settlement {
        key: one.key.clone(),
        verdict: "waiting",
        field: Some(missing.field.clone()),
        waits_binding: Some(missing.parent),
        waits_key: Some(missing.name.clone()),
        actor: one.actor.clone(),
        ..Settlement::default()
    }
}

fn refused(one: &Looked, missing: &Missing, why: &str) -> Settlement {
    Settlement {
        key: one.key.clone(),
        verdict: "rejected",
        effect: Some("reject"),
        side: Some("link"),
        field: Some(missing.field.clone()),
        reason: Some(format!("it refers to row {} of {}: {why}", missing.name, missing.table)),
        actor: one.actor.clone(),
        ..Settlement::default()
    }
}
