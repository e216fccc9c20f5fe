//! `kv txn`, and `kv put --if-token`: a transaction from lines of text.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;

use client::blocking::Client;
use client::operations::{StepReply, TransactionDone, TransactionReply};
use client::{BizCode, Condition, Relation, Step, StepKind, Subject};
use serde_json::{Map, Value, json};

use super::bytes::{insert, printable};
use super::connect::explain;
use super::exit::{Exit, Failure};
use super::output::Output;
use crate::config::parse_duration;

/// The form of a line, as help and errors show it.
pub(super) const FORM: &str = "\
Lines, each an argument of its own or a line of standard input:
  if exists KEY | if missing KEY
  if value KEY = VALUE        also !=, < and >
  if updated KEY = INDEX      also !=, < and >; 0: no such key
  if created KEY = INDEX      also !=, < and >; 0: no such key
  if token LOCK = TOKEN       also !=, < and >; 0: nobody holds the lock
  then put KEY VALUE          and likewise `else`; a value goes to the end of the line
  then put-ttl KEY TIME VALUE
  then mkdir KEY | then mkdir-ttl KEY TIME | then ttl KEY TIME
  then del KEY | then get KEY
Lines that are empty or begin with # count for nothing.";

/// More text than a request may have.
const TEXT_BYTES_MAX: u64 = 8 << 20;

/// A transaction whose parts borrow from its text.
#[derive(Default)]
struct Parsed<'a> {
    conditions: Vec<Condition<'a>>,
    then: Vec<Step<'a>>,
    otherwise: Vec<Step<'a>>,
}

/// Carries out the lines, those of standard input if there are none.
pub(super) fn run(
    lines: &[OsString],
    client: &mut Client,
    output: &mut Output,
) -> Result<(), Failure> {
    let mut text = Vec::new();
    if lines.is_empty() {
        io::stdin().lock().take(TEXT_BYTES_MAX).read_to_end(&mut text)?;
    }
    let lines: Vec<&[u8]> = match lines {
        [] => text.split(|byte| *byte == b'\n').collect(),
        lines => lines.iter().map(|line| line.as_bytes()).collect(),
    };
    let mut parsed = Parsed::default();
    for (number, line) in (1..).zip(lines) {
        parsed.take_line(line).map_err(|why| {
            let message = format!("line {number}, `{}`: {why}\n\n{FORM}", printable(line));
            Failure::new(Exit::Usage, message)
        })?;
    }
    let reply = client.transact(&parsed.conditions, &parsed.then, &parsed.otherwise)?;
    tell(&parsed, &reply, output)
}

/// Sets a value if this is the token of whoever holds the lock.
pub(super) fn put_with_token(
    client: &mut Client,
    output: &mut Output,
    key: &[u8],
    value: &[u8],
    (lock, token): (&[u8], u64),
) -> Result<(), Failure> {
    let condition = Condition {
        key: lock,
        subject: Subject::FencingToken,
        number: token,
        ..Condition::default()
    };
    let put = Step { kind: StepKind::Put, key, value, ..Step::default() };
    let reply = client.transact(&[condition], &[put], &[])?;
    if !reply.held {
        let message = format!("not set: {token} is not the token of {}'s holder", printable(lock));
        return Err(Failure::new(Exit::Conflict, message));
    }
    let index = reply.raft_index;
    match reply.done {
        TransactionDone::Nothing { code, .. } => Err(client::Error::Refused(code).into()),
        TransactionDone::Whole(results) => {
            let created = results.first().is_some_and(|result| result.code == BizCode::Success);
            if output.is_json() {
                return output.json(&json!({ "index": index, "created": created }));
            }
            let done = if created { "created" } else { "replaced" };
            output.line(&format!("{done} at index {index}"))
        }
    }
}

