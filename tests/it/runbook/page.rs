//! The runbook as a person reads it: sections, and the statements and commands in them.

use crate::support::Scene;

const PAGE: &str = include_str!("../../../docs/runbook.md");

/// What stands under a heading.
pub struct Section {
    pub title: &'static str,
    text: &'static str,
}

/// All sections, in the order of the page.
pub fn sections() -> Vec<Section> {
    let parts = PAGE.split("\n## ").skip(1);
    parts.map(|part| part.split_once('\n').unwrap()).map(|(title, text)| Section { title, text }).collect()
}

/// The section of this heading.
pub fn section(title: &str) -> Section {
    sections().into_iter().find(|one| one.title == title).unwrap_or_else(|| panic!("no section {title}"))
}

impl Section {
    fn fenced(&self, language: &str) -> Vec<&'static str> {
        let opens = format!("```{language}\n");
        self.text.split(&opens).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
    }

    /// The blocks of SQL.
    pub fn sql(&self) -> Vec<&'static str> {
        self.fenced("sql")
    }

    /// The commands for a shell, a line each, without their comments.
    pub fn commands(&self) -> Vec<&'static str> {
        self.fenced("sh")
            .into_iter()
            .flat_map(str::lines)
            .map(|line| line.split('#').next().unwrap().trim())
            .collect()
    }

    /// What stands between backticks in the text.
    pub fn spans(&self) -> Vec<&'static str> {
        let prose = self.text.split("```").step_by(2);
        prose.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
    }

    /// The first cells of its tables.
    pub fn first_cells(&self) -> Vec<&'static str> {
        let lines = self.text.lines().filter_map(|line| line.strip_prefix("| "));
        lines.map(|line| line.split(" |").next().unwrap()).collect()
    }

    pub fn text_has(&self, wanted: &str) -> bool {
        self.text.contains(wanted)
    }

    /// Runs a block as somebody with psql would, and gives what came out.
    pub async fn run(&self, scene: &Scene, block: usize) -> Shown {
        let sql = self.sql()[block];
        let answers = scene.sql.simple_query(sql).await;
        let answers = answers.unwrap_or_else(|error| panic!("{}: {sql}: {error:?}", self.title));
        let mut shown = Shown { rows: 0, text: String::new() };
        for answer in answers {
            if let tokio_postgres::SimpleQueryMessage::Row(row) = answer {
                shown.rows += 1;
                for cell in (0..row.len()).filter_map(|place| row.get(place)) {
                    shown.text += cell;
                    shown.text.push('\n');
                }
            }
        }
        shown
    }

    /// The first block, which looks: it must show this.
    pub async fn shows(&self, scene: &Scene, wanted: &str) {
        let shown = self.run(scene, 0).await;
        assert!(shown.text.contains(wanted), "{}: {wanted} is not in {}", self.title, shown.text);
    }
}

/// What a block of SQL showed.
pub struct Shown {
    pub rows: usize,
    pub text: String,
}
