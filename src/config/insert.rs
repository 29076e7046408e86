//! Adding a table to a configuration that a person wrote: its text is kept as it is, line by line, with its comments.

use serde_json::Value;

use crate::config::load::parse;

/// Why a table cannot be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InsertError {
    #[error("{0} is in the configuration already; add the binding to its `bindings` by hand")]
    Known(String),
    #[error("`tables` is not written as a block, one table below the other; add the table by hand")]
    NotABlock,
    #[error("the file would not be a good configuration with this table: {0}; add it by hand")]
    Bad(String),
}

/// The text with one table more. `entry` is a whole `tables:` block with that table alone, two spaces deeper at each
/// level. Nothing of the text is lost: what is read from the new one is what the old one says, and the table.
///
/// # Errors
/// [`InsertError`]; nothing is lost, since nothing is written here.
pub fn with_table(file: &str, text: &str, entry: &str) -> Result<String, InsertError> {
    let bad = |error: &dyn std::fmt::Display| InsertError::Bad(error.to_string());
    let (old, _) = parse(file, text).map_err(|error| bad(&error))?;
    let added: Value = serde_saphyr::from_str(entry).map_err(|error| bad(&error.without_snippet()))?;
    let added = added.get("tables").and_then(Value::as_object);
    let Some((name, table)) = added.and_then(|tables| tables.iter().next()) else {
        return Err(InsertError::Bad("the table has no name".to_owned()));
    };
    if old.tables.contains_key(name) {
        return Err(InsertError::Known(name.clone()));
    }
    let new_text = inserted(text, entry).ok_or(InsertError::NotABlock)?;
    let (new, _) = parse(file, &new_text).map_err(|error| bad(&error))?;
    let mut wanted = serde_json::to_value(&old).map_err(|error| bad(&error))?;
    let table: crate::config::file::TableFile =
        serde_json::from_value(table.clone()).map_err(|error| bad(&error))?;
    let table = serde_json::to_value(table).map_err(|error| bad(&error))?;
    if let Some(tables) = wanted.pointer_mut("/tables").and_then(Value::as_object_mut) {
        tables.insert(name.clone(), table);
    }
    let found = serde_json::to_value(&new).map_err(|error| bad(&error))?;
    if found == wanted { Ok(new_text) } else { Err(InsertError::NotABlock) }
}

/// The text with the entry's lines at the end of the block `tables`; `None` where there is no such block.
fn inserted(text: &str, entry: &str) -> Option<String> {
    let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let fresh: Vec<&str> = entry.lines().skip(1).collect();
    let head = lines.iter().position(|line| is_head(line));
    let Some(head) = head else {
        if lines.last().is_some_and(|line| !line.trim().is_empty()) {
            lines.push(String::new());
        }
        lines.push("tables:".to_owned());
        lines.extend(fresh.iter().map(|line| (*line).to_owned()));
        return Some(lines.join(end) + end);
    };
    let said = lines.get(head)?.split_once(':').map_or("", |(_, said)| said);
    let (value, comment) =
        said.split_once('#').map_or((said, None), |(value, comment)| (value, Some(comment)));
    match value.trim().replace(' ', "").as_str() {
        "" => {}
        "{}" => {
            let comment = comment.map(|comment| format!(" #{comment}")).unwrap_or_default();
            *lines.get_mut(head)? = format!("tables:{comment}");
        }
        _ => return None,
    }
    let below = lines.iter().enumerate().skip(head + 1);
    let block = below.take_while(|(_, line)| line.trim().is_empty() || line.starts_with([' ', '#', '\t']));
    let inside: Vec<(usize, usize)> = block
        .filter(|(_, line)| line.starts_with(' ') && !line.trim().is_empty())
        .map(|(at, line)| (at, line.len() - line.trim_start().len()))
        .collect();
    let depth = inside
        .iter()
        .find(|(at, _)| lines.get(*at).is_some_and(|line| !line.trim_start().starts_with('#')))
        .map_or(2, |(_, depth)| *depth);
    let place = inside.last().map_or(head, |(at, _)| *at) + 1;
    let deeper = |line: &&str| format!("{}{}", " ".repeat(depth), line.get(2..).unwrap_or_default());
    lines.splice(place..place, fresh.iter().map(deeper));
    let mut new = lines.join(end);
    if text.ends_with('\n') || place >= lines.len() {
        new += end;
    }
    Some(new)
}

/// Whether a line begins the block `tables`.
fn is_head(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default();
    line.contains(':') && matches!(name.trim_end(), "tables" | "\"tables\"" | "'tables'")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: &str = "tables:\n  crm.account:\n    bindings:\n      - system: crm\n        object: AccountObj\n        # by which field?\n        fields:\n          name: name\n";

    const SYSTEMS: &str = "systems: # ours\n  crm: {connector: fxiaoke}\n";

    const ONE: &str = "  sales.customer: # the big one\n    bindings:\n      - {system: crm, object: ContactObj, fields: {name: name}}\n";

    fn with(text: &str) -> Result<String, InsertError> {
        with_table("rowtwin.yaml", text, ENTRY)
    }

    #[test]
    fn a_file_without_tables_gets_its_first() {
        for (tables, said) in [
            ("", "tables:"),
            ("tables: {}\n", "tables:"),
            ("tables: { } # none yet\n", "tables: # none yet"),
            ("tables: {}\n# the end\n", "tables:"),
        ] {
            let new = with(&format!("{SYSTEMS}{tables}")).unwrap_or_else(|error| panic!("{tables}: {error}"));
            assert!(new.starts_with(SYSTEMS), "{new}");
            assert!(new.contains(&format!("{said}\n  crm.account:\n")), "{new}");
        }
    }

    #[test]
    fn every_line_of_a_persons_file_stays_as_it_was() {
        let serve = "\n# what we serve\nserve: {port: 0}\n";
        for text in [
            format!("{SYSTEMS}tables:\n{ONE}"),
            format!("{SYSTEMS}\ntables:\n\n# first\n{ONE}\n    # to do: contacts\n\n# more to come\n{serve}"),
            format!("tables:\n{ONE}{SYSTEMS}{serve}"),
            format!("{SYSTEMS}tables:\n{}{serve}", ONE.replace("  ", "    ")),
            format!("{SYSTEMS}tables:\n{}", ONE.trim_end()),
            format!("{SYSTEMS}tables:\n{ONE}").replace('\n', "\r\n"),
        ] {
            let new = with(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let mut left = new.lines();
            for line in text.lines() {
                assert!(left.any(|have| have == line), "{line:?} is lost in\n{new}");
            }
            assert_eq!(new.lines().count(), text.lines().count() + 7, "{new}");
            assert_eq!(new.contains('\r'), text.contains('\r'));
            let twice = with(&new);
            assert_eq!(twice, Err(InsertError::Known("crm.account".to_owned())));
        }
    }

    #[test]
    fn what_cannot_be_kept_is_left_to_a_person() {
        let flow = format!("{SYSTEMS}tables: {{sales.customer: {{bindings: []}}}}\n");
        assert_eq!(with(&flow), Err(InsertError::NotABlock));
        assert!(matches!(with("systems: {}\ntables: {}\n"), Err(InsertError::Bad(_))), "no such system");
        assert!(matches!(with("systems: ["), Err(InsertError::Bad(_))));
        let doubled = "systems: {crm: {connector: fxiaoke}}\ntables:\n  sales.customer: {bindings: [\n  ]}\n";
        assert!(with(doubled).is_ok());
    }
}
