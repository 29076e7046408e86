//! Guard: no more deletes or changes within an hour than the binding allows (R12).

use crate::deliver::Deliverer;
use crate::deliver::look::Looked;
use crate::deliver::settle::Settler;
use crate::model::binding::Allowance;
use crate::store::StoreError;
use crate::store::guard::{Kind, Limit};
use crate::store::outbox::Settlement;

impl Deliverer {
    /// Leaves out, and holds for a person, what the guard has no room for. All processes share its room.
    pub(super) async fn within_guard<T>(
        &self,
        settler: &Settler<'_>,
        kind: Kind,
        keys: Vec<T>,
        looked: impl Fn(&T) -> &Looked,
    ) -> Result<Vec<T>, StoreError> {
        let guard = &self.bound.guard;
        let allowance = match kind {
            Kind::Deletes => guard.deletes,
            Kind::Changes => guard.changes,
        };
        if keys.is_empty() || allowance == Allowance::Unlimited {
            return Ok(keys);
        }
        let names: Vec<String> = keys.iter().map(|one| looked(one).key.clone()).collect();
        let limit = Limit { allowance, at_least: guard.at_least };
        // deletes that wait are known, and held as a whole; how many rows have changed is seen only as they are looked at
        let pending = match kind {
            Kind::Deletes => self.store.pending_deletes(self.bound.id, &self.bound.table).await?,
            Kind::Changes => 0,
        };
        let held = self.store.guard_hold(self.bound.id, settler.lease, kind, &names, limit, pending).await?;
        if held.is_empty() {
            return Ok(keys);
        }
        tracing::warn!(held = held.len(), kind = kind.word(), "the guard holds what exceeds its limit");
        let (mut free, mut settlements) = (Vec::new(), Vec::new());
        for one in keys {
            let about = looked(&one);
            match held.get(&about.key) {
                None => free.push(one),
                Some(reason) => settlements.push(Settlement {
                    key: about.key.clone(),
                    verdict: "held",
                    hold: Some("guard"),
                    reason: Some(reason.clone()),
                    remote_id: about.remote_id().map(str::to_owned),
                    ..Settlement::default()
                }),
            }
        }
        settler.settle(settlements).await?;
        Ok(free)
    }
}
