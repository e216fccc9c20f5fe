//! What is wrong with a configuration, where, and how to mend it.

use core::fmt;

/// Everything that is wrong with a configuration, in the order of its lines. Never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigError {
    /// The problems found.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Where it stands.
    pub origin: Origin,
    /// What is wrong, in one sentence without a full stop.
    pub cause: String,
    /// What to do about it; empty when the cause says it all.
    pub mend: String,
}

/// Where a setting comes from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// A line of a file, counted from 1.
    Line {
        /// Name of the file as it was given.
        file: String,
        /// Number of the line.
        line: usize,
    },
    /// A file as a whole.
    File(String),
    /// An environment variable.
    Environment(String),
}

impl Problem {
    pub(super) fn new(
        origin: Origin,
        cause: impl Into<String>,
        mend: impl Into<String>,
    ) -> Problem {
        Problem { origin, cause: cause.into(), mend: mend.into() }
    }
}

impl ConfigError {
    /// An error with these problems, sorted by place; `None` when there are none.
    pub(super) fn of(mut problems: Vec<Problem>) -> Option<ConfigError> {
        problems.sort_by(|a, b| a.origin.cmp(&b.origin));
        (!problems.is_empty()).then_some(ConfigError { problems })
    }
}

impl core::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.problems.iter().enumerate() {
            if position > 0 {
                formatter.write_str("\n")?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.origin, self.cause)?;
        match self.mend.as_str() {
            "" => Ok(()),
            mend => write!(formatter, "; {mend}"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Line { file, line } => write!(formatter, "{file}:{line}"),
            Origin::File(file) => formatter.write_str(file),
            Origin::Environment(name) => write!(formatter, "environment variable {name}"),
        }
    }
}
