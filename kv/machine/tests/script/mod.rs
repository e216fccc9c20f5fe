//! The commands of a script.
//!
//! A line is a command and its words; `-` stands for nothing, so for the root as a key. A line may
//! begin with the owner who asks, a letter and a colon. Every write is one entry; time stands still
//! unless `time` moves it.

use std::fmt::Write;

use kv_api::{
    ByteStrings, Condition, KvNode, KvRequest, OperationKind, Owner, Payload, Relation, Repeated,
    Step, StepKind, Subject, TransactionRequest,
};
use kv_machine::{Machine, MachineOptions, Outcome, Stamp, WatchId};
use wire::{BizCode, Writer};

pub(crate) struct Session {
    machine: Machine,
    index: u64,
    time_ms: u64,
    watches: Vec<WatchId>,
    pub(crate) trace: String,
}

impl Session {
    pub(crate) fn new() -> Session {
        let machine = Machine::new(MachineOptions { hash_seed: 1 });
        Session { machine, index: 0, time_ms: 1000, watches: Vec::new(), trace: String::new() }
    }

    /// Runs one line and appends it and what happens to the trace.
    pub(crate) fn run(&mut self, line: &str) {
        writeln!(self.trace, "{line}").expect("a string grows");
        let (owner, command) = match line.split_once(": ") {
            Some((owner, command)) => (Owner { high: 0, low: owner.as_bytes()[0].into() }, command),
            None => (Owner::default(), line),
        };
        let words: Vec<&str> = command.split(' ').collect();
        match words[..] {
            ["time", step] => self.time_ms += step.parse::<u64>().expect("milliseconds"),
            ["get", key] => self.get(key),
            ["batch-get", ref keys @ ..] => self.batch_get(keys),
            ["list", key] => self.list(key),
            ["tree"] => self.tree("-", 1),
            ["due"] => self.due(),
            ["expire"] => self.expire_due(),
            ["watch", key] => self.watches.push(self.machine.watch(bytes(key))),
            ["changes"] => self.changes(),
            ["txn", ..] => self.transact(owner, command),
            _ => self.write(owner, &words),
        }
    }

    fn get(&mut self, key: &str) {
        let text = read(self.machine.get(bytes(key)));
        self.say(&text);
    }

    fn batch_get(&mut self, keys: &[&str]) {
        for key in keys {
            let text = read(self.machine.get_in_batch(bytes(key)));
            self.say(&format!("{key}: {text}"));
        }
    }

    fn list(&mut self, key: &str) {
        let mut lines = Vec::new();
        match self.machine.list(bytes(key)) {
            Ok(children) if children.len() == 0 => lines.push("empty".to_string()),
            Ok(children) => lines.extend(children.map(|(name, _)| name.escape_ascii().to_string())),
            Err(code) => lines.push(code.to_string()),
        }
        self.say(&lines.join(" "));
    }

    /// Everything below a directory.
    fn tree(&mut self, key: &str, depth: usize) {
        let children = self.machine.list(bytes(key)).expect("a directory");
        let children: Vec<_> =
            children.map(|(name, node)| (name.escape_ascii().to_string(), show(&node))).collect();
        for (name, text) in children {
            writeln!(self.trace, "{:1$}{name} {text}", "", 2 * depth).expect("a string grows");
            let key = if key == "-" { name } else { format!("{key}.{name}") };
            if self.machine.list(key.as_bytes()).is_ok() {
                self.tree(&key, depth + 1);
            }
        }
    }

    fn due(&mut self) {
        let due = self.machine.due(self.time_ms);
        let mut text: String =
            due.map(|due| format!("{} of {} ", due.key.escape_ascii(), due.ttl_index)).collect();
        let next = self.machine.next_expiry();
        write!(text, "next {next:?} now {}", self.time_ms).expect("a string grows");
        self.say(&text);
    }

    /// Proposes an expiry for all that is due now, as a leader would.
    fn expire_due(&mut self) {
        let due = self.machine.due(self.time_ms);
        let due: Vec<_> = due.map(|due| (due.key.to_vec(), due.ttl_index)).collect();
        for (key, ttl_index) in due {
            let request =
                KvRequest { key: &key, ttl_millis: ttl_index as i64, ..Default::default() };
            let text = self.apply(OperationKind::Expire, Owner::default(), &request);
            self.say(&format!("{}: {text}", key.escape_ascii()));
        }
        self.say_granted();
    }

