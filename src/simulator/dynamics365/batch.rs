//! `$batch`: many requests in one, as parts of a multipart body. A change set is done whole or not at all.

use std::fmt::Write as _;

use super::{Refusal, ask as ask_one, perform as perform_one, refuse};
use crate::simulator::{
    exchange::{Answer, Asked, BatchTrouble, Reply, Request},
    odata::{self, Part},
    state::State,
};

/// The most requests in one.
const MOST: usize = 1000;

/// The requests of a batch, each at its whole path.
fn parts(request: &Request) -> Result<Vec<Part>, Refusal> {
    let mut parts =
        odata::parts(request).ok_or_else(|| Refusal::of(400, "0x80048d19", "The batch cannot be read."))?;
    if parts.iter().map(|part| part.requests.len()).sum::<usize>() > MOST {
        return Err(Refusal::of(400, "0x80048d19", "The batch holds more than 1000 requests."));
    }
    for (_, one) in parts.iter_mut().flat_map(|part| &mut part.requests) {
        if !one.path.starts_with('/') {
            one.path = format!("/api/data/v9.2/{}", one.path);
        }
        one.headers.extend(request.header("host").map(|host| ("host".to_owned(), host.to_owned())));
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
