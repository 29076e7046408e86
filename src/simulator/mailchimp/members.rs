//! Members: what is kept of them, how they are listed and written. A member has two names: the hash of its address, which
//! changes with it, and the contact's id, which stays.

use md5::Digest as _;
use serde_json::{Map, Value, json};

use super::{Refusal, known};
use crate::{
    model::record::Record,
    simulator::{
        exchange::{Answer, BatchTrouble, Reply},
        odata::moment_of,
        state::State,
        table::Row,
        value::{number, text_of},
    },
};

/// The most members in one page, and in one batch.
const PAGE: usize = 1000;
const BATCH: usize = 500;

/// The audience's merge fields: tag, name, type.
const MERGE: [(&str, &str, &str); 8] = [
    ("FNAME", "First Name", "text"),
    ("LNAME", "Last Name", "text"),
    ("PHONE", "Phone Number", "phone"),
    ("CREDIT", "Credit", "number"),
    ("SEEN", "Seen", "text"),
    ("BORN", "Born", "date"),
    ("BDAY", "Birthday", "birthday"),
    ("ADDRESS", "Address", "address"),
];

const STATUSES: [&str; 6] = ["subscribed", "unsubscribed", "cleaned", "pending", "transactional", "archived"];

/// A moment as the API shows it: whole seconds, with an offset.
fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

fn hash(address: &str) -> String {
    hex::encode(md5::Md5::digest(address.to_lowercase().as_bytes()))
}

fn text<'a>(record: &'a Record, name: &str) -> &'a str {
    record.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The member of this hash, address or contact id.
pub(super) fn find(state: &mut State, object: &str, id: &str) -> Option<Row> {
    let wanted = if id.contains('@') { hash(id) } else { id.to_owned() };
    for table in [object.to_owned(), bin(object)] {
        let table = state.table(&table);
        let found = table.get(&wanted).or_else(|| table.rows().find(|row| text(&row.fields, "id") == wanted));
        if let Some(row) = found {
            return Some(row.clone());
        }
    }
    None
}

/// Where archived members are: the API still shows them.
fn bin(object: &str) -> String {
    format!("archive of {object}")
}

/// What is kept of a merge field's value; an empty text clears.
pub(super) fn kept(tag: &str, value: &Value) -> Result<Value, Refusal> {
    let Some((.., kind)) = MERGE.iter().find(|(known, ..)| *known == tag) else {
        return Err(Refusal::field(tag, "The merge field is not known."));
    };
    if *kind == "address" {
        let whole = ["addr1", "city", "state", "zip"]
            .iter()
            .all(|part| value.get(part).and_then(Value::as_str).is_some_and(|text| !text.is_empty()));
        return if whole || value == "" {
            Ok(value.clone())
        } else {
            Err(Refusal::field(tag, "Please enter a complete address"))
        };
    }
    let Some(text) = text_of(value) else {
        return Err(Refusal::field(tag, "Data did not match any of the schemas"));
    };
    if text.is_empty() {
        return Ok(json!(""));
    }
    let wrong = |said: &str| Err(Refusal::field(tag, said));
    match *kind {
        "number" if !number(&text).is_number() => wrong("This value should be a number."),
        "number" => Ok(number(&text)),
        "date" => match text.get(..10).and_then(|day| day.parse::<jiff::civil::Date>().ok()) {
            Some(day) => Ok(json!(day.to_string())),
            None => wrong("Please enter a date"),
        },
        "birthday" if text.len() != 5 || text.get(2..3) != Some("/") => {
            wrong("Please enter a month and a day")
        }
        _ if text.len() > 255 => wrong("This value is too long. It should have 255 characters or less."),
        _ => Ok(json!(text)),
    }
}

