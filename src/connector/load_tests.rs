//! Loading manifests: every mistake at once, each with its place.

use super::*;

#[test]
fn the_built_in_connectors_compile() {
    for name in Connector::built_in() {
        let connector = Connector::load(name, None).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(connector.name, name);
        assert!(!connector.title.is_empty());
    }
}

const SMALL: &str = "
connector: small
title: Small
version: 1
request:
  base: .settings.base_url
objects:
  thing:
    id: .record.id
    operations:
      list:
        path: /things
        records: .body
";

#[test]
fn every_mistake_is_found_at_once_with_its_line() {
    assert!(Connector::compile(SMALL, "small.yaml").is_ok());
    let broken = SMALL
        .replace(
            "base: .settings.base_url",
            "base: .settings.base_url | trimm\n  headers: |\n    {a: 1,\n     b: nope(1)}",
        )
        .replace("records: .body", "next: .body |")
        .replace("version: 1", "version: 2");
    let errors = Connector::compile(&broken, "small.yaml").expect_err("mistakes").to_string();
    for expected in [
        "small.yaml: version 2 of the vocabulary is not known",
        "small.yaml:6: there is no filter `trimm` here",
        "small.yaml:9: there is no filter of 1 arguments `nope` here",
        "list needs `records`",
        "small.yaml:16: expected term, found the end",
    ] {
        assert!(errors.contains(expected), "{expected} is not in:\n{errors}");
    }
}

#[test]
fn an_unknown_word_is_refused_with_its_line() {
    let errors = Connector::compile(&SMALL.replace("title:", "titel:"), "small.yaml").expect_err("a mistake");
    assert!(errors.to_string().starts_with("small.yaml:3: unknown field `titel`"), "{errors}");
}

#[test]
fn a_folder_stands_before_the_binary() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("tryton.yaml"), SMALL).expect("a manifest");
    let load = |name| Connector::load(name, Some(folder.path()));
    assert_eq!(load("tryton").expect("the folder's").name, "small");
    assert_eq!(load("fxiaoke").expect("the binary's").name, "fxiaoke");
    let path = folder.path().join("tryton.yaml");
    assert_eq!(Connector::load(&path.display().to_string(), None).expect("the file's").name, "small");
    let errors = load("nothing").expect_err("no such connector").to_string();
    assert!(errors.contains(&format!("there are {}, or", Connector::built_in().join(", "))), "{errors}");
}

#[test]
fn a_lifecycle_that_cannot_end_is_refused_with_its_line() {
    let lifecycle = "    lifecycle:\n      state: .record.s\n      editable: [A]\n      steps: {submit: {from: [A], to: B, path: /s}}\n      targets: {audited: [C]}\n";
    let text = format!(
        "connector: x\ntitle: X\nversion: 1\nrequest: {{base: .settings.a}}\nobjects:\n  thing:\n    id: .record.id\n{lifecycle}"
    );
    let errors = Connector::compile(&text, "x.yaml").expect_err("mistakes").to_string();
    for part in
        ["x.yaml:9: lifecycle of thing: target `audited` cannot be reached", "needs the operation `read`"]
    {
        assert!(errors.contains(part), "{part}: {errors}");
    }
    let text = text.replace(".record.s\n", "if .record.s then 1 else 2 end\n");
    let errors = Connector::compile(&text, "x.yaml").expect_err("mistakes").to_string();
    assert!(errors.contains("`state` must begin with the field that tells"), "{errors}");
}
