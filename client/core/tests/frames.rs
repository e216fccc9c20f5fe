//! The bytes of a session as it was captured between another client and another server.
#![expect(clippy::expect_used, reason = "a test ends at the first surprise")]

use std::net::SocketAddr;
use std::time::Duration;

use client_core::operations::{Get, Mkdir, Put};
use client_core::{Action, Core, Event, LinkId, LockOptions, NodeId, Options, Server};
use moment::Moment;
use wire::ProcessId;

const LINK: LinkId = LinkId(0);

#[test]
fn session_has_the_captured_bytes() {
    let address = SocketAddr::from(([127, 0, 0, 1], 9332));
    let servers = vec![Server { node: NodeId(1), address }];
    let client = ProcessId { high: 0x1c17_e94e_27b6_4c47, low: 0xb5ac_153d_9f13_8bbd };
    let mut core = Core::new(Options::new(servers, client)).expect("valid options");
    let start = Moment::from_nanos(0);
    let get = core.submit(&Get { key: b"" }, start).expect("room");
    assert_eq!(core.next_action(), Some(Action::Connect { link: LINK, address }));

    // The request tells how much of the 3 s is left.
    core.link_up(LINK, start + Duration::from_nanos(3_000_000_000 - 2_901_088_883));
    let handshake = "00000057080110021d0100000039731aebac000000007a430913da221c459010ae115f93610a\
        a3d1d71c18012a1209474cb6274ee9171c11bd8b139f3d15acb54219088080c0021080808002186420808080\
        1028d00f3080808010";
    assert_eq!(sent(&mut core), handshake);
    let now = start + Duration::from_millis(200);
    let answer = "0000002d080210021d010000007a220913da221c459010ae115f93610aa3d1d71c1801420c08ff\
        ffffff0710ffffffff07";
    core.received(LINK, &from_hex(answer), now);

    // The body of group 0 is empty and so absent.
    assert_eq!(sent(&mut core), "000000120801102e1d020000003900ca9a3b00000000");
    let status = "0000004b0802102e1d020000007a40100118052001280131ba0000000000000039ba0000000000\
        0000417f0100000000000049ba000000000000005d010000005d020000005d030000006504000000";
    core.received(LINK, &from_hex(status), now);

    // So is the body of the root.
    assert_eq!(sent(&mut core), "00000012080110051d030000003900301a1e01000000");
    let miss = "00000013080210051d0300000028027a0610011a020802";
    core.received(LINK, &from_hex(miss), now);
    assert_eq!(core.next_finished(), Some(get));
    assert_eq!(core.take(get, |completion| completion.reply::<Get>()), Some(Ok(None)));

    let timeout = Duration::from_nanos(4_993_942_066);
    let put = core.submit_within(&Put { key: b"k1", value: b"v1" }, timeout, now).expect("room");
    let request = "0000001c080110061d04000000393282a929010000007a0812026b311a027631";
    assert_eq!(sent(&mut core), request);
    let created = "00000018080210061d040000007a0d09bb0000000000000010011a00";
    core.received(LINK, &from_hex(created), now);
    let reply = core.take(put, |completion| completion.reply::<Put>()).expect("finished");
    let reply = reply.expect("a success");
    assert_eq!((reply.raft_index, reply.overwritten), (0xbb, false));

    let mkdir = core.submit(&Mkdir { key: b"dir" }, now).expect("room");
    let exists = "0000001c080210471d0500000028047a0f09be0000000000000010011a020804";
    core.received(LINK, &from_hex(exists), now);
    let reply = core.take(mkdir, |completion| completion.reply::<Mkdir>()).expect("finished");
    assert!(!reply.expect("an existing directory is no error").created);
}

