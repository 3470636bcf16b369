//! What the guard and the agent read of each other: a frame decodes to something that encodes to the very same bytes, or to
//! an error.
#![no_main]

use latchd::guard::codec::{FRAME_LEN, decode_report, decode_request, encode_report, encode_request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok((sequence, request)) = decode_request(data) {
        let frame = encode_request(sequence, &request);
        assert_eq!(frame.as_slice(), data);
        assert_eq!(decode_request(&frame), Ok((sequence, request)));
    }
    if let Ok((sequence, report)) = decode_report(data) {
        let frame = encode_report(sequence, &report);
        assert_eq!(frame.as_slice(), data);
        assert_eq!(decode_report(&frame), Ok((sequence, report)));
    }
    assert!(data.len() == FRAME_LEN || (decode_request(data).is_err() && decode_report(data).is_err()));
});
