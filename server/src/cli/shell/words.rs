//! A line as words, as shells take it apart.

use std::ffi::OsString;

/// The words of a line. Blanks separate them; between single quotes everything stands for itself,
/// between double quotes everything but `\"` and `\\`; elsewhere a backslash does that for one
/// character. A word that begins with `#` ends the line.
///
/// # Errors
/// Which quote has no end.
pub(super) fn split(line: &str) -> Result<Vec<OsString>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => break,
            '\'' | '"' => {
                quoted(character, &mut characters, word.get_or_insert_default())?;
            }
            '\\' => match characters.next() {
                Some(next) => word.get_or_insert_default().push(next),
                None => return Err("the line ends with a backslash".to_owned()),
            },
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Ok(words.into_iter().map(OsString::from).collect())
}

fn quoted(
    quote: char,
    characters: &mut impl Iterator<Item = char>,
    word: &mut String,
) -> Result<(), String> {
    let unended = || format!("a quote ({quote}) has no end");
    loop {
        match characters.next().ok_or_else(unended)? {
            character if character == quote => return Ok(()),
            '\\' if quote == '"' => match characters.next().ok_or_else(unended)? {
                escaped @ ('"' | '\\') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        for (line, words) in [
            ("", &[][..]),
            ("  get\ta.b  ", &["get", "a.b"]),
            ("put a 'two words'  # and why", &["put", "a", "two words"]),
            (r#"put a "a \"b\" \\ \n ""#, &["put", "a", r#"a "b" \ \n "#]),
            (r"put a b\ c\'", &["put", "a", "b c'"]),
            ("put a ''", &["put", "a", ""]),
            ("put a b#c", &["put", "a", "b#c"]),
        ] {
            let expected: Vec<OsString> = words.iter().map(OsString::from).collect();
            assert_eq!(split(line), Ok(expected), "{line}");
        }
        for line in ["put a 'b", "put a \"b\\", "put a b\\"] {
            assert!(split(line).is_err(), "{line}");
        }
    }
}
