//! What a packet may look like, and what closes a connection.

use wire::{Command, Packet, PacketKind, WireErrorKind};

fn error(frame: &[u8]) -> Option<WireErrorKind> {
    Packet::decode(frame).err().map(|error| error.kind)
}

#[test]
fn body_is_the_last_field() {
    let packet = Packet::decode(&[0x10, 6, 0x7a, 1, 9]).expect("body last");
    assert_eq!(packet.body, Some(&[9][..]));
    assert_eq!(error(&[0x7a, 1, 9, 0x10, 6]), Some(WireErrorKind::FieldAfterBody));
    assert_eq!(error(&[0x10, 6, 0x7a, 1, 9, 0x7a, 1, 9]), Some(WireErrorKind::FieldAfterBody));
    assert_eq!(error(&[0x10, 6, 0x7a, 0, 0x98, 0x06, 1]), Some(WireErrorKind::FieldAfterBody));
    // Field 15 with another wire type is no body.
    let packet = Packet::decode(&[0x78, 1, 0x10, 6]).expect("skipped");
    assert_eq!((packet.command, packet.body), (Command(6), None));
}

#[test]
fn fields_come_in_any_order_and_the_last_one_wins() {
    let frame = [0x3d, 1, 0, 0, 0, 0x10, 5, 0x1d, 7, 0, 0, 0, 0x10, 6, 0x08, 1, 0x1d, 8, 0, 0, 0];
    let packet = Packet::decode(&frame).expect("any order");
    assert_eq!((packet.command, packet.seq, packet.packet_type), (Command(6), 8, 1));
    // Field 7 came with four bytes instead of eight: as if it were not there.
    assert_eq!(packet.timeout_nanos, 0);
}

#[test]
fn unknown_fields_and_other_wire_types_are_skipped() {
    let mut frame = vec![0x10, 6];
    frame.extend([0xc8, 0x06, 1]);
    frame.extend([0xc9, 0x06, 1, 2, 3, 4, 5, 6, 7, 8]);
    frame.extend([0xca, 0x06, 2, 1, 2]);
    frame.extend([0xcd, 0x06, 1, 2, 3, 4]);
    frame.extend([0x18, 9, 0x15, 1, 2, 3, 4, 0x30, 1]);
    let packet = Packet::decode(&frame).expect("skipped");
    assert_eq!(packet, Packet { command: Command(6), ..Packet::default() });
}

#[test]
fn command_must_be_positive() {
    assert_eq!(error(&[]), Some(WireErrorKind::Command));
    assert_eq!(error(&[0x08, 1]), Some(WireErrorKind::Command));
    let mut negative = vec![0x10];
    negative.extend([0xff; 9]);
    negative.push(1);
    assert_eq!(error(&negative), Some(WireErrorKind::Command));
    // Only the low 32 bits count.
    let packet = Packet::decode(&[0x10, 0x86, 0x80, 0x80, 0x80, 0x10]).expect("truncated");
    assert_eq!(packet.command, Command(6));
}

#[test]
fn kinds() {
    let table = [
        (0, PacketKind::Request),
        (1, PacketKind::Request),
        (2, PacketKind::Response),
        (3, PacketKind::OneWay),
        (4, PacketKind::Request),
    ];
    for (number, kind) in table {
        let frame = [0x08, number, 0x10, 6];
        assert_eq!(Packet::decode(&frame).map(|packet| packet.kind()), Ok(kind));
    }
}
