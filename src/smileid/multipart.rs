//! A multipart/form-data body (RFC 7578) as pieces: the pictures stay where they are.
//!
//! Part and file names are constants of this room; values go into the body, never into a part's head, and the
//! boundary is 128 random bits that no value can know.

use super::body::Piece;
use super::picture::Picture;
use crate::clock::Random;
use std::fmt::Write as _;

/// The pieces of the body and the Content-Type that names its boundary.
pub(crate) struct Form<'a> {
    boundary: String,
    /// Heads and small values since the last picture.
    open: String,
    pieces: Vec<Piece<'a>>,
}

impl<'a> Form<'a> {
    pub(crate) fn new(random: &dyn Random) -> Self {
        let mut bytes = [0; 16];
        random.fill(&mut bytes);
        let boundary = bytes.iter().fold(String::from("latchd-"), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        });
        Self { boundary, open: String::with_capacity(2048), pieces: Vec::with_capacity(24) }
    }

    fn head(&mut self, name: &'static str, rest: &str) {
        let _ = write!(
            self.open,
            "--{}\r\nContent-Disposition: form-data; name=\"{name}\"{rest}\r\n\r\n",
            self.boundary
        );
    }

    /// A plain text part.
    pub(crate) fn text(&mut self, name: &'static str, value: &str) {
        self.head(name, "");
        self.open.push_str(value);
        self.open.push_str("\r\n");
    }

    /// A JSON part: its own content type, no file name.
    pub(crate) fn json(&mut self, name: &'static str, value: &serde_json::Value) {
        self.head(name, "\r\nContent-Type: application/json");
        let _ = write!(self.open, "{value}");
        self.open.push_str("\r\n");
    }

    /// A picture's file part; its type is that of the file's name.
    pub(crate) fn picture(&mut self, name: &'static str, file: &'static str, picture: Picture<'a>) {
        let kind = if file.ends_with(".png") { "png" } else { "jpeg" };
        self.head(name, &format!("; filename=\"{file}\"\r\nContent-Type: image/{kind}"));
        self.pieces.push(std::mem::take(&mut self.open).into_bytes().into());
        self.pieces.push(picture.into());
        self.open.push_str("\r\n");
    }

    /// Content-Type and pieces.
    pub(crate) fn finish(mut self) -> (String, Vec<Piece<'a>>) {
        let _ = write!(self.open, "--{}--\r\n", self.boundary);
        self.pieces.push(self.open.into_bytes().into());
        (format!("multipart/form-data; boundary={}", self.boundary), self.pieces)
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::all;
    use super::*;
    use crate::clock::SystemRandom;
    use std::borrow::Cow;

    struct Ones;
    impl Random for Ones {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(0x11);
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_rfc() {
        let mut form = Form::new(&Ones);
        form.text("user_id", "u-1");
        form.json("consent", &serde_json::json!({"granted": true}));
        form.picture("selfie_image", "selfie.jpg", Picture::Bytes(b"\xff\xd8\xff"));
        let (content_type, pieces) = form.finish();
        let b = "latchd-11111111111111111111111111111111";
        assert_eq!(content_type, format!("multipart/form-data; boundary={b}"));
        let mut expected = format!(
            "--{b}\r\nContent-Disposition: form-data; name=\"user_id\"\r\n\r\nu-1\r\n\
             --{b}\r\nContent-Disposition: form-data; name=\"consent\"\r\nContent-Type: application/json\r\n\r\n\
             {{\"granted\":true}}\r\n\
             --{b}\r\nContent-Disposition: form-data; name=\"selfie_image\"; filename=\"selfie.jpg\"\r\n\
             Content-Type: image/jpeg\r\n\r\n"
        )
        .into_bytes();
        expected.extend_from_slice(b"\xff\xd8\xff\r\n--");
        expected.extend_from_slice(b.as_bytes());
        expected.extend_from_slice(b"--\r\n");
        assert_eq!(all(pieces), expected);
    }

    #[test]
    fn pictures_are_borrowed() {
        let picture = vec![0_u8; 1000];
        let mut form = Form::new(&SystemRandom);
        form.picture("selfie_image", "selfie.jpg", Picture::Bytes(&picture));
        let (_, pieces) = form.finish();
        let borrowed = pieces.iter().any(
            |piece| matches!(piece, Piece::Bytes(Cow::Borrowed(bytes)) if bytes.as_ptr() == picture.as_ptr()),
        );
        assert!(borrowed);
    }

    #[test]
    fn each_form_has_a_boundary_of_its_own() {
        assert_ne!(Form::new(&SystemRandom).boundary, Form::new(&SystemRandom).boundary);
    }
}
