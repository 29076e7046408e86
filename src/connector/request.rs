//! Requests: from an operation's expressions and inputs to bytes.

use serde_json::{Map, Value};

use crate::connector::compiled::{Connector, Piece, SignIn, Step};
use crate::connector::expr::{Expr, ExprError};
use crate::connector::manifest::SignInKind;
use crate::remote::signature::{KingdeeIdentity, kingdee_headers};
use crate::remote::transport::HttpRequest;

/// Why a request could not be made: the manifest or the settings are wrong.
pub(super) type Reason = String;

fn explain(error: ExprError) -> Reason {
    error.to_string()
}

pub(super) fn first(expr: Option<&Expr>, input: &Value) -> Result<Value, Reason> {
    match expr {
        Some(expr) => Ok(expr.first(input).map_err(explain)?.unwrap_or(Value::Null)),
        None => Ok(Value::Null),
    }
}

/// The object's members as texts; members that are null are left out.
fn pairs(expr: Option<&Expr>, input: &Value) -> Result<Vec<(String, String)>, Reason> {
    match first(expr, input)? {
        Value::Null => Ok(Vec::new()),
        Value::Object(map) => {
            let present = map.into_iter().filter(|(_, value)| !value.is_null());
            Ok(present.map(|(name, value)| (name, as_text(&value))).collect())
        }
        _ => Err(format!("{}: an object was expected", expr.map_or("", Expr::place))),
    }
}

/// A text as it is, anything else as JSON.
pub(super) fn as_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn percent_encode(text: &str, keep: &[u8]) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || keep.contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn encode_pairs(pairs: &[(String, String)]) -> String {
    let encoded = pairs
        .iter()
        .map(|(name, value)| format!("{}={}", percent_encode(name, b""), percent_encode(value, b"")));
    encoded.collect::<Vec<_>>().join("&")
}

/// Texts with the holes between them filled.
fn filled(pieces: &[Piece], input: &Value) -> Result<String, Reason> {
    let mut filled = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Hole(expr) => {
                let value = first(Some(expr), input)?;
                if value.is_null() {
                    return Err(format!("{}: a value is needed here", expr.place()));
                }
                // OData's keys stand in brackets and quotes, which some servers do not decode
                filled.push_str(&percent_encode(&as_text(&value), b"/'(),="));
            }
        }
    }
    Ok(filled)
}

/// The address: base, path with its holes filled, query.
fn url(connector: &Connector, step: &Step, input: &Value, shared: bool) -> Result<String, Reason> {
    let base = as_text(&first(Some(&connector.request.base), input)?);
    let mut url = base.trim_end_matches('/').to_owned();
    let path = filled(&step.path, input)?;
    if !path.starts_with('/') && !path.is_empty() {
        url.push('/');
    }
    url.push_str(&path);
    let mut query = if shared { pairs(connector.request.query.as_ref(), input)? } else { Vec::new() };
    query.extend(pairs(step.query.as_ref(), input)?);
    if !query.is_empty() {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&encode_pairs(&query));
    }
    Ok(url)
}

/// Builds one request. `shared` adds what the manifest adds to every operation; sign-in requests go without.
pub(super) fn build(
    connector: &Connector,
    step: &Step,
    input: &mut Value,
    shared: bool,
) -> Result<HttpRequest, Reason> {
    let url = url(connector, step, input, shared)?;
    let mut headers = if shared { pairs(connector.request.headers.as_ref(), input)? } else { Vec::new() };
    headers.extend(pairs(step.headers.as_ref(), input)?);
    let (body, kind) = body(connector, step, input, shared)?;
    let accepted = if connector.xml { "text/xml, application/xml" } else { "application/json" };
    for (name, value) in [("accept", Some(accepted)), ("content-type", kind)] {
        let said = headers.iter().any(|(header, _)| header.eq_ignore_ascii_case(name));
        if let (Some(value), false) = (value, said) {
            headers.push((name.to_owned(), value.to_owned()));
        }
    }
    let method = filled(&step.method, input)?;
    Ok(HttpRequest { method, url, headers, body, timeout: connector.timeout })
}

/// The body's bytes, and the content type that they have where the manifest names none.
fn body(
    connector: &Connector,
    step: &Step,
    input: &mut Value,
    shared: bool,
) -> Result<(Vec<u8>, Option<&'static str>), Reason> {
    if step.form.is_some() {
        let form = encode_pairs(&pairs(step.form.as_ref(), input)?);
        return Ok((form.into_bytes(), Some("application/x-www-form-urlencoded")));
    }
    if step.text.is_some() {
        return text(step.text.as_ref(), input);
    }
    let own = first(step.body.as_ref(), input)?;
    let request = &connector.request;
    // An envelope is for what has a body; a shared JSON body may be made of nothing.
    let wraps = shared && (request.body.is_some() || request.text.is_some() && !own.is_null());
    let body = if wraps {
        if let Value::Object(map) = input {
            map.insert("body".to_owned(), own);
        }
        let made = match &request.text {
            Some(_) => text(request.text.as_ref(), input).map(Err),
            None => first(request.body.as_ref(), input).map(Ok),
        };
        if let Value::Object(map) = input {
            map.remove("body");
        }
        match made? {
            Ok(body) => body,
            Err(text) => return Ok(text),
        }
    } else {
        own
    };
    Ok(match body {
        Value::Null => (Vec::new(), None),
        body => (body.to_string().into_bytes(), Some("application/json")),
    })
}

/// A body that is a text; null sends none.
fn text(expr: Option<&Expr>, input: &Value) -> Result<(Vec<u8>, Option<&'static str>), Reason> {
    match first(expr, input)? {
        Value::Null => Ok((Vec::new(), None)),
        Value::String(text) => Ok((text.into_bytes(), Some("text/plain; charset=utf-8"))),
        _ => Err(format!("{}: a text was expected", expr.map_or("", Expr::place))),
    }
}

/// Adds the signature's headers where the sign-in kind asks for them. `input` holds settings and secrets.
pub(super) fn sign(
    request: &mut HttpRequest,
    sign_in: &SignIn,
    input: &Value,
    seconds: i64,
) -> Result<(), Reason> {
    if sign_in.kind != SignInKind::Signed {
        return Ok(());
    }
    let Value::Object(parts) = first(sign_in.signature.as_ref(), input)? else {
        return Err("the sign-in's `signature` does not give an object".to_owned());
    };
    let part = |name: &str| parts.get(name).filter(|value| !value.is_null()).map(as_text).unwrap_or_default();
    let identity = KingdeeIdentity {
        app_id: part("app_id"),
        app_secret: part("app_secret"),
        account: part("account"),
        user: part("user"),
        language: part("language"),
        organisation: part("organisation"),
    };
    let after_scheme = request.url.split_once("://").map_or(request.url.as_str(), |(_, rest)| rest);
    let path = after_scheme.find('/').and_then(|at| after_scheme.get(at..)).unwrap_or("/");
    let path = path.split('?').next().unwrap_or(path);
    let headers = kingdee_headers(&identity, path, seconds, &seconds.to_string());
    request.headers.extend(headers.map_err(|error| error.to_string())?);
    Ok(())
}

/// An object of the given members.
pub(super) fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
