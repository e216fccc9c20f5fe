//! Connections as clients see them: a real server beside real clients, byte by byte.
#![expect(clippy::expect_used, reason = "a test that cannot be set up must fail")]

mod backend;
mod serving;

mod framing;
mod introduction;
mod life;
mod routing;
