//! XML: what data documents become, and what is refused.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{DEEPEST, XmlError, from_xml, to_xml};

fn read(xml: &str) -> Value {
    from_xml(xml).expect(xml)
}

#[test]
fn a_soap_answer_reads_by_its_local_names() {
    let xml = r#"<?xml version="1.0" encoding="utf-8"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <s:Body>
    <t:findResponse xmlns:t="urn:erp" xmlns="urn:other">
      <t:customer no="C1"><t:name xsi:type="xsd:string">阿克米 &amp; Co</t:name><t:memo/><t:gone xsi:nil="true"/></t:customer>
      <t:customer no="C2"><t:name><![CDATA[a < b]]></t:name><t:credit cur="CNY">12.50</t:credit></t:customer>
    </t:findResponse>
  </s:Body>
</s:Envelope>"#;
    let customers = json!([
        {"@no": "C1", "name": "阿克米 & Co", "memo": null, "gone": null},
        {"@no": "C2", "name": "a < b", "credit": {"@cur": "CNY", "#text": "12.50"}},
    ]);
    assert_eq!(read(xml), json!({"Envelope": {"Body": {"findResponse": {"customer": customers}}}}));
}

#[test]
fn a_flat_message_and_metadata_read_as_they_look() {
    let message = "<xml><ToUserName><![CDATA[gh_1]]></ToUserName><CreateTime>1348831860</CreateTime><Content>\n</Content></xml>";
    assert_eq!(
        read(message),
        json!({"xml": {"ToUserName": "gh_1", "CreateTime": "1348831860", "Content": null}})
    );
    let metadata = r#"<edmx:Edmx xmlns:edmx="e" xmlns:sap="s"><EntityType Name="A"><Key><PropertyRef Name="Id"/></Key>
        <Property sap:Name="not this" Name="Id" sap:label="号"/></EntityType></edmx:Edmx>"#;
    let key = json!({"PropertyRef": {"@Name": "Id"}});
    let property = json!({"@Name": "Id", "@label": "号"});
    assert_eq!(
        read(metadata),
        json!({"Edmx": {"EntityType": {"@Name": "A", "Key": key, "Property": property}}})
    );
}

#[test]
fn careless_texts_are_read() {
    assert_eq!(read("\u{feff}\n <?xml version='1.0'?><a>x\u{b}y</a>"), json!({"a": "xy"}));
    assert_eq!(read("<a> x <b/>\n y</a>"), json!({"a": {"b": null, "#text": "x \n y"}}));
    assert_eq!(read("<a> x </a>"), json!({"a": " x "}), "the white space of a text is kept");
    assert_eq!(read("<a><!-- no --><?no way?>1</a>"), json!({"a": "1"}));
    assert_eq!(read("<a>&#x9633;&#65;&apos;</a>"), json!({"a": "阳A'"}));
}

#[test]
fn a_document_type_is_refused_and_so_is_all_that_comes_with_it() {
    let laughs = r#"<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">
        <!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><l>&c;</l>"#;
    let outside = r#"<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>"#;
    let fetched = r#"<!DOCTYPE a SYSTEM "http://127.0.0.1:1/a.dtd"><a/>"#;
    for text in [laughs, outside, fetched] {
        assert_eq!(from_xml(text), Err(XmlError::DocumentType), "{text}");
    }
    let malformed = |text| matches!(from_xml(text), Err(XmlError::Malformed { .. }));
    for text in
        ["", "{}", "<a>&x;</a>", "<a>", "<a></b>", "<a/><b/>", "<a b='1' b='2'/>", "<p:a/>", "<a b=1/>"]
    {
        assert!(malformed(text), "{text}: {:?}", from_xml(text));
    }
}

#[test]
fn what_is_too_deep_is_refused_and_nothing_breaks() {
    let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    assert!(from_xml(&nested(DEEPEST)).is_ok());
    assert_eq!(from_xml(&nested(DEEPEST + 1)), Err(XmlError::TooDeep));
    assert_eq!(from_xml(&nested(300_000)), Err(XmlError::TooDeep));
    let hidden = format!(
        "<r><!-- {0} --><![CDATA[{0}]]><?p {0}?><a b='{1}>'/></r>",
        "<a>".repeat(200),
        "/".repeat(200)
    );
    assert_eq!(read(&hidden)["r"]["#text"], json!("<a>".repeat(200)), "what is no element is not counted");
}

#[test]
fn what_would_cost_the_parser_too_much_is_refused_before() {
    let attributes =
        |count: usize| format!("<a {}/>", (0..count).map(|n| format!("a{n}='>' ")).collect::<String>());
    assert!(from_xml(&attributes(200)).is_ok());
    assert_eq!(from_xml(&attributes(500_000)), Err(XmlError::TooLarge));
    let namespaces =
        |from: usize, to: usize| (from..to).map(|n| format!("xmlns:n{n}='u{n}' ")).collect::<String>();
    let nested = |depth: usize| {
        (0..depth).map(|n| format!("<a {}>", namespaces(n * 50, n * 50 + 50))).collect::<String>()
    };
    assert_eq!(from_xml(&nested(99)), Err(XmlError::TooLarge));
    // one after the other they may come, as services write them
    let rows = "<row xmlns='u' xmlns:i='i'><b/></row>".repeat(1000);
    assert_eq!(read(&format!("<r xmlns:p='p'>{rows}</r>"))["r"]["row"].as_array().map(Vec::len), Some(1000));
    assert_eq!(from_xml(&format!("<a>{}</a>", "<b/>".repeat(1_000_001))), Err(XmlError::TooLarge));
}

