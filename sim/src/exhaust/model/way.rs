//! The name of one way through the states, from which it can be gone again.

use std::fmt;
use std::str::FromStr;

use super::openings::{self, Opening};
use super::state::Budget;

/// An opening, how much may happen, and what does.
///
/// As text, `elect/2.0.0.0.0.0.0:3.0.1` takes choice 3 of the opening `elect` with two timeouts and
/// nothing else, then 0, then 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way {
    /// Name of the opening.
    pub opening: String,
    /// What may happen.
    pub budget: Budget,
    /// The choices.
    pub path: Vec<u16>,
}

impl Way {
    /// The opening.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn opening(&self) -> Result<&'static Opening, String> {
        openings::named(&self.opening).ok_or_else(|| {
            let names: Vec<_> = openings::ALL.iter().map(|opening| opening.name).collect();
            format!("no opening has the name `{}`; there are {}", self.opening, names.join(", "))
        })
    }
}

impl fmt::Display for Way {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: Vec<_> = self.path.iter().map(u16::to_string).collect();
        write!(formatter, "{}/{}:{}", self.opening, self.budget, path.join("."))
    }
}

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Way, String> {
        let error = || format!("`{text}` is no way; one looks like elect/2.0.0.0.0.0.0:3.0.1");
        let (begin, path) = text.split_once(':').ok_or_else(error)?;
        let (opening, budget) = begin.split_once('/').ok_or_else(error)?;
        let choices = path.split('.').filter(|choice| !choice.is_empty());
        let path = choices.map(|choice| choice.parse().map_err(|_| error()));
        let path = path.collect::<Result<_, _>>()?;
        Ok(Way { opening: opening.to_owned(), budget: budget.parse()?, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trip() {
        for text in ["elect/2.0.0.0.0.0.0:3.0.1", "replace/1.2.3.4.5.6.7:"] {
            assert_eq!(text.parse::<Way>().map(|way| way.to_string()), Ok(text.to_owned()));
        }
        for bad in ["elect:3", "elect/2.0.0.0.0.0.0", "elect/2.0:1", "elect/2.0.0.0.0.0.0:x"] {
            assert!(bad.parse::<Way>().is_err(), "{bad}");
        }
        assert!("none/2.0.0.0.0.0.0:".parse::<Way>().is_ok_and(|way| way.opening().is_err()));
    }
}
