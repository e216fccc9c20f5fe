//! What comes out of an operation.

use moment::Moment;
use wire::Command;

use crate::calls::RequestId;
use crate::error::{Error, ProtocolError};
use crate::operation::Operation;

/// A response that the system gave with code 0; what the tree says is still to be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Response<'a> {
    /// A [`wire::BizCode`], if known to this version.
    pub biz_code: i32,
    /// The command's message; empty when it was absent.
    pub body: &'a [u8],
}

/// A finished operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Completion<'a> {
    /// Which one.
    pub request: RequestId,
    /// What was asked.
    pub command: Command,
    /// When it was submitted.
    pub submitted: Moment,
    /// When its response was received, or its failure noticed.
    pub finished: Moment,
    pub(crate) outcome: Result<Response<'a>, &'a Error>,
}

impl<'a> Completion<'a> {
    /// The response as it came, for callers that look at single fields of it.
    #[inline]
    pub fn response(&self) -> Result<Response<'a>, &'a Error> {
        self.outcome
    }

    /// The reply, which must be asked for with the type of the operation that was submitted.
    #[inline]
    pub fn reply<O: Operation>(&self) -> Result<O::Reply, Error> {
        let response = self.outcome.map_err(Error::clone)?;
        if self.command != O::COMMAND {
            let (asked, answered) = (O::COMMAND, self.command);
            return Err(Error::Protocol(ProtocolError::Command { asked, answered }));
        }
        O::decode(response)
    }
}
