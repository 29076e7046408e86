//! `docs/sql.md`: the sentence under each heading is the comment of the view or function in the database.

use std::collections::BTreeMap;

use crate::files::{kept, read};

/// The longest line of what is written.
const WIDE: usize = 120;

/// The page as it must be: what stands under the headings is taken from the SQL, the rest stays.
pub fn written() -> String {
    let sql: String = kept()
        .into_iter()
        .filter(|file| file.path.starts_with("sql/api/") || file.path.starts_with("sql/views/"))
        .map(|file| file.text)
        .collect();
    let comments = comments(&sql);
    assert!(comments.len() > 30, "the comments are not found: {}", comments.len());
    page(&read("docs/sql.md"), &comments)
}

/// What each view and function of schema `rowtwin` says of itself, in one line.
fn comments(sql: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for part in sql.split("comment on ").skip(1) {
        let Some(named) =
            ["view rowtwin.", "function rowtwin."].iter().find_map(|start| part.strip_prefix(start))
        else {
            continue;
        };
        let name: String =
            named.chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect();
        // two quotes stand for one
        let mut text = String::new();
        let mut rest = part.split_once('\'').map_or("", |(_, rest)| rest);
        while let Some((before, after)) = rest.split_once('\'') {
            text += before;
            let Some(more) = after.strip_prefix('\'') else { break };
            text.push('\'');
            rest = more;
        }
        found.insert(name, text.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    found
}

fn page(old: &str, comments: &BTreeMap<String, String>) -> String {
    let mut new = String::new();
    let mut lines = old.lines();
    while let Some(line) = lines.next() {
        new += line;
        new.push('\n');
        let Some(named) = line.strip_prefix("## rowtwin.") else { continue };
        let name: String =
            named.chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect();
        let Some(comment) = comments.get(&name) else { continue };
        // the empty line, then the old sentence up to the next one
        lines.by_ref().find(|line| !line.trim().is_empty());
        lines.by_ref().find(|line| line.trim().is_empty());
        new.push('\n');
        let mut width = 0;
        for word in comment.split(' ') {
            let long = word.chars().count();
            if width > 0 && width + 1 + long > WIDE {
                new.push('\n');
                width = 0;
            }
            if width > 0 {
                new.push(' ');
                width += 1;
            }
            new += word;
            width += long;
        }
        new += "\n\n";
    }
    new
}

#[test]
fn the_sentence_under_a_heading_is_the_comment() {
    let sql = "comment on view rowtwin.a is\n  'What a''s rows\n are.';\ncomment on view rowtwin_private.b is 'no';\n\
               comment on function rowtwin.f(text) is 'Does it.';\n";
    let comments = comments(sql);
    assert_eq!(comments.len(), 2);
    let old = "# See\n\n## rowtwin.a\n\nOld words\nover lines.\n\nKept.\n\n## rowtwin.f(x)\n\nOld.\n\n```sql\n```\n";
    let new = "# See\n\n## rowtwin.a\n\nWhat a's rows are.\n\nKept.\n\n## rowtwin.f(x)\n\nDoes it.\n\n```sql\n```\n";
    assert_eq!(page(old, &comments), new);
    assert_eq!(page(new, &comments), new, "once more changes nothing");
}
