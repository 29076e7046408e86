//! The door over HTTP: `POST /_door/VERB` with a JSON object, a JSON object back. See the module's own page.

use serde_json::{Map, Value, json};

use super::{
    door::Door,
    exchange::{Reply, Request},
    fault::Fault,
};
use crate::model::record::Record;

/// Where the door is on every simulator.
pub(super) const PATH: &str = "/_door";

/// Answers a request to the door.
pub(super) fn answer(door: &Door, request: &Request) -> Reply {
    let verb = request.path.get(PATH.len()..).unwrap_or("").trim_matches('/');
    let body = match std::str::from_utf8(&request.body).ok().map(str::trim) {
        Some("") => Map::new(),
        Some(text) => match serde_json::from_str(text) {
            Ok(Value::Object(body)) => body,
            _ => return refuse("the body must be a JSON object"),
        },
        None => return refuse("the body must be UTF-8"),
    };
    match open(door, verb, &body) {
        Ok(value) => Reply::json(&value),
        Err(why) => refuse(&why),
    }
}

fn refuse(why: &str) -> Reply {
    Reply::text(400, "application/json", json!({ "error": why }).to_string())
}

fn open(door: &Door, verb: &str, body: &Map<String, Value>) -> Result<Value, String> {
    let text = |name: &str| {
        body.get(name).and_then(Value::as_str).ok_or_else(|| format!("{verb} needs a text \"{name}\""))
    };
    let fields = || match body.get("fields") {
        Some(Value::Object(fields)) => Ok(fields.clone()),
        _ => Err(format!("{verb} needs an object \"fields\"")),
    };
    let done = json!({"ok": true});
    Ok(match verb {
        "records" => {
            let records: Vec<Value> = door.records(text("object")?).into_iter().map(Value::Object).collect();
            json!({ "records": records })
        }
        "count" => json!({"count": door.count(text("object")?)}),
        "record" => json!({"record": door.record(text("object")?, text("id")?)}),
        "document" => json!({"document": door.document(text("object")?, text("id")?)}),
        "insert" => json!({"id": door.insert(text("object")?, fields()?)}),
        "insert_many" => {
            let Some(Value::Array(records)) = body.get("records") else {
                return Err("insert_many needs a list \"records\"".to_owned());
            };
            let records: Option<Vec<Record>> =
                records.iter().map(|record| record.as_object().cloned()).collect();
            let records = records.ok_or("every one of \"records\" must be an object")?;
            json!({"ids": door.insert_many(text("object")?, records)})
        }
        "edit" => {
            let was = door.edit_seeing(text("object")?, text("id")?, fields()?);
            json!({"found": was.is_some(), "was": was})
        }
        "add_line" => json!({"line": door.add_line(text("object")?, text("id")?, fields()?)}),
        "edit_line" => {
            json!({"found": door.edit_line(text("object")?, text("id")?, text("line")?, fields()?)})
        }
        "remove_line" => json!({"found": door.remove_line(text("object")?, text("id")?, text("line")?)}),
        "remove" => json!({"found": door.remove(text("object")?, text("id")?)}),
        "clear" => {
            door.clear();
            done
        }
        "calls" => {
            let calls = serde_json::to_value(door.calls()).map_err(|error| error.to_string())?;
            json!({"count": door.call_count(), "calls": calls})
        }
        "call_count" => json!({"count": door.call_count()}),
        "call_counts" => {
            let counts = door.call_counts().into_iter();
            let counts = counts.map(|((operation, object), count)| {
                json!({"operation": operation, "object": object, "count": count})
            });
            json!({"counts": counts.collect::<Vec<_>>()})
        }
        "effects" => {
            json!({"effects": serde_json::to_value(door.effects()).map_err(|error| error.to_string())?})
        }
        "forget_effects" => {
            door.forget_effects();
            done
        }
        "forget_calls" => {
            door.forget_calls();
            done
        }
        "faults" => faults_answer(door),
        "set_faults" => {
            door.set_faults(faults(body)?);
            faults_answer(door)
        }
        "add_fault" => {
            door.add_fault(text("fault")?.parse::<Fault>().map_err(|error| error.to_string())?);
            faults_answer(door)
        }
        "clear_faults" => {
            door.clear_faults();
            done
        }
        "set_down" => match body.get("down") {
            Some(Value::Bool(down)) => {
                door.set_down(*down);
                done
            }
            _ => return Err("set_down needs \"down\": true or false".to_owned()),
        },
        "set_calls_per_20s" => match body.get("calls") {
            Some(Value::Null) => {
                door.set_calls_per_20s(None);
                done
            }
            Some(calls) => {
                let calls = calls.as_u64().and_then(|calls| u32::try_from(calls).ok());
                door.set_calls_per_20s(Some(calls.ok_or("\"calls\" must be a whole number or null")?));
                done
            }
            None => return Err("set_calls_per_20s needs \"calls\": a number or null".to_owned()),
        },
        "set_clock" => match body.get("ms") {
            Some(Value::Null) => {
                door.set_clock(None);
                done
            }
            Some(ms) => {
                door.set_clock(Some(ms.as_i64().ok_or("\"ms\" must be epoch milliseconds or null")?));
                done
            }
            None => return Err("set_clock needs \"ms\": epoch milliseconds or null".to_owned()),
        },
        "take_pushes" => {
            json!({"pushes": serde_json::to_value(door.take_pushes()).map_err(|error| error.to_string())?})
        }
        "end_sessions" => {
            door.end_sessions();
            done
        }
        _ => {
            return Err(
                "the door knows records, count, record, document, insert, insert_many, edit, add_line, \
                        edit_line, remove_line, remove, clear, calls, call_count, call_counts, effects, \
                        forget_effects, forget_calls, faults, set_faults, add_fault, clear_faults, set_down, \
                        set_calls_per_20s, set_clock, take_pushes, end_sessions"
                    .to_owned(),
            );
        }
    })
}

fn faults(body: &Map<String, Value>) -> Result<Vec<Fault>, String> {
    let Some(Value::Array(texts)) = body.get("faults") else {
        return Err("set_faults needs a list \"faults\"".to_owned());
    };
    texts
        .iter()
        .map(|text| {
            let text = text.as_str().ok_or("every one of \"faults\" must be a text")?;
            text.parse::<Fault>().map_err(|error| error.to_string())
        })
        .collect()
}

fn faults_answer(door: &Door) -> Value {
    let faults: Vec<String> = door.faults().iter().map(ToString::to_string).collect();
    json!({ "faults": faults })
}
