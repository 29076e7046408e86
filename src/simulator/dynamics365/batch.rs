//! `$batch`: many requests in one, as parts of a multipart body. A change set is done whole or not at all.

use std::fmt::Write as _;

use super::{Refusal, ask as ask_one, perform as perform_one, refuse};
use crate::simulator::{
    exchange::{Answer, Asked, BatchTrouble, Reply, Request},
    state::State,
};

/// The most requests in one.
const MOST: usize = 1000;

/// One part: a request, or a change set of several.
#[derive(Debug)]
struct Part {
    set: bool,
    /// Each with its Content-ID.
    requests: Vec<(Option<String>, Request)>,
}

/// Headers and what follows the empty line.
fn split(text: &str) -> (Vec<(String, String)>, String) {
    let (head, body) = text.split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let headers = lines.map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned()));
    (headers.collect(), body.to_owned())
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn boundary(content_type: &str) -> Option<String> {
    let (_, rest) = content_type.split_once("boundary=")?;
    rest.split(';').next().map(|text| text.trim().trim_matches('"').to_owned())
}

/// What stands between the boundaries.
fn between(text: &str, boundary: &str) -> Vec<String> {
    let mark = format!("--{boundary}");
    let (mut parts, mut part): (Vec<String>, Option<String>) = (Vec::new(), None);
    for line in text.lines() {
        if line.trim_end() == mark || line.trim_end() == format!("{mark}--") {
            parts.extend(part.take());
            part = (line.trim_end() == mark).then(String::new);
        } else if let Some(part) = &mut part {
            part.push_str(line);
            part.push('\n');
        }
    }
    parts
}

/// The request inside of a part of type `application/http`.
fn request_of(outer: &Request, text: &str) -> Option<Request> {
    let (line, rest) = text.trim_start().split_once('\n')?;
    let mut words = line.split_whitespace();
    let (method, address) = (words.next()?, words.next()?);
    // An address may be absolute, or begin at the root, or at the service.
    let path = match address.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..))?.to_owned(),
        None if address.starts_with('/') => address.to_owned(),
        None => format!("/api/data/v9.2/{address}"),
    };
    let (path, query) = path.split_once('?').map_or((path.as_str(), ""), |(path, query)| (path, query));
    let (mut headers, body) = split(rest);
    headers.extend(outer.header("host").map(|host| ("host".to_owned(), host.to_owned())));
    Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: body.trim().as_bytes().to_vec(),
    })
}

fn parts(request: &Request) -> Result<Vec<Part>, Refusal> {
    let wrong = || Refusal::of(400, "0x80048d19", "The batch cannot be read.");
    let text = String::from_utf8_lossy(&request.body).replace("\r\n", "\n");
    let mark = request.header("content-type").and_then(boundary).ok_or_else(wrong)?;
    let mut parts = Vec::new();
    for part in between(&text, &mark) {
        let (headers, body) = split(&part);
        let kind = header(&headers, "content-type").unwrap_or_default();
        let set = boundary(kind).filter(|_| kind.starts_with("multipart/mixed"));
        let texts = match &set {
            Some(inner) => between(&body, inner).iter().map(|part| split(part)).collect(),
            None => vec![(headers, body)],
        };
        let requests = texts.into_iter().map(|(headers, body)| {
            let id = header(&headers, "content-id").map(str::to_owned);
            request_of(request, &body).map(|one| (id, one)).ok_or_else(wrong)
        });
        parts.push(Part { set: set.is_some(), requests: requests.collect::<Result<_, _>>()? });
    }
    if parts.iter().map(|part| part.requests.len()).sum::<usize>() > MOST {
        return Err(Refusal::of(400, "0x80048d19", "The batch holds more than 1000 requests."));
    }
    Ok(parts)
}

/// Tells what the requests of a batch ask for, by the first of them.
pub(super) fn ask(request: &Request) -> Asked {
    let mut asked = Asked { operation: "batch".to_owned(), interface: "api".to_owned(), ..Asked::default() };
    for (_, one) in parts(request).unwrap_or_default().iter().flat_map(|part| &part.requests) {
        let one = ask_one(one);
        if asked.items == 0 {
            asked.operation = format!("batch/{}", one.operation);
            asked.roles = one.roles;
            asked.object = one.object;
        }
        asked.items += 1;
        asked.ids.extend(one.ids);
        asked.lines += one.lines;
        for name in one.fields {
            if !asked.fields.contains(&name) {
                asked.fields.push(name);
            }
        }
    }
    asked
}

fn shown(mark: &str, id: Option<&str>, reply: &Reply) -> String {
    let mut text =
        format!("--{mark}\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n");
    // Writing to a String cannot fail.
    if let Some(id) = id {
        let _ = write!(text, "Content-ID: {id}\r\n");
    }
    let status = axum::http::StatusCode::from_u16(reply.status).ok();
    let reason = status.and_then(|status| status.canonical_reason()).unwrap_or("Error");
    let _ = write!(text, "\r\nHTTP/1.1 {} {reason}\r\n", reply.status);
    for (name, value) in &reply.headers {
        let name = match name.as_str() {
            "odata-entityid" => "OData-EntityId",
            "content-type" => "Content-Type",
            other => other,
        };
        let _ = write!(text, "{name}: {value}\r\n");
    }
    let _ = write!(text, "\r\n{}\r\n", String::from_utf8_lossy(&reply.body));
    text
}

/// Does one request after the other. Without the wish to go on, the first refusal is the last answer.
pub(super) fn perform(
    state: &mut State,
    request: &Request,
    trouble: Option<BatchTrouble>,
) -> Result<Answer, Refusal> {
    let goes_on = request.header("prefer").is_some_and(|prefer| prefer.contains("odata.continue-on-error"));
    let unique = uuid::Uuid::new_v4();
    let (mark, mut body, mut ids) = (format!("batchresponse_{unique}"), String::new(), Vec::new());
    let mut number = 0;
    for part in parts(request)? {
        let before = part.set.then(|| state.objects.clone());
        let (mut answers, mut refused) = (Vec::new(), false);
        for (id, one) in &part.requests {
            number += 1;
            let answer = if trouble == Some(BatchTrouble::Partial) && number % 2 == 0 {
                refuse(&Refusal::of(400, "0x80040265", "the simulator was told to refuse this record"))
            } else {
                perform_one(state, one, &ask_one(one), None)
            };
            if answer.error.is_some() {
                refused = true;
                if part.set {
                    // A change set is answered by its refusal alone.
                    answers = vec![(id.clone(), answer)];
                    break;
                }
            }
            answers.push((id.clone(), answer));
        }
        if let (true, Some(before)) = (refused, before) {
            state.objects = before;
        } else {
            ids.extend(answers.iter().flat_map(|(_, answer)| answer.ids.clone()));
        }
        if part.set && !refused {
            let inner = format!("changesetresponse_{}", uuid::Uuid::new_v4());
            let _ = write!(body, "--{mark}\r\nContent-Type: multipart/mixed; boundary={inner}\r\n\r\n");
            for (id, answer) in &answers {
                body.push_str(&shown(&inner, id.as_deref(), &answer.reply));
            }
            let _ = write!(body, "--{inner}--\r\n");
        } else {
            for (id, answer) in &answers {
                body.push_str(&shown(&mark, id.as_deref(), &answer.reply));
            }
        }
        if refused && !goes_on {
            break;
        }
    }
    let _ = write!(body, "--{mark}--\r\n");
    let reply = Reply::text(200, &format!("multipart/mixed; boundary={mark}"), body);
    Ok(Answer { reply, ids, error: None })
}
