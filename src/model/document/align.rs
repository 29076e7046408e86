//! Align: which line of the row, of the record and of the shadow are one line.
//!
//! Keys tie rows to the shadow and ids tie records to it. A line that does not know its id, because the answer that
//! would have told it was lost or does not tell, finds its twin by the match fields, by equal values, or by its place:
//! this is why a lost answer never makes a second line.

use std::collections::HashMap;

use crate::model::document::Line;
use crate::model::record::{Record, same_value};

/// How lines that do not know each other are recognised.
#[derive(Debug, Clone, Copy)]
pub struct Recognition<'a> {
    /// All mapped fields of a line.
    pub fields: &'a [String],
    /// The fields that tell lines apart; none: all values do, and then the place.
    pub match_fields: &'a [String],
    pub blank_is_null: bool,
}

impl Recognition<'_> {
    fn agree(&self, left: &Record, right: &Record, fields: &[String]) -> bool {
        fields.iter().all(|field| same_value(left.get(field), right.get(field), self.blank_is_null))
    }
}

/// One line, as far as each side has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Triple<'a> {
    pub row: Option<&'a Line>,
    pub record: Option<&'a Line>,
    pub shadow: Option<&'a Line>,
}

/// Ties lines of row, record and shadow together: in the record's order, then what only the row or the shadow has.
///
/// With `first_meeting` lines of row and record may be tied by their place alone.
pub fn align<'a>(
    row: &'a [Line],
    record: &'a [Line],
    shadow: &'a [Line],
    by: Recognition<'_>,
    first_meeting: bool,
) -> Vec<Triple<'a>> {
    let mut of_row: Vec<Option<usize>> = tied(shadow, row, |line| line.key.as_deref());
    let mut of_record: Vec<Option<usize>> = tied(shadow, record, |line| line.id.as_deref());
    // a line whose row got another key, or whose record another id, is known by its values
    pair(shadow, row, &mut of_row, by, Passes { by_match: false, by_place: false }, |_| true);
    pair(shadow, record, &mut of_record, by, Passes { by_match: false, by_place: false }, |_| true);
    // what we sent and never saw: it is one of the lines that nobody knows
    let sent = Passes { by_match: true, by_place: true };
    pair(shadow, record, &mut of_record, by, sent, |line| line.id.is_none());

    let free = |side: &[Line], taken: &[Option<usize>]| {
        let mut free = vec![true; side.len()];
        for place in taken.iter().flatten() {
            if let Some(flag) = free.get_mut(*place) {
                *flag = false;
            }
        }
        free
    };
    let (free_rows, free_records) = (free(row, &of_row), free(record, &of_record));
    let strangers: Vec<&Line> =
        row.iter().zip(&free_rows).filter(|(_, free)| **free).map(|(line, _)| line).collect();
    let newcomers: Vec<&Line> =
        record.iter().zip(&free_records).filter(|(_, free)| **free).map(|(line, _)| line).collect();
    let mut meetings = vec![None; newcomers.len()];
    let place = Passes { by_match: true, by_place: first_meeting && by.match_fields.is_empty() };
    pair_refs(&newcomers, &strangers, &mut meetings, by, place, &|_| true);

    let mut triples: Vec<(usize, Triple<'a>)> = Vec::new();
    let last = record.len();
    for (at, line) in shadow.iter().enumerate() {
        let place = of_record.get(at).copied().flatten();
        triples.push((
            place.unwrap_or(last),
            Triple {
                row: of_row.get(at).copied().flatten().and_then(|place| row.get(place)),
                record: place.and_then(|place| record.get(place)),
                shadow: Some(line),
            },
        ));
    }
    let places = free_records.iter().enumerate().filter(|(_, free)| **free).map(|(place, _)| place);
    let mut met = vec![false; strangers.len()];
    for ((place, line), meeting) in places.zip(&newcomers).zip(&meetings) {
        if let Some(flag) = meeting.and_then(|at| met.get_mut(at)) {
            *flag = true;
        }
        let row = meeting.and_then(|at| strangers.get(at).copied());
        triples.push((place, Triple { row, record: Some(line), shadow: None }));
    }
    for (line, met) in strangers.iter().zip(met) {
        if !met {
            triples.push((last, Triple { row: Some(line), record: None, shadow: None }));
        }
    }
    triples.sort_by_key(|(place, _)| *place);
    triples.into_iter().map(|(_, triple)| triple).collect()
}

/// For each line of `left` the place of the line of `right` with the same name.
fn tied(left: &[Line], right: &[Line], name: impl Fn(&Line) -> Option<&str>) -> Vec<Option<usize>> {
    let places: HashMap<&str, usize> =
        right.iter().enumerate().filter_map(|(place, line)| Some((name(line)?, place))).collect();
    left.iter().map(|line| name(line).and_then(|name| places.get(name).copied())).collect()
}

#[derive(Clone, Copy)]
struct Passes {
    by_match: bool,
    by_place: bool,
}

fn pair(
    left: &[Line],
    right: &[Line],
    ties: &mut [Option<usize>],
    by: Recognition<'_>,
    passes: Passes,
    which: impl Fn(&Line) -> bool,
) {
    let (left, right): (Vec<&Line>, Vec<&Line>) = (left.iter().collect(), right.iter().collect());
    pair_refs(&left, &right, ties, by, passes, &which);
}

/// Whether two lines may be one.
type Agree<'a> = dyn Fn(&Line, &Line) -> bool + 'a;

/// Ties lines that are still free: by equal values first, then by the match fields, then by their place, and there to
/// one that agrees in something before one that agrees in nothing.
fn pair_refs(
    left: &[&Line],
    right: &[&Line],
    ties: &mut [Option<usize>],
    by: Recognition<'_>,
    passes: Passes,
    which: &dyn Fn(&Line) -> bool,
) {
    let mut taken = vec![false; right.len()];
    for place in ties.iter().flatten() {
        if let Some(flag) = taken.get_mut(*place) {
            *flag = true;
        }
    }
    let equal = |left: &Line, right: &Line| by.agree(&left.fields, &right.fields, by.fields);
    let matching = |left: &Line, right: &Line| by.agree(&left.fields, &right.fields, by.match_fields);
    let similar = |left: &Line, right: &Line| {
        let told = |field: &&String| left.fields.get(*field).is_some_and(|value| !value.is_null());
        by.fields
            .iter()
            .filter(told)
            .any(|field| by.agree(&left.fields, &right.fields, std::slice::from_ref(field)))
    };
    let any = |_: &Line, _: &Line| true;
    let mut rounds: Vec<&Agree<'_>> = vec![&equal];
    if passes.by_match && !by.match_fields.is_empty() {
        rounds.push(&matching);
    }
    if passes.by_place {
        // what the remote rounded or trimmed still agrees in the rest
        rounds.push(&similar);
        rounds.push(&any);
    }
    for agree in rounds {
        if taken.iter().all(|taken| *taken) {
            return;
        }
        for (line, tie) in left.iter().zip(ties.iter_mut()) {
            if tie.is_some() || !which(line) {
                continue;
            }
            let found = right.iter().zip(&taken).position(|(other, taken)| !taken && agree(line, other));
            if let Some(place) = found {
                *tie = Some(place);
                if let Some(flag) = taken.get_mut(place) {
                    *flag = true;
                }
            }
        }
    }
}
