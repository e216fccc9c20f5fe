//! What a shard knows of this node and the others, and how it learns more.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use runtime::Condition;

use super::keeper::Wish;
use super::lives::{Lives, Meeting};
use crate::identity::Identity;
use crate::mail::{Mail, Outbox};

/// One shard's view.
pub struct Acquaintance {
    own: RefCell<Option<Arc<Identity>>>,
    lives: RefCell<Arc<Lives>>,
    changed: Condition,
    /// Mail to all shards; the first one writes down.
    outboxes: Rc<[Outbox]>,
}

/// Why a node is not listened to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotMet {
    /// Its life is over.
    LifeIsOver,
    /// Its life is new here, and what it says may be older than the life that is known here. It has
    /// to say again who it is, now that it can hear of that one.
    Uncertain,
}

impl Acquaintance {
    /// Knows nothing yet.
    pub fn new(outboxes: Rc<[Outbox]>) -> Acquaintance {
        let (own, lives) = (RefCell::default(), RefCell::default());
        Acquaintance { own, lives, changed: Condition::new(), outboxes }
    }

    /// Who this node is, once its data directory is open.
    pub fn own(&self) -> Option<Arc<Identity>> {
        self.own.borrow().clone()
    }

    /// Now it is known who this node is.
    pub fn introduce(&self, own: Arc<Identity>) {
        *self.own.borrow_mut() = Some(own);
        self.changed.notify_all();
    }

    /// What is durable of all lives.
    pub fn lives(&self) -> Arc<Lives> {
        self.lives.borrow().clone()
    }

    /// Takes a newer state. Returns the nodes that were known before in another life.
    pub fn update(&self, lives: Arc<Lives>) -> Vec<u32> {
        let before = self.lives.replace(lives);
        let now = self.lives();
        self.changed.notify_all();
        let is_new = |node: &u32| before.current(*node) != now.current(*node);
        before.nodes().filter(is_new).collect()
    }

    /// Has a wish written down by the shard that does so.
    pub fn wish(&self, wish: Wish) {
        if let Some(first) = self.outboxes.first() {
            first.push(Mail::Wish(wish));
            first.flush();
        }
    }

    /// Waits until what is durable of all lives is as wanted.
    pub async fn until(&self, is_wanted: impl Fn(&Lives) -> bool) {
        while !is_wanted(&self.lives()) {
            self.changed.wait().await;
        }
    }

    /// Waits until it is written down which life a node is in. Says whether it was known in another
    /// one before.
    ///
    /// Words of a life that is over may come late, after those of a later one. So a life that is new
    /// here counts only if its node was alive after the life `after` had been written down here, and
    /// if that is still the newest: `after` is what this node knew when it said something that the
    /// other one has answered.
    ///
    /// # Errors
    /// When the node has begun a later life, or that cannot be told.
    pub async fn meet(
        &self,
        node: u32,
        incarnation: u64,
        after: Option<u64>,
    ) -> Result<bool, NotMet> {
        let mut has_asked = false;
        loop {
            let lives = self.lives();
            match lives.meeting(node, incarnation) {
                Meeting::Known { had_another } => return Ok(had_another),
                Meeting::Over => return Err(NotMet::LifeIsOver),
                Meeting::News if lives.current(node) != after => return Err(NotMet::Uncertain),
                Meeting::News => {}
            }
            if !has_asked {
                self.wish(Wish::Met { node, incarnation, after });
                has_asked = true;
            }
            self.changed.wait().await;
        }
    }
}
