//! Queries of OData over a handful of records.

use serde_json::{Value, json};

use super::*;

fn records() -> Vec<Record> {
    let all = json!([
        {"id": "a", "name": "Acme", "credit": 10.50, "born": "2026-03-01", "seen": "2026-03-01T10:00:00Z", "live": true,
            "key": "5F2C1E0A-0000-4000-8000-000000000001"},
        {"id": "b", "name": "O'Neil & Sons", "credit": 9, "seen": "/Date(1772362800000+0000)/", "live": false},
        {"id": "c", "name": "acme west", "credit": null, "seen": "2026-03-02T00:00:00+08:00"},
    ]);
    let Value::Array(all) = all else { unreachable!() };
    all.into_iter().map(|one| one.as_object().unwrap().clone()).collect()
}

fn asked(version: Version, options: &[(&str, &str)]) -> Result<Query, Wrong> {
    let pairs: Vec<_> = options.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Query::read(version, &pairs)
}

fn found(version: Version, filter: &str) -> String {
    let query = asked(version, &[("$filter", filter)]).unwrap();
    query.all(records()).iter().map(|record| record["id"].as_str().unwrap()).collect()
}

#[test]
fn filters_of_the_fourth_version_mean_what_the_standard_says() {
    for (filter, expected) in [
        ("name eq 'Acme'", "a"),
        ("name eq 'O''Neil & Sons'", "b"),
        ("tolower(name) eq 'acme'", "a"),
        ("contains(name,'cme')", "ac"),
        ("startswith(name,'a') or endswith(name,'Sons')", "bc"),
        ("credit gt 9", "a"),
        ("credit ge 9.0 and not (credit gt 10)", "b"),
        ("credit eq null", "c"),
        ("credit ne 9", "ac"),
        ("credit lt 100", "ab"),
        ("live eq true or credit eq null and name ne 'x'", "ac"),
        ("(live eq true or credit eq null) and name eq 'Acme'", "a"),
        ("seen ge 2026-03-01T11:00:00Z", "bc"),
        ("seen lt 2026-03-01T18:00:00+08:00", ""),
        ("born eq 2026-03-01", "a"),
        ("key eq 5f2c1e0a-0000-4000-8000-000000000001", "a"),
        ("id in ('a','c')", "ac"),
        ("'b' lt id", "c"),
    ] {
        assert_eq!(found(Version::V4, filter), expected, "{filter}");
    }
}

#[test]
fn filters_of_the_second_version_have_their_own_literals() {
    for (filter, expected) in [
        ("seen ge datetime'2026-03-01T11:00:00'", "bc"),
        ("seen ge datetimeoffset'2026-03-01T11:00:00Z' and credit eq 9M", "b"),
        ("key eq guid'5f2c1e0a-0000-4000-8000-000000000001'", "a"),
        ("substringof('cme',name) eq true", "ac"),
        ("substringof('cme',name) and startswith(name,'A') eq false", "c"),
        ("credit lt 1.0e2d", "ab"),
    ] {
        assert_eq!(found(Version::V2, filter), expected, "{filter}");
    }
}

#[test]
fn what_cannot_be_read_is_refused_and_does_not_panic() {
    let deep = format!("{}id eq 'a'{}", "(".repeat(200), ")".repeat(200));
    for (version, filter) in [
        (Version::V4, ""),
        (Version::V4, "name"),
        (Version::V4, "name eq"),
        (Version::V4, "name like 'x'"),
        (Version::V4, "name eq 'open"),
        (Version::V4, "name eq 'a' name"),
        (Version::V4, "seen ge datetime'2026-03-01T11:00:00'"),
        (Version::V4, "substringof('a',name)"),
        (Version::V4, "id in (name)"),
        (Version::V2, "id in ('a')"),
        (Version::V2, "contains(name,'a')"),
        (Version::V2, "seen ge datetime'soon'"),
        (Version::V4, deep.as_str()),
    ] {
        let refused = asked(version, &[("$filter", filter)]);
        assert!(matches!(refused, Err(Wrong::Syntax(_))), "{filter}: {refused:?}");
    }
    assert_eq!(asked(Version::V2, &[("$count", "true")]).unwrap_err(), Wrong::Option("$count".to_owned()));
    assert!(asked(Version::V4, &[("$top", "x")]).is_err());
    assert!(asked(Version::V4, &[("$orderby", "name up")]).is_err());
}

