//! Standard output: raw bytes, aligned tables, JSON.

use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::arguments::Format;
use super::exit::Failure;

/// What a verb prints to.
pub(super) struct Output {
    format: Format,
    sink: BufWriter<io::Stdout>,
}

impl Output {
    /// Standard output in this format.
    pub(super) fn new(format: Format) -> Output {
        Output { format, sink: BufWriter::new(io::stdout()) }
    }

    /// Whether the user asked for JSON.
    pub(super) fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Prints bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.sink.write_all(bytes)?)
    }

    /// Hands everything over to the system; a verb's last act.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.sink.flush()?)
    }

    /// Prints a line of text.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Prints a value as indented JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
        self.line(&text)
    }

    /// Prints a table whose first row is its head.
    pub(super) fn table(&mut self, rows: &[Vec<String>]) -> Result<(), Failure> {
        self.bytes(aligned(rows).as_bytes())
    }
}

/// Rows with their columns under each other, two blanks apart.
fn aligned(rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        widths.resize(widths.len().max(row.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["name", "kind", "bytes"]), row(["größe", "value", "1"])];
        assert_eq!(aligned(&rows), "name   kind   bytes\ngröße  value  1\n");
        assert_eq!(aligned(&[]), "");
    }
}
