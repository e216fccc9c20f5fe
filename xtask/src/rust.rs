//! Just enough of Rust's grammar to tell code, comments and literals apart.

/// A Rust file twice, line by line as in the original: once with only its code (literals emptied),
/// once with only its comments; everything else is blanks.
pub(crate) struct Source {
    /// Code alone.
    pub(crate) code: Vec<String>,
    /// Comments alone, with their `//` or `/*`.
    pub(crate) comments: Vec<String>,
    /// Index of the line where the trailing `#[cfg(test)]` module begins, or the number of lines.
    pub(crate) tests_begin: usize,
}

/// A function: its first and last line, as indexes.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) first: usize,
    pub(crate) last: usize,
}

impl Source {
    pub(crate) fn split(text: &str) -> Source {
        let mut splitter = Splitter::default();
        let characters: Vec<char> = text.chars().collect();
        let mut at = 0;
        while at < characters.len() {
            at += splitter.step(&characters[at..]);
        }
        let code: Vec<String> = splitter.code.lines().map(str::to_owned).collect();
        let comments = splitter.comments.lines().map(str::to_owned).collect();
        let module = |line: usize| {
            let rest = code.iter().skip(line + 1).map(|line| line.trim());
            rest.into_iter().find(|line| !line.is_empty() && !line.starts_with("#["))
        };
        let tests_begin = (0..code.len())
            .filter(|line| code[*line].trim_start().starts_with("#[cfg(test)]"))
            .find(|line| module(*line).is_some_and(|next| next.starts_with("mod ")))
            .unwrap_or(code.len());
        Source { code, comments, tests_begin }
    }

    /// The lines of code outside the trailing test module, with their indexes.
    pub(crate) fn product_code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code.iter().take(self.tests_begin).enumerate().map(|(at, line)| (at, line.as_str()))
    }

    /// Every function with a body.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let mut open: Vec<(String, usize, usize)> = Vec::new();
        let mut found = Vec::new();
        let mut announced: Option<(String, usize)> = None;
        let mut depth = 0;
        // Brackets hide the semicolons of array types in a signature.
        let mut brackets = 0;
        for (index, line) in self.code.iter().enumerate() {
            // Without the blank it is the type of a function pointer.
            let declares = |at: usize| line.get(at..).is_some_and(|rest| rest.starts_with("fn "));
            let mut pairs = words(line).zip(words(line).skip(1));
            if let Some((_, (_, name))) =
                pairs.find(|((at, word), _)| *word == "fn" && declares(*at))
            {
                announced = Some((name.to_owned(), index));
            }
            for character in line.chars() {
                match character {
                    '[' | '(' => brackets += 1,
                    ']' | ')' => brackets -= 1,
                    ';' if brackets == 0 => announced = None,
                    '{' => {
                        depth += 1;
                        if let Some((name, first)) = announced.take() {
                            open.push((name, first, depth));
                        }
                    }
                    '}' => {
                        if let Some((name, first, _)) = open.pop_if(|(_, _, at)| *at == depth) {
                            found.push(Function { name, first, last: index });
                        }
                        depth -= 1;
                    }
                    _ => {}
                }
            }
        }
        found.sort_by_key(|function| function.first);
        found
    }

    /// Every path that a `use` declaration outside the tests brings in, written out, with its line.
    pub(crate) fn imports(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let mut statement: Option<(usize, String)> = None;
        for (index, line) in self.product_code() {
            let trimmed = line.trim();
            let starts = words(trimmed).take(3).any(|(_, word)| word == "use");
            if starts && statement.is_none() && !trimmed.contains(" fn ") {
                statement = Some((index, String::new()));
            }
            let Some((first, text)) = &mut statement else { continue };
            text.push_str(trimmed);
            if trimmed.contains(';') {
                let after = text.split_once("use ").map_or("", |(_, after)| after);
                let tree = after.split(';').next().unwrap_or_default().replace(' ', "");
                expand("", &tree, &mut |path| found.push((*first, path)));
                statement = None;
            }
        }
        found
    }
}

/// The words (letters, digits, `_`) of a line with their byte positions.
pub(crate) fn words(line: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let pieces = line.split(move |c: char| !is_word(c)).filter(|word| !word.is_empty());
    pieces.map(move |word| (word.as_ptr().addr() - line.as_ptr().addr(), word))
}

/// Writes out a use tree: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(prefix: &str, tree: &str, found: &mut dyn FnMut(String)) {
    let Some((head, rest)) = tree.split_once('{') else {
        found(format!("{prefix}{tree}"));
        return;
    };
    let inside = rest.strip_suffix('}').unwrap_or(rest);
    let prefix = format!("{prefix}{head}");
    let mut depth = 0;
    let branches = inside.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    for branch in branches.filter(|branch| !branch.is_empty()) {
        expand(&prefix, branch, found);
    }
}

#[derive(Default)]
struct Splitter {
    code: String,
    comments: String,
}

