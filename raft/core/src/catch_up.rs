//! A leader helps nodes that need entries which its log has dropped.

use crate::leader::Leader;
use crate::message::{Body, SnapshotOffer, SnapshotReply};
use crate::node::Node;
use crate::progress::{Flow, Progress};
use crate::types::{NodeId, Position};

impl Leader {
    /// The host has a snapshot for a node. Says whether it is wanted.
    pub(crate) fn offer_snapshot(
        &mut self,
        node: &mut Node,
        to: NodeId,
        boundary: Position,
    ) -> bool {
        let (round, least) = (self.round, node.log.boundary().index);
        // One that ends before the log begins would leave a gap after it.
        let is_useful = |progress: &Progress| {
            progress.needs_snapshot()
                && boundary.index >= least
                && boundary.index > progress.matched
        };
        let Some(progress) = self.progress_of(to).filter(|progress| is_useful(progress)) else {
            return false;
        };
        progress.flow = Flow::Snapshot(Some(boundary));
        node.send(to, Body::SnapshotOffer(SnapshotOffer { round, boundary }));
        true
    }

    /// The node has put the snapshot in place, or does not need it, or could not.
    pub(crate) fn on_snapshot_reply(
        &mut self,
        node: &mut Node,
        from: NodeId,
        reply: &SnapshotReply,
    ) {
        let Some(progress) = self.progress_of(from) else { return };
        let is_current = matches!(progress.flow, Flow::Snapshot(Some(at)) if at == reply.boundary);
        if is_current && reply.holds {
            self.on_matched(node, from, reply.boundary.index);
            self.probe_at_once(node, from);
        } else if is_current {
            progress.flow = Flow::Snapshot(None);
        }
    }

    /// The stream of a snapshot has ended; a question finds out what the node has now.
    pub(crate) fn snapshot_ended(&mut self, node: &mut Node, to: NodeId) {
        let Some(progress) = self.progress_of(to) else { return };
        if let Flow::Snapshot(Some(boundary)) = progress.flow {
            progress.probe_from(boundary.index.next());
            self.probe_at_once(node, to);
        }
    }

    /// The log has more of its head again. Nodes that were to be offered a snapshot may do without.
    pub(crate) fn log_found(&mut self, node: &mut Node) {
        let least = node.log.boundary().index;
        for place in 0..self.progress.len() {
            let progress = &mut self.progress[place];
            let is_offered = matches!(progress.flow, Flow::Snapshot(Some(_)));
            if progress.needs_snapshot() && !is_offered && progress.next.previous() >= least {
                progress.probe_from(progress.next);
                let to = progress.id;
                self.probe_at_once(node, to);
            }
        }
    }

    /// The log lost its head. Nodes that still needed it need a snapshot now.
    pub(crate) fn compacted(&mut self, node: &mut Node) {
        for progress in &mut self.progress {
            let previous = progress.next.previous();
            if !progress.needs_snapshot() && previous < node.log.boundary().index {
                progress.flow = Flow::Snapshot(None);
                node.want_snapshot(progress.id);
            }
        }
    }
}
