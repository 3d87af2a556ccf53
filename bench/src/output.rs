//! How results are told: tables for people, one document for programs.

use std::io::Write;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::machine::Machine;

/// What a measurement found.
pub(crate) trait Findings: Serialize {
    fn tables(&self) -> Vec<Table>;
    /// What was not measured and why, or what a reader has to know.
    fn notes(&self) -> &[String];
}

/// A title, a head and rows. The first column is left-aligned, the others right.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) title: String,
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: impl Into<String>, head: &[&str]) -> Self {
        let head = head.iter().map(|cell| (*cell).to_owned()).collect();
        Self { title: title.into(), rows: vec![head] }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
        let lines = self.rows.iter().map(|row| line(row, &widths));
        std::iter::once(self.title.clone()).chain(lines).collect::<Vec<_>>().join("\n")
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| match column {
        0 => format!("  {cell:<width$}"),
        _ => format!("  {cell:>width$}"),
    });
    cells.collect::<String>().trim_end().to_owned()
}

/// Prints what was found on standard output.
pub(crate) fn print(machine: &Machine, findings: &impl Findings, as_json: bool) -> Result<()> {
    #[derive(Serialize)]
    struct Document<'a, F> {
        machine: &'a Machine,
        #[serde(flatten)]
        findings: &'a F,
    }
    let text = if as_json {
        serde_json::to_string_pretty(&Document { machine, findings }).context("write the findings as JSON")?
    } else {
        let notes = findings.notes().iter().map(|note| format!("note: {note}"));
        let tables = findings.tables().into_iter().map(|table| table.text() + "\n");
        let all = std::iter::once(machine.line() + "\n").chain(tables).chain(notes);
        all.collect::<Vec<_>>().join("\n")
    };
    writeln!(std::io::stdout(), "{}", text.trim_end()).context("write to standard output")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new("times", &["what", "p50"]);
        table.row(["a longer name".to_owned(), "12 µs".to_owned()]);
        assert_eq!(table.text(), "times\n  what             p50\n  a longer name  12 µs");
    }
}
