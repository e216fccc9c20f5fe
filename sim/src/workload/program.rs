//! A client program: several strands over one client of the real library.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::fiber::Client;
use client::operations::{
    GetFrom, LockHolder, MakeTemporaryDirectory, PutTemporary, TransactionDone, TransactionReply,
    Unlock, UpdateLockLease, UpdateTtl,
};
use client::{BizCode, Error, GroupId, NodeId, Options, ProcessId, Retries, Server};
use kv_api::ReadMode;
use runtime::{FiberGroup, Shard};

use super::history::{Answer, History, Lane, Transacted, View};
use super::operations::Operations;
use super::request::{Request, try_lock};
use super::transaction::Transaction;

/// What a program is to do.
#[derive(Clone, Debug)]
pub struct ProgramPlan {
    /// Its number among the programs.
    pub number: u16,
    /// The group that it talks to.
    pub group: GroupId,
    /// The members of the group.
    pub servers: Vec<Server>,
    /// What each strand does.
    pub strands: Vec<Operations>,
    /// Connections to each server.
    pub connections: usize,
    /// Patience with a call.
    pub call_timeout: Duration,
    /// After what time a write is sent again, if that is done.
    pub retry_after: Option<Duration>,
    /// Whether calls that were not carried out are made again.
    pub is_persistent: bool,
}

/// A program's connection to the rest of the run; clones are the same.
#[derive(Clone)]
pub struct Program {
    plan: Arc<ProgramPlan>,
    history: History,
    stop: Arc<AtomicBool>,
    lives: u64,
}

/// Pause after a call that did not succeed.
const PAUSE: Duration = Duration::from_millis(3);

impl Program {
    /// A program that has not run yet.
    pub fn new(plan: ProgramPlan, history: History) -> Program {
        Program { plan: Arc::new(plan), history, stop: Arc::default(), lives: 0 }
    }

    /// What it is to do.
    pub fn plan(&self) -> &ProgramPlan {
        &self.plan
    }

    /// Asks it to make no further calls.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Another life of the program, after a crash: it goes on behind the calls it made.
    pub fn reborn(&mut self) -> Program {
        self.lives += 1;
        self.clone()
    }

    /// Runs to the end of its operations.
    pub async fn run(self, shard: Shard) {
        let process = ProcessId { high: u64::from(self.plan.number) + 1, low: self.lives };
        let options = Options {
            group: self.plan.group,
            connections_per_server: self.plan.connections,
            call_timeout: self.plan.call_timeout,
            retries: match self.plan.retry_after {
                Some(_) => Retries::InSession,
                None => Retries::Never,
            },
            retry_after: self.plan.retry_after.unwrap_or(self.plan.call_timeout),
            reconnect_delay_min: Duration::from_millis(2),
            reconnect_delay_max: Duration::from_millis(100),
            search_interval: Duration::from_millis(20),
            search_timeout: Duration::from_millis(300),
            connect_timeout: Duration::from_millis(500),
            ..Options::new(self.plan.servers.clone(), process)
        };
        let Ok(client) = Client::new(&shard, options) else { return };
        let known = Rc::new(RefCell::new(BTreeMap::new()));
        let fibers = FiberGroup::new(&shard, "strands");
        for number in 0..self.plan.strands.len() {
            let strand = Strand {
                lane: Lane { client: self.plan.number, strand: number as u16 },
                program: self.clone(),
                process,
                client: client.clone(),
                shard: shard.clone(),
                known: Rc::clone(&known),
            };
            drop(fibers.spawn("strand", strand.run(number)));
        }
        fibers.join().await;
    }
}

/// The value of each key that was read or written, `None` where there was none.
type Known = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// One call after the other.
struct Strand {
    lane: Lane,
    program: Program,
    process: ProcessId,
    client: Client,
    shard: Shard,
    /// What the program saw last, for compare-and-set.
    known: Rc<RefCell<Known>>,
}

