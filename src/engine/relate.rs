//! Relating: which binding a reference leads to, and which ones refer back.

use std::collections::{BTreeMap, BTreeSet};

use crate::bound::{Bound, Child, Parent};

/// Tells every reference its binding, and every binding its parents and children. The ids must be known.
pub(super) fn relate(bounds: &mut [Bound]) {
    let ids: BTreeMap<(String, String), i32> =
        bounds.iter().map(|bound| ((table_name(bound), bound.system.clone()), bound.id)).collect();
    for bound in bounds.iter_mut() {
        let system = bound.system.clone();
        for reference in bound.mapping.references_mut() {
            if let Some(id) = ids.get(&(reference.table.clone(), system.clone())) {
                reference.parent = *id;
            }
        }
    }
    let leads: BTreeMap<i32, BTreeSet<i32>> = bounds
        .iter()
        .map(|bound| (bound.id, bound.mapping.references().map(|(_, _, to)| to.parent).collect()))
        .collect();
    let known: Vec<Parent> = bounds
        .iter()
        .map(|bound| Parent {
            id: bound.id,
            table_name: table_name(bound),
            table: bound.table.clone(),
            filter: bound.filter.clone(),
            pushes: bound.pushes,
            pulls: bound.pulls,
            first: false,
        })
        .collect();
    let mut children: BTreeMap<i32, Vec<Child>> = BTreeMap::new();
    for bound in bounds.iter() {
        for (collection, field, to) in bound.mapping.references() {
            children.entry(to.parent).or_default().push(Child {
                id: bound.id,
                table_name: table_name(bound),
                collection: collection.map(str::to_owned),
                field: field.to_owned(),
                by: to.by,
            });
        }
    }
    for bound in bounds.iter_mut() {
        let parents = leads.get(&bound.id).cloned().unwrap_or_default();
        bound.parents = known
            .iter()
            .filter(|one| parents.contains(&one.id))
            .map(|one| Parent { first: !reaches(&leads, one.id, bound.id), ..one.clone() })
            .collect();
        bound.children = children.remove(&bound.id).unwrap_or_default();
    }
}

/// As the configuration names the table.
fn table_name(bound: &Bound) -> String {
    format!("{}.{}", bound.table.schema, bound.table.name)
}

/// Whether references lead from one binding to another, by way of others too.
fn reaches(leads: &BTreeMap<i32, BTreeSet<i32>>, from: i32, to: i32) -> bool {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(one) = next.pop() {
        if one == to {
            return true;
        }
        if seen.insert(one) {
            next.extend(leads.get(&one).into_iter().flatten());
        }
    }
    false
}