#[test]
fn an_error_quotes_nothing_of_the_text() {
    for text in ["<a>&SECRET;</a>", "<a></SECRET>", "<SECRET:a/>", "<a SECRET='1' SECRET='2'/>"] {
        let error = from_xml(text).expect_err(text).to_string();
        assert!(!error.contains("SECRET") && error.contains("line 1"), "{error}");
    }
}

#[test]
fn values_are_written_as_they_are_given() {
    let body = json!({"t:save": {"@xmlns:t": "urn:erp", "customer": [
        {"@no": 7, "@none": null, "name": "O'Neil <&>\r\n", "credit": "12.50", "open": true, "memo": null, "tags": []},
        {"name": ""},
        {"credit": {"@cur": "\"\n", "#text": "1"}},
    ]}});
    let envelope = json!({"s:Envelope": {"@xmlns:s": "urn:s", "s:Body": body}});
    let written = to_xml(&envelope).expect("it can be written");
    assert_eq!(
        written,
        "<s:Envelope xmlns:s=\"urn:s\"><s:Body><t:save xmlns:t=\"urn:erp\">\
         <customer no=\"7\"><name>O'Neil &lt;&amp;&gt;&#13;\n</name><credit>12.50</credit><open>true</open><memo/></customer>\
         <customer><name/></customer><customer><credit cur=\"&quot;&#10;\">1</credit></customer>\
         </t:save></s:Body></s:Envelope>"
    );
    let numbers = serde_json::from_str(r#"{"n": 1234567890123.45678901234567890}"#).expect("JSON");
    assert_eq!(to_xml(&numbers).expect("a number"), "<n>1234567890123.45678901234567890</n>");
    assert_eq!(to_xml(&json!({"a": "x\u{0}\u{b}y"})).expect("a text"), "<a>xy</a>");
}

#[test]
fn what_has_no_form_is_refused() {
    for (value, error) in [
        (json!([]), XmlError::Root),
        (json!({}), XmlError::Root),
        (json!({"a": 1, "b": 2}), XmlError::Root),
        (json!({"a": [1]}), XmlError::Root),
        (json!({"#text": 1}), XmlError::Root),
        (json!({"a b": 1}), XmlError::Name),
        (json!({"a><b": 1}), XmlError::Name),
        (json!({"a": {"@x=\"\" y": 1}}), XmlError::Name),
        (json!({"a": {"": 1}}), XmlError::Name),
        (json!({"a": {"@b": {}}}), XmlError::Plain),
        (json!({"a": {"#text": []}}), XmlError::Plain),
        (json!({"a": {"b": [[1]]}}), XmlError::Nested),
    ] {
        assert_eq!(to_xml(&value), Err(error), "{value}");
    }
}

/// Values as `from_xml` gives them, so that they come back as they were.
fn documents() -> impl Strategy<Value = Value> {
    let text = "[a-z<&>\"'\\]阳\\r\\n ]{0,8}[a-z]".prop_map(Value::from);
    let leaf = prop_oneof![Just(Value::Null), text];
    leaf.prop_recursive(4, 40, 4, |inner| {
        let children = prop_oneof![inner.clone(), prop::collection::vec(inner, 2..4).prop_map(Value::from)];
        let attributes = prop::collection::vec(("@[a-z]{1,3}", ".{0,6}".prop_map(kept)), 0..3);
        (attributes, prop::collection::vec(("[a-z阳]{1,3}", children), 1..4))
            .prop_map(|(attributes, children)| attributes.into_iter().chain(children).collect())
    })
}

fn kept(text: String) -> Value {
    Value::from(text.chars().filter(|char| super::allowed(*char)).collect::<String>())
}

/// Documents as they are written by whoever has no taste: prefixes, comments, CDATA and text between elements.
fn texts() -> impl Strategy<Value = String> {
    let inner = prop_oneof![
        Just("x &amp; y".to_owned()),
        Just("<!-- c -->".to_owned()),
        Just("<![CDATA[<\r\n]]>".to_owned()),
        Just(" \n ".to_owned()),
        Just("&#13;&#x9633;".to_owned()),
        Just("<a/>".to_owned()),
        Just(
            "<i:a xmlns:i='http://www.w3.org/2001/XMLSchema-instance' i:nil='true' i:type='t'>1</i:a>"
                .to_owned()
        ),
    ];
    inner.prop_recursive(5, 60, 5, |inner| {
        let name = prop_oneof![Just("a"), Just("b"), Just("p:a"), Just("p:阳-1.b")];
        let attribute =
            prop_oneof![Just(""), Just(" c=' 1\n2 '"), Just(" p:c='p' c='own'"), Just(" xml:lang='zh'")];
        (name, attribute, prop::collection::vec(inner, 0..5)).prop_map(|(name, attribute, children)| {
            format!("<{name} xmlns:p='u'{attribute}>{}</{name}>", children.concat())
        })
    })
}

proptest! {
    #[test]
    fn what_was_read_is_written_so_that_it_reads_the_same(text in texts()) {
        let text = format!("<root>{text}</root>");
        let value = from_xml(&text).expect("it is well-formed");
        let written = to_xml(&value).expect("it can be written");
        prop_assert_eq!(from_xml(&written), Ok(value), "{} became {}", text, written);
    }

    #[test]
    fn a_document_comes_back_as_it_was(value in documents()) {
        let value = json!({"root": value});
        let nested = value.to_string().contains("[[");
        prop_assume!(!nested);
        prop_assert_eq!(from_xml(&to_xml(&value).expect("it can be written")), Ok(value));
    }

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,60}") {
        let _ = from_xml(&text);
        let _ = from_xml(&format!("<a>{text}</a>"));
    }
}