impl Strand {
    async fn run(self, number: usize) {
        let plan = Arc::clone(&self.program.plan);
        let Some(operations) = plan.strands.get(number) else { return };
        let mut next = self.program.history.made_by(self.lane);
        while !self.program.stop.load(Ordering::Relaxed) {
            let Some(planned) = operations.get(next) else { return };
            self.shard.clock().sleep(planned.pause).await;
            let request = operations.request(planned, (self.lane, next), &self.known.borrow());
            let history = &self.program.history;
            let call = history.invoke(self.lane, plan.group, self.process, request.clone());
            let answer = carry_out(&self.client, &request).await;
            self.learn(&request, &answer);
            let is_done = !matches!(answer, Answer::NotDone(_) | Answer::Unknown(_));
            history.answer(call, answer);
            if !is_done {
                self.shard.clock().sleep(PAUSE).await;
            }
            if is_done || !plan.is_persistent {
                next += 1;
            }
        }
    }

    fn learn(&self, request: &Request, answer: &Answer) {
        let mut known = self.known.borrow_mut();
        match (request, answer) {
            (Request::Get(key), Answer::Nodes(nodes)) => {
                if let Some(Ok(node)) = nodes.first() {
                    let value = node.as_ref().and_then(|node| node.value.clone());
                    known.insert(key.clone(), value);
                }
            }
            (Request::Put(key, value), Answer::Written { index: Some(_), .. }) => {
                known.insert(key.clone(), Some(value.clone()));
            }
            (Request::Cas(key, _, new), Answer::Written { codes, .. })
                if codes.first() == Some(&BizCode::Success) =>
            {
                known.insert(key.clone(), new.clone());
            }
            _ => {}
        }
    }
}

/// Carries a request out and puts the reply into the history's words.
async fn carry_out(client: &Client, request: &Request) -> Answer {
    let codes = |index: u64, codes: Vec<BizCode>| Answer::Written { index: Some(index), codes };
    let one = |index, changed, yes, no| codes(index, vec![if changed { yes } else { no }]);
    let reply = match request {
        Request::Get(key) => client.get(key).await.map(|node| nodes([Ok(node)])),
        Request::GetFrom(node, key) => {
            let (node, mode) = (NodeId(i32::from(*node)), ReadMode::Linearizable);
            client.call(&GetFrom { key, node, mode }).await.map(|node| nodes([Ok(node)]))
        }
        Request::BatchGet(keys) => {
            let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
            client.batch_get(&keys).await.map(nodes)
        }
        Request::List(key) => match client.list(key).await {
            Ok(children) => {
                let children = children.into_iter();
                let children = children.map(|child| (child.name, View::from(child.node)));
                Ok(Answer::Children(Ok(children.collect())))
            }
            Err(Error::Refused(code)) => Ok(Answer::Children(Err(code))),
            Err(error) => Err(error),
        },
        Request::Put(key, value) => client.put(key, value).await.map(|reply| {
            let (yes, no) = (BizCode::SuccessOverwrite, BizCode::Success);
            one(reply.raft_index, reply.overwritten, yes, no)
        }),
        Request::Remove(key) => client
            .remove(key)
            .await
            .map(|reply| one(reply.raft_index, reply.existed, BizCode::Success, BizCode::NotFound)),
        Request::Mkdir(key) => client.mkdir(key).await.map(|reply| {
            one(reply.raft_index, reply.created, BizCode::Success, BizCode::DirExists)
        }),
        Request::Cas(key, expected, new) => {
            let reply = client.compare_and_set(key, expected.as_deref(), new.as_deref()).await;
            reply.map(|reply| {
                one(reply.raft_index, reply.swapped, BizCode::Success, BizCode::CasMismatch)
            })
        }
        Request::PutTemporary(..)
        | Request::MakeTemporary(..)
        | Request::UpdateTtl(..)
        | Request::TryLock(..)
        | Request::Unlock(_)
        | Request::UpdateLease(..) => carry_out_lease(client, request).await,
        Request::Transaction(transaction) => transact(client, transaction).await,
        Request::BatchPut(pairs) => {
            let keys: Vec<&[u8]> = pairs.iter().map(|(key, _)| key.as_slice()).collect();
            let values: Vec<&[u8]> = pairs.iter().map(|(_, value)| value.as_slice()).collect();
            client.batch_put(&keys, &values).await.map(|reply| {
                let (yes, no) = (BizCode::SuccessOverwrite, BizCode::Success);
                codes(reply.raft_index, each(reply.overwritten, yes, no))
            })
        }
        Request::BatchRemove(keys) => {
            let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
            client.batch_remove(&keys).await.map(|reply| {
                let (yes, no) = (BizCode::Success, BizCode::NotFound);
                codes(reply.raft_index, each(reply.existed, yes, no))
            })
        }
    };
    reply.unwrap_or_else(|error| failed(request, error))
}

