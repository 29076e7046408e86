//! Documents of several makers' habits: what is made of them compiles, and asks what the document says.

use super::*;
use crate::connector::{Connector, run_cases};

const SHOP: &str = r##"
openapi: 3.0.3
info: {title: "Shop: API", version: "1"}
servers: [{url: "http://127.0.0.1/v1"}]
security: [{token: []}]
components:
  securitySchemes:
    token: {type: http, scheme: bearer}
  parameters:
    size: {name: per_page, in: query, schema: {type: integer, maximum: 50}}
  schemas:
    Base: {type: object, properties: {id: {type: integer}, updatedAt: {type: string, format: date-time}}}
    Customer:
      allOf:
        - {$ref: "#/components/schemas/Base"}
        - type: object
          required: [name]
          properties: {name: {type: string}, parent: {$ref: "#/components/schemas/Customer"}}
    Loop: {allOf: [{$ref: "#/components/schemas/Loop"}]}
    Around: {$ref: "#/components/schemas/Around"}
paths:
  /customers:
    get:
      parameters:
        - {$ref: "#/components/parameters/size"}
        - {name: page, in: query, schema: {type: integer}}
        - {name: updated_since, in: query, schema: {type: string}}
      responses:
        "200": {content: {application/json: {schema: {type: object, properties: {total: {type: integer},
          customers: {type: array, items: {$ref: "#/components/schemas/Customer"}}}}}}}
    post:
      requestBody: {content: {application/json: {schema: {type: object, properties: {customer: {$ref: "#/components/schemas/Customer"}}}}}}
      responses: {"201": {description: made}}
  /customers/{customerId}:
    get:
      responses:
        "200": {content: {application/json: {schema: {type: object, properties: {customer: {$ref: "#/components/schemas/Customer"}}}}}}
    put: {requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Customer"}}}}}
    patch: {requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Customer"}}}}}
    delete: {responses: {"204": {description: gone}}}
  /customers/{customerId}/notes:
    get: {responses: {"200": {content: {application/json: {schema: {type: array, items: {type: object}}}}}}}
  /events:
    get:
      parameters: [{name: cursor, in: query, schema: {type: string}}]
      responses:
        "200": {content: {application/json: {schema: {type: object, properties: {next_cursor: {type: string},
          data: {type: array, items: {type: object, properties: {uuid: {type: string}}}}}}}}}
  /loops:
    get: {responses: {"200": {content: {application/json: {schema: {type: array, items: {$ref: "#/components/schemas/Loop"}}}}}}}
  /arounds/{id}:
    get: {responses: {"200": {content: {application/json: {schema: {$ref: "#/components/schemas/Around"}}}}}}
  /health:
    get: {responses: {"200": {description: well}}}
"##;

const CASES: &str = r#"
secrets: {key: KEY}
token: KEY
now_ms: 1767268800000
cases:
  - name: a page
    operation: list
    object: customers
    since: 1767268800000
    exchanges:
      - request:
          method: GET
          url: http://127.0.0.1/v1/customers?per_page=50&page=1&updated_since=2026-01-01T12%3A00%3A00Z
          headers: {authorization: Bearer KEY}
        answer: {body: {total: 1, customers: [{id: 7, updatedAt: "2026-01-01T12:00:00Z", name: Acme}]}}
    expect: {last_page: true, records: [{id: "7", modified: 1767268800000}]}
  - name: one record in a member of its own
    operation: read
    object: customers
    ids: ["7"]
    exchanges:
      - request: {method: GET, url: "http://127.0.0.1/v1/customers/7"}
        answer: {body: {customer: {id: 7, name: Acme}}}
    expect: {records: [{id: "7"}]}
  - name: one that is not there
    operation: read
    object: customers
    ids: ["7"]
    exchanges: [{answer: {status: 404, body: {message: none}}}]
    expect: {records: []}
  - name: a create
    operation: create
    object: customers
    items: [{fields: {name: Acme, parent: null}}]
    exchanges:
      - request: {method: POST, url: "http://127.0.0.1/v1/customers", body: {customer: {name: Acme}}}
        answer: {status: 201, body: {customer: {id: 8}}}
    expect: {outcomes: [ok], ids: ["8"]}
  - name: an update sends what was changed, where the document has a PATCH
    operation: update
    object: customers
    items: [{id: "8", fields: {name: Beta}}]
    exchanges: [{request: {method: PATCH, url: "http://127.0.0.1/v1/customers/8", body: {name: Beta}}}]
    expect: {outcomes: [ok]}
  - name: a delete of what is gone
    operation: delete
    object: customers
    items: [{id: "8"}]
    exchanges: [{request: {method: DELETE}, answer: {status: 404}}]
    expect: {outcomes: [gone]}
  - name: a cursor
    operation: list
    object: events
    exchanges: [{request: {url: "http://127.0.0.1/v1/events"}, answer: {body: {next_cursor: c2, data: [{uuid: u1}]}}}]
    expect: {next: c2, records: [{id: u1}]}
  - name: too many calls
    operation: read
    object: customers
    ids: ["7"]
    exchanges: [{answer: {status: 429, body: {error: {message: slow down}}}}]
    expect: {outcomes: [throttled], reason: slow down}
"#;

#[test]
fn a_manifest_that_was_made_asks_what_the_document_says() {
    let text = draft(SHOP, None).expect("a manifest");
    let connector =
        Connector::compile(&text, "shop.yaml").unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    assert_eq!(connector.name, "shop-api");
    assert_eq!(connector.objects(), ["arounds", "customers", "events", "loops"], "{text}");
    for result in run_cases(&connector, CASES) {
        assert!(result.passed, "{}: {}\n{text}", result.name, result.detail);
    }
    assert!(
        text.contains("# fields: id (integer), updatedAt (string), name (string, required), parent"),
        "{text}"
    );
    assert!(text.contains("/customers/{customerId}/notes"), "what is left out is said: {text}");
    assert!(text.matches("# review:").count() >= 5, "{text}");
}

#[test]
fn every_way_of_signing_in_that_is_described_is_written_down() {
    let bearer = "{type: http, scheme: bearer}";
    for (scheme, part) in [
        (bearer, "Bearer"),
        ("{type: http, scheme: basic}", "base64"),
        ("{type: apiKey, in: header, name: X-Key}", "X-Key"),
        ("{type: apiKey, in: query, name: api_key}", "query: "),
        (
            "{type: oauth2, flows: {clientCredentials: {tokenUrl: \"https://a.example/oauth/token\", scopes: {}}}}",
            "path: \"/oauth/token\"",
        ),
        ("{type: mutualTLS}", "does not say how requests are signed in"),
    ] {
        assert!(SHOP.contains(bearer));
        let text = draft(&SHOP.replace(bearer, scheme), Some("My Shop")).expect("a manifest");
        assert!(text.contains(part) && text.contains("connector: my-shop\n"), "{scheme}: {text}");
        Connector::compile(&text, "shop.yaml").unwrap_or_else(|errors| panic!("{errors}\n{text}"));
    }
}

#[test]
fn r20_a_document_that_says_too_little_or_nonsense_is_refused_and_breaks_nothing() {
    for (text, wanted) in [
        ("", None),
        ("[", None),
        ("openapi: 3.0.0", Some(OpenApiError::NotOpenApi)),
        ("swagger: '2.0'\npaths: {}", Some(OpenApiError::NotOpenApi)),
        ("openapi: 3.1.0\npaths: {}", Some(OpenApiError::Nothing)),
        (
            "openapi: 3.1.0\npaths: {/a: {get: 5}, '/b/{x}': 7, '': {}, /: {get: {}}}",
            Some(OpenApiError::Nothing),
        ),
    ] {
        let refused = draft(text, None).expect_err("it is refused");
        assert!(wanted.is_none_or(|wanted| wanted == refused), "{text}: {refused:?}");
    }
    // names that mean something to YAML and to jq stay names
    let odd = r#"{"openapi": "3.0.0", "info": {"title": "\n# \"x\": {y}"}, "paths": {"/a\"b #c/{i d}": {"get": {"responses":
        {"200": {"content": {"application/json": {"schema": {"type": "object", "properties": {"i d": {"type": "string"},
        "updated_at": {"type": "integer"}, "\"\\(1)": {"type": "string\n"}}}}}}}}}}}"#;
    let text = draft(odd, None).expect("a manifest");
    Connector::compile(&text, "odd.yaml").unwrap_or_else(|errors| panic!("{errors}\n{text}"));
}
