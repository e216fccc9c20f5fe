//! The production backend: real executors, files and sockets.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod boot;
mod fibers;
mod files;
mod mesh;
mod streams;
mod support;
