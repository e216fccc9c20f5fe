//! A configuration text with the environment laid over it, and the place of every setting in it.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer};

use super::error::{ConfigError, Origin, Problem};
use super::load::DEFAULTS;

/// What begins the names of variables that are meant for the configuration.
const VARIABLE_PREFIX: &str = "DONGTING_";

/// A parsed text.
///
/// Values from the environment get spans behind the end of the text: variable `n` of `overrides`
/// is at byte `text.len() + 1 + n`. So an error's span tells both kinds of origin.
pub(super) struct Document<'a> {
    file: &'a str,
    text: &'a str,
    overrides: &'a [(String, String)],
    table: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// Parses, lays `overrides` over the text, and refuses keys that no section has.
    pub(super) fn parse(
        file: &'a str,
        text: &'a str,
        overrides: &'a [(String, String)],
    ) -> Result<Document<'a>, ConfigError> {
        let table = DeTable::parse(text).map_err(|error| {
            let origin = line_origin(file, text, error.span().map_or(0, |span| span.start));
            let cause = format!("not TOML: {}", error.message().trim().replace('\n', ", "));
            ConfigError { problems: vec![Problem::new(origin, cause, "")] }
        })?;
        let mut document = Document { file, text, overrides, table };
        let mut problems = Vec::new();
        let known = known_keys();
        document.lay_over(&known, &mut problems);
        document.refuse_unknown(&known, &mut problems);
        match ConfigError::of(problems) {
            Some(error) => Err(error),
            None => Ok(document),
        }
    }

    /// Turns the document into a typed value.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        T::deserialize(Deserializer::from(self.table.clone())).map_err(|error| {
            let origin = match error.span() {
                Some(span) => self.origin(span.start),
                None => Origin::File(self.file.to_owned()),
            };
            let message = error.message().trim().replace('\n', ", ");
            let (cause, mend) = message.split_once("; ").unwrap_or((&message, ""));
            ConfigError { problems: vec![Problem::new(origin, cause, mend)] }
        })
    }

    /// Where `[section] key` is set; the section or the file when it has its default.
    pub(super) fn place(&self, section: &str, key: &str) -> Origin {
        let Some((section_start, value)) = lookup(self.table.get_ref(), section) else {
            return Origin::File(self.file.to_owned());
        };
        let entry = value.as_table().and_then(|table| lookup(table, key));
        self.origin(entry.map_or(section_start, |(start, _)| start))
    }

    /// Where the entry `position` of the list `[[section]]` begins, or its `key` when it has one.
    pub(super) fn place_in_list(&self, section: &str, position: usize, key: &str) -> Origin {
        let list = lookup(self.table.get_ref(), section).and_then(|(_, value)| value.as_array());
        let Some(entry) = list.and_then(|list| list.get(position)) else {
            return Origin::File(self.file.to_owned());
        };
        let found = entry.get_ref().as_table().and_then(|table| lookup(table, key));
        self.origin(found.map_or(entry.span().start, |(start, _)| start))
    }

    fn origin(&self, offset: usize) -> Origin {
        let variable = offset.checked_sub(self.text.len() + 1);
        match variable.and_then(|position| self.overrides.get(position)) {
            Some((name, _)) => Origin::Environment(name.clone()),
            None => line_origin(self.file, self.text, offset),
        }
    }

    fn lay_over(&mut self, known: &KnownKeys, problems: &mut Vec<Problem>) {
        let settings = known.variables();
        for (position, (name, value)) in self.overrides.iter().enumerate() {
            if !name.starts_with(VARIABLE_PREFIX) {
                continue;
            }
            let origin = Origin::Environment(name.clone());
            let Some((section, key)) = settings.get(name.as_str()) else {
                let mend = suggestion(name, settings.keys().map(String::as_str));
                problems.push(Problem::new(origin, "names no setting", mend));
                continue;
            };
            let start = self.text.len() + 1 + position;
            let value = Spanned::new(start..start, at(start, variable_value(value)));
            let key = Spanned::new(start..start, key.clone().into());
            let table = self.table.get_mut();
            let section_key = Spanned::new(start..start, section.clone().into());
            let empty = || Spanned::new(start..start, DeValue::Table(DeTable::new()));
            let entry = table.entry(section_key).or_insert_with(empty);
            if let DeValue::Table(section) = entry.get_mut() {
                // Removed first: the map would keep the old key, and with it the old place.
                section.remove(&key);
                section.insert(key, value);
            }
        }
    }

    fn refuse_unknown(&self, known: &KnownKeys, problems: &mut Vec<Problem>) {
        for (section, value) in self.table.get_ref() {
            let name = section.get_ref().as_ref();
            let Some(keys) = known.sections.get(name) else {
                let cause = format!("unknown section or key `{name}`");
                problems.push(Problem::new(
                    self.origin(section.span().start),
                    cause,
                    known.home_of(name),
                ));
                continue;
            };
            let tables: Vec<&DeTable<'_>> = match value.get_ref() {
                DeValue::Table(table) => vec![table],
                DeValue::Array(list) => {
                    list.iter().filter_map(|e| e.get_ref().as_table()).collect()
                }
                _ => Vec::new(),
            };
            for key in tables.into_iter().flat_map(DeTable::keys) {
                let key_name = key.get_ref().as_ref();
                if !keys.iter().any(|known| known == key_name) {
                    let cause = format!("unknown key `{key_name}` in [{name}]");
                    let mend = suggestion(key_name, keys.iter().map(String::as_str));
                    problems.push(Problem::new(self.origin(key.span().start), cause, mend));
                }
            }
        }
    }
}