/// Takes a member as it is sent apart: merge fields beside the rest, in the form in which it is kept.
fn formed(body: &Map<String, Value>) -> Result<Record, Refusal> {
    let mut formed = Record::new();
    if let Some(address) = body.get("email_address") {
        let address = address.as_str().unwrap_or_default();
        let well = address.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
        if !well {
            return Err(Refusal::field("email_address", "Please provide a valid email address."));
        }
        formed.insert("email_address".to_owned(), json!(address));
    }
    if let Some(status) = body.get("status") {
        if !STATUSES.iter().any(|known| status == known) {
            return Err(Refusal::field("status", "Value must be one of the known statuses."));
        }
        formed.insert("status".to_owned(), status.clone());
    }
    for name in ["language", "vip", "email_type"] {
        if let Some(value) = body.get(name) {
            formed.insert(name.to_owned(), value.clone());
        }
    }
    for (tag, value) in body.get("merge_fields").and_then(Value::as_object).into_iter().flatten() {
        formed.insert(tag.clone(), kept(tag, value)?);
    }
    Ok(formed)
}

/// Puts a member down, with its stamp and both its names; gives the contact's id.
pub(super) fn put(state: &mut State, object: &str, contact: Option<String>, fields: Record) -> String {
    let now = state.now_ms();
    let contact = contact.unwrap_or_else(|| hash(&format!("contact {}", state.next_serial())));
    let known = find(state, object, &contact);
    let mut record = known.map(|row| row.fields).unwrap_or_else(|| {
        let mut record = Record::new();
        record.insert("contact_id".to_owned(), json!(contact));
        record.insert("unique_email_id".to_owned(), json!(contact.get(..10)));
        record.insert("status".to_owned(), json!("subscribed"));
        record.insert("timestamp_opt".to_owned(), json!(moment(now)));
        record
    });
    record.extend(fields);
    let hashed = hash(text(&record, "email_address"));
    record.insert("id".to_owned(), json!(hashed));
    record.insert("last_changed".to_owned(), json!(moment(now)));
    let row =
        Row { id: contact.clone(), stamp: now.div_euclid(1000) * 1000, fields: record, refers: Vec::new() };
    if alive(&row) {
        state.table(&bin(object)).remove(&contact);
        state.put_record(object, row);
    } else {
        state.remove_record(object, &contact);
        state.table(&bin(object)).put(row);
    }
    contact
}

/// A member as the API shows it: merge fields in an object of their own, all of them.
fn shown(record: &Record) -> Value {
    let (mut member, mut merged) = (Map::new(), Map::new());
    for (tag, ..) in MERGE {
        merged.insert(tag.to_owned(), record.get(tag).cloned().unwrap_or_else(|| json!("")));
    }
    for (name, value) in record.iter().filter(|(name, _)| !merged.contains_key(*name)) {
        member.insert(name.clone(), value.clone());
    }
    member.insert("merge_fields".to_owned(), Value::Object(merged));
    member.insert("tags".to_owned(), json!([]));
    member.insert("list_id".to_owned(), json!(known::LIST));
    Value::Object(member)
}

/// `GET …/merge-fields`.
pub(super) fn merge_fields(state: &State, object: &str) -> Answer {
    let mut fields = Vec::new();
    for (at, (tag, name, kind)) in MERGE.iter().enumerate() {
        let kind = match state.described.get(&(object.to_owned(), (*tag).to_owned())) {
            Some(None) => continue,
            Some(Some(kind)) => kind.as_str(),
            None => kind,
        };
        fields.push(json!({"merge_id": at + 1, "tag": tag, "name": name, "type": kind, "required": false,
            "default_value": "", "public": false, "options": {"size": 25}, "list_id": known::LIST}));
    }
    Answer::ok(&json!({"merge_fields": fields, "list_id": known::LIST, "total_items": fields.len()}))
}

