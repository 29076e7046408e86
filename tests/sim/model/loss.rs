//! No silent loss: the engine puts a value in another's place only when the other side had seen the value that goes,
//! before it said the one that comes; or when the value that goes is kept in `rowtwin.conflicts`.
//!
//! This one rule covers lost updates, old pages, deliveries in the wrong order and doubtful writes that are sent twice:
//! every value names the step that wrote it, so each of them shows as a value that comes back, or goes unseen.

use crate::model::evidence::{Evidence, Seen, Side};
use crate::remote::fault::Op;
use crate::remote::state::By;
use crate::world::Finding;

/// Whether a side had `old` before it had `new`.
fn saw_first(track: &[Seen], old: &str, new: &str, same: impl Fn(&str, &str) -> bool) -> bool {
    let place = |wanted: &str, from: usize| {
        track
            .iter()
            .skip(from)
            .position(|seen| seen.value.as_deref().is_some_and(|value| same(value, wanted)))
    };
    let Some(first) = place(old, 0) else { return false };
    place(new, first + 1).is_some()
}

/// Values that the engine has overwritten.
pub fn overwritten(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    let systems: Vec<&String> = evidence.abilities.keys().collect();
    let none = Vec::new();
    for (table, rows) in &evidence.rows {
        for (code, track) in &rows.tracks {
            for (field, seen) in track {
                for pair in seen.windows(2) {
                    let [Seen { value: Some(old), .. }, Seen { value: Some(new), by: By::Engine }] = pair
                    else {
                        continue;
                    };
                    if old.is_empty() || *field == "owner" || met_anew(evidence, table, code, field, old) {
                        continue;
                    }
                    let known = systems.iter().any(|system| {
                        let side = &evidence.records[&(table.clone(), (*system).clone())];
                        let theirs =
                            side.tracks.get(code).and_then(|track| track.get(field)).unwrap_or(&none);
                        let same =
                            |value: &str, wanted: &str| value == evidence.held_by(system, field, wanted);
                        let from_here =
                            theirs.iter().any(|seen| seen.value.as_deref().is_some_and(|value| value == new));
                        from_here
                            && (saw_first(theirs, old, new, same)
                                || evidence.held_by(system, field, old) == *new
                                || evidence.kept(table, system, field, old))
                    });
                    if !known {
                        let says = format!(
                            "the row {table} {code} said {field} = `{old}`, and `{new}` was put in its place, though no system had seen the first, and no conflict keeps it"
                        );
                        findings.push(Finding::new("no silent loss", says));
                    }
                }
            }
        }
        for system in &systems {
            let side = &evidence.records[&(table.clone(), (*system).clone())];
            for (code, track) in &side.tracks {
                for (field, seen) in track {
                    let ours = rows.tracks.get(code).and_then(|track| track.get(field)).unwrap_or(&none);
                    for pair in seen.windows(2) {
                        let [Seen { value: Some(old), .. }, Seen { value: Some(new), by: By::Engine }] = pair
                        else {
                            continue;
                        };
                        if old.is_empty() || *field == "owner" {
                            continue;
                        }
                        let same =
                            |value: &str, wanted: &str| evidence.held_by(system, field, value) == *wanted;
                        if !saw_first(ours, old, new, same) && !evidence.kept(table, system, field, old) {
                            let says = format!(
                                "{table} {code} in {system} said {field} = `{old}`, and `{new}` was put in its place, though the row had not said the first before, and no conflict keeps it"
                            );
                            findings.push(Finding::new("no silent loss", says));
                        }
                    }
                }
            }
        }
    }
    findings
}

/// A row that came back, since a system had edited what was deleted, meets the records of the other systems for the first
/// time: the preferred side is right then, and the journal keeps what the other one said.
fn met_anew(evidence: &Evidence, table: &str, code: &str, field: &str, old: &str) -> bool {
    let life = evidence.rows[table].life.get(code);
    let came_back = life.is_some_and(|life| {
        let gone = life.iter().position(|(op, _)| *op == Op::Delete);
        gone.is_some_and(|gone| life.iter().skip(gone).any(|(op, by)| (*op, *by) == (Op::Create, By::Engine)))
    });
    let line = (table.to_owned(), code.to_owned(), field.to_owned(), old.to_owned());
    came_back && evidence.told.contains(&line)
}

fn removed_by_a_person(side: &Side, code: &str) -> bool {
    side.life.get(code).is_some_and(|life| life.contains(&(Op::Delete, By::Person)))
}

