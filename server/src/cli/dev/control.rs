//! Orders to a running development cluster: a line over a socket, and a line back.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

use super::supervisor::Event;
use crate::cli::arguments::DevOrder;

/// An order and the way back.
pub(super) struct Order {
    pub(super) order: DevOrder,
    stream: UnixStream,
}

/// How long one side waits for the other's line.
const LINE_TIMEOUT: Duration = Duration::from_secs(30);

/// Takes orders at `socket` and passes them on, as long as the process lives.
pub(super) fn listen(socket: &Path, events: SyncSender<Event>) -> io::Result<()> {
    let listener = UnixListener::bind(socket)?;
    thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            // Whoever only looks whether somebody listens says nothing.
            if let Ok(Some(order)) = receive(stream)
                && events.send(Event::Order(order)).is_err()
            {
                return;
            }
        }
    });
    Ok(())
}

fn receive(stream: UnixStream) -> io::Result<Option<Order>> {
    stream.set_read_timeout(Some(LINE_TIMEOUT))?;
    let mut line = String::new();
    BufReader::new(&stream).read_line(&mut line)?;
    Ok(parse(&line).map(|order| Order { order, stream }))
}

fn parse(line: &str) -> Option<DevOrder> {
    let (verb, node) = line.trim_end().split_once(' ')?;
    let node = node.parse().ok()?;
    match verb {
        "kill" => Some(DevOrder::Kill { node }),
        "start" => Some(DevOrder::Start { node }),
        _ => None,
    }
}

impl Order {
    /// Tells the one who gave it how it went.
    pub(super) fn answer(mut self, result: Result<(), String>) {
        let line = match result {
            Ok(()) => "done".to_owned(),
            Err(why) => why,
        };
        // Whoever has gone away does not want to know.
        let _ = writeln!(self.stream, "{line}");
    }
}

/// Gives an order and waits until it is carried out.
pub(super) fn send(socket: &Path, order: DevOrder) -> io::Result<Result<(), String>> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LINE_TIMEOUT))?;
    let (verb, node) = match order {
        DevOrder::Kill { node } => ("kill", node),
        DevOrder::Start { node } => ("start", node),
    };
    writeln!(stream, "{verb} {node}")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(match line.trim_end() {
        "done" => Ok(()),
        "" => Err("the cluster has ended".to_owned()),
        why => Err(why.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_a_verb_and_a_node() {
        assert!(matches!(parse("kill 2\n"), Some(DevOrder::Kill { node: 2 })));
        assert!(matches!(parse("start 10\n"), Some(DevOrder::Start { node: 10 })));
        for wrong in ["", "kill", "kill x", "stop 1", "kill -1"] {
            assert!(parse(wrong).is_none(), "{wrong}");
        }
    }
}