/// Two words of `--if-token`.
pub(super) fn parse_token(text: &str) -> Result<(OsString, u64), String> {
    let form = || format!("`{text}` is not LOCK=TOKEN, as in jobs.nightly=4711");
    let (lock, token) = text.rsplit_once('=').ok_or_else(form)?;
    match token.parse() {
        Ok(token @ 1..) if !lock.is_empty() => Ok((lock.into(), token)),
        _ => Err(form()),
    }
}

impl<'a> Parsed<'a> {
    fn take_line(&mut self, line: &'a [u8]) -> Result<(), String> {
        let line = line.trim_ascii_start();
        if line.is_empty() || line.starts_with(b"#") {
            return Ok(());
        }
        let (what, rest) = split_word(line);
        match what {
            b"if" => self.conditions.push(condition(rest)?),
            b"then" => self.then.push(step(rest)?),
            b"else" => self.otherwise.push(step(rest)?),
            _ => return Err("it begins with neither `if`, `then` nor `else`".to_owned()),
        }
        Ok(())
    }
}

fn condition(text: &[u8]) -> Result<Condition<'_>, String> {
    let (subject, rest) = split_word(text);
    let (key, rest) = split_word(rest);
    if key.is_empty() {
        return Err("the key is missing".to_owned());
    }
    let subject = match subject {
        b"exists" | b"missing" if !rest.trim_ascii().is_empty() => {
            return Err("nothing comes behind the key".to_owned());
        }
        b"exists" => return Ok(Condition { key, number: 1, ..Condition::default() }),
        b"missing" => return Ok(Condition { key, ..Condition::default() }),
        b"value" => Subject::Value,
        b"updated" => Subject::UpdateIndex,
        b"created" => Subject::CreateIndex,
        b"token" => Subject::FencingToken,
        _ => return Err("there is no such condition".to_owned()),
    };
    let (relation, rest) = split_word(rest);
    let relation = match relation {
        b"=" => Relation::Equal,
        b"!=" => Relation::NotEqual,
        b"<" => Relation::Less,
        b">" => Relation::Greater,
        _ => return Err("behind the key comes =, !=, < or >".to_owned()),
    };
    let condition = Condition { key, subject, relation, ..Condition::default() };
    if subject == Subject::Value {
        return Ok(Condition { value: rest, ..condition });
    }
    let number = std::str::from_utf8(rest.trim_ascii()).ok().and_then(|text| text.parse().ok());
    let number = number.ok_or("at the end comes a number")?;
    Ok(Condition { number, ..condition })
}

fn step(text: &[u8]) -> Result<Step<'_>, String> {
    let (kind, rest) = split_word(text);
    let (kind, has_ttl, has_value) = match kind {
        b"put" => (StepKind::Put, false, true),
        b"put-ttl" => (StepKind::PutTemp, true, true),
        b"mkdir" => (StepKind::Mkdir, false, false),
        b"mkdir-ttl" => (StepKind::MakeTempDir, true, false),
        b"ttl" => (StepKind::UpdateTtl, true, false),
        b"del" => (StepKind::Remove, false, false),
        b"get" => (StepKind::Get, false, false),
        _ => return Err("there is no such step".to_owned()),
    };
    let (key, mut rest) = split_word(rest);
    if key.is_empty() {
        return Err("the key is missing".to_owned());
    }
    let mut ttl_millis = 0;
    if has_ttl {
        let (time, behind) = split_word(rest);
        let time = parse_duration(&printable(time))?;
        ttl_millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        rest = behind;
    }
    match has_value {
        true => Ok(Step { kind, key, value: rest, ttl_millis }),
        false if rest.trim_ascii().is_empty() => Ok(Step { kind, key, value: b"", ttl_millis }),
        false => Err("there is too much behind the key".to_owned()),
    }
}

/// The first word, and what comes behind the blank after it.
fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    match text.iter().position(|byte| *byte == b' ') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, b""),
    }
}

