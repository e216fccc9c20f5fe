//! What is refused before it reaches the log.

use core::fmt;

use wire::BizCode;

use crate::operation::OperationKind;
use crate::request::KvRequest;

/// The longest value of a put and of a temporary value. Batch put and compare-and-set are bounded
/// by the size of a packet alone.
pub const VALUE_BYTES_MAX: usize = 1 << 20;
/// The longest time to live and the longest lease: 36,500 days.
pub const TTL_MS_MAX: i64 = 36_500 * 24 * 60 * 60 * 1000;

/// Why a request does not even become a log entry; its text is what the client is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// The code of the answer.
    pub code: BizCode,
    /// What is wrong.
    pub text: &'static str,
    /// The number that is wrong.
    pub number: i64,
}

/// Checks times to live and leases, the only things that depend on the request alone and must not
/// take a place in the log. Everything else is judged when the entry is applied.
pub fn validate(kind: OperationKind, request: &KvRequest<'_>) -> Result<(), Refusal> {
    match kind {
        OperationKind::PutTemp
        | OperationKind::MakeTempDir
        | OperationKind::UpdateTtl
        | OperationKind::UpdateLockLease => check_ttl(request.ttl_millis),
        OperationKind::TryLock => check_try_lock(request),
        OperationKind::Put
        | OperationKind::Remove
        | OperationKind::Mkdir
        | OperationKind::BatchPut
        | OperationKind::BatchRemove
        | OperationKind::Cas
        | OperationKind::Expire
        | OperationKind::Unlock
        | OperationKind::Transaction
        | OperationKind::OpenSession => Ok(()),
    }
}

/// The lease that the value of a lock request asks for: its first eight bytes, big-endian.
pub fn lock_lease_ms(value: &[u8]) -> Option<i64> {
    value.first_chunk().map(|bytes| i64::from_be_bytes(*bytes))
}

fn check_ttl(ttl_ms: i64) -> Result<(), Refusal> {
    if ttl_ms <= 0 {
        return refuse("ttl must be positive", ttl_ms);
    }
    if ttl_ms > TTL_MS_MAX {
        return refuse("ttl too large", ttl_ms);
    }
    Ok(())
}

fn check_try_lock(request: &KvRequest<'_>) -> Result<(), Refusal> {
    let Some(lease_ms) = lock_lease_ms(request.value) else {
        return refuse("lock value too short", request.value.len() as i64);
    };
    let wait_ms = request.ttl_millis;
    if lease_ms <= 0 {
        return refuse("lease must be positive", lease_ms);
    }
    if lease_ms > TTL_MS_MAX {
        return refuse("lease too large", lease_ms);
    }
    if wait_ms < 0 {
        return refuse("wait time must not be negative", wait_ms);
    }
    if wait_ms > lease_ms {
        return refuse("wait time longer than lease", wait_ms);
    }
    Ok(())
}

fn refuse(text: &'static str, number: i64) -> Result<(), Refusal> {
    Err(Refusal { code: BizCode::InvalidTtl, text, number })
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.text, self.number)
    }
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn ttl_and_lease_have_a_range() {
        let table = [(1, true), (TTL_MS_MAX, true), (0, false), (-1, false), (i64::MIN, false)];
        let table = table.into_iter().chain([(TTL_MS_MAX + 1, false), (i64::MAX, false)]);
        for (ttl_millis, accepted) in table {
            let request = KvRequest { ttl_millis, ..Default::default() };
            for kind in OperationKind::ALL.iter().copied() {
                let limited = matches!(kind.number(), 11 | 12 | 14 | 17);
                let plain = !limited && kind != OperationKind::TryLock;
                let result = validate(kind, &request);
                assert!(result.is_ok() == (plain || limited && accepted), "{kind:?} {ttl_millis}");
            }
        }
        let refusal = validate(OperationKind::PutTemp, &KvRequest::default()).expect_err("ttl 0");
        assert_eq!(refusal.to_string(), "ttl must be positive: 0");
    }

    #[test]
    fn waiting_is_not_longer_than_the_lease() {
        let table = [
            (1, 0, true),
            (TTL_MS_MAX, TTL_MS_MAX, true),
            (5000, 5000, true),
            (5000, 5001, false),
            (0, 0, false),
            (-1, 0, false),
            (TTL_MS_MAX + 1, 0, false),
            (5000, -1, false),
            (TTL_MS_MAX, TTL_MS_MAX + 1, false),
        ];
        for (lease_ms, ttl_millis, accepted) in table {
            let value = &i64::to_be_bytes(lease_ms);
            let request = KvRequest { value, ttl_millis, ..Default::default() };
            let result = validate(OperationKind::TryLock, &request);
            assert_eq!(result.is_ok(), accepted, "{lease_ms} {ttl_millis}");
            let short = KvRequest { value: &value[1..], ttl_millis, ..Default::default() };
            assert!(validate(OperationKind::TryLock, &short).is_err());
        }
    }
}
