//! Several operations that are done as a whole or not at all, depending on what the tree has.

use wire::{BizCode, Fields, Value, WireError, Writer};

use crate::node::bytes_field_length;
use crate::repeated::{Element, Repeated};
use crate::session::{SESSION, SessionStamp};
use crate::validate::TTL_MS_MAX;

/// The most conditions of a transaction, and the most steps of each of its two lists.
pub const TRANSACTION_PARTS_MAX: usize = 1_000;

/// If all conditions hold, the first list of steps, else the second one. An step that the tree
/// refuses undoes the whole list.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct TransactionRequest<'a> {
    /// The raft group.
    pub group_id: i32,
    /// What has to hold; nothing is true.
    pub conditions: Repeated<'a, Condition<'a>>,
    /// What is done if it does.
    pub then: Repeated<'a, Step<'a>>,
    /// What is done if it does not.
    pub otherwise: Repeated<'a, Step<'a>>,
    /// Which write of which session it is, if it may be sent again.
    pub session: Option<SessionStamp>,
}

/// A question about one key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Condition<'a> {
    /// The key; empty is the root.
    pub key: &'a [u8],
    /// What of it is compared.
    pub subject: Subject,
    /// How.
    pub relation: Relation,
    /// With what, unless the subject is the value.
    pub number: u64,
    /// With what, if the subject is the value.
    pub value: &'a [u8],
}

/// One step of a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Step<'a> {
    /// What to do.
    pub kind: StepKind,
    /// The key; empty is the root, which can only be read.
    pub key: &'a [u8],
    /// The value to set.
    pub value: &'a [u8],
    /// The time to live of something temporary.
    pub ttl_millis: i64,
}

