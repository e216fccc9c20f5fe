//! Three servers, and every set of the links between them.
//!
//! Each of the six directions between three servers is up or down. In [every such set](link_set), and
//! [after every other one](walk), a group goes on serving where a majority can talk to each other, its
//! term stays as it is, nobody acknowledges anything where none can, and all is well once the links are
//! back.

pub mod link_set;
pub mod walk;
