//! Reading what all answers of the tree have in common.

use alloc::vec::Vec;

use kv_api::{KvRequest, KvResponse, KvResult};
use wire::{BizCode, Writer};

use crate::completion::Response;
use crate::error::{Error, ProtocolError};
use crate::operations::Node;
use crate::options::GroupId;

/// Appends a request to the tree.
#[inline]
pub(super) fn encode(group: GroupId, request: KvRequest<'_>, body: &mut Vec<u8>) {
    KvRequest { group_id: group.0, ..request }.encode(&mut Writer::new(body));
}

/// The code of the head, which is that of the only result where there is only one.
#[inline]
pub(super) fn code(response: Response<'_>) -> Result<BizCode, Error> {
    let code = response.biz_code;
    BizCode::from_number(code).ok_or(Error::Protocol(ProtocolError::BizCode(code)))
}

/// The log index of a write; 0 if the server does not tell it.
#[inline]
pub(super) fn raft_index(response: Response<'_>) -> Result<u64, Error> {
    Ok(KvResponse::decode(response.body)?.raft_index)
}

/// The response with the results of a batch or a list, none of which is a failure of the whole.
pub(super) fn results(response: Response<'_>) -> Result<KvResponse<'_>, Error> {
    match code(response)? {
        BizCode::Success => Ok(KvResponse::decode(response.body)?),
        code => Err(Error::Refused(code)),
    }
}

/// The node of a result that must have one.
pub(super) fn node(result: KvResult<'_>) -> Result<Node, Error> {
    result.node.map(Node::from).ok_or(Error::Protocol(ProtocolError::Missing("the node")))
}
