//! What the shards of one node say to each other.

use std::cell::RefCell;
use std::sync::Arc;

use raft_core::GroupId;
use rpc::ConnectionId;
use runtime::{DetachedStream, MailSender, ShardId, Signal};
use wire::PortKind;

use crate::caller::Caller;
use crate::identity::Identity;
use crate::locks::LockPush;
use crate::node::NodeError;
use crate::peers::{Lives, PeerMail, Wish};
use crate::roster::{Report, Roster};
use crate::watches::ClientId;
use crate::watches::dispatcher::{ForeignAnswer, ForeignNotification};

/// One message from shard to shard.
pub enum Mail {
    /// The data directory's identity, from the shard that opened it.
    Identity(Arc<Identity>),
    /// Which life each node is in, from the shard that has written it down.
    Lives(Arc<Lives>),
    /// Which nodes and groups there are, from the shard that has written it down.
    Roster(Arc<Roster>),
    /// What a shard has made of that; to the first shard.
    RosterReport(ShardId, Report),
    /// Hand over the leadership of this group, if it is led here: it will be removed.
    Leave(GroupId),
    /// In how many groups of the shard is this node?
    Census(u32),
    /// Something to be written down; to the first shard.
    Wish(Wish),
    /// A message of another node for a group of this shard.
    Peer(PeerMail),
    /// All groups of this shard have been ready once.
    GroupsReady(ShardId),
    /// The groups of this shard have stopped; all answers that it owed are on their way.
    GroupsStopped(ShardId),
    /// A connection that this shard should serve.
    Stream(PortKind, DetachedStream),
    /// A request for a group of this shard, as it came from a client of another one.
    Request(ForeignRequest),
    /// Encoded answers for a connection of this shard.
    Answers(ForeignAnswers),
    /// What has changed under the watches of a connection of this shard.
    Notification(ForeignNotification),
    /// The answer to a notification of a group of this shard.
    NotifyAnswer(ForeignAnswer),
    /// A connection of another shard that had watches in a group of this one is gone.
    WatcherGone(ClientId, GroupId),
    /// Somebody holds a lock now and may have a connection on this shard.
    LockPush(Arc<LockPush>),
}

/// A request on its one hop to the shard of its group.
pub struct ForeignRequest {
    /// Where the answer goes.
    pub caller: Caller,
    /// The identity of the client's process, from its handshake.
    pub process: wire::ProcessId,
    /// The message of the command.
    pub body: Vec<u8>,
}

/// Answers on their hop back to the shard of their connection.
pub struct ForeignAnswers {
    /// Where they go.
    pub connection: ConnectionId,
    /// Whole packets.
    pub bytes: Vec<u8>,
    /// How many of the answers that the connection owes these are, the silent ones included.
    pub settled: usize,
}

/// Mail for one shard that has not left yet: it is gathered while a batch of requests is worked on and
/// leaves as one batch.
pub struct Outbox {
    sender: MailSender<Mail>,
    pending: RefCell<Vec<Mail>>,
    filled: Signal,
    requests_max: usize,
}

impl Outbox {
    /// An outbox that refuses further requests while `requests_max` messages wait to leave.
    pub fn new(sender: MailSender<Mail>, requests_max: usize) -> Outbox {
        Outbox { sender, pending: RefCell::default(), filled: Signal::new(), requests_max }
    }

    /// Whether another request may be put in. Answers are always taken: each belongs to a request that
    /// was counted when it came in.
    pub fn takes_requests(&self) -> bool {
        self.pending.borrow().len() < self.requests_max
    }

    /// Adds a message; it leaves with the next [`Outbox::flush`].
    pub fn push(&self, mail: Mail) {
        self.pending.borrow_mut().push(mail);
    }

    /// Appends an answer to those that wait for the same connection.
    pub fn answer(
        &self,
        connection: ConnectionId,
        settled: usize,
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        let mut pending = self.pending.borrow_mut();
        if let Some(Mail::Answers(last)) = pending.last_mut()
            && last.connection == connection
        {
            last.settled += settled;
            return encode(&mut last.bytes);
        }
        let mut bytes = Vec::new();
        encode(&mut bytes);
        pending.push(Mail::Answers(ForeignAnswers { connection, bytes, settled }));
    }

    /// Lets the gathered messages go.
    pub fn flush(&self) {
        if !self.pending.borrow().is_empty() {
            self.filled.set();
        }
    }

    /// Carries mail to the other shard until that one has ended.
    pub async fn carry(&self) {
        let mut batch = Vec::new();
        loop {
            core::mem::swap(&mut batch, &mut self.pending.borrow_mut());
            if batch.is_empty() {
                self.filled.wait().await;
            } else if self.sender.send_all(&mut batch).await.is_err() {
                return;
            }
        }
    }
}

/// Sends the same news to every shard, the own one included, also when some of them have ended.
pub async fn tell_all(
    senders: &[MailSender<Mail>],
    mail: impl Fn() -> Mail,
) -> Result<(), NodeError> {
    let mut result = Ok(());
    for sender in senders {
        let sent = sender.send_all(&mut vec![mail()]).await;
        result = result.and(sent.map_err(|_| NodeError::ShardGone));
    }
    result
}
