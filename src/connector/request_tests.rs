//! Bodies that are texts: an envelope of XML around what operations say, and what its answers mean.

use crate::connector::{Connector, run_cases};

const MANIFEST: &str = r#"
connector: old
title: Old
version: 1
http: {xml: true}
request:
  base: '"https://old.example.com/service"'
  headers: '{"Content-Type": "text/xml; charset=utf-8"}'
  text: '{"s:Envelope": {"@xmlns:s": "urn:s", "s:Body": .body}} | to_xml'
answers:
  - {when: .body.Envelope.Body.Fault, outcome: reject, reason: .body.Envelope.Body.Fault.faultstring}
operations:
  list: {body: "{list: {after: .page}}", records: ".body.Envelope.Body.listResponse.row | as_list"}
  create: {body: "{save: .items[0].fields}", results: "[{id: .body.Envelope.Body.saveResponse.id}]"}
  update: {path: /plain, text: '"set \(.items[0].id)"'}
  delete: {path: /plain, headers: '{accept: "*/*"}', text: 'null'}
objects:
  "*": {id: .record.id}
"#;

const CASES: &str = r#"
cases:
  - name: an envelope is put around the body, and the answer is taken apart
    operation: list
    object: thing
    exchanges:
      - request:
          headers: {accept: "text/xml, application/xml", content-type: text/xml; charset=utf-8}
          text: <s:Envelope xmlns:s="urn:s"><s:Body><list><after/></list></s:Body></s:Envelope>
        answer: {text: '<e:Envelope xmlns:e="urn:s"><e:Body><listResponse><row><id>1</id></row></listResponse></e:Body></e:Envelope>'}
    expect: {records: [{id: "1", fields: {id: "1"}}], last_page: true}
  - name: a created record has its id
    operation: create
    object: thing
    items: [{fields: {name: "A & B"}}]
    exchanges:
      - request: {text: <s:Envelope xmlns:s="urn:s"><s:Body><save><name>A &amp; B</name></save></s:Body></s:Envelope>}
        answer: {text: <Envelope><Body><saveResponse><id>7</id></saveResponse></Body></Envelope>}
    expect: {outcomes: [ok], ids: ["7"]}
  - name: a fault is read although the status says more
    operation: create
    object: thing
    items: [{fields: {name: x}}]
    exchanges:
      - answer: {status: 500, text: <Envelope><Body><Fault><faultstring>too short</faultstring></Fault></Body></Envelope>}
    expect: {outcomes: [reject], reason: too short}
  - name: a page of a gateway is no answer to a create
    operation: create
    object: thing
    items: [{fields: {name: x}}]
    exchanges:
      - answer: {status: 200, text: "<!DOCTYPE html><html><body>hello</body></html>"}
    expect: {outcomes: [unknown], reason: a body that is not XML}
  - name: JSON is understood too
    operation: list
    object: thing
    exchanges:
      - answer: {body: {Envelope: {Body: {listResponse: {row: [{id: "1"}, {id: "2"}]}}}}}
    expect: {records: [{id: "1"}, {id: "2"}]}
  - name: a text of one's own goes as it is
    operation: update
    object: thing
    items: [{id: "5", fields: {name: x}}]
    exchanges:
      - request: {url: https://old.example.com/service/plain, text: set 5}
    expect: {outcomes: [ok]}
  - name: null sends no body, and what is said of a header holds
    operation: delete
    object: thing
    items: [{id: "5"}]
    exchanges:
      - request: {headers: {accept: "*/*"}, text: ""}
    expect: {outcomes: [ok]}
"#;

#[test]
fn an_envelope_goes_out_and_its_answers_are_understood() {
    let connector = Connector::compile(MANIFEST, "old.yaml").expect("a manifest");
    let results = run_cases(&connector, CASES);
    assert_eq!(results.len(), 7, "{results:?}");
    let failed: Vec<_> = results.iter().filter(|case| !case.passed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn a_text_is_nobodys_json() {
    let kept = MANIFEST.replace("http: {xml: true}", "http: {}");
    let results = run_cases(&Connector::compile(&kept, "old.yaml").expect("a manifest"), CASES);
    let created = results.iter().find(|case| case.name.starts_with("a created")).expect("the case");
    assert!(
        created.detail.contains("a body that is not JSON"),
        "XML is read where it is asked for: {created:?}"
    );
    let wrong = MANIFEST.replace("text: '\"set \\(.items[0].id)\"'", "text: '{}'");
    let results = run_cases(&Connector::compile(&wrong, "old.yaml").expect("a manifest"), CASES);
    assert!(results.iter().any(|case| case.detail.contains("a text was expected")), "{results:#?}");
    let both = MANIFEST.replace("/plain, text: '\"set", "/plain, body: '{}', text: '\"set");
    let refused = Connector::compile(&both, "old.yaml").expect_err("two bodies").to_string();
    assert!(refused.contains("a request has one of `body`, `form` and `text`"), "{refused}");
    let both = MANIFEST.replace("  text: '{\"s:", "  body: .body\n  text: '{\"s:");
    let refused = Connector::compile(&both, "old.yaml").expect_err("two bodies").to_string();
    assert!(refused.contains("`request` has a `body` or a `text`, not both"), "{refused}");
}
