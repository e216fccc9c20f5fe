//! The production backend: real executors, files and sockets.

mod boot;
mod fibers;
mod files;
mod mesh;
mod streams;
mod support;
