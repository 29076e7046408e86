//! `$batch`: requests within a request, by multipart. A changeset is all or nothing, and its refusal is a single answer
//! that is not nested.

use crate::simulator::exchange::Request;

/// A part of a batch: a request that stands alone, or a changeset of several.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Alone(Request),
    Changeset(Vec<Request>),
}

impl Part {
    /// Its requests.
    pub(super) fn requests(&self) -> &[Request] {
        match self {
            Part::Alone(request) => std::slice::from_ref(request),
            Part::Changeset(requests) => requests,
        }
    }
}

/// The mark between the parts that a content type names.
fn boundary(content_type: &str) -> Option<&str> {
    let (_, rest) = content_type.split_once("boundary=")?;
    rest.split(';').next().map(|mark| mark.trim().trim_matches('"'))
}

/// The parts between the marks, each as its headers and what follows them. `None` where the last mark is missing.
fn sections<'a>(text: &'a str, mark: &str) -> Option<Vec<(&'a str, &'a str)>> {
    let mut parts = Vec::new();
    let mark = format!("--{mark}");
    for piece in text.split(mark.as_str()).skip(1) {
        if piece.starts_with("--") {
            return Some(parts);
        }
        parts.push(piece.trim_start_matches(['\r', '\n']).split_once("\r\n\r\n")?);
    }
    None
}

fn headers(text: &str) -> Vec<(String, String)> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.trim().to_lowercase(), value.trim().to_owned())).collect()
}

fn of<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
}

/// A request within a part. Its path is under the service, without a slash before it.
fn request(text: &str) -> Option<Request> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let (line, rest) = head.split_once("\r\n").unwrap_or((head, ""));
    let mut words = line.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Some(Request {
        method: method.to_owned(),
        path: path.trim_start_matches('/').to_owned(),
        query: query.to_owned(),
        headers: headers(rest),
        body: body.trim_end_matches(['\r', '\n']).as_bytes().to_vec(),
    })
}

/// The parts of a batch; `None` where it cannot be read.
pub(super) fn parts(request_of_batch: &Request) -> Option<Vec<Part>> {
    let mark = boundary(request_of_batch.header("content-type")?)?;
    let text = std::str::from_utf8(&request_of_batch.body).ok()?;
    let mut parts = Vec::new();
    for (head, rest) in sections(text, mark)? {
        let head = headers(head);
        let kind = of(&head, "content-type");
        parts.push(if kind.starts_with("multipart/mixed") {
            let inner = sections(rest, boundary(kind)?)?;
            Part::Changeset(inner.into_iter().map(|(_, inner)| request(inner)).collect::<Option<_>>()?)
        } else {
            Part::Alone(request(rest)?)
        });
    }
    Some(parts)
}

/// An answer within a part.
pub(super) struct Inner {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Inner {
    fn text(&self) -> String {
        let reason = axum::http::StatusCode::from_u16(self.status).ok();
        let reason = reason.and_then(|status| status.canonical_reason()).unwrap_or("Error");
        let headers: String =
            self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!(
            "Content-Type: application/http\r\nContent-Length: {}\r\ncontent-transfer-encoding: binary\r\n\r\nHTTP/1.1 {} {reason}\r\n{headers}Content-Length: {}\r\n\r\n{}\r\n",
            self.body.len() + 60,
            self.status,
            self.body.len(),
            self.body
        )
    }
}

/// What a batch is answered with: the mark, and the text. A changeset that was done is nested.
pub(super) fn answer(answers: &[(bool, Vec<Inner>)], serial: u64) -> (String, String) {
    let mark = format!("ejjeeffe{serial}");
    let mut text = String::new();
    for (at, (nested, inner)) in answers.iter().enumerate() {
        text += &format!("--{mark}\r\n");
        if *nested {
            let own = format!("C0FFEE{serial}_{at}");
            text += &format!("Content-Type: multipart/mixed; boundary={own}\r\n\r\n");
            for one in inner {
                text += &format!("--{own}\r\n{}", one.text());
            }
            text += &format!("--{own}--\r\n\r\n");
        } else {
            text.extend(inner.iter().map(Inner::text));
        }
    }
    text += &format!("--{mark}--\r\n");
    (mark, text)
}
