//! The characters of an answer: UTF-8, unless the answer itself names another encoding, as old systems do (GBK).

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_8};

/// How far into a body its XML declaration may reach.
const DECLARATION: usize = 200;

/// The text of a body, if it is one in the encoding that the answer names.
pub(super) fn text_of<'a>(body: &'a [u8], content_type: Option<&str>) -> Option<Cow<'a, str>> {
    let encoding = content_type.and_then(charset).or_else(|| declared(body)).unwrap_or(UTF_8);
    // UTF-16 is told by its first bytes, and so is a UTF-8 that was declared as something else.
    let (encoding, mark) = Encoding::for_bom(body).unwrap_or((encoding, 0));
    let body = body.get(mark..)?;
    let utf_8 = || UTF_8.decode_without_bom_handling_and_without_replacement(body);
    let named = || encoding.decode_without_bom_handling_and_without_replacement(body);
    // Web servers name Latin-1 out of habit, whatever they send; any bytes at all are a text in it, few are UTF-8.
    if encoding.is_single_byte() { utf_8().or_else(named) } else { named().or_else(utf_8) }
}

/// `text/xml; charset="gbk"`.
fn charset(content_type: &str) -> Option<&'static Encoding> {
    let mut parameters = content_type.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    let (_, label) = parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"))?;
    Encoding::for_label(label.trim().trim_matches(['"', '\'']).as_bytes())
}

/// `<?xml version="1.0" encoding="GB2312"?>`.
fn declared(body: &[u8]) -> Option<&'static Encoding> {
    let start = String::from_utf8_lossy(body.get(..DECLARATION.min(body.len()))?);
    let (declaration, _) = start.trim_start().strip_prefix("<?xml")?.split_once("?>")?;
    let label = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = label.chars().next().filter(|char| matches!(char, '"' | '\''))?;
    Encoding::for_label(label.split(quote).nth(1)?.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 阿克米 in GBK.
    const GBK: [u8; 6] = [0xb0, 0xa2, 0xbf, 0xcb, 0xc3, 0xd7];

    fn with(before: &str, after: &str) -> Vec<u8> {
        [before.as_bytes(), &GBK, after.as_bytes()].concat()
    }

    #[test]
    fn the_answer_says_how_it_is_written() {
        let body = with("{\"name\": \"", "\"}");
        for kind in
            ["application/json;charset=GBK", "text/html; Charset=\"gb2312\"; x=y", "a/b; charset='gb18030'"]
        {
            assert_eq!(text_of(&body, Some(kind)).as_deref(), Some("{\"name\": \"阿克米\"}"), "{kind}");
        }
        for declaration in
            ["<?xml version=\"1.0\" encoding=\"GB2312\"?>", "\n<?xml version='1.0' encoding = 'gbk' ?>"]
        {
            let body = with(&format!("{declaration}<a>"), "</a>");
            let text = text_of(&body, Some("text/xml")).expect("a text");
            assert!(text.ends_with("<a>阿克米</a>"), "{text}");
        }
        let declared = with("<?xml version='1.0' encoding='utf-8'?><a>", "</a>");
        let text = text_of(&declared, Some("text/xml; charset=gbk")).expect("a text");
        assert!(text.ends_with("阿克米</a>"), "what the transport says comes first");
    }

    #[test]
    fn latin_1_is_named_out_of_habit_and_believed_last() {
        let kind = Some("a/b; charset=iso-8859-1");
        assert_eq!(text_of("客户é".as_bytes(), kind).as_deref(), Some("客户é"));
        assert_eq!(text_of(b"caf\xe9", kind).as_deref(), Some("café"));
        assert_eq!(
            text_of("'客'".as_bytes(), Some("a/b; charset=big5")).as_deref(),
            Some("'客'"),
            "it is no Big5"
        );
    }

    #[test]
    fn otherwise_it_is_utf_8_and_nothing_is_guessed() {
        let text = "{\"name\": \"阿克米\"}";
        for kind in [None, Some("application/json"), Some("a/b; charset=nonsense"), Some("a/b; charset")] {
            assert!(
                matches!(text_of(text.as_bytes(), kind), Some(Cow::Borrowed(same)) if same == text),
                "{kind:?}"
            );
            assert_eq!(text_of(&with("{", "}"), kind), None, "{kind:?}");
        }
        assert_eq!(text_of("\u{feff}{}".as_bytes(), Some("a/b; charset=gbk")).as_deref(), Some("{}"));
        assert_eq!(text_of(&[0xff, 0xfe, b'a', 0], None).as_deref(), Some("a"));
        assert_eq!(text_of(b"", None).as_deref(), Some(""));
        assert_eq!(text_of(b"<?xml encoding", None).as_deref(), Some("<?xml encoding"));
    }
}