impl Splitter {
    /// Takes one token from the front of `rest`; returns how many characters it has.
    fn step(&mut self, rest: &[char]) -> usize {
        match rest {
            ['/', '/', ..] => self.comment(rest, line_end(rest)),
            ['/', '*', ..] => self.comment(rest, block_comment_end(rest)),
            ['"', ..] => self.literal(rest, 1, string_end(&rest[1..]) + 1),
            ['\'', '\\', ..] => self.literal(rest, 1, 2 + quote_end(&rest[2..])),
            ['\'', _, '\'', ..] => self.literal(rest, 1, 3),
            ['r' | 'b' | 'c', ..] if self.at_word_start() => match raw_string(rest) {
                Some((head, length)) => self.literal(rest, head, length),
                None => self.plain(rest[0]),
            },
            [first, ..] => self.plain(*first),
            [] => 0,
        }
    }

    fn at_word_start(&self) -> bool {
        !self.code.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
    }

    fn plain(&mut self, character: char) -> usize {
        self.code.push(character);
        self.comments.push(if character == '\n' { '\n' } else { ' ' });
        1
    }

    fn comment(&mut self, rest: &[char], length: usize) -> usize {
        for character in rest.iter().take(length) {
            self.comments.push(*character);
            self.code.push(if *character == '\n' { '\n' } else { ' ' });
        }
        length
    }

    /// Keeps the first `head` characters and the last one.
    fn literal(&mut self, rest: &[char], head: usize, length: usize) -> usize {
        let length = length.min(rest.len());
        for (at, character) in rest.iter().take(length).enumerate() {
            let keep = at < head || at + 1 == length || *character == '\n';
            self.code.push(if keep { *character } else { ' ' });
            self.comments.push(if *character == '\n' { '\n' } else { ' ' });
        }
        length
    }
}

fn line_end(rest: &[char]) -> usize {
    rest.iter().position(|c| *c == '\n').unwrap_or(rest.len())
}

fn block_comment_end(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// Length up to and including the closing quote of a string, from behind its opening one.
fn string_end(rest: &[char]) -> usize {
    let mut at = 0;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    at
}

/// Length up to and including the closing quote of an escaped character, from behind `'\`.
fn quote_end(rest: &[char]) -> usize {
    // The escaped character itself may be a quote.
    rest.iter().skip(1).position(|c| *c == '\'').map_or(rest.len(), |at| at + 2)
}

/// Lengths of the head and of the whole of a literal with a prefix, as `r#"…"#` or `b"…"`.
fn raw_string(rest: &[char]) -> Option<(usize, usize)> {
    let letters = rest.iter().take_while(|c| matches!(c, 'r' | 'b' | 'c')).count();
    let hashes = rest.iter().skip(letters).take_while(|c| **c == '#').count();
    let head = letters + hashes + 1;
    if letters > 2 || rest.get(head - 1) != Some(&'"') {
        return None;
    }
    if !rest[..letters].contains(&'r') {
        return (hashes == 0).then(|| (head, head + string_end(&rest[head..])));
    }
    let closes = |at: &usize| {
        let tail = rest[*at..].iter().skip(1).take(hashes);
        rest[*at] == '"' && tail.filter(|c| **c == '#').count() == hashes
    };
    let end = (head..rest.len()).find(closes).unwrap_or(rest.len());
    Some((head, end + 1 + hashes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::split(text).code.join("\n")
    }

    #[test]
    fn literals_are_emptied_and_comments_apart() {
        for (text, expected) in [
            ("a(\"b{ \\\" c\") // d", "a(\"       \")     "),
            ("r#\"{\"}\"# x", "r#\"    # x"),
            ("b\"{\" '{' b'{'", "b\" \" ' ' b' '"),
            ("'\\'' '\\u{1}' &'a str", "'  ' '     ' &'a str"),
            ("/* { /* } */ { */ y", "                  y"),
            ("for r in b {}", "for r in b {}"),
        ] {
            assert_eq!(code(text), expected, "{text}");
        }
        let source = Source::split("let a = 1; // why\n\"// no\"");
        assert_eq!(source.comments, ["           // why", "       "]);
    }

    #[test]
    fn functions_have_their_lines() {
        let text = "fn a() {\n  if x { }\n}\nfn no();\nimpl X {\n fn b(x: [u8; 2],\n ) {\n  fn c() {}\n }\n}\n";
        let found = Source::split(text).functions();
        let lines: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.first, f.last)).collect();
        assert_eq!(lines, [("a", 0, 2), ("b", 5, 8), ("c", 7, 7)]);
    }

    #[test]
    fn imports_are_written_out() {
        let text = "use a::b;\npub(crate) use c::{\n  d, e::{f as g, self},\n};\nfn reuse() { use x::y; }\n";
        let paths: Vec<_> = Source::split(text).imports();
        let expected =
            [(0, "a::b"), (1, "c::d"), (1, "c::e::fasg"), (1, "c::e::self"), (4, "x::y")];
        assert_eq!(paths, expected.map(|(line, path)| (line, path.to_owned())));
    }

    #[test]
    fn the_trailing_test_module_is_found() {
        let source =
            Source::split("fn a() {}\n#[cfg(test)]\nfn b() {}\n#[cfg(test)]\nmod tests {\n}\n");
        assert_eq!(source.tests_begin, 3);
        assert_eq!(Source::split("fn a() {}\n").tests_begin, 1);
    }
}
