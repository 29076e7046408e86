//! Documents of several makers: what is drafted from them loads, and says what the document says.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;
use crate::connector::Connector;
use crate::connector::manifest::Manifest;

const SHOP: &str = r##"
openapi: 3.1.0
info: {title: The Shop API, version: "1"}
servers: [{url: https://shop.example.com/api}]
security: [{token: []}]
paths:
  /v1/customers:
    get:
      parameters:
        - {name: limit, in: query, schema: {type: integer, maximum: 250}}
        - {name: starting_after, in: query, schema: {type: string}}
        - {name: updated_since, in: query, schema: {type: string, format: date-time}}
        - {name: email, in: query, schema: {type: string}}
      responses:
        "200": {content: {application/json: {schema: {type: object, properties: {
          data: {type: array, items: {$ref: "#/components/schemas/Customer"}}, total: {type: integer}}}}}}
    post:
      requestBody: {content: {application/json: {schema: {type: object, properties: {customer: {$ref: "#/components/schemas/Customer"}}}}}}
      responses: {"201": {content: {application/json: {schema: {$ref: "#/components/schemas/Customer"}}}}}
  /v1/customers/{customer_id}:
    parameters: [{name: customer_id, in: path, required: true, schema: {type: integer}}]
    get: {responses: {"200": {content: {application/json: {schema: {$ref: "#/components/schemas/Customer"}}}}}}
    patch: {requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Customer"}}}}, responses: {"200": {description: ok}}}
    delete: {responses: {"204": {description: gone}}}
  /v1/customers/{customer_id}/notes:
    get: {responses: {"200": {content: {application/json: {schema: {type: array, items: {type: object, properties: {id: {type: string}}}}}}}}}
  /v1/customers/{customer_id}/notes/{id}:
    get: {responses: {"200": {description: one}}}
  /v1/ping:
    get: {responses: {"200": {description: pong}}}
components:
  securitySchemes: {token: {type: http, scheme: bearer}}
  schemas:
    Base: {type: object, properties: {id: {type: integer, readOnly: true}, updated_at: {type: string, format: date-time, readOnly: true}}}
    Customer:
      allOf:
        - {$ref: "#/components/schemas/Base"}
        - {type: object, properties: {name: {type: string}, email: {type: [string, "null"]}, parent: {$ref: "#/components/schemas/Customer"}, "zip-code": {type: string}}}
"##;

fn loaded(draft: &Draft) -> (Connector, Manifest) {
    let connector = Connector::compile(&draft.text, "draft.yaml");
    let connector = connector.unwrap_or_else(|error| panic!("{error}\n{}", draft.text));
    (connector, serde_saphyr::from_str(&draft.text).unwrap())
}

#[test]
fn a_document_becomes_a_manifest_that_loads() {
    let draft = draft(SHOP, None).unwrap();
    let (connector, manifest) = loaded(&draft);
    assert_eq!((connector.name.as_str(), connector.title.as_str()), ("the-shop-api", "The Shop API"));
    assert_eq!(draft.objects, ["customers"]);
    assert_eq!(draft.left_out.len(), 1, "{:?}", draft.left_out);
    assert!(draft.left_out[0].contains("/v1/customers/{customer_id}/notes"));
    assert!(draft.to_review() > 5);
    let object = &manifest.objects["customers"];
    let text = |jq: &Option<crate::connector::manifest::Jq>| {
        jq.as_ref().map(|jq| jq.text.clone()).unwrap_or_default()
    };
    assert_eq!(text(&object.id), ".record.id");
    assert!(text(&object.modified).starts_with(".record.updated_at"));
    assert_eq!(object.read_only.as_deref().unwrap(), ["id", "updated_at"]);
    let paths: BTreeMap<&str, String> =
        object.operations.iter().map(|(name, operation)| (name.word(), text(&operation.path))).collect();
    assert_eq!(
        paths,
        BTreeMap::from([
            ("list", "/v1/customers".to_owned()),
            ("find", "/v1/customers".to_owned()),
            ("read", "/v1/customers/{.ids[0]}".to_owned()),
            ("create", "/v1/customers".to_owned()),
            ("update", "/v1/customers/{.items[0].id}".to_owned()),
            ("delete", "/v1/customers/{.items[0].id}".to_owned()),
        ])
    );
    let of = |name: &str| object.operations.iter().find(|(known, _)| known.word() == name).unwrap().1;
    assert_eq!(of("list").batch, Some(250));
    assert_eq!(text(&of("list").records), ".body.data");
    assert_eq!(
        text(&of("list").next),
        "if (.body.data | length) < .limit then null else .body.data[-1].id end"
    );
    assert_eq!(text(&of("create").body), r#"{"customer": .items[0].fields}"#);
    assert_eq!(text(&of("update").body), ".items[0].changes");
}

#[test]
fn the_ways_of_signing_in_and_of_paging_load() {
    let schemes = [
        json!({"type": "http", "scheme": "basic"}),
        json!({"type": "apiKey", "in": "header", "name": "X-Api-Key"}),
        json!({"type": "apiKey", "in": "query", "name": "key"}),
        json!({"type": "oauth2", "flows": {"clientCredentials": {"tokenUrl": "https://x.example.com/token", "scopes": {}}}}),
        json!({"type": "oauth2", "flows": {}}),
    ];
    let pages = ["page", "offset", "cursor", "after", "nothing"];
    for (scheme, page) in schemes.iter().zip(pages) {
        let document = json!({
            "openapi": "3.0.3",
            "info": {"title": "名字 \"quoted\": 'so'"},
            "servers": [{"url": "https://x.example.com"}],
            "paths": {
                "/{tenant}/things": {"get": {
                    "parameters": [{"name": page, "in": "query"}, {"name": "page_size", "in": "query"}],
                    "responses": {"default": {"content": {"application/hal+json": {"schema": {
                        "properties": {"things": {"items": {"properties": {"thing-id": {"type": "string"}}}},
                                       "meta": {"properties": {"next_cursor": {"type": "string"}}}}}}}}}},
                    "post": {"requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": {}}}}}},
                "/{tenant}/things/{thing-id}": {"put": {}, "get": {}}
            },
            "components": {"securitySchemes": {"one": scheme}}
        });
        let draft = draft(&document.to_string(), Some("things")).unwrap();
        let (_, manifest) = loaded(&draft);
        let object = &manifest.objects["things"];
        assert_eq!(object.id.as_ref().unwrap().text, r#".record["thing-id"]"#);
        assert!(manifest.settings.contains_key("tenant"));
        assert!(draft.text.contains("sign_in:"));
    }
}

#[test]
fn what_is_no_document_is_refused_with_what_it_is() {
    assert!(matches!(draft("[1, 2", None), Err(OpenApiError::Unreadable(_))));
    let old = draft(r#"{"swagger": "2.0"}"#, None).unwrap_err().to_string();
    assert!(old.contains("not there") && old.contains("Swagger 2"), "{old}");
    assert_eq!(draft(r#"{"openapi": "3.0.0", "paths": {}}"#, None), Err(OpenApiError::NoObjects));
    // a schema that refers to itself, and one that is not there
    let circle = json!({"openapi": "3.0.0", "paths": {"/a": {"get": {"responses": {"200": {"content": {"application/json":
        {"schema": {"$ref": "#/components/schemas/A"}}}}}}}, "/a/{id}": {"get": {}}},
        "components": {"schemas": {"A": {"allOf": [{"$ref": "#/components/schemas/A"}, {"$ref": "#/nowhere"}]}}}});
    assert_eq!(draft(&circle.to_string(), None), Err(OpenApiError::NoObjects));
}
