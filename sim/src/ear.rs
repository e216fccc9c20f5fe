//! What the servers say while a run goes on: the lines that an operator would read.
//!
//! They say what no checker can see from outside, a torn tail or a damaged snapshot, and they tell
//! the story of a run best.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::span;
use tracing::subscriber::set_global_default;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::coverage::{Coverage, Rare};

/// What was said in a run.
#[derive(Default)]
pub struct Heard {
    /// What it shows to have happened.
    pub coverage: Coverage,
    /// All of it since the last look, if somebody wants to hear it.
    pub lines: Vec<String>,
    is_told: bool,
}

thread_local! {
    /// One thread runs one world at a time.
    static HEARD: RefCell<Heard> = RefCell::default();
}

/// Listens from now on in this thread, for the run that begins.
pub fn listen(is_told: bool) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Where somebody listens already, as in tests, nothing is heard here.
        let _ = set_global_default(Ear);
    });
    HEARD.set(Heard { is_told, ..Heard::default() });
}

/// The lines since the last look.
pub fn take_lines() -> Vec<String> {
    HEARD.with_borrow_mut(|heard| std::mem::take(&mut heard.lines))
}

/// What was heard in the run so far.
pub fn coverage() -> Coverage {
    HEARD.with_borrow(|heard| heard.coverage.clone())
}

struct Ear;

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        HEARD.with_borrow_mut(|heard| {
            let mut line = Line { is_whole: heard.is_told, ..Line::default() };
            event.record(&mut line);
            if let Some(rare) = Rare::told_by(&line.message) {
                heard.coverage.add(rare);
            }
            if heard.is_told {
                heard.lines.push(format!("{}{}", line.message, line.fields));
            }
        });
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
    is_whole: bool,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // A string takes what is written to it.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name if self.is_whole => write!(self.fields, ", {name} {value:?}"),
            _ => Ok(()),
        };
    }
}