async fn transact(client: &Client, transaction: &Transaction) -> Result<Answer, Error> {
    let parts = transaction.parts();
    let TransactionReply { raft_index, held, done } = client.call(&parts.operation()).await?;
    let done = match done {
        TransactionDone::Whole(steps) => {
            let steps = steps.into_iter();
            Ok(steps.map(|step| (step.code, step.node.map(View::from))).collect())
        }
        TransactionDone::Nothing { position, code } => Err((position, code)),
    };
    Ok(Answer::Transacted { index: raft_index, transacted: Transacted { held, done } })
}

/// The requests about what expires, and about locks.
async fn carry_out_lease(client: &Client, request: &Request) -> Result<Answer, Error> {
    let codes = |index: u64, codes: Vec<BizCode>| Answer::Written { index: Some(index), codes };
    let one = |index, changed, yes, no| codes(index, vec![if changed { yes } else { no }]);
    match request {
        Request::PutTemporary(key, value, ttl_ms) => {
            let time_to_live = Duration::from_millis(*ttl_ms);
            client.call(&PutTemporary { key, value, time_to_live }).await.map(|reply| {
                let (yes, no) = (BizCode::SuccessOverwrite, BizCode::Success);
                one(reply.raft_index, reply.overwritten, yes, no)
            })
        }
        Request::MakeTemporary(key, ttl_ms) => {
            let time_to_live = Duration::from_millis(*ttl_ms);
            client.call(&MakeTemporaryDirectory { key, time_to_live }).await.map(|reply| {
                one(reply.raft_index, reply.created, BizCode::Success, BizCode::DirExists)
            })
        }
        Request::UpdateTtl(key, ttl_ms) => {
            let time_to_live = Duration::from_millis(*ttl_ms);
            let reply = client.call(&UpdateTtl { key, time_to_live }).await;
            reply.map(|reply| codes(reply.raft_index, vec![BizCode::Success]))
        }
        Request::TryLock(key, lease_ms, wait_ms) => {
            client.call(&try_lock(key, *lease_ms, *wait_ms)).await.map(|reply| match reply.holder {
                LockHolder::ThisClient { fencing_token: token } => {
                    Answer::Granted { index: reply.raft_index, token }
                }
                LockHolder::Another => codes(reply.raft_index, vec![BizCode::LockByOther]),
            })
        }
        Request::Unlock(key) => client
            .call(&Unlock { key })
            .await
            .map(|reply| one(reply.raft_index, reply.held, BizCode::Success, BizCode::LockByOther)),
        Request::UpdateLease(key, lease_ms) => {
            let lease = Duration::from_millis(*lease_ms);
            client.call(&UpdateLockLease { key, lease }).await.map(|reply| {
                one(reply.raft_index, reply.held, BizCode::Success, BizCode::LockByOther)
            })
        }
        _ => unreachable!("{request} is not about what expires"),
    }
}

fn nodes(
    nodes: impl IntoIterator<Item = Result<Option<client::operations::Node>, BizCode>>,
) -> Answer {
    Answer::Nodes(nodes.into_iter().map(|node| node.map(|node| node.map(View::from))).collect())
}

fn each(results: Vec<Result<bool, BizCode>>, yes: BizCode, no: BizCode) -> Vec<BizCode> {
    let code = |result| match result {
        Ok(true) => yes,
        Ok(false) => no,
        Err(code) => code,
    };
    results.into_iter().map(code).collect()
}

fn failed(request: &Request, error: Error) -> Answer {
    match error {
        Error::Refused(code) if request.is_read() => Answer::Nodes(vec![Err(code)]),
        Error::Refused(code) => Answer::Written { index: None, codes: vec![code] },
        error if request.is_read() => Answer::NotDone(error.to_string()),
        Error::OutcomeUnknown(_) | Error::Protocol(_) => Answer::Unknown(error.to_string()),
        error => Answer::NotDone(error.to_string()),
    }
}