/// The documents that a line has stood in.
fn documents(side: &Side, code: &str) -> Vec<String> {
    let owners = side.tracks.get(code).and_then(|track| track.get("owner"));
    owners
        .into_iter()
        .flatten()
        .filter_map(|seen| seen.value.clone())
        .filter(|owner| !owner.is_empty())
        .collect()
}

/// What the engine has deleted: somebody else must have deleted it first, and what was last said of it must be known.
pub fn deleted(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (table, rows) in &evidence.rows {
        let sides: Vec<(&str, &Side)> = evidence
            .records
            .iter()
            .filter(|((of, _), _)| of == table)
            .map(|((_, system), side)| (system.as_str(), side))
            .collect();
        let by_a_person = |code: &str| {
            sides.iter().map(|(_, side)| *side).chain([rows]).any(|side| {
                removed_by_a_person(side, code)
                    || documents(side, code).iter().any(|document| {
                        // a line goes with its document, wherever that was deleted
                        evidence
                            .records
                            .iter()
                            .any(|((of, _), side)| of == "item" && removed_by_a_person(side, document))
                            || removed_by_a_person(&evidence.rows["item"], document)
                    })
            })
        };
        for (name, side) in sides.iter().copied().chain([("the mirror", rows)]) {
            for (code, life) in &side.life {
                // two lines that were taken for one: what went is in the books, field by field
                let kept = table == "line"
                    && evidence
                        .conflicts
                        .iter()
                        .any(|one| one.table == "line" && one.field == "code" && one.values.contains(code));
                if life.contains(&(Op::Delete, By::Engine)) && !by_a_person(code) && !kept {
                    let says = format!(
                        "{table} {code} was deleted in {name}, and no person had deleted it anywhere"
                    );
                    findings.push(Finding::new("nothing is deleted without a cause", says));
                }
            }
        }
        for (code, track) in &rows.tracks {
            for (field, seen) in track.iter().filter(|(field, _)| **field != "owner") {
                for pair in seen.windows(2) {
                    let [Seen { value: Some(old), by: By::Person }, Seen { value: None, by: By::Engine }] =
                        pair
                    else {
                        continue;
                    };
                    // some system that the delete may have come from
                    let known = sides.iter().any(|(system, side)| {
                        let theirs = side.tracks.get(code).and_then(|track| track.get(field));
                        let held = evidence.held_by(system, field, old);
                        theirs.is_some_and(|theirs| {
                            theirs.iter().any(|seen| seen.value.as_ref() == Some(&held))
                        }) || evidence.kept(table, system, field, old)
                    });
                    if !old.is_empty() && !known {
                        let says = format!(
                            "the row {table} {code} said {field} = `{old}` when it was deleted; no system had seen that, and no conflict keeps it"
                        );
                        findings.push(Finding::new("no silent loss", says));
                    }
                }
            }
        }
        for (system, side) in &sides {
            for (code, track) in &side.tracks {
                for (field, seen) in track {
                    for pair in seen.windows(2) {
                        let [Seen { value: Some(old), by: By::Person }, Seen { value: None, by: By::Engine }] =
                            pair
                        else {
                            continue;
                        };
                        let ours = rows.tracks.get(code).and_then(|track| track.get(field));
                        let seen = ours.is_some_and(|ours| {
                            ours.iter().any(|seen| {
                                seen.value
                                    .as_deref()
                                    .is_some_and(|value| evidence.held_by(system, field, value) == *old)
                            })
                        });
                        if !old.is_empty()
                            && *field != "owner"
                            && !seen
                            && !evidence.kept(table, system, field, old)
                        {
                            let says = format!(
                                "{table} {code} in {system} said {field} = `{old}` when it was deleted; the row had never said so, and no conflict keeps it"
                            );
                            findings.push(Finding::new("no silent loss", says));
                        }
                    }
                }
            }
        }
    }
    findings
}

/// Who won a conflict is who the policy names.
pub fn conflicts(evidence: &Evidence) -> Vec<Finding> {
    let mut findings = Vec::new();
    for one in &evidence.conflicts {
        let configured = &evidence.policies[&one.system];
        let wins = match one.policy.as_str() {
            "local" => one.winner == "row",
            "remote" => one.winner == "record",
            "manual" => one.winner == "held",
            "latest" => one.winner != "held",
            _ => true,
        };
        if !wins {
            let says = format!(
                "{} {} in {}: the policy is {configured}, {} says that {} won",
                one.table, one.field, one.system, one.policy, one.winner
            );
            findings.push(Finding::new("the policy decides", says));
        }
    }
    findings
}
