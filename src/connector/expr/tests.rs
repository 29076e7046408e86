//! Expressions: values, errors with their place, and programs that must be stopped.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

fn run(source: &str, input: Value) -> Value {
    let expr = Expr::compile(source, "test").expect(source);
    expr.first(&input).expect(source).expect("a value")
}

#[test]
fn programs_and_plain_paths_give_their_values() {
    assert_eq!(run(".a.b", json!({"a": {"b": 1}})), json!(1));
    assert_eq!(run(".a.b.c", json!({"a": {"b": null}})), Value::Null);
    assert_eq!(run("[.[] | select(. > 1)]", json!([1, 2, 3])), json!([2, 3]));
    assert_eq!(run(".[] |= . + 1", json!([1, 2])), json!([2, 3]));
    assert_eq!(run("[paths]", json!({"a": [1]})), json!([["a"], ["a", 0]]));
    assert_eq!(run("with_entries(.value |= tostring) | keys", json!({"b": 1, "a": 2})), json!(["a", "b"]));
    assert_eq!(run("{a, b: (.c // \"none\")} | del(.a)", json!({"a": 1})), json!({"b": "none"}));
    assert_eq!(run("[splits(\", \")]", json!("a, b")), json!(["a", "b"]));
    assert_eq!(
        run("getpath([\"a\", 0]) = 2 | setpath([\"b\"]; 3)", json!({"a": [1]})),
        json!({"a": [2], "b": 3})
    );
    let all = Expr::compile("range(3)", "test").expect("a program").all(&Value::Null).expect("values");
    assert_eq!(all, [json!(0), json!(1), json!(2)]);
    assert_eq!(Expr::compile("empty", "t").expect("a program").first(&Value::Null), Ok(None));
    assert!(matches!(
        Expr::compile(".a.b", "t").expect("a path").first(&json!({"a": 1})),
        Err(ExprError::Run { .. })
    ));
}

#[test]
fn numbers_keep_every_digit() {
    for digits in ["1234567890123.45678901234567890", "123456789012345678901234567890", "0.10", "-12e+400"] {
        let input: Value = serde_json::from_str(&format!("{{\"x\": [{digits}]}}")).expect("JSON");
        for source in [".x", "[.x[]]", "[.x[0]]"] {
            let value = run(source, input.clone());
            assert_eq!(value.to_string(), format!("[{digits}]"), "{source}");
        }
        assert_eq!(run(".x[0] | tostring", input.clone()), json!(digits));
    }
    assert_eq!(run("\"31.50\" | tonumber", Value::Null).to_string(), "31.50");
}

#[test]
fn what_runs_away_is_stopped() {
    let programs = [
        "def f: f; f",
        "def f: 1 + f; f",
        "def f: [f]; f",
        "def f: f, f; [f]",
        "[repeat(.)]",
        "[range(1e18)]",
        "[range(0; 1; 0)]",
        "last(range(1e18))",
        "reduce range(1e18) as $i (0; $i)",
        "[foreach repeat(1) as $i (0; . + 1)]",
        "until(false; . + 1)",
        "[while(true; . + 1)]",
        "[recurse(. + 1)]",
        "def f: try f catch f; f",
        "def f: (1 | f)?; [f, f]",
        "[limit(1e18; repeat(1))]",
        "first(range(1e18) | select(. < 0))",
        "[range(1e5)] as $a | [$a[] as $x | $a[] as $y | $x + $y]",
        "label $out | repeat(1) | select(. == 2) | break $out",
    ];
    let bounds = Bounds { steps: 300_000, time: Duration::from_secs(2), ..Bounds::default() };
    for source in programs {
        let expr = Expr::compile(source, "test").expect(source);
        let answer = expr.evaluate(&json!(0), None, bounds);
        assert!(matches!(answer, Err(ExprError::Stopped { .. })), "{source}: {answer:?}");
    }
    // The threads are as good as new afterwards.
    assert_eq!(run("[range(3)] | length", Value::Null), json!(3));
}

#[test]
fn a_mistake_is_refused_with_its_place() {
    let refused = |source: &str| Expr::compile(source, "x.yaml").expect_err(source).to_string();
    assert_eq!(refused(".a |\n  nmae(1)"), "x.yaml:2:3: there is no filter of 1 arguments `nmae` here");
    assert_eq!(refused("$who"), "x.yaml:1:1: there is no variable `$who` here");
    assert!(refused("{a: ").starts_with("x.yaml:1:5: expected a closing brace"), "{}", refused("{a: "));
    assert!(refused("if . then").starts_with("x.yaml:1:10: expected term"), "{}", refused("if . then"));
    for withheld in ["env", "now", "halt", "debug", "input", "localtime", "$ENV"] {
        assert!(refused(withheld).contains("there is no"), "{withheld}");
    }
}

