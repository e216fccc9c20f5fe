//! Several operations under conditions.

use alloc::vec::Vec;

use kv_api::{
    Condition, KvResponse, KvResult, Repeated, Step, StepKind, TRANSACTION_PARTS_MAX,
    TransactionRequest,
};
use wire::{BizCode, Command, Writer};

use crate::argument::{InvalidArgument, check_key, check_key_or_root, check_value};
use crate::completion::Response;
use crate::error::{Error, ProtocolError};
use crate::operation::{Access, Operation};
use crate::operations::{Node, response};
use crate::options::GroupId;

/// Does `then` if all conditions hold and `otherwise` if not, at one point of the log: the list as a
/// whole, or, if the tree refuses one of its steps, nothing.
///
/// ```
/// use client_core::operations::Transaction;
/// use client_core::{Step, StepKind, Condition, Relation, Subject};
///
/// // Moves a value, unless somebody has changed it since index 17.
/// let unchanged = Condition {
///     key: b"from",
///     subject: Subject::UpdateIndex,
///     relation: Relation::Equal,
///     number: 17,
///     ..Condition::default()
/// };
/// let put = Step { kind: StepKind::Put, key: b"to", value: b"v", ..Step::default() };
/// let remove = Step { kind: StepKind::Remove, key: b"from", ..Step::default() };
/// let read = Step { kind: StepKind::Get, key: b"from", ..Step::default() };
/// let transaction =
///     Transaction { conditions: &[unchanged], then: &[put, remove], otherwise: &[read] };
/// # let _ = transaction;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Transaction<'a> {
    /// What has to hold; without any, `then` is done.
    pub conditions: &'a [Condition<'a>],
    /// What is done if they hold.
    pub then: &'a [Step<'a>],
    /// What is done if they do not.
    pub otherwise: &'a [Step<'a>],
}

/// What a transaction came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionReply {
    /// Index of the transaction in the log.
    pub raft_index: u64,
    /// Whether all conditions held.
    pub held: bool,
    /// What became of the list.
    pub done: TransactionDone,
}

/// What became of a list of steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TransactionDone {
    /// All of it was done.
    Whole(Vec<StepReply>),
    /// Nothing was done, because the tree refused this step.
    Nothing {
        /// Its position in the list.
        position: usize,
        /// Why.
        code: BizCode,
    },
}

/// What one step came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StepReply {
    /// Success, or that what was wanted was so already.
    pub code: BizCode,
    /// What a read found.
    pub node: Option<Node>,
}

impl Operation for Transaction<'_> {
    const COMMAND: Command = Command::TRANSACTION;
    const ACCESS: Access = Access::Write;
    type Reply = TransactionReply;

    fn check(&self) -> Result<(), InvalidArgument> {
        let lengths = [self.conditions.len(), self.then.len(), self.otherwise.len()];
        if lengths.into_iter().any(|length| length > TRANSACTION_PARTS_MAX) {
            return Err(InvalidArgument::TransactionTooLong);
        }
        for condition in self.conditions {
            check_key_or_root(condition.key)?;
        }
        self.then.iter().chain(self.otherwise).try_for_each(check_action)
    }

    fn encode(&self, group: GroupId, body: &mut Vec<u8>) {
        let request = TransactionRequest {
            group_id: group.0,
            conditions: Repeated::new(self.conditions),
            then: Repeated::new(self.then),
            otherwise: Repeated::new(self.otherwise),
            session: None,
        };
        request.encode(&mut Writer::new(body));
    }

    fn decode(response: Response<'_>) -> Result<TransactionReply, Error> {
        let code = response::code(response)?;
        let body = KvResponse::decode(response.body)?;
        let done = match (body.branch, code) {
            (1 | 2, BizCode::Success) => {
                let reply = |result: KvResult<'_>| StepReply {
                    code: result.code,
                    node: result.node.map(Node::from),
                };
                TransactionDone::Whole(body.results.iter().map(reply).collect())
            }
            (-1 | -2, code) => {
                let position = body.results.len().saturating_sub(1);
                TransactionDone::Nothing { position, code }
            }
            (_, BizCode::Success) => {
                return Err(Error::Protocol(ProtocolError::Missing("the branch")));
            }
            (_, code) => return Err(Error::Refused(code)),
        };
        Ok(TransactionReply { raft_index: body.raft_index, held: body.branch.abs() == 1, done })
    }
}

fn check_action(step: &Step<'_>) -> Result<(), InvalidArgument> {
    match step.kind {
        StepKind::Get => check_key_or_root(step.key)?,
        _ => check_key(step.key)?,
    }
    match step.kind {
        StepKind::Put | StepKind::PutTemp => check_value(step.value)?,
        _ => {}
    }
    match step.kind {
        StepKind::PutTemp | StepKind::MakeTempDir | StepKind::UpdateTtl
            if !(1..=kv_api::TTL_MS_MAX).contains(&step.ttl_millis) =>
        {
            Err(InvalidArgument::TimeToLive)
        }
        _ => Ok(()),
    }
}
