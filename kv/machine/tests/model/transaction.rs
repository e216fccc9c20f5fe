//! Transactions in the model: a list is tried, and if it fails everything is as it was.

use kv_api::{
    Condition, KvRequest, OperationKind, Owner, Relation, Step, StepKind, Subject,
    TransactionRequest,
};
use kv_machine::Stamp;
use wire::BizCode;

use super::{Call, DIRECTORY, LOCK, Model, check_syntax};

/// Whether the conditions held, whether the list was done, and for each step its code with what it
/// read: update index and value.
type Transacted = (bool, bool, Vec<(BizCode, Option<(u64, Vec<u8>)>)>);

impl Model {
    pub(crate) fn transact(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        request: &TransactionRequest<'_>,
    ) -> Transacted {
        let held = request.conditions.iter().all(|condition| self.holds(&condition));
        let list = if held { request.then } else { request.otherwise };
        let before = (self.nodes.clone(), self.root_update, self.created);
        let mut results = Vec::new();
        for step in list {
            let result = self.step(stamp, owner, &step);
            let code = result.0;
            results.push(result);
            let fine = match code {
                BizCode::Success | BizCode::SuccessOverwrite => true,
                BizCode::NotFound => [StepKind::Remove, StepKind::Get].contains(&step.kind),
                BizCode::DirExists => [StepKind::Mkdir, StepKind::MakeTempDir].contains(&step.kind),
                _ => false,
            };
            if !fine {
                (self.nodes, self.root_update, self.created) = before;
                // Nobody sees what a list has read that was not done.
                results.iter_mut().for_each(|result| result.1 = None);
                return (held, false, results);
            }
        }
        (held, true, results)
    }

    fn holds(&self, condition: &Condition<'_>) -> bool {
        let valid = condition.key.is_empty() || check_syntax(condition.key).is_ok();
        let node = self.nodes.get(condition.key).filter(|_| valid);
        let root = condition.key.is_empty();
        let found = match condition.subject {
            Subject::Existence => u64::from(node.is_some() || root),
            Subject::UpdateIndex if root => self.root_update.index,
            Subject::UpdateIndex => node.map_or(0, |node| node.update.index),
            Subject::CreateIndex => node.map_or(0, |node| node.create.index),
            Subject::FencingToken => match node {
                Some(node) if node.flags == DIRECTORY | LOCK => {
                    self.nodes[self.children(condition.key)[0]].create.index
                }
                _ => 0,
            },
            Subject::Value => {
                return match node.filter(|node| node.flags & DIRECTORY == 0) {
                    None => condition.relation == Relation::NotEqual,
                    Some(node) => match condition.relation {
                        Relation::Equal => node.value == condition.value,
                        Relation::NotEqual => node.value != condition.value,
                        Relation::Less => &node.value[..] < condition.value,
                        Relation::Greater => &node.value[..] > condition.value,
                        Relation::Unknown => unreachable!(),
                    },
                };
            }
            Subject::Unknown => unreachable!(),
        };
        match condition.relation {
            Relation::Equal => found == condition.number,
            Relation::NotEqual => found != condition.number,
            Relation::Less => found < condition.number,
            Relation::Greater => found > condition.number,
            Relation::Unknown => unreachable!(),
        }
    }

    fn step(
        &mut self,
        stamp: Stamp,
        owner: Owner,
        step: &Step<'_>,
    ) -> (BizCode, Option<(u64, Vec<u8>)>) {
        let kind = match step.kind {
            StepKind::Put => OperationKind::Put,
            StepKind::Remove => OperationKind::Remove,
            StepKind::Mkdir => OperationKind::Mkdir,
            StepKind::PutTemp => OperationKind::PutTemp,
            StepKind::MakeTempDir => OperationKind::MakeTempDir,
            StepKind::UpdateTtl => OperationKind::UpdateTtl,
            StepKind::Get if step.key.is_empty() => {
                return (BizCode::Success, Some((self.root_update.index, Vec::new())));
            }
            StepKind::Get => {
                if let Err(code) = check_syntax(step.key) {
                    return (code, None);
                }
                return match self.nodes.get(step.key) {
                    None => (BizCode::NotFound, None),
                    Some(node) => (BizCode::Success, Some((node.update.index, node.value.clone()))),
                };
            }
            StepKind::Unknown => unreachable!(),
        };
        let (key, value, ttl_millis) = (step.key, step.value, step.ttl_millis);
        let request = KvRequest { key, value, ttl_millis, ..KvRequest::default() };
        (self.apply_one(Call { stamp, owner, kind, request: &request }), None)
    }
}