#[test]
fn errors_hold_no_values() {
    let input = json!({"name": "SECRET-NAME", "list": ["SECRET-NAME"]});
    for source in [".name + 1", ".name | .[0].x", ".name | tonumber", ".list | implode", ".name | keys"] {
        let error = Expr::compile(source, "t").expect(source).first(&input).expect_err(source);
        assert!(!error.to_string().contains("SECRET"), "{source}: {error}");
    }
}

#[test]
fn times_hashes_and_quoting() {
    let shanghai = r#""2026-03-01 10:11:12" | parse_time("%Y-%m-%d %H:%M:%S"; "Asia/Shanghai")"#;
    assert_eq!(run(shanghai, Value::Null), json!(1_772_331_072_000_i64));
    assert_eq!(
        run(r#"format_time("%Y-%m-%d %H:%M:%S"; "Asia/Shanghai")"#, json!(1_772_331_072_000_i64)),
        json!("2026-03-01 10:11:12")
    );
    assert_eq!(
        run(r#""2026-03-01" | parse_time("%Y-%m-%d"; "Asia/Shanghai")"#, Value::Null),
        json!(1_772_294_400_000_i64)
    );
    assert_eq!(run(r#""2026-03-01T02:11:12.34Z" | parse_iso"#, Value::Null), json!(1_772_331_072_340_i64));
    assert_eq!(run(r#""2026-03-01T02:11:12.34" | parse_iso"#, Value::Null), json!(1_772_331_072_340_i64));
    assert_eq!(run(r#""abc" | md5"#, Value::Null), json!("900150983cd24fb0d6963f7d28e17f72"));
    assert_eq!(run(r#""abc" | sha1"#, Value::Null), json!("a9993e364706816aba3e25717850c26c9cd0d89d"));
    assert_eq!(
        run(r#""what do ya want for nothing?" | hmac_sha256("Jefe")"#, Value::Null),
        json!("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    );
    assert_eq!(run(r#""a:b" | base64 | ., base64d"#, Value::Null), json!("YTpi"));
    assert_eq!(run(r#""客 户/&" | urlencode"#, Value::Null), json!("%E5%AE%A2%20%E6%88%B7%2F%26"));
    assert_eq!(run(r#""O'Neil" | sql_quote"#, Value::Null), json!("O''Neil"));
}

#[test]
fn definitions_are_shared() {
    let definitions =
        Definitions::new("def twice: . * 2;\ndef four: twice | twice;", "defs").expect("definitions");
    let expr = Expr::compile_with(&definitions, "[.[] | four]", "t").expect("a program");
    assert_eq!(expr.first(&json!([1, 2])), Ok(Some(json!([4, 8]))));
    assert!(Definitions::new("def twice: . *", "defs").is_err());
}

#[test]
fn a_key_that_cannot_sign_is_not_quoted() {
    let expr = Expr::compile("{a: 1} | jwt_rs256(\"-----BEGIN secret\")", "test").expect("a program");
    let error = expr.first(&Value::Null).expect_err("no key").to_string();
    assert!(error.contains("PEM") && !error.contains("secret"), "{error}");
}

#[test]
fn a_key_that_cannot_sign_by_ps256_is_told_and_not_shown() {
    let expr =
        Expr::compile("{a: 1} | jwt_ps256(\"-----BEGIN secret\"; {kid: 1})", "test").expect("a program");
    let error = expr.first(&Value::Null).expect_err("no key").to_string();
    assert!(error.contains("jwt_ps256") && error.contains("PEM") && !error.contains("secret"), "{error}");
}

#[test]
fn xml_is_read_and_written_by_filters() {
    let source = r#""<p:a xmlns:p='u'><b>1</b><b x='2'/></p:a>" | from_xml"#;
    assert_eq!(run(source, Value::Null), json!({"a": {"b": ["1", {"@x": "2"}]}}));
    assert_eq!(
        run("{a: {b: [., 0.10], c: null}} | to_xml", json!("<")),
        json!("<a><b>&lt;</b><b>0.10</b><c/></a>")
    );
    assert_eq!(
        run("[.[] | as_list]", json!([null, "a", ["a", "b"], {"a": 1}])),
        json!([[], ["a"], ["a", "b"], [{"a": 1}]])
    );
    assert_eq!(
        run("{doc: {inner: ({a: 1} | to_xml)}} | to_xml", Value::Null),
        json!("<doc><inner>&lt;a&gt;1&lt;/a&gt;</inner></doc>")
    );
    let expr = Expr::compile("from_xml", "test").expect("a program");
    let error =
        expr.first(&json!("<!DOCTYPE a [<!ENTITY b 'SECRET'>]><a>&b;</a>")).expect_err("a document type");
    assert!(error.to_string().contains("document type") && !error.to_string().contains("SECRET"), "{error}");
    assert!(expr.first(&Value::Null).is_err());
}
