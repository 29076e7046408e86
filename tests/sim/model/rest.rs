//! At rest all sides say the same: each row has one record in each system, each field one value, and what was written is
//! in the books.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::evidence::{Conflict, Evidence, FIELDS};
use crate::remote::fault::Op;
use crate::remote::state::By;
use crate::world::Finding;

/// At most one record for a row, and one row for a record.
pub fn twins(evidence: &Evidence) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        evidence.broken.iter().map(|said| Finding::new("one row, one record", said.clone())).collect();
    for (table, side) in &evidence.rows {
        findings.extend(
            side.twice
                .iter()
                .map(|code| Finding::new("one row, one record", format!("{table} {code} has several rows"))),
        );
    }
    for ((table, system), side) in &evidence.records {
        let twice = side.twice.iter();
        findings.extend(twice.map(|code| {
            Finding::new("one row, one record", format!("{table} {code} has several records in {system}"))
        }));
    }
    findings
}

/// Of a line: the document that it stands in, on either side.
fn document(evidence: &Evidence, table: &str, system: &str, code: &str) -> Option<String> {
    let record = evidence.records[&(table.to_owned(), system.to_owned())].now.get(code);
    let line = evidence.rows[table].now.get(code).or(record);
    (table == "line").then(|| line.map(|line| line["owner"].clone()).unwrap_or_default())
}

/// Whether somebody has to do something about this entity, and has been told so.
fn waits_for_a_person(evidence: &Evidence, table: &str, system: &str, code: &str) -> bool {
    if let Some(document) = document(evidence, table, system, code) {
        return waits_for_a_person(evidence, "item", system, &document);
    }
    let named = |parked: &crate::model::evidence::Parked| {
        parked.table == table
            && parked.system == system
            && (evidence.keys.get(&(table.to_owned(), parked.key.clone())).is_some_and(|of| of == code)
                || evidence
                    .codes
                    .get(&(system.to_owned(), parked.remote_id.clone()))
                    .is_some_and(|of| of == code))
            // a record that is gone, and looked for since others refer to it, says nothing of one that came after it
            && !evidence.missed.contains(&(system.to_owned(), parked.remote_id.clone()))
    };
    evidence.parked.iter().any(named)
}

/// Whether that is right: the remote does not take a value of the row, or a row that it refers to.
fn is_refused(evidence: &Evidence, table: &str, system: &str, code: &str) -> bool {
    if let Some(document) = document(evidence, table, system, code) {
        return is_refused(evidence, "item", system, &document);
    }
    let dangles = evidence.dangling.contains(&(system.to_owned(), code.to_owned()));
    if table == "part" && (dangles || evidence.orphans.contains(code)) {
        return true;
    }
    let Some(row) = evidence.rows[table].now.get(code) else { return false };
    if row.values().any(|value| value.contains("!!")) {
        return true;
    }
    let owner = &row["owner"];
    table == "part"
        && !owner.is_empty()
        && (!evidence.rows["item"].now.contains_key(owner)
            || !evidence.records[&("item".to_owned(), system.to_owned())].now.contains_key(owner)
            || is_refused(evidence, "item", system, owner))
}

/// All sides equal.
pub fn convergence(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    for ((table, system), records) in &evidence.records {
        let rows = &evidence.rows[table];
        let codes: BTreeSet<&String> = rows.now.keys().chain(records.now.keys()).collect();
        for code in codes {
            if waits_for_a_person(evidence, table, system, code) {
                if !is_refused(evidence, table, system, code) {
                    let why = evidence
                        .parked
                        .iter()
                        .map(|one| format!("{} {} {}: {}", one.table, one.key, one.state, one.reason));
                    let why: Vec<String> = why.collect();
                    findings.push(Finding::new(
                        "nothing waits without a cause",
                        format!("{table} {code} of {system}: {}", why.join("; ")),
                    ));
                }
                continue;
            }
            let whole = |one: &Conflict| one.open && one.field == "*" && one.system == *system;
            if table == "line" && evidence.conflicts.iter().any(whole) {
                continue;
            }
            let (row, record) = match (rows.now.get(code), records.now.get(code)) {
                (Some(row), Some(record)) => (row, record),
                (Some(_), None) => {
                    findings.push(Finding::new(
                        "all sides equal",
                        format!("{table} {code} has a row and no record in {system}"),
                    ));
                    continue;
                }
                (None, _) => {
                    findings.push(Finding::new(
                        "all sides equal",
                        format!("{table} {code} has a record in {system} and no row"),
                    ));
                    continue;
                }
            };
            for field in FIELDS {
                let waits = evidence.conflicts.iter().any(|one| {
                    one.open
                        && one.table == *table
                        && one.system == *system
                        && (one.field == field || one.field == "*")
                        && (table == "line"
                            || evidence.keys.get(&(table.clone(), one.key.clone())) == Some(code))
                });
                // a name of something that is not there any more is nobody's matter
                let orphan = table == "part" && evidence.orphans.contains(code);
                let lost = field == "owner"
                    && (orphan
                        || [&row[field], &record[field]]
                            .iter()
                            .any(|owner| !evidence.rows["item"].now.contains_key(*owner)));
                if row[field] != record[field] && !waits && !lost {
                    let says = format!(
                        "{table} {code}.{field}: the row says `{}`, {system} says `{}`",
                        row[field], record[field]
                    );
                    findings.push(Finding::new("all sides equal", says));
                }
            }
        }
    }
    findings
}

/// The journal has a line for every effect on a remote whose answer came.
pub fn journal(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (system, effects) in &evidence.effects {
        let mut counts: BTreeMap<(&str, &str, Op), usize> = BTreeMap::new();
        for effect in effects.iter().filter(|effect| effect.by == By::Engine && effect.answered) {
            *counts.entry((&effect.object, &effect.id, effect.op)).or_default() += 1;
        }
        for ((object, id, op), count) in counts {
            let lines = evidence.journal.iter().filter(|(of, what, which, effect)| {
                of == system
                    && what == object
                    && which == id
                    && match op {
                        Op::Create => effect == "create" || effect == "link",
                        Op::Delete => effect == "delete",
                        _ => effect == "update",
                    }
            });
            let lines = lines.count();
            if lines < count {
                let says = format!("{object} {id} of {system}: {count} times {}, {lines} lines", op.word());
                findings.push(Finding::new("the journal explains every write", says));
            }
        }
    }
    findings
}
