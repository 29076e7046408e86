//! What a person does in the pages. The door refuses nothing, so that every state can be made. Each deed is pushed.

use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{
    schema::{self, Holds, Object, kept, kept_metafield, metafield},
    write::{Formed, change, make},
};
use crate::{
    model::record::Record,
    simulator::{credentials::shopify as known, push::Push, state::State},
};

fn lenient(state: &mut State, object: &Object, fields: Record) -> Formed {
    let mut formed = Vec::new();
    for (name, value) in fields {
        let value = match (name.strip_prefix("metafields."), value) {
            (Some(name), Value::String(text)) => {
                let kept = metafield(name).and_then(|definition| kept_metafield(definition, &text).ok());
                Value::String(kept.unwrap_or(text))
            }
            (_, Value::Array(lines)) if name == "lineItems" => {
                let line = |line: Value| {
                    let mut line = line.as_object().cloned().unwrap_or_default();
                    if !line.contains_key("id") {
                        let id = format!("gid://shopify/LineItem/{}", 9_000_000_000 + state.next_serial());
                        line.insert("id".to_owned(), json!(id));
                    }
                    Value::Object(line)
                };
                lines.into_iter().map(line).collect()
            }
            (_, value) => {
                let holds = schema::field(object.fields, &name).map_or(Holds::Text, |(_, holds, _)| *holds);
                kept(holds, &value).unwrap_or(value)
            }
        };
        formed.push((name, value));
    }
    formed
}

/// Writes down what the shop tells of a record, sealed with the app's secret.
fn push(state: &mut State, object: &Object, deed: &str, id: &str) {
    let serial: Option<u64> = id.rsplit('/').next().and_then(|digits| digits.parse().ok());
    let body = match deed {
        "delete" => json!({ "id": serial }),
        _ => json!({"id": serial, "admin_graphql_api_id": id}),
    };
    let body = body.to_string();
    let seal = Hmac::<Sha256>::new_from_slice(known::CLIENT_SECRET.as_bytes()).map(|mut mac| {
        mac.update(body.as_bytes());
        base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
    });
    let header = |name: &str, value: String| (name.to_owned(), value);
    let number = state.next_serial();
    let headers = vec![
        header("Content-Type", "application/json".to_owned()),
        header("X-Shopify-Topic", format!("{}/{deed}", object.list)),
        header("X-Shopify-Shop-Domain", known::SHOP.to_owned()),
        header("X-Shopify-API-Version", known::API_VERSION.to_owned()),
        header("X-Shopify-Webhook-Id", format!("w{number}")),
        header("X-Shopify-Event-Id", format!("e{number}")),
        header("X-Shopify-Hmac-Sha256", seal.unwrap_or_default()),
    ];
    state.push(Push { query: String::new(), headers, body });
}

/// A record made in the pages.
pub(in crate::simulator) fn insert(state: &mut State, list: &str, fields: Record) -> String {
    let Some(object) = schema::object(list) else { return String::new() };
    let formed = lenient(state, object, fields);
    let id = make(state, object, formed);
    push(state, object, "create", &id);
    id
}

/// A record changed in the pages.
pub(in crate::simulator) fn edit(state: &mut State, list: &str, id: &str, fields: Record) -> bool {
    let Some(object) = schema::object(list) else { return false };
    let formed = lenient(state, object, fields);
    let found = change(state, object, id, formed);
    if found {
        push(state, object, "update", id);
    }
    found
}

/// Deletes a record; false where there is none.
pub(in crate::simulator) fn remove(state: &mut State, list: &str, id: &str) -> bool {
    let found = state.remove_record(list, id);
    if let (true, Some(object)) = (found, schema::object(list)) {
        push(state, object, "delete", id);
    }
    found
}
