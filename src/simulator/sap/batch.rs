//! What a `$batch` is answered with. A changeset is all or nothing, and its refusal is a single answer that is not nested.

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
