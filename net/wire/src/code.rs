//! How a request ended: for the system (`resp_code`), and for the tree (`biz_code`).

use core::fmt;

/// One row gives a variant, its number and its name.
macro_rules! codes {
    ($(#[doc = $about:literal])* $type:ident:
     $($(#[doc = $doc:literal])* $variant:ident = $number:literal, $name:literal;)*) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        #[repr(u8)]
        pub enum $type {
            /// Done, nothing to add.
            #[default]
            Success = 0,
            $($(#[doc = $doc])* $variant = $number,)*
        }

        impl $type {
            /// All codes in ascending order.
            pub const ALL: &'static [$type] = &[$type::Success, $($type::$variant),*];

            /// The number on the wire.
            #[inline]
            pub const fn number(self) -> i32 {
                self as i32
            }

            /// The code with this number on the wire.
            #[inline]
            pub const fn from_number(number: i32) -> Option<$type> {
                match number {
                    0 => Some($type::Success),
                    $($number => Some($type::$variant),)*
                    _ => None,
                }
            }

            /// The name in documents and messages.
            pub const fn name(self) -> &'static str {
                match self {
                    $type::Success => "SUCCESS",
                    $($type::$variant => $name,)*
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.name())
            }
        }
    };
}

codes! {
    /// How the system dealt with a request: field 4 of a packet.
    ///
    /// A caller may repeat a request on 4, 5, 7, 8, 9 and 10: they say that it was not executed.
    RespCode:
    /// The request cannot be decoded by the group that it is for.
    ClientError = 1, "CLIENT_ERROR";
    /// Anything else; the message says what.
    SysError = 2, "SYS_ERROR";
    /// Unknown command, or one that this port does not serve.
    CommandNotSupport = 3, "COMMAND_NOT_SUPPORT";
    /// The service port is open, but not all groups were ready yet.
    NotInit = 4, "NOT_INIT";
    /// The node is stopping.
    Stopping = 5, "STOPPING";
    /// Too much is pending already.
    FlowControl = 6, "FLOW_CONTROL";
    /// The group's leader is elsewhere; `extra` holds its node id in decimal if it is known.
    NotRaftLeader = 7, "NOT_RAFT_LEADER";
    /// No such group on this node.
    RaftGroupNotFound = 8, "RAFT_GROUP_NOT_FOUND";
    /// The group is stopping or being removed.
    RaftGroupStopped = 9, "RAFT_GROUP_STOPPED";
    /// The group is still starting.
    RaftGroupNotInit = 10, "RAFT_GROUP_NOT_INIT";
}

impl RespCode {
    /// Whether the code alone proves that the request was not executed, so that the caller may
    /// send it again, to this or another node.
    pub const fn proves_not_executed(self) -> bool {
        matches!(
            self,
            RespCode::NotInit
                | RespCode::Stopping
                | RespCode::NotRaftLeader
                | RespCode::RaftGroupNotFound
                | RespCode::RaftGroupStopped
                | RespCode::RaftGroupNotInit
        )
    }
}

codes! {
    /// What the tree says about an operation: field 5 of a packet and field 1 of a result.
    BizCode:
    /// Reserved.
    Error = 1, "ERROR";
    /// No such node.
    NotFound = 2, "NOT_FOUND";
    /// Done; an existing value was replaced.
    SuccessOverwrite = 3, "SUCCESS_OVERWRITE";
    /// A directory is there already.
    DirExists = 4, "DIR_EXISTS";
    /// A value is there already.
    ValueExists = 5, "VALUE_EXISTS";
    /// The parent, or the node to list, is a value.
    ParentNotDir = 6, "PARENT_NOT_DIR";
    /// The key breaks the syntax, or there is none.
    InvalidKey = 7, "INVALID_KEY";
    /// The value is missing or does not fit the operation.
    InvalidValue = 8, "INVALID_VALUE";
    /// The parent does not exist.
    ParentDirNotExists = 9, "PARENT_DIR_NOT_EXISTS";
    /// The directory is not empty.
    HasChildren = 10, "HAS_CHILDREN";
    /// The key is longer than allowed.
    KeyTooLong = 11, "KEY_TOO_LONG";
    /// The value is longer than allowed.
    ValueTooLong = 12, "VALUE_TOO_LONG";
    /// The node is loading a snapshot.
    InstallSnapshot = 13, "INSTALL_SNAPSHOT";
    /// The stored value is not the expected one.
    CasMismatch = 14, "CAS_MISMATCH";
    /// A watch request that contradicts itself.
    ClientReqError = 15, "CLIENT_REQ_ERROR";
    /// From client to server: this key is not watched any more.
    RemoveWatch = 16, "REMOVE_WATCH";
    /// From client to server: nothing of this group is watched any more.
    RemoveAllWatch = 17, "REMOVE_ALL_WATCH";
    /// The temporary node belongs to another owner.
    NotOwner = 18, "NOT_OWNER";
    /// The node is permanent.
    NotTempNode = 19, "NOT_TEMP_NODE";
    /// The node is temporary.
    IsTempNode = 20, "IS_TEMP_NODE";
    /// The time to live or the lease is out of range.
    InvalidTtl = 21, "INVALID_TTL";
    /// Inside the log only: the node was renewed since its expiry was proposed.
    TtlIndexMismatch = 22, "TTL_INDEX_MISMATCH";
    /// Nothing temporary can be below a temporary directory.
    UnderTempDir = 23, "UNDER_TEMP_DIR";
    /// Nothing can be created below a lock.
    ParentIsLock = 24, "PARENT_IS_LOCK";
    /// The node is not a lock.
    NotLockNode = 25, "NOT_LOCK_NODE";
    /// The node is a lock.
    IsLockNode = 26, "IS_LOCK_NODE";
    /// The caller holds the lock already; its lease was renewed.
    LockBySelf = 27, "LOCK_BY_SELF";
    /// Somebody else holds the lock.
    LockByOther = 28, "LOCK_BY_OTHER";
    /// The group does not know the session any more: whether earlier tries were carried out cannot
    /// be told, and this one was not.
    SessionExpired = 100, "SESSION_EXPIRED";
    /// The client has said itself that it waits for this write no longer; it was not carried out
    /// now.
    SessionStale = 101, "SESSION_STALE";
    /// The client waits for more writes of the session than it may; it was not carried out.
    SessionFull = 102, "SESSION_FULL";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_and_come_back() {
        for number in -1..=40 {
            let resp = RespCode::from_number(number);
            assert_eq!(resp.is_some(), (0..=10).contains(&number));
            assert!(resp.is_none_or(|code| code.number() == number));
            let biz = BizCode::from_number(number);
            assert_eq!(biz.is_some(), (0..=28).contains(&number));
            assert!(biz.is_none_or(|code| code.number() == number));
        }
        assert_eq!((RespCode::ALL.len(), BizCode::ALL.len()), (11, 32));
        // Own codes are far above Dongting's, and one byte on the wire.
        let own = BizCode::ALL.iter().skip(29).map(|code| code.number());
        assert!(own.eq(100..=102));
        assert_eq!(BizCode::default(), BizCode::Success);
    }

    #[test]
    fn repeating_is_safe_exactly_for_the_codes_of_the_protocol() {
        let safe = RespCode::ALL.iter().filter(|code| code.proves_not_executed());
        assert!(safe.map(|code| code.number()).eq([4, 5, 7, 8, 9, 10]));
    }
}
