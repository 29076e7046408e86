//! Business partners: how they are shown, made, changed and removed.

use serde_json::{Map, Value, json};

use super::{
    Refusal, SERVICE, SET,
    fields::{ETAG, FIELDS, KEY, day, field, time},
};
use crate::{
    model::record::Record,
    simulator::{odata::Query, state::State, table::Row},
};

/// The table.
pub(super) const OBJECT: &str = "API_BUSINESS_PARTNER/A_BusinessPartner";

/// The version of a record, as `If-Match` names it.
pub(super) fn etag(record: &Record) -> String {
    format!("W/\"'{}'\"", record.get(ETAG).and_then(Value::as_str).unwrap_or_default())
}

/// A record as the service shows it.
pub(super) fn shown(host: &str, record: &Record, query: &Query) -> Value {
    let id = record.get(KEY).and_then(Value::as_str).unwrap_or_default();
    let uri = format!("http://{host}{}{SERVICE}/{SET}('{id}')", super::ROOT);
    let metadata =
        json!({"id": uri, "uri": uri, "type": format!("{SERVICE}.{SET}Type"), "etag": etag(record)});
    let mut told = Map::new();
    told.insert("__metadata".to_owned(), metadata);
    told.extend(query.shown(record, &[]));
    Value::Object(told)
}

/// Values as they are kept; the first that cannot be kept refuses them all.
pub(super) fn formed(given: &Value) -> Result<Record, Refusal> {
    let Value::Object(given) = given else {
        return Err(Refusal::of(400, "CX_SXML_PARSE_ERROR", "The request has no body"));
    };
    let mut formed = Record::new();
    for (name, value) in given {
        let Some((name, holds, by_system, _)) = field(name) else {
            let message = format!("Property '{name}' is invalid");
            return Err(Refusal::of(400, "CX_SXML_PARSE_ERROR/001", message));
        };
        // What the system sets by itself is passed over in silence (unverified).
        if *by_system {
            continue;
        }
        let kept = holds.kept(value).map_err(|why| {
            let message = format!("Property '{name}' has invalid value: {why}");
            Refusal::of(400, "/IWFND/CM_MGW_RT/022", message).at(name)
        })?;
        formed.insert((*name).to_owned(), kept);
    }
    Ok(formed)
}

fn put(state: &mut State, id: &str, mut fields: Record) {
    let stamp = state.now_ms();
    fields.insert(ETAG.to_owned(), json!(format!("{stamp}{:06}", state.next_serial())));
    state.put_record(OBJECT, Row { id: id.to_owned(), stamp, fields, refers: Vec::new() });
}

/// Makes a record of values that are formed already, and gives its number, which is counted up.
pub(super) fn make(state: &mut State, given: Record) -> String {
    let now = state.now_ms();
    let id = (1_000_000 + state.next_serial()).to_string();
    let mut fields: Record =
        FIELDS.iter().map(|(name, holds, ..)| ((*name).to_owned(), holds.nothing())).collect();
    fields.extend(given);
    fields.insert(KEY.to_owned(), json!(id));
    fields.insert("CreationDate".to_owned(), day(now));
    fields.insert("CreationTime".to_owned(), time(now));
    put(state, &id, fields);
    id
}

/// Changes values that are formed already; false where there is no such record.
pub(super) fn change(state: &mut State, id: &str, given: Record) -> bool {
    let now = state.now_ms();
    let Some(mut fields) = state.table(OBJECT).get(id).map(|row| row.fields.clone()) else { return false };
    fields.extend(given);
    fields.insert("LastChangeDate".to_owned(), day(now));
    fields.insert("LastChangeTime".to_owned(), time(now));
    put(state, id, fields);
    true
}

/// What a change or a delete is based on must be what stands now.
pub(super) fn check_version(state: &mut State, id: &str, based_on: Option<&str>) -> Result<(), Refusal> {
    let Some(record) = state.table(OBJECT).get(id).map(|row| row.fields.clone()) else {
        let message = format!("Business partner {id} does not exist");
        return Err(Refusal::of(404, "R11/101", message));
    };
    match based_on {
        None => Err(Refusal::of(
            428,
            "/IWBEP/CM_MGW_RT/167",
            "Data version (etag) is needed; If-Match is missing",
        )),
        Some(given) if given == "*" || given == etag(&record) => Ok(()),
        Some(_) => Err(Refusal::of(412, "/IWBEP/CM_MGW_RT/166", "Precondition failed")),
    }
}
