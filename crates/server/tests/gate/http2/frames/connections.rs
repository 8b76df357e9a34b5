//! Rules about connections (RFC 9113 §4 to §6).

use super::case::Effect::{Away, Ends, Is};
use super::case::{COMPRESSION_ERROR, Case, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR};
use crate::http2::wire::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PRIORITY,
    PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, frame, get, post, public,
};

fn setting(id: u16, value: u32) -> Vec<u8> {
    frame(
        SETTINGS,
        0,
        0,
        &[&id.to_be_bytes()[..], &value.to_be_bytes()].concat(),
    )
}

pub(super) fn on_connections() -> Vec<Case> {
    let zero = 0_u32.to_be_bytes();
    let large = [0; 16_385];
    vec![
        Case(
            "4.1 a frame of an unknown type",
            [frame(0x16, 0, 0, b"any"), get(1, "/public/")].concat(),
            Is(200),
        ),
        Case(
            "4.1 a reserved bit",
            get(1, "/public/")
                .into_iter()
                .enumerate()
                .map(|(at, byte)| if at == 5 { byte | 0x80 } else { byte })
                .collect(),
            Is(200),
        ),
        Case(
            "4.2 a frame that is too large",
            frame(DATA, 0, 1, &large),
            Away(FRAME_SIZE_ERROR),
        ),
        Case(
            "4.3 a head that cannot be decompressed",
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                1,
                &[0xff, 0xff, 0xff, 0xff, 0xff],
            ),
            Away(COMPRESSION_ERROR),
        ),
        Case(
            "4.3 another frame inside a head",
            [
                frame(HEADERS, END_STREAM, 1, &block(&public("/public/"))),
                frame(PING, 0, 0, &[0; 8]),
            ]
            .concat(),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "5.1 DATA on an idle stream",
            frame(DATA, END_STREAM, 1, b"any"),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "5.1 RST_STREAM on an idle stream",
            frame(RST_STREAM, 0, 1, &zero),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "5.1 WINDOW_UPDATE on an idle stream",
            frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "5.1 CONTINUATION on an idle stream",
            frame(CONTINUATION, END_HEADERS, 1, &[]),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "5.1.1 a stream with an even number",
            get(2, "/public/"),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "5.1.1 a stream with a lower number",
            [get(5, "/public/"), get(3, "/public/")].concat(),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.1 DATA on stream 0",
            frame(DATA, 0, 0, b"any"),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.1 padding longer than the frame",
            [
                post(1, "/public/", &[]),
                frame(DATA, PADDED | END_STREAM, 1, &[9, 1]),
            ]
            .concat(),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.2 HEADERS on stream 0",
            get(0, "/public/"),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.2 padding longer than the head",
            frame(HEADERS, PADDED | END_HEADERS, 1, &[200, 0]),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.3 PRIORITY of another length",
            frame(PRIORITY, 0, 1, &[0; 4]),
            Ends(FRAME_SIZE_ERROR),
        ),
        Case(
            "6.3 PRIORITY on stream 0",
            frame(PRIORITY, 0, 0, &[0; 5]),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.4 RST_STREAM on stream 0",
            frame(RST_STREAM, 0, 0, &zero),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.4 RST_STREAM of another length",
            [get(1, "/hold"), frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            Away(FRAME_SIZE_ERROR),
        ),
        Case(
            "6.5 SETTINGS on a stream",
            frame(SETTINGS, 0, 1, &[]),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.5 SETTINGS of another length",
            frame(SETTINGS, 0, 0, &[0; 5]),
            Away(FRAME_SIZE_ERROR),
        ),
        Case(
            "6.5 an acknowledgement with a payload",
            frame(SETTINGS, ACK, 0, &[0; 6]),
            Away(FRAME_SIZE_ERROR),
        ),
        Case(
            "6.5.2 ENABLE_PUSH of 2",
            setting(2, 2),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.5.2 a window beyond 2^31-1",
            setting(4, 1 << 31),
            Ends(FLOW_CONTROL_ERROR),
        ),
        Case(
            "6.5.2 a frame size below 16,384",
            setting(5, 16_383),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.5.2 a frame size beyond 2^24-1",
            setting(5, 1 << 24),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.5.2 an unknown setting",
            [setting(0xff, 1), get(1, "/public/")].concat(),
            Is(200),
        ),
        Case(
            "6.6 PUSH_PROMISE of a client",
            frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.7 PING on a stream",
            frame(PING, 0, 1, &[0; 8]),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.7 PING of another length",
            frame(PING, 0, 0, &[0; 7]),
            Away(FRAME_SIZE_ERROR),
        ),
        Case(
            "6.8 GOAWAY on a stream",
            frame(GOAWAY, 0, 1, &[0; 8]),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.9 WINDOW_UPDATE of another length",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            Away(FRAME_SIZE_ERROR),
        ),
        Case(
            "6.9 WINDOW_UPDATE by nothing",
            frame(WINDOW_UPDATE, 0, 0, &zero),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.9.1 more room than there can be",
            frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
            Away(FLOW_CONTROL_ERROR),
        ),
        Case(
            "6.10 CONTINUATION on another stream",
            [
                frame(HEADERS, END_STREAM, 1, &block(&public("/public/"))),
                frame(CONTINUATION, END_HEADERS, 3, &[]),
            ]
            .concat(),
            Away(PROTOCOL_ERROR),
        ),
        Case(
            "6.10 CONTINUATION after the end of a head",
            [get(1, "/public/"), frame(CONTINUATION, END_HEADERS, 1, &[])].concat(),
            Away(PROTOCOL_ERROR),
        ),
    ]
}
