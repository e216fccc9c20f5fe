//! Keys and values are bytes; terminals and JSON want text.

use serde_json::{Map, Value};

/// The bytes as text for a table: printable text as it is, everything else escaped.
pub(super) fn printable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    }
}

/// Adds the bytes to a JSON object: as `name` when they are text, as `name_base64` when not, so
/// that a reader can always get the very same bytes back.
pub(super) fn insert(object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.to_owned(), text.into()),
        Err(_) => object.insert(format!("{name}_base64"), base64(bytes).into()),
    };
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = bytes.chunks(3).flat_map(|chunk| {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        [18, 12, 6, 0].into_iter().enumerate().map(move |(at, shift)| {
            // A chunk of n bytes fills n + 1 digits.
            let digit = ALPHABET[(group >> shift & 63) as usize];
            if at <= chunk.len() { char::from(digit) } else { '=' }
        })
    });
    digits.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_has_the_usual_vectors() {
        for (text, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), expected);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[test]
    fn text_stays_text_and_the_rest_is_escaped() {
        assert_eq!(printable("größe".as_bytes()), "größe");
        assert_eq!(printable(b"a\nb"), "a\\nb");
        assert_eq!(printable(&[0xff, b'a']), "\\xffa");
        let mut object = Map::new();
        insert(&mut object, "key", b"a");
        insert(&mut object, "value", &[0xff]);
        assert_eq!(Value::from(object).to_string(), r#"{"key":"a","value_base64":"/w=="}"#);
    }
}
