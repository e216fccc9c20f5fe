//! Standard output: raw bytes, aligned tables, JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::arguments::Format;
use super::exit::Failure;

/// What a verb prints to.
pub(super) struct Output {
    format: Format,
    sink: Box<dyn Write>,
}

impl Output {
    /// Standard output in this format.
    pub(super) fn new(format: Format) -> Output {
        Output { format, sink: Box::new(io::stdout()) }
    }

    /// The format that the user asked for.
    pub(super) fn format(&self) -> Format {
        self.format
    }

    /// Prints bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.sink.write_all(bytes).and_then(|()| self.sink.flush())?)
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
}
