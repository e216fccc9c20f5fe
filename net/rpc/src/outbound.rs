//! The write fiber of a connection.

use std::rc::Rc;

use runtime::{Either, WriteHalf, race};

use crate::connection::Connection;
use crate::connections::{Connections, add};

/// Sends what is written to `connection`, all there is in one piece, until the connection closes
/// and the rest has left, or fails, or is cut. Then nothing can be received either.
pub(crate) async fn send_all(
    connection: Rc<Connection>,
    connections: Rc<Connections>,
    mut half: WriteHalf,
) {
    let mut sending = Vec::new();
    loop {
        connection.take_out(&mut sending);
        if sending.is_empty() {
            if connection.is_closing() {
                break;
            }
            connection.wake_writer.wait().await;
            continue;
        }
        match race(half.write_all(&sending), connection.cut.wait()).await {
            Either::Left(Ok(())) => {}
            Either::Left(Err(error)) => {
                tracing::debug!(peer = %connection.peer(), %error, "cannot send");
                break;
            }
            Either::Right(()) => break,
        }
        add(&connections.counters().sent_bytes, sending.len() as u64);
        sending.clear();
        if sending.capacity() > KEPT_BYTES_MAX {
            sending = Vec::new();
        }
    }
    connection.close();
    half.shutdown();
}

/// Memory for answers that a quiet connection keeps; it has two such buffers.
const KEPT_BYTES_MAX: usize = 256 << 10;