    fn changes(&mut self) {
        let mut changes = Vec::new();
        self.machine.take_changes(&mut changes);
        let changes: Vec<_> = changes
            .into_iter()
            .map(|id| {
                let event = self.machine.watched_state(id);
                let (key, value) = (event.key.escape_ascii(), event.value.escape_ascii());
                format!("{key} {:?} at {} '{value}'", event.state, event.raft_index)
            })
            .collect();
        self.say(&if changes.is_empty() { "none".to_string() } else { changes.join("\n  ") });
    }

    fn write(&mut self, owner: Owner, words: &[&str]) {
        let mut request = KvRequest::default();
        let (kind, arguments) = words.split_first().expect("a command");
        let (keys, values): (Vec<_>, Vec<_>) = arguments
            .iter()
            .map(|pair| pair.split_once('=').unwrap_or((pair, "-")))
            .map(|(key, value)| (bytes(key), bytes(value)))
            .unzip();
        let lock_value: Vec<u8>;
        let kind = match (*kind, arguments) {
            ("put", [key, value]) => {
                (request.key, request.value) = (bytes(key), bytes(value));
                OperationKind::Put
            }
            ("mkdir" | "remove" | "unlock", [key]) => {
                request.key = bytes(key);
                kind_of_key(kind)
            }
            ("cas", [key, expect, value]) => {
                (request.key, request.value) = (bytes(key), bytes(value));
                request.expect_value = bytes(expect);
                OperationKind::Cas
            }
            ("batch-put", _) => {
                request.keys = ByteStrings::new(&keys);
                request.values = ByteStrings::new(&values);
                OperationKind::BatchPut
            }
            ("batch-put-without-values", _) => {
                request.keys = ByteStrings::new(&keys);
                OperationKind::BatchPut
            }
            ("batch-remove", _) => {
                request.keys = ByteStrings::new(&keys);
                OperationKind::BatchRemove
            }
            ("put-temp", [key, value, ttl]) => {
                (request.key, request.value) = (bytes(key), bytes(value));
                request.ttl_millis = ttl.parse().expect("milliseconds");
                OperationKind::PutTemp
            }
            ("make-temp-dir" | "update-ttl" | "update-lease" | "expire-of", [key, number]) => {
                request.key = bytes(key);
                request.ttl_millis = number.parse().expect("milliseconds or an index");
                kind_with_number(kind)
            }
            ("try-lock", [key, lease, wait]) => {
                let lease = lease.parse::<i64>().expect("milliseconds").to_be_bytes();
                lock_value = [lease.as_slice(), &self.index.to_be_bytes()].concat();
                (request.key, request.value) = (bytes(key), &lock_value);
                request.ttl_millis = wait.parse().expect("milliseconds");
                OperationKind::TryLock
            }
            _ => panic!("unknown command {words:?}"),
        };
        let text = self.apply(kind, owner, &request);
        self.say(&text);
        self.say_granted();
    }

    fn apply_body(&mut self, kind: OperationKind, owner: Owner, body: &[u8]) -> Outcome {
        self.index += 1;
        let (head, length) = Payload::new(kind, owner, body).head();
        let stamp = Stamp { index: self.index, time_ms: self.time_ms };
        self.machine.apply(stamp, &[&head[..length], body].concat())
    }

    fn apply(&mut self, kind: OperationKind, owner: Owner, request: &KvRequest<'_>) -> String {
        let mut body = Vec::new();
        request.encode(&mut Writer::new(&mut body));
        let outcome = self.apply_body(kind, owner, &body);
        let codes: Vec<_> = outcome.codes().iter().map(BizCode::to_string).collect();
        match outcome {
            Outcome::Refused(code) => format!("@{} refused: {code}", self.index),
            Outcome::Malformed => format!("@{} malformed", self.index),
            Outcome::Holding { fencing_token, .. } => {
                format!("@{} {} token {fencing_token}", self.index, codes.join(" "))
            }
            Outcome::Opened(_) | Outcome::Repeated(_) => panic!("no script has sessions"),
            Outcome::One(_) | Outcome::Many(_) | Outcome::Transaction(_) => {
                format!("@{} {}", self.index, codes.join(" "))
            }
        }
    }