fn tell(parsed: &Parsed<'_>, reply: &TransactionReply, output: &mut Output) -> Result<(), Failure> {
    let list = if reply.held { &parsed.then } else { &parsed.otherwise };
    let results = match &reply.done {
        TransactionDone::Whole(results) => results,
        TransactionDone::Nothing { position, code } => {
            let key = list.get(*position).map(|step| printable(step.key)).unwrap_or_default();
            let message = format!("nothing was done, because of {key}: {}", explain(*code));
            return Err(Failure::new(Exit::NotAllowed, message));
        }
    };
    if output.is_json() {
        let results: Vec<_> =
            list.iter().zip(results).map(|(one, result)| as_json(one, result)).collect();
        let index = reply.raft_index;
        output.json(&json!({ "index": index, "held": reply.held, "results": results }))?;
    } else {
        let branch = if reply.held { "then" } else { "else" };
        output.line(&format!("{branch} at index {}", reply.raft_index))?;
        for (one, result) in list.iter().zip(results) {
            output.line(&as_text(one, result))?;
        }
    }
    match reply.held {
        true => Ok(()),
        false => Err(Failure::new(Exit::Conflict, "")),
    }
}

fn as_text(step: &Step<'_>, result: &StepReply) -> String {
    let key = printable(step.key);
    match (&result.node, step.kind, result.code) {
        (Some(node), ..) if node.is_directory() => format!("{key} is a directory"),
        (Some(node), ..) => format!("{key} = {}", printable(&node.value)),
        (None, StepKind::Get | StepKind::Remove, BizCode::NotFound) => {
            format!("{key}: not found")
        }
        (None, StepKind::Remove, _) => format!("{key}: removed"),
        (None, StepKind::UpdateTtl, _) => format!("{key}: renewed"),
        (None, _, BizCode::SuccessOverwrite) => format!("{key}: replaced"),
        (None, _, BizCode::DirExists) => format!("{key}: was there already"),
        (None, ..) => format!("{key}: created"),
    }
}

fn as_json(step: &Step<'_>, result: &StepReply) -> Map<String, Value> {
    let mut object = Map::new();
    insert(&mut object, "key", step.key);
    object.insert("code".to_owned(), result.code.to_string().into());
    if let Some(node) = &result.node {
        object.insert("directory".to_owned(), node.is_directory().into());
        object.insert("create_index".to_owned(), node.create_index.into());
        object.insert("update_index".to_owned(), node.update_index.into());
        if !node.is_directory() {
            insert(&mut object, "value", &node.value);
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_conditions_and_actions() {
        let mut parsed = Parsed::default();
        for line in [
            "# a comment",
            "",
            "if exists a.b",
            "  if value k != two words ",
            "if token lock = 17",
            "then put k  spaced",
            "then put-ttl t 1s v",
            "else get k",
        ] {
            parsed.take_line(line.as_bytes()).unwrap();
        }
        let values: Vec<_> = parsed.conditions.iter().map(|c| (c.key, c.number, c.value)).collect();
        let expected = [(&b"a.b"[..], 1, &b""[..]), (b"k", 0, b"two words "), (b"lock", 17, b"")];
        assert_eq!(values, expected);
        let steps: Vec<_> = parsed.then.iter().map(|a| (a.key, a.value, a.ttl_millis)).collect();
        assert_eq!(steps, [(&b"k"[..], &b" spaced"[..], 0), (b"t", b"v", 1000)]);
        assert_eq!(parsed.otherwise.len(), 1);
    }

    #[test]
    fn mistakes_are_named() {
        for line in [
            "put k v",
            "if",
            "if exists",
            "if exists k v",
            "if value k v",
            "if updated k = x",
            "if size k = 1",
            "then",
            "then put",
            "then get k v",
            "then ttl k soon",
            "then fetch k",
        ] {
            assert!(Parsed::default().take_line(line.as_bytes()).is_err(), "{line}");
        }
        for token in ["lock", "=1", "lock=", "lock=0", "lock=x"] {
            assert!(parse_token(token).is_err(), "{token}");
        }
        assert_eq!(parse_token("a=b=7"), Ok(("a=b".into(), 7)));
    }
}
