//! A frame of a stranger's WebSocket, text or binary, comes out as it went in, and can be made about another prompt.

#![no_main]

use bytes::Bytes;
use comfyui::Frame;
use fuzz::mutation;
use libfuzzer_sys::{fuzz_crossover, fuzz_mutator, fuzz_target};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(frame) = Frame::from_binary(Bytes::copy_from_slice(bytes)) {
        assert_eq!(Frame::from_binary(encoded(&frame)).ok().as_ref(), Some(&frame));
        is_about_another_prompt(frame);
    }
    if let Some(frame) = std::str::from_utf8(bytes).ok().and_then(|text| Frame::from_text(text).ok()) {
        let Frame::Message(message) = &frame else { unreachable!("text is a message") };
        let again = Frame::from_text(&message.to_text()).ok();
        assert_eq!(again.as_ref(), Some(&frame));
        is_about_another_prompt(frame);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutation::mutate(data, size, max_size, seed)
});
fuzz_crossover!(|first: &[u8], second: &[u8], out: &mut [u8], seed: u32| {
    mutation::cross(first, second, out, seed)
});

fn encoded(frame: &Frame) -> Bytes {
    match frame {
        Frame::Preview(preview) => preview.to_binary(true),
        Frame::Text(text) => text.to_binary(),
        Frame::Other(bytes) => bytes.clone(),
        Frame::Message(_) => unreachable!("a binary frame is no message"),
    }
}

fn is_about_another_prompt(mut frame: Frame) {
    let named_one = frame.prompt_id().is_some();
    frame.set_prompt_id("another");
    assert!(!named_one || frame.prompt_id() == Some("another"));
}