/// Whatever the bytes are, nothing panics, and every operation ends once.
#[test]
fn every_flipped_bit_of_an_answer_is_survived() {
    let answers = from_hex(
        "0000002d080210021d010000007a220913da221c459010ae115f93610aa3d1d71c1801420c08ffffffff0710\
        ffffffff07\
        0000004b0802102e1d020000007a40100118052001280131ba0000000000000039ba00000000000000417f01\
        00000000000049ba000000000000005d010000005d020000005d030000006504000000\
        00000018080210061d030000007a0d09bb0000000000000010011a00",
    );
    for bit in 0..answers.len() * 8 {
        let mut bytes = answers.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let address = SocketAddr::from(([127, 0, 0, 1], 9332));
        let servers = vec![Server { node: NodeId(1), address }];
        let options = Options::new(servers, ProcessId { high: 0, low: 1 });
        let mut core = Core::new(options).expect("valid options");
        let mut now = Moment::ZERO;
        let put = core.submit(&Put { key: b"k1", value: b"v1" }, now).expect("room");
        core.link_up(LINK, now);
        for piece in bytes.chunks(7) {
            core.received(LINK, piece, now);
        }
        let mut finished = 0;
        for _ in 0..1_000 {
            while let Some(request) = core.next_finished() {
                assert_eq!(request, put);
                core.take(request, |completion| completion.reply::<Put>().is_ok()).expect("once");
                finished += 1;
            }
            if core.next_deadline() == Moment::MAX {
                break;
            }
            now = now.max(core.next_deadline());
            core.tick(now);
        }
        assert_eq!(finished, 1, "bit {bit}");
    }
}

/// Whatever a server pushes, nothing panics, and an event is told of a key only if it is watched.
#[test]
fn every_flipped_bit_of_a_push_is_survived() {
    let greeting = from_hex(
        "0000002d080210021d010000007a220913da221c459010ae115f93610aa3d1d71c1801420c08ffffffff0710\
        ffffffff07\
        0000004b0802102e1d020000007a40100118052001280131ba0000000000000039ba00000000000000417f01\
        00000000000049ba000000000000005d010000005d020000005d030000006504000000",
    );
    let pushes = from_hex(
        "0000003b0801104e1d04000000393ac6032a010000007a2710021a1309ed0000000000000010011a03772e78\
        2201331a0e09ed0000000000000010021a0177\
        00000030080310551d0100000039079ce629010000007a1c12026c6b1a10000000000000753000000001000000\
        0138cade889603",
    );
    let mut told = 0;
    for bit in 0..=pushes.len() * 8 {
        let mut bytes = pushes.clone();
        if let Some(byte) = bytes.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        let address = SocketAddr::from(([127, 0, 0, 1], 9332));
        let servers = vec![Server { node: NodeId(1), address }];
        let options = Options::new(servers, ProcessId { high: 0, low: 1 });
        let mut core = Core::new(options).expect("valid options");
        let now = Moment::from_nanos(1);
        let minute = Duration::from_secs(60);
        let watch = core.watch(b"w.x", 0, now).expect("room");
        let lock = LockOptions::new(Duration::from_secs(30)).waiting(minute);
        let lock = core.lock(b"lk", lock, now).expect("room");
        core.link_up(LINK, now);
        // The question that the second packet answers is asked when the first one has come.
        let (hello, status) = greeting.split_at(49);
        core.received(LINK, hello, now);
        core.received(LINK, status, now);
        core.received(LINK, &bytes, now);
        let mut events = Vec::new();
        while let Some(event) = core.next_event() {
            match &event {
                Event::Lock(known, _) => assert_eq!(*known, lock),
                Event::Watch(known, _) => assert_eq!(*known, watch),
            }
            events.push(event);
        }
        assert!(events.len() <= 2, "bit {bit}: {events:?}");
        told = events.len();
    }
    assert_eq!(told, 2, "the last round flips nothing");
}

fn sent(core: &mut Core) -> String {
    let bytes = std::mem::take(core.outgoing(LINK));
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| {
        let pair = std::str::from_utf8(pair).expect("ASCII");
        u8::from_str_radix(pair, 16).expect("digits")
    };
    digits.chunks(2).map(byte).collect()
}
