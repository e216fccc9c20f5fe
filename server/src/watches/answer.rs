//! What a client's answer to a notification means.

use kv_api::{Repeated, WatchNotifyResponse};
use wire::{BizCode, RespCode, WireError};

/// A client's answer, or what stands for one that will not come.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum NotifyAnswer<'a> {
    /// One number for each event, in the order of the notification; missing ones count as 0.
    Results(Repeated<'a, i32>),
    /// The client wants nothing of this group any more.
    RemoveAll,
    /// The client could not take it, or it could not be sent.
    Failed,
}

impl<'a> NotifyAnswer<'a> {
    /// The meaning of an answer with these codes.
    ///
    /// # Errors
    /// When the body cannot be decoded, and the connection is not worth keeping.
    pub fn decode(
        resp_code: i32,
        biz_code: i32,
        body: &'a [u8],
    ) -> Result<NotifyAnswer<'a>, WireError> {
        const SUCCESS: i32 = RespCode::Success.number();
        const CLIENT_ERROR: i32 = RespCode::ClientError.number();
        const NOT_SUPPORTED: i32 = RespCode::CommandNotSupport.number();
        const STOPPING: i32 = RespCode::Stopping.number();
        const REMOVE_ALL: i32 = BizCode::RemoveAllWatch.number();
        match (resp_code, biz_code) {
            (SUCCESS, 0) => Ok(NotifyAnswer::Results(WatchNotifyResponse::decode(body)?.results)),
            (SUCCESS, REMOVE_ALL) | (CLIENT_ERROR | NOT_SUPPORTED | STOPPING, _) => {
                Ok(NotifyAnswer::RemoveAll)
            }
            _ => Ok(NotifyAnswer::Failed),
        }
    }
}

/// An answer on its way to the shard of the group.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AnswerBytes {
    /// The system's code.
    pub resp_code: i32,
    /// The tree's code.
    pub biz_code: i32,
    /// The message.
    pub body: Vec<u8>,
}

impl AnswerBytes {
    /// What stands for an answer when a notification could not be sent.
    pub fn failed() -> AnswerBytes {
        let resp_code = RespCode::FlowControl.number();
        AnswerBytes { resp_code, biz_code: 0, body: Vec::new() }
    }

    /// The meaning. Bytes that cannot be decoded do not leave the connection's shard.
    pub fn answer(&self) -> NotifyAnswer<'_> {
        NotifyAnswer::decode(self.resp_code, self.biz_code, &self.body)
            .unwrap_or(NotifyAnswer::Failed)
    }
}
