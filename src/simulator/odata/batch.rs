//! The requests inside of a `$batch`: parts of a multipart body, of which some are sets of parts themselves.

use crate::simulator::exchange::Request;

/// One part of a batch: a request, or a change set of several.
#[derive(Debug)]
pub(in crate::simulator) struct Part {
    /// Whether it is a change set: done whole or not at all.
    pub(in crate::simulator) set: bool,
    /// Each with its Content-ID. A path that does not begin with a slash is below the service.
    pub(in crate::simulator) requests: Vec<(Option<String>, Request)>,
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

/// What stands between the boundaries; `None` where the last one is missing.
fn between(text: &str, boundary: &str) -> Option<Vec<String>> {
    let (mark, end) = (format!("--{boundary}"), format!("--{boundary}--"));
    let (mut parts, mut part): (Vec<String>, Option<String>) = (Vec::new(), None);
    for line in text.lines() {
        let line = line.trim_end();
        if line == mark || line == end {
            parts.extend(part.take());
            if line == end {
                return Some(parts);
            }
            part = Some(String::new());
        } else if let Some(part) = &mut part {
            part.push_str(line);
            part.push('\n');
        }
    }
    None
}

/// The request inside of a part of type `application/http`.
fn request_of(text: &str) -> Option<Request> {
    let (line, rest) = text.trim_start().split_once('\n')?;
    let mut words = line.split_whitespace();
    let (method, address) = (words.next()?, words.next()?);
    let whole = match address.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..))?,
        None => address,
    };
    let (path, query) = whole.split_once('?').unwrap_or((whole, ""));
    let (headers, body) = split(rest);
    Some(Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: body.trim().as_bytes().to_vec(),
    })
}

/// The parts of a batch; `None` where it cannot be read.
pub(in crate::simulator) fn parts(request: &Request) -> Option<Vec<Part>> {
    let text = String::from_utf8_lossy(&request.body).replace("\r\n", "\n");
    let mut parts = Vec::new();
    for part in between(&text, &boundary(request.header("content-type")?)?)? {
        let (headers, body) = split(&part);
        let kind = header(&headers, "content-type").unwrap_or_default();
        let set = boundary(kind).filter(|_| kind.starts_with("multipart/mixed"));
        let texts = match &set {
            Some(inner) => between(&body, inner)?.iter().map(|part| split(part)).collect(),
            None => vec![(headers, body)],
        };
        let requests = texts.into_iter().map(|(headers, body)| {
            let id = header(&headers, "content-id").map(str::to_owned);
            request_of(&body).map(|one| (id, one))
        });
        parts.push(Part { set: set.is_some(), requests: requests.collect::<Option<_>>()? });
    }
    Some(parts)
}