    /// `txn`, then parts with ` | ` between them: conditions, steps, `else` steps.
    fn transact(&mut self, owner: Owner, command: &str) {
        let (mut conditions, mut then, mut otherwise) = (Vec::new(), Vec::new(), Vec::new());
        for part in command["txn".len()..].split('|').map(str::trim).filter(|part| !part.is_empty())
        {
            let words: Vec<&str> = part.split(' ').collect();
            match words[..] {
                ["if", subject, key, relation, operand] => {
                    conditions.push(condition(subject, key, relation, operand));
                }
                ["else", ref words @ ..] => otherwise.push(step(words)),
                ref words => then.push(step(words)),
            }
        }
        let request = TransactionRequest {
            group_id: 0,
            conditions: Repeated::new(&conditions),
            then: Repeated::new(&then),
            otherwise: Repeated::new(&otherwise),
            session: None,
        };
        let mut body = Vec::new();
        request.encode(&mut Writer::new(&mut body));
        let outcome = self.apply_body(OperationKind::Transaction, owner, &body);
        let Outcome::Transaction(outcome) = outcome else {
            return self.say(&format!("@{} malformed", self.index));
        };
        let branch = if outcome.held { "then" } else { "else" };
        let done = if outcome.done { "done" } else { "nothing done" };
        self.say(&format!("@{} {branch}, {done}", self.index));
        for result in &outcome.results {
            let node = result.node.as_ref().map(|(node, value)| KvNode { value, ..*node });
            let node = node.map(|node| format!(": {}", show(&node))).unwrap_or_default();
            self.say(&format!("  {}{node}", result.code));
        }
    }

    fn say_granted(&mut self) {
        let granted: Vec<_> = self.machine.take_granted().collect();
        for lock in granted {
            let owner = char::from(lock.owner.low as u8);
            let (key, value) = (lock.key.escape_ascii(), lock.value.last().copied());
            let text = format!(
                "granted {key} to {owner} at {} after {} ms, attempt {value:?}, token {}",
                lock.index, lock.waited_ms, lock.fencing_token
            );
            self.say(&text);
        }
    }

    fn say(&mut self, text: &str) {
        writeln!(self.trace, "  {text}").expect("a string grows");
    }
}

/// Commands that take a key.
fn kind_of_key(command: &str) -> OperationKind {
    match command {
        "mkdir" => OperationKind::Mkdir,
        "remove" => OperationKind::Remove,
        _ => OperationKind::Unlock,
    }
}

/// Commands that take a key and a number.
fn kind_with_number(command: &str) -> OperationKind {
    match command {
        "make-temp-dir" => OperationKind::MakeTempDir,
        "update-ttl" => OperationKind::UpdateTtl,
        "update-lease" => OperationKind::UpdateLockLease,
        _ => OperationKind::Expire,
    }
}

fn condition<'a>(subject: &str, key: &'a str, relation: &str, operand: &'a str) -> Condition<'a> {
    let subject = match subject {
        "exists" => Subject::Existence,
        "value" => Subject::Value,
        "updated" => Subject::UpdateIndex,
        "created" => Subject::CreateIndex,
        _ => Subject::FencingToken,
    };
    let relation = match relation {
        "=" => Relation::Equal,
        "!=" => Relation::NotEqual,
        "<" => Relation::Less,
        _ => Relation::Greater,
    };
    let (number, value) = match subject {
        Subject::Value => (0, bytes(operand)),
        _ => (operand.parse().expect("a number"), &b""[..]),
    };
    Condition { key: bytes(key), subject, relation, number, value }
}

fn step<'a>(words: &[&'a str]) -> Step<'a> {
    let kind = match words[0] {
        "put" => StepKind::Put,
        "remove" => StepKind::Remove,
        "mkdir" => StepKind::Mkdir,
        "get" => StepKind::Get,
        "put-temp" => StepKind::PutTemp,
        "make-temp-dir" => StepKind::MakeTempDir,
        _ => StepKind::UpdateTtl,
    };
    let (value, ttl) = match (kind, &words[2..]) {
        (StepKind::PutTemp, [value, ttl]) => (bytes(value), *ttl),
        (_, [value]) if kind == StepKind::Put => (bytes(value), "0"),
        (_, [ttl]) => (&b""[..], *ttl),
        _ => (&b""[..], "0"),
    };
    let ttl_millis = ttl.parse().expect("milliseconds");
    Step { kind, key: bytes(words[1]), value, ttl_millis }
}

fn read(node: Result<KvNode<'_>, BizCode>) -> String {
    match node {
        Ok(node) => show(&node),
        Err(code) => code.to_string(),
    }
}

fn show(node: &KvNode<'_>) -> String {
    let KvNode { create_index, create_time, update_index, update_time, flags, value } = *node;
    let times =
        format!("created {create_index}@{create_time} updated {update_index}@{update_time}");
    format!("{times} flags {} '{}'", flags.0, value.escape_ascii())
}

fn bytes(word: &str) -> &[u8] {
    match word {
        "-" => b"",
        "8193-bytes" => &[b'k'; 8193],
        "1048577-bytes" => &[b'v'; 1_048_577],
        _ => word.as_bytes(),
    }
}