/// `GET …/members`.
pub(super) fn list(state: &mut State, object: &str, query: &[(String, String)]) -> Result<Answer, Refusal> {
    let given = |name: &str| query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let count = |name: &'static str, otherwise: usize| match given(name) {
        Some(text) => text.parse().map_err(|_| Refusal::field(name, "This value should be a number.")),
        None => Ok(otherwise),
    };
    let (size, offset) = (count("count", 10)?, count("offset", 0)?);
    if size > PAGE {
        return Err(Refusal::field("count", "count must be at most 1000"));
    }
    let limit = |name: &'static str| match given(name) {
        Some(text) => moment_of(text)
            .map(Some)
            .ok_or_else(|| Refusal::field(name, "This value is not a valid datetime.")),
        None => Ok(None),
    };
    let (since, before) = (limit("since_last_changed")?, limit("before_last_changed")?);
    let status = given("status").map(str::to_owned);
    let archived: Vec<Row> = state.table(&bin(object)).rows().cloned().collect();
    let rows = state.table(object).rows().chain(&archived).filter(|row| {
        since.is_none_or(|since| row.stamp > since)
            && before.is_none_or(|before| row.stamp < before)
            && status.as_deref().is_none_or(|status| text(&row.fields, "status") == status)
    });
    let mut rows: Vec<(i64, String, Value)> =
        rows.map(|row| (row.stamp, row.id.clone(), shown(&row.fields))).collect();
    if given("sort_field") == Some("last_changed") {
        rows.sort_by_key(|(stamp, ..)| *stamp);
        if given("sort_dir") == Some("DESC") {
            rows.reverse();
        }
    }
    let total = rows.len();
    let page: Vec<(i64, String, Value)> = rows.into_iter().skip(offset).take(size).collect();
    let ids = page.iter().map(|(_, id, _)| id.clone()).collect();
    let wanted: Vec<&str> = given("fields").map(|names| names.split(',').collect()).unwrap_or_default();
    let members = page.into_iter().map(|(.., member)| trimmed(member, &wanted)).collect::<Vec<_>>();
    let body = json!({"members": members, "list_id": known::LIST, "total_items": total});
    Ok(Answer::ok(&body).with_ids(ids))
}

/// A member with the fields that are asked for (`members.email_address`).
fn trimmed(mut member: Value, wanted: &[&str]) -> Value {
    if let (Value::Object(fields), false) = (&mut member, wanted.is_empty()) {
        fields.retain(|name, _| {
            wanted.iter().any(|path| {
                path.strip_prefix("members.").is_some_and(|rest| rest.split('.').next() == Some(name))
            })
        });
    }
    member
}

/// `GET …/members/ID`. An archived member is still there.
pub(super) fn get(state: &mut State, object: &str, id: &str) -> Result<Answer, Refusal> {
    let row = find(state, object, id).ok_or_else(Refusal::missing)?;
    Ok(Answer::ok(&shown(&row.fields)).with_ids(vec![row.id]))
}

pub(super) fn alive(row: &Row) -> bool {
    text(&row.fields, "status") != "archived"
}

/// A new member, or an archived one that comes back.
fn made(state: &mut State, object: &str, body: &Map<String, Value>) -> Result<String, Refusal> {
    for name in ["email_address", "status"] {
        if !body.contains_key(name) {
            return Err(Refusal::field(name, "This field is required."));
        }
    }
    let fields = formed(body)?;
    let address = text(&fields, "email_address").to_owned();
    if state.table(&forgotten(object)).get(&hash(&address)).is_some() {
        let said = format!(
            "{address} was permanently deleted and cannot be re-imported. The contact must re-subscribe to get back on the list."
        );
        return Err(Refusal::of(400, "Forgotten Email Not Subscribed", said));
    }
    let known = find(state, object, &address);
    if known.as_ref().is_some_and(alive) {
        let said = format!("{address} is already a list member. Use PUT to insert or update list members.");
        return Err(Refusal::of(400, "Member Exists", said));
    }
    Ok(put(state, object, known.map(|row| row.id), fields))
}

fn member(state: &mut State, object: &str, contact: &str) -> Value {
    find(state, object, contact).map(|row| shown(&row.fields)).unwrap_or_default()
}

/// `POST …/members`.
pub(super) fn create(state: &mut State, object: &str, body: &Value) -> Result<Answer, Refusal> {
    let contact = made(state, object, body.as_object().unwrap_or(&Map::new()))?;
    Ok(Answer::ok(&member(state, object, &contact)).with_ids(vec![contact]))
}

