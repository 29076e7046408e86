//! The four body envelopes, brought to one: `{formid, opNumber, data, params, begin, queryInfo}`.

use serde_json::{Map, Value, json};

use crate::simulator::exchange::{Request, decoded};

/// The services that take their data alone, without a form id before it.
const DATA_ONLY: [&str; 6] =
    ["ExecuteBillQuery", "BillQuery", "QueryBusinessInfo", "QueryGroupInfo", "WorkflowAudit", "SwitchOrg"];

/// Opens the envelope; `None` where the body is neither JSON nor a form.
///
/// The content type is not looked at: one vendor's SDK misspells it.
pub(super) fn open(method: &str, request: &Request) -> Option<Value> {
    let text = std::str::from_utf8(&request.body).ok()?.trim();
    let given = match text.bytes().next() {
        None => Map::new(),
        Some(b'{') => match serde_json::from_str(text).ok()? {
            Value::Object(given) => given,
            _ => return None,
        },
        Some(_) => form(text)?,
    };
    let mut opened = Map::new();
    if let Some(params) = given.get("parameters") {
        let params = match unwrapped(params)? {
            Value::Array(params) => params,
            other => vec![other],
        };
        let mut rest = params.iter();
        if !DATA_ONLY.contains(&method) {
            opened.insert("formid".to_owned(), rest.next().cloned().unwrap_or(Value::Null));
        }
        if matches!(method, "ExcuteOperation" | "ExecuteOperation") {
            opened.insert("opNumber".to_owned(), rest.next().cloned().unwrap_or(Value::Null));
        }
        // What is no JSON here is the parameter of a login, which has no data.
        let data = rest.next().and_then(unwrapped).unwrap_or(Value::Null);
        opened.insert("data".to_owned(), data);
        opened.insert("params".to_owned(), Value::Array(params));
    } else {
        for (to, names) in
            [("formid", ["formid", "FormId", "formId"]), ("opNumber", ["opNumber", "OpNumber", "opnumber"])]
        {
            if let Some(value) = names.iter().find_map(|name| given.get(*name)) {
                opened.insert(to.to_owned(), value.clone());
            }
        }
        let data = match given.get("data") {
            Some(data) => unwrapped(data)?,
            None => Value::Null,
        };
        opened.insert("data".to_owned(), data);
        let login = |names: &[&str]| {
            let value = names.iter().find_map(|name| given.get(*name));
            value.cloned().unwrap_or(Value::Null)
        };
        let names: [&[&str]; 4] =
            [&["acctID", "acctid"], &["username", "userName"], &["password"], &["lcid"]];
        if given.contains_key("username") || given.contains_key("userName") {
            opened.insert("params".to_owned(), names.iter().map(|names| login(names)).collect());
        }
    }
    if let Some(info) = given.get("queryInfo") {
        opened.insert("queryInfo".to_owned(), info.clone());
    }
    let begin = given.get("beginmethod").and_then(Value::as_str) == Some("BeginQueryImpl");
    opened.insert("begin".to_owned(), json!(begin));
    Some(Value::Object(opened))
}

/// JSON inside a text is JSON.
fn unwrapped(value: &Value) -> Option<Value> {
    match value {
        Value::String(text) if text.trim().is_empty() => Some(Value::Null),
        Value::String(text) => serde_json::from_str(text).ok(),
        other => Some(other.clone()),
    }
}

/// `a=b&c=d`, percent-encoded.
fn form(text: &str) -> Option<Map<String, Value>> {
    let mut given = Map::new();
    for pair in text.split('&') {
        let (name, value) = pair.split_once('=')?;
        given.insert(decoded(name)?, Value::String(decoded(value)?));
    }
    Some(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_envelopes_say_the_same() {
        let data = json!({"Numbers": ["C1"]});
        let quoted = data.to_string();
        let bodies = [
            json!({"formid": "BD_Customer", "data": data}).to_string(),
            json!({"formid": "BD_Customer", "data": quoted}).to_string(),
            json!({"parameters": ["BD_Customer", quoted]}).to_string(),
            json!({"format": 1, "useragent": "ApiClient", "rid": "1", "parameters": ["BD_Customer", quoted],
                "timestamp": "2026-01-01", "v": "1.0"})
            .to_string(),
            "formid=BD_Customer&data=%7B%22Numbers%22%3A+%5B%22C1%22%5D%7D".to_owned(),
        ];
        for body in bodies {
            let request = Request { body: body.clone().into_bytes(), ..Request::default() };
            let opened = open("Submit", &request).unwrap();
            assert_eq!(opened["formid"], "BD_Customer", "{body}");
            assert_eq!(opened["data"], data, "{body}");
        }
    }

    #[test]
    fn a_body_of_no_known_form_is_refused() {
        for body in ["[1]", "%", "a=%zz", "{"] {
            let request = Request { body: body.as_bytes().to_vec(), ..Request::default() };
            assert!(open("Save", &request).is_none(), "{body}");
        }
    }
}
