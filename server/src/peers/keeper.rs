//! The fiber of the first shard that writes down what any shard has learnt about lives.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use runtime::{MailSender, Signal};

use super::lives::Lives;
use super::lives_file::LivesFile;
use crate::mail::Mail;

/// Something that a shard wants to be durable and known on every shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wish {
    /// A node was met in a life that nothing was known of.
    Met {
        /// The node.
        node: u32,
        /// Its incarnation.
        incarnation: u64,
        /// The life that it follows, if any was known.
        after: Option<u64>,
    },
    /// This node may vote in the group from now on.
    Trust {
        /// The group.
        group: i32,
    },
}

/// Takes wishes, one write for all that have come meanwhile.
#[derive(Default)]
pub struct Keeper {
    wishes: RefCell<Vec<Wish>>,
    work: Signal,
}

impl Keeper {
    /// Takes a wish.
    pub fn take(&self, wish: Wish) {
        self.wishes.borrow_mut().push(wish);
        self.work.set();
    }

    /// Fulfils wishes and tells all shards, until a write fails.
    pub async fn run(
        &self,
        mut file: LivesFile,
        mut lives: Lives,
        senders: &[MailSender<Mail>],
    ) -> io::Error {
        loop {
            let wishes = std::mem::take(&mut *self.wishes.borrow_mut());
            if wishes.is_empty() {
                self.work.wait().await;
                continue;
            }
            let before = lives.clone();
            for wish in wishes {
                fulfil(&mut lives, wish);
            }
            if lives != before
                && let Err(error) = file.write(&lives).await
            {
                return error;
            }
            let news = Arc::new(lives.clone());
            for sender in senders {
                // A shard that has ended needs no news.
                let _ = sender.send_all(&mut vec![Mail::Lives(news.clone())]).await;
            }
        }
    }
}

fn fulfil(lives: &mut Lives, wish: Wish) {
    let had_room = match wish {
        // Another life has been met meanwhile, and it may be the later one.
        Wish::Met { node, after, .. } if lives.current(node) != after => true,
        Wish::Met { node, incarnation, .. } => lives.learn(node, incarnation),
        Wish::Trust { group } => lives.trust(group),
    };
    if !had_room {
        tracing::error!(?wish, "the file `lives` is full; remove nodes or groups from the cluster");
    }
}