/// `POST lists/ID`: up to 500 at once, each for itself. The answer tells which by their addresses, in its own order.
pub(super) fn batch(
    state: &mut State,
    object: &str,
    body: &Value,
    trouble: Option<BatchTrouble>,
) -> Result<Answer, Refusal> {
    let given = body.get("members").and_then(Value::as_array).cloned().unwrap_or_default();
    if given.is_empty() || given.len() > BATCH {
        return Err(Refusal::field("members", "between 1 and 500 members are taken at once"));
    }
    let existing = body.get("update_existing") == Some(&json!(true));
    let (mut new, mut updated, mut errors, mut ids) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (at, one) in given.iter().enumerate() {
        let one = one.as_object().cloned().unwrap_or_default();
        let address = text(&one, "email_address").to_owned();
        let known = find(state, object, &address).filter(alive);
        let outcome = if trouble == Some(BatchTrouble::Partial) && at % 2 == 1 {
            Err(Refusal::of(400, "Invalid Resource", "the simulator was told to refuse this record"))
        } else if let (true, Some(row)) = (existing, &known) {
            formed(&one).map(|fields| put(state, object, Some(row.id.clone()), fields))
        } else {
            made(state, object, &one)
        };
        match outcome {
            Ok(contact) => {
                let shown = member(state, object, &contact);
                if known.is_some() { updated.push(shown) } else { new.push(shown) }
                ids.push(contact);
            }
            Err(refusal) => errors.push(json!({
                "email_address": address, "error": refusal.detail, "field": refusal.field.clone().unwrap_or_default(),
                "field_message": refusal.field.map(|_| refusal.detail.clone()).unwrap_or_default(),
                "error_code": if refusal.title == "Member Exists" { "ERROR_CONTACT_EXISTS" } else { "ERROR_GENERIC" },
            })),
        }
    }
    new.reverse();
    let body = json!({"new_members": new, "updated_members": updated, "errors": errors, "total_created": new.len(),
        "total_updated": updated.len(), "error_count": errors.len()});
    Ok(Answer::ok(&body).with_ids(ids))
}

/// `PATCH …/members/ID`, or `PUT`, which makes the member where there is none.
pub(super) fn update(
    state: &mut State,
    object: &str,
    id: &str,
    body: &Value,
    upsert: bool,
) -> Result<Answer, Refusal> {
    let mut body = body.as_object().cloned().unwrap_or_default();
    let Some(row) = find(state, object, id).filter(|row| alive(row) || !upsert) else {
        if !upsert {
            return Err(Refusal::missing());
        }
        if let Some(status) = body.shift_remove("status_if_new") {
            body.entry("status").or_insert(status);
        }
        let contact = made(state, object, &body)?;
        return Ok(Answer::ok(&member(state, object, &contact)).with_ids(vec![contact]));
    };
    let fields = formed(&body)?;
    if let Some(address) = fields.get("email_address").and_then(Value::as_str)
        && find(state, object, address).is_some_and(|other| other.id != row.id)
    {
        return Err(Refusal::of(400, "Member Exists", format!("{address} is already in this list.")));
    }
    put(state, object, Some(row.id.clone()), fields);
    Ok(Answer::ok(&member(state, object, &row.id)).with_ids(vec![row.id]))
}

/// Addresses that were deleted for good.
fn forgotten(object: &str) -> String {
    format!("forgotten of {object}")
}

/// Archives a member, or forgets it for good.
pub(super) fn remove(state: &mut State, object: &str, id: &str, for_good: bool) -> Result<Answer, Refusal> {
    let row = find(state, object, id).filter(|row| for_good || alive(row)).ok_or_else(Refusal::missing)?;
    if for_good {
        forget(state, object, &row);
    } else {
        archive(state, object, &row);
    }
    let reply = Reply { status: 204, headers: Vec::new(), body: Vec::new() };
    Ok(Answer { reply, ids: vec![row.id], error: None })
}

/// Archives a member.
pub(super) fn archive(state: &mut State, object: &str, row: &Row) {
    put(state, object, Some(row.id.clone()), Record::from_iter([("status".to_owned(), json!("archived"))]));
}

/// Takes a member away without a trace but its address.
fn forget(state: &mut State, object: &str, row: &Row) {
    state.remove_record(object, &row.id);
    state.table(&bin(object)).remove(&row.id);
    let stone =
        Row { id: text(&row.fields, "id").to_owned(), stamp: 0, fields: Record::new(), refers: Vec::new() };
    state.table(&forgotten(object)).put(stone);
}