/// Numbers on the wire, of which a reader may not know one. The first one is the default.
macro_rules! numbered {
    (
        $(#[doc = $doc:literal])*
        $name:ident {
            $(#[doc = $first_doc:literal])* $first:ident = $zero:literal,
            $($(#[doc = $what:literal])* $variant:ident = $number:literal,)*
        }
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
        pub enum $name {
            $(#[doc = $first_doc])*
            #[default]
            $first = $zero,
            $($(#[doc = $what])* $variant = $number,)*
            /// Of a later version; such a transaction is refused.
            Unknown = -1,
        }

        impl $name {
            const fn from_number(number: i32) -> $name {
                match number {
                    $zero => $name::$first,
                    $($number => $name::$variant,)*
                    _ => $name::Unknown,
                }
            }
        }
    };
}

numbered! {
    /// What a condition compares.
    Subject {
        /// 1 if there is a node, 0 if not.
        Existence = 0,
        /// The bytes of a value. Nothing holds of a key without one, except that it is different.
        Value = 1,
        /// Index of the last write to the node; 0 if there is none.
        UpdateIndex = 2,
        /// Index of the write that created the node; 0 if there is none.
        CreateIndex = 3,
        /// The fencing token of the holder of the lock with this key; 0 if nobody holds it.
        FencingToken = 4,
    }
}

numbered! {
    /// How a condition compares what is there with what it names.
    Relation {
        /// They are the same.
        Equal = 0,
        /// They are not.
        NotEqual = 1,
        /// What is there is less.
        Less = 2,
        /// What is there is greater.
        Greater = 3,
    }
}

numbered! {
    /// What a step does; the numbers of writes are those of the log.
    StepKind {
        /// Set a value.
        Put = 0,
        /// Remove a node, which need not exist.
        Remove = 2,
        /// Make a directory, which may exist.
        Mkdir = 3,
        /// Read a node, which need not exist.
        Get = 5,
        /// Set a value that expires.
        PutTemp = 11,
        /// Make a directory that expires, or start the time of one anew.
        MakeTempDir = 12,
        /// Start the time of something that expires anew.
        UpdateTtl = 14,
    }
}

impl Relation {
    /// Whether what is there, compared with what a condition names, is as it wants.
    pub fn holds(self, order: core::cmp::Ordering) -> bool {
        match self {
            Relation::Equal => order.is_eq(),
            Relation::NotEqual => order.is_ne(),
            Relation::Less => order.is_lt(),
            Relation::Greater => order.is_gt(),
            Relation::Unknown => false,
        }
    }
}

impl StepKind {
    const fn has_ttl(self) -> bool {
        matches!(self, StepKind::PutTemp | StepKind::MakeTempDir | StepKind::UpdateTtl)
    }
}

impl<'a> TransactionRequest<'a> {
    /// Reads a message.
    pub fn decode(body: &'a [u8]) -> Result<TransactionRequest<'a>, WireError> {
        let mut request = TransactionRequest::default();
        let mut fields = Fields::new(body);
        loop {
            let start = fields.position();
            let Some(field) = fields.next() else {
                return Ok(request);
            };
            match field? {
                (1, Value::Varint(value)) => request.group_id = wire::int32(value),
                (2, Value::Bytes(condition)) => {
                    Condition::decode(condition)?;
                    request.conditions.note(body, start, 2);
                }
                (3, Value::Bytes(step)) => {
                    Step::decode(step)?;
                    request.then.note(body, start, 3);
                }
                (4, Value::Bytes(step)) => {
                    Step::decode(step)?;
                    request.otherwise.note(body, start, 4);
                }
                (SESSION, Value::Bytes(value)) => {
                    request.session = SessionStamp::decode_at(value, start)?;
                }
                _ => {}
            }
        }
    }

    /// Writes the message.
    pub fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.group_id);
        for condition in self.conditions {
            let length = condition.encoded_length();
            writer.message_with_length(2, length, |writer| condition.encode(writer));
        }
        for (tag, list) in [(3, self.then), (4, self.otherwise)] {
            for step in list {
                let length = step.encoded_length();
                writer.message_with_length(tag, length, |writer| step.encode(writer));
            }
        }
        if let Some(session) = &self.session {
            session.encode(writer);
        }
    }

    /// Why it must not even become a log entry, if so. Everything else depends on the tree.
    pub fn check(&self) -> Result<(), (BizCode, &'static str)> {
        let steps = || self.then.iter().chain(self.otherwise);
        let longest = self.conditions.len().max(self.then.len()).max(self.otherwise.len());
        if longest > TRANSACTION_PARTS_MAX {
            return Err((
                BizCode::ClientReqError,
                "a transaction has at most 1000 parts of a kind",
            ));
        }
        let strange = |condition: Condition<'_>| {
            condition.subject == Subject::Unknown || condition.relation == Relation::Unknown
        };
        if self.conditions.iter().any(strange) || steps().any(|step| step.kind == StepKind::Unknown)
        {
            return Err((BizCode::ClientReqError, "this version does not know such a part"));
        }
        let range = 1..=TTL_MS_MAX;
        if steps().any(|step| step.kind.has_ttl() && !range.contains(&step.ttl_millis)) {
            return Err((BizCode::InvalidTtl, "ttl must be positive and at most 36500 days"));
        }
        Ok(())
    }
}

impl<'a> Condition<'a> {
    fn decode(body: &'a [u8]) -> Result<Condition<'a>, WireError> {
        let mut condition = Condition::default();
        for field in Fields::new(body) {
            match field? {
                (1, Value::Bytes(value)) => condition.key = value,
                (2, Value::Varint(value)) => {
                    condition.subject = Subject::from_number(wire::int32(value));
                }
                (3, Value::Varint(value)) => {
                    condition.relation = Relation::from_number(wire::int32(value));
                }
                (4, Value::Fixed64(value)) => condition.number = value,
                (5, Value::Bytes(value)) => condition.value = value,
                _ => {}
            }
        }
        Ok(condition)
    }

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.bytes(1, self.key);
        writer.int32(2, self.subject as i32);
        writer.int32(3, self.relation as i32);
        writer.fixed64(4, self.number);
        writer.bytes(5, self.value);
    }

    fn encoded_length(&self) -> usize {
        let number = if self.number == 0 { 0 } else { 9 };
        bytes_field_length(self.key)
            + int32_field_length(self.subject as i32)
            + int32_field_length(self.relation as i32)
            + number
            + bytes_field_length(self.value)
    }
}

impl<'a> Step<'a> {
    fn decode(body: &'a [u8]) -> Result<Step<'a>, WireError> {
        let mut step = Step::default();
        for field in Fields::new(body) {
            match field? {
                (1, Value::Varint(value)) => {
                    step.kind = StepKind::from_number(wire::int32(value));
                }
                (2, Value::Bytes(value)) => step.key = value,
                (3, Value::Bytes(value)) => step.value = value,
                (4, Value::Varint(value)) => step.ttl_millis = wire::int64(value),
                _ => {}
            }
        }
        Ok(step)
    }

    fn encode(&self, writer: &mut Writer<'_>) {
        writer.int32(1, self.kind as i32);
        writer.bytes(2, self.key);
        writer.bytes(3, self.value);
        writer.int64(4, self.ttl_millis);
    }

    fn encoded_length(&self) -> usize {
        let ttl = match self.ttl_millis {
            0 => 0,
            ttl => 1 + wire::varint_length(ttl as u64),
        };
        int32_field_length(self.kind as i32)
            + bytes_field_length(self.key)
            + bytes_field_length(self.value)
            + ttl
    }
}

fn int32_field_length(value: i32) -> usize {
    if value == 0 { 0 } else { 1 + wire::varint_length(i64::from(value) as u64) }
}

impl<'a> Element<'a> for Condition<'a> {
    fn from_value(value: Value<'a>) -> Option<Condition<'a>> {
        match value {
            Value::Bytes(body) => Condition::decode(body).ok(),
            _ => None,
        }
    }
}

impl<'a> Element<'a> for Step<'a> {
    fn from_value(value: Value<'a>) -> Option<Step<'a>> {
        match value {
            Value::Bytes(body) => Step::decode(body).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;

    const CONDITIONS: &[Condition<'_>] = &[
        Condition {
            key: b"a.b",
            subject: Subject::Value,
            relation: Relation::NotEqual,
            number: 0,
            value: b"old",
        },
        Condition {
            key: b"lock",
            subject: Subject::FencingToken,
            relation: Relation::Greater,
            number: u64::MAX,
            value: b"",
        },
        Condition {
            key: b"",
            subject: Subject::Existence,
            relation: Relation::Equal,
            number: 1,
            value: b"",
        },
    ];
    const STEPS: &[Step<'_>] = &[
        Step { kind: StepKind::Put, key: b"k", value: &[7; 200], ttl_millis: 0 },
        Step { kind: StepKind::PutTemp, key: b"t", value: b"v", ttl_millis: 60_000 },
        Step { kind: StepKind::Remove, key: b"gone", value: b"", ttl_millis: -1 },
        Step { kind: StepKind::Get, key: b"", value: b"", ttl_millis: 0 },
    ];

    fn whole() -> TransactionRequest<'static> {
        TransactionRequest {
            group_id: 5,
            conditions: Repeated::new(CONDITIONS),
            then: Repeated::new(STEPS),
            otherwise: Repeated::new(&STEPS[1..]),
            session: None,
        }
    }

    fn encoded(request: &TransactionRequest<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        request.encode(&mut Writer::new(&mut out));
        out
    }

    #[test]
    fn what_is_written_is_read_back() {
        for request in [whole(), TransactionRequest::default()] {
            assert_eq!(TransactionRequest::decode(&encoded(&request)), Ok(request));
        }
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_survived() {
        let bytes = encoded(&whole());
        for cut in 0..bytes.len() {
            // A cut between two fields leaves a shorter message.
            if let Ok(request) = TransactionRequest::decode(&bytes[..cut]) {
                assert_ne!(request, whole(), "{cut} bytes");
            }
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if let Ok(request) = TransactionRequest::decode(&damaged) {
                // What was read can be written, and reads as the same.
                let again = encoded(&request);
                let read = TransactionRequest::decode(&again).expect("what was written");
                assert_eq!(read, request, "bit {bit}");
                // Neither of these may panic, whatever the numbers are.
                let _ = request.check();
            }
        }
    }

    #[test]
    fn refusals_concern_the_whole_transaction() {
        assert_eq!(whole().check(), Ok(()));
        let many = vec![STEPS[0]; TRANSACTION_PARTS_MAX + 1];
        let long = TransactionRequest { then: Repeated::new(&many), ..whole() };
        assert_eq!(long.check().map_err(|(code, _)| code), Err(BizCode::ClientReqError));
        let zero = [Step { ttl_millis: 0, ..STEPS[1] }];
        let zero = TransactionRequest { otherwise: Repeated::new(&zero), ..whole() };
        assert_eq!(zero.check().map_err(|(code, _)| code), Err(BizCode::InvalidTtl));
        let later = b"\x1a\x02\x08\x63";
        let later = TransactionRequest::decode(later).expect("a kind of a later version");
        assert_eq!(later.check().map_err(|(code, _)| code), Err(BizCode::ClientReqError));
    }

    #[test]
    fn relations_compare_what_is_there_with_what_is_named() {
        use core::cmp::Ordering::{Equal, Greater, Less};
        for (relation, holding) in [
            (Relation::Equal, &[Equal][..]),
            (Relation::NotEqual, &[Less, Greater]),
            (Relation::Less, &[Less]),
            (Relation::Greater, &[Greater]),
            (Relation::Unknown, &[]),
        ] {
            for order in [Less, Equal, Greater] {
                assert_eq!(relation.holds(order), holding.contains(&order), "{relation:?}");
            }
        }
    }
}
