//! The v1 archive: a zip of stored entries, written forwards, its length known before the first byte.
//!
//! Each entry's head carries size and CRC-32, so no data descriptors are needed and any unzipper can stream it.
//! Pictures are JPEG already: deflating them again would cost time and gain nothing.

use super::body::Piece;
use super::picture::Picture;

/// An archive in the making.
#[derive(Default)]
pub(crate) struct Archive<'a> {
    pieces: Vec<Piece<'a>>,
    directory: Vec<u8>,
    entries: u16,
    length: u32,
}

/// 1980-01-01 00:00 in the zip's own form: when a picture was taken is nobody's business here.
const TIME_AND_DATE: [u8; 4] = [0, 0, 0x21, 0];
/// Version 1.0: stored entries in a flat directory.
const VERSION: [u8; 2] = [10, 0];
const FLAGS_AND_METHOD: [u8; 4] = [0, 0, 0, 0];

impl<'a> Archive<'a> {
    /// Adds `name` with `bytes`. The caller keeps names unique and the whole within its limit, far below 4 GiB.
    pub(crate) fn add(&mut self, name: &str, picture: Picture<'a>) {
        self.entry(name, picture.bytes(), picture.crc32(), picture.into());
    }

    /// As [`Archive::add`], of a text made here.
    pub(crate) fn add_text(&mut self, name: &str, text: String) {
        let bytes = text.into_bytes();
        self.entry(name, bytes.len() as u64, crc32fast::hash(&bytes), bytes.into());
    }

    fn entry(&mut self, name: &str, bytes: u64, crc: u32, piece: Piece<'a>) {
        let length = u32::try_from(bytes).unwrap_or(u32::MAX);
        let (size, crc) = (length.to_le_bytes(), crc.to_le_bytes());
        let name_length = u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes();
        let mut head = Vec::with_capacity(30 + name.len());
        head.extend_from_slice(b"PK\x03\x04");
        let mut central = Vec::with_capacity(46 + name.len());
        central.extend_from_slice(b"PK\x01\x02");
        central.extend_from_slice(&VERSION);
        for record in [&mut head, &mut central] {
            record.extend_from_slice(&VERSION);
            record.extend_from_slice(&FLAGS_AND_METHOD);
            record.extend_from_slice(&TIME_AND_DATE);
            record.extend_from_slice(&crc);
            record.extend_from_slice(&size);
            record.extend_from_slice(&size);
            record.extend_from_slice(&name_length);
            // No extra field.
            record.extend_from_slice(&[0, 0]);
        }
        // No comment, disk 0, no attributes; where the entry begins.
        central.extend_from_slice(&[0; 10]);
        central.extend_from_slice(&self.length.to_le_bytes());
        head.extend_from_slice(name.as_bytes());
        central.extend_from_slice(name.as_bytes());
        self.directory.extend_from_slice(&central);
        let added = u32::try_from(head.len()).unwrap_or(u32::MAX).saturating_add(length);
        self.length = self.length.saturating_add(added);
        self.entries = self.entries.saturating_add(1);
        self.pieces.push(head.into());
        self.pieces.push(piece);
    }

    /// The pieces of the whole archive.
    pub(crate) fn finish(mut self) -> Vec<Piece<'a>> {
        let mut tail = self.directory;
        let directory = u32::try_from(tail.len()).unwrap_or(u32::MAX);
        tail.extend_from_slice(b"PK\x05\x06\0\0\0\0");
        tail.extend_from_slice(&self.entries.to_le_bytes());
        tail.extend_from_slice(&self.entries.to_le_bytes());
        tail.extend_from_slice(&directory.to_le_bytes());
        tail.extend_from_slice(&self.length.to_le_bytes());
        tail.extend_from_slice(&[0, 0]);
        self.pieces.push(tail.into());
        self.pieces
    }
}

#[cfg(test)]
mod tests {
    use super::super::body::all;
    use super::*;

    #[test]
    fn the_length_is_the_sum_the_format_names() {
        let mut archive = Archive::default();
        let files: [(&str, &[u8]); 3] = [("info.json", b"{}"), ("a.jpg", &[7; 300]), ("b.jpg", b"")];
        let mut expected = 22;
        for (name, bytes) in files {
            archive.add(name, Picture::Bytes(bytes));
            expected += 30 + 46 + 2 * name.len() + bytes.len();
        }
        assert_eq!(all(archive.finish()).len(), expected);
    }

    #[cfg(feature = "sandbox")]
    #[test]
    fn the_zip_library_reads_back_every_byte() {
        use std::io::Read as _;
        let files: [(&str, Vec<u8>); 3] = [
            ("info.json", b"{}".to_vec()),
            ("a.jpg", (0..=255).cycle().take(70_000).collect()),
            ("b.jpg", vec![]),
        ];
        let mut archive = Archive::default();
        for (name, bytes) in &files {
            archive.add(name, Picture::Bytes(bytes));
        }
        let bytes = all(archive.finish());
        let mut read = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
        assert_eq!(read.len(), files.len());
        for (index, (name, content)) in files.iter().enumerate() {
            let mut entry = read.by_index(index).unwrap();
            assert_eq!(entry.name().unwrap(), *name);
            assert_eq!(entry.compression(), zip::CompressionMethod::Stored);
            let mut out = Vec::new();
            // The library compares the CRC-32 while it reads.
            entry.read_to_end(&mut out).unwrap();
            assert_eq!(&out, content);
        }
    }
}
