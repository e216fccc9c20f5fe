//! Waiting for sockets with `ppoll(2)`.

use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

/// One socket to wait for, and what has happened to it.
#[repr(transparent)]
pub(super) struct Interest(libc::pollfd);

impl Interest {
    pub(super) fn new(descriptor: RawFd, write: bool) -> Interest {
        let events = if write { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
        Interest(libc::pollfd { fd: descriptor, events, revents: 0 })
    }

    /// There are bytes, or the end of the stream, or an error to be read.
    pub(super) fn is_readable(&self) -> bool {
        self.0.revents & !libc::POLLOUT != 0
    }

    /// There is room, or the attempt to connect has ended, well or badly.
    pub(super) fn is_writable(&self) -> bool {
        self.0.revents & !libc::POLLIN != 0
    }
}

/// Waits until something has happened to a socket or the time is over.
pub(super) fn wait(interests: &mut [Interest], timeout: Duration) -> io::Result<()> {
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    let count = interests.len() as libc::nfds_t;
    // SAFETY: `Interest` is a transparent `pollfd`, `count` of them are there for reading and
    // writing during the call; the timeout is a valid timespec; a null mask changes no signals.
    let result =
        unsafe { libc::ppoll(interests.as_mut_ptr().cast(), count, &timeout, std::ptr::null()) };
    match result {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