/// The sections of the reference file and their keys.
struct KnownKeys {
    sections: BTreeMap<String, Vec<String>>,
    lists: Vec<String>,
}

impl KnownKeys {
    /// Variable name → section and key, for everything that a variable can set.
    fn variables(&self) -> BTreeMap<String, (String, String)> {
        let plain = self.sections.iter().filter(|(section, _)| !self.lists.contains(section));
        let pairs = plain.flat_map(|(section, keys)| keys.iter().map(move |key| (section, key)));
        let named = pairs.map(|(section, key)| {
            let name = format!("{VARIABLE_PREFIX}{section}_{key}").to_uppercase();
            (name, (section.clone(), key.clone()))
        });
        named.collect()
    }

    /// Where a name that stands at the top belongs.
    fn home_of(&self, name: &str) -> String {
        match self.sections.iter().find(|(_, keys)| keys.iter().any(|key| key == name)) {
            Some((section, _)) => format!("it belongs below [{section}]"),
            None => suggestion(name, self.sections.keys().map(String::as_str)),
        }
    }
}

fn known_keys() -> KnownKeys {
    let mut known = KnownKeys { sections: BTreeMap::new(), lists: Vec::new() };
    let reference = DeTable::parse(DEFAULTS).map(Spanned::into_inner).unwrap_or_default();
    for (section, value) in &reference {
        let name = section.get_ref().to_string();
        let table = match value.get_ref() {
            DeValue::Array(list) => {
                known.lists.push(name.clone());
                list.first().and_then(|entry| entry.get_ref().as_table())
            }
            other => other.as_table(),
        };
        let keys = table.into_iter().flat_map(DeTable::keys);
        known.sections.insert(name, keys.map(|key| key.get_ref().to_string()).collect());
    }
    known
}

/// A variable's text as a value: what TOML reads as a number, a boolean or a list is one, and
/// everything else is a string, so that `2s` needs no quotes.
fn variable_value(text: &str) -> DeValue<'_> {
    match DeValue::parse(text).map(Spanned::into_inner) {
        Ok(DeValue::Table(_) | DeValue::Float(_) | DeValue::Datetime(_)) | Err(_) => {
            DeValue::String(text.into())
        }
        Ok(value) => value,
    }
}

/// Moves the elements of a list to the place of the whole.
fn at(start: usize, value: DeValue<'_>) -> DeValue<'_> {
    let DeValue::Array(list) = value else { return value };
    let moved =
        list.into_iter().map(|element| Spanned::new(start..start, at(start, element.into_inner())));
    DeValue::Array(moved.collect::<DeArray<'_>>())
}

fn lookup<'t, 'i>(table: &'t DeTable<'i>, name: &str) -> Option<(usize, &'t DeValue<'i>)> {
    let entry = table.iter().find(|(key, _)| key.get_ref() == name)?;
    Some((entry.0.span().start, entry.1.get_ref()))
}

fn line_origin(file: &str, text: &str, offset: usize) -> Origin {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    Origin::Line { file: file.to_owned(), line }
}

/// `did you mean …` for a near miss, else the list of what there is.
fn suggestion<'n>(wrong: &str, names: impl Iterator<Item = &'n str>) -> String {
    let names: Vec<&str> = names.collect();
    let near = names.iter().map(|name| (distance(wrong, name), *name)).min();
    match near {
        Some((distance, name)) if distance <= (wrong.len() / 3).max(2) => {
            format!("did you mean `{name}`?")
        }
        _ => format!("there are: {}", names.join(", ")),
    }
}

/// Edit distance: insertions, deletions and replacements of bytes.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(to.bytes()) {
            let replaced = diagonal + usize::from(a != b);
            diagonal = *cell;
            left = replaced.min(*cell + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("election_timout", "election_timeout", 1),
            ("ab", "ba", 2),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }
}
