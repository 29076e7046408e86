//! The connector of a simulated remote, written as an integrator would: a YAML file made of the remote's abilities.
//! So every seed tries another corner of the manifest's language.

use crate::remote::abilities::Abilities;

/// The manifest's text.
pub fn text(abilities: &Abilities) -> String {
    let a = abilities;
    let stamp = if a.seconds { ".record._modified * 1000" } else { ".record._modified" };
    let since = if a.seconds { "(if .since then (.since / 1000 | floor) else null end)" } else { ".since" };
    let version = if a.versions { "    version: .record._version\n    checks_version: true\n" } else { "" };
    let deleted = if a.tombstones { "    deleted: .record._deleted == true\n" } else { "" };
    let plants = if a.plants { "    attempt_field: '\"planted\"'\n" } else { "" };
    format!(
        r#"connector: simulated
title: A simulated remote
version: 1
settings:
  base_url: {{required: true}}
http: {{timeout: 60}}
sign_in:
  kinds:
    token:
      kind: token_exchange
      path: /sign_in
      body: "{{}}"
      token: .body.token
      expires_in: "3600"
      identity: .body.account
request:
  base: .settings.base_url
  headers: '{{"Authorization": "Bearer \(.token)"}}'
limits: {{in_flight: {in_flight}}}
answers:
  - {{when: .status == 200 and (.body | type) != "object", outcome: unknown, reason: '"the answer is no object"'}}
operations:
  list:
    batch: {page}
    path: /list
    body: '{{object: .object.name, since: {since}, after: .page, limit: .limit, ids_only: .ids_only}}'
    records: .body.records
    next: .body.next
  read:
    batch: {read_batch}
    path: /read
    body: '{{object: .object.name, ids: .ids}}'
    records: .body.records
  find:
    batch: {find_batch}
    path: /find
    body: '{{object: .object.name, by: .by}}'
    records: .body.records
  create:
    batch: {create_batch}
    path: /create
    body: '{{object: .object.name, items: [.items[] | {{attempt, fields}}]}}'
    results: .body.results
  update:
    batch: {update_batch}
    path: /update
    body: '{{object: .object.name, items: [.items[] | {{id, version, changes}}]}}'
    results: .body.results
  delete:
    batch: {delete_batch}
    path: /delete
    body: '{{object: .object.name, items: [.items[] | {{id, version}}]}}'
    results: .body.results
objects:
  "*":
    id: .record._id
    modified: {stamp}
{version}{deleted}{plants}    numeric_ids: {numeric}
    blank_is_null: {blank}
    idempotent_create: {idempotent}
    overlap: 60
    read_only: [_id, _version, _modified, _deleted]
    lines:
      "*": {{nested: '[.record.lines[]? | {{id, fields: .}}]'}}
"#,
        in_flight = a.in_flight,
        page = a.page,
        read_batch = a.read_batch,
        find_batch = a.find_batch,
        create_batch = a.create_batch,
        update_batch = a.update_batch,
        delete_batch = a.delete_batch,
        numeric = a.numeric_ids,
        blank = a.blank_is_null,
        idempotent = a.idempotent,
    )
}