#[test]
fn order_selection_and_pages() {
    let query = asked(
        Version::V4,
        &[
            ("$orderby", "credit desc,id"),
            ("$select", "name,credit"),
            ("$top", "2"),
            ("$skip", "1"),
            ("x", "1"),
        ],
    )
    .unwrap();
    let all = query.all(records());
    assert_eq!(all.iter().map(|record| record["id"].as_str().unwrap()).collect::<String>(), "abc");
    assert_eq!(
        query.shown(&all[0], &["id"]),
        *json!({"id": "a", "name": "Acme", "credit": 10.50}).as_object().unwrap()
    );
    assert_eq!((query.top, query.skip, query.count), (Some(2), 1, false));
    assert_eq!(query.names(), ["credit", "id", "name", "credit"]);
    assert!(query.orders() && !query.filters());
    // different forms of moments are ordered by time
    let by_time = asked(Version::V2, &[("$orderby", "seen"), ("$inlinecount", "allpages")]).unwrap();
    let ids: String = by_time.all(records()).iter().map(|record| record["id"].as_str().unwrap()).collect();
    assert_eq!((ids.as_str(), by_time.count), ("abc", true));
}

#[test]
fn keys_in_paths_are_taken_apart() {
    let guid = "5f2c1e0a-0000-4000-8000-000000000001";
    let given = |text: &str| Literal::Text(text.to_owned());
    assert_eq!(segment(Version::V4, "accounts"), Some(("accounts".to_owned(), Vec::new())));
    let (name, key) = segment(Version::V4, &format!("accounts({guid})")).unwrap();
    assert_eq!((name.as_str(), key), ("accounts", vec![(None, Literal::Guid(guid.to_owned()))]));
    let (_, key) = segment(Version::V4, "accounts(accountnumber='A-1, ''x=y''')").unwrap();
    assert_eq!(key, [(Some("accountnumber".to_owned()), given("A-1, 'x=y'"))]);
    let (_, key) = segment(Version::V2, "Items(SalesOrder='1',Item='10')").unwrap();
    assert_eq!(key, [(Some("SalesOrder".to_owned()), given("1")), (Some("Item".to_owned()), given("10"))]);
    let (_, key) = segment(Version::V2, &format!("Items(guid'{guid}')")).unwrap();
    assert_eq!(key[0].1.text(), guid);
    assert!(is_guid(guid) && !is_guid("5f2c1e0a"));
    assert_eq!(segment(Version::V4, "accounts('open"), None);
    assert_eq!(segment(Version::V4, "accounts(name)"), None);
}

#[test]
fn a_batch_is_taken_apart_into_requests_and_change_sets() {
    let of = |body: &str| {
        let headers = vec![("content-type".to_owned(), "multipart/mixed;boundary=b".to_owned())];
        crate::simulator::exchange::Request { headers, body: body.as_bytes().to_vec(), ..Default::default() }
    };
    let whole = "--b\r\nContent-Type: application/http\r\n\r\nGET https://host/api/accounts?$top=1 HTTP/1.1\r\n\r\n--b\r\nContent-Type: multipart/mixed;boundary=c\r\n\r\n--c\r\nContent-Type: application/http\r\nContent-ID: 7\r\n\r\nPOST accounts HTTP/1.1\r\nPrefer: x\r\n\r\n{\"a\":\"--b\"}\r\n--c--\r\n--b--\r\n";
    let parts = parts(&of(whole)).unwrap();
    assert_eq!(
        parts.iter().map(|part| (part.set, part.requests.len())).collect::<Vec<_>>(),
        [(false, 1), (true, 1)]
    );
    let (id, get) = &parts[0].requests[0];
    assert_eq!(
        (id, get.method.as_str(), get.path.as_str(), get.query.as_str()),
        (&None, "GET", "/api/accounts", "$top=1")
    );
    let (id, post) = &parts[1].requests[0];
    assert_eq!(
        (id.as_deref(), post.path.as_str(), post.header("prefer")),
        (Some("7"), "accounts", Some("x"))
    );
    assert_eq!(post.body, br#"{"a":"--b"}"#);
    for broken in ["", "--b\r\n", "--b--", whole.trim_end_matches("--b--\r\n"), "--b\r\n\r\nGET\r\n--b--"] {
        let read = super::parts(&of(broken));
        assert!(read.is_none_or(|parts| parts.is_empty()), "{broken}");
    }
}
