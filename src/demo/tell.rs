//! Telling: steps, plain words, small tables.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use serde_json::Value;

use crate::terminal::{Listing, Look, plain};

/// Prints the story and remembers what was not as promised.
pub struct Teller {
    pauses: bool,
    steps: usize,
    failed: Vec<String>,
}

impl Teller {
    /// With pauses people can follow; they are left out when nobody looks.
    pub fn new(pauses: bool) -> Self {
        Self { pauses: pauses && std::io::stdout().is_terminal(), steps: 0, failed: Vec::new() }
    }

    /// Steps told so far.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// What was not as promised.
    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// Begins a step.
    pub async fn step(&mut self, title: &str) {
        if self.pauses && self.steps > 0 {
            tokio::time::sleep(Duration::from_millis(1500)).await;
        }
        self.steps += 1;
        self.line(&format!("\n━━ {}. {title}", self.steps));
    }

    /// A line of plain words. A reader who went away does not stop the demo.
    pub fn line(&self, text: &str) {
        let _ = writeln!(std::io::stdout(), "{text}");
    }

    /// A statement as somebody types it.
    pub fn sql(&self, text: &str) {
        self.line(&format!("   mirror=# {text}"));
    }

    /// Something that somebody does in a system's own pages.
    pub fn person(&self, text: &str) {
        self.line(&format!("   ☞ {text}"));
    }

    /// A promise and whether it was kept.
    pub fn verify(&mut self, promise: &str, kept: bool) {
        if kept {
            self.line(&format!("   ✓ {promise}"));
        } else {
            self.failed.push(format!("step {}: {promise}", self.steps));
            self.line(&format!("   ✗ {promise}"));
        }
    }

    /// A small table.
    pub fn table(&self, header: &[&str], rows: &[Vec<Value>]) {
        let mut table = Listing::of(Look::Drawn, header);
        for row in rows {
            table.row(row.iter().map(|value| if value.is_null() { "–".to_owned() } else { plain(value) }));
        }
        for line in table.to_string().lines() {
            self.line(&format!("   {line}"));
        }
    }
}
