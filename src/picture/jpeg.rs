//! Walks the markers of a JPEG (ITU-T T.81, annex B) without decoding it: where the picture ends, how large it
//! says it is, whether it carries its Huffman tables. A thumbnail inside an APPn segment is skipped with its
//! segment, so its own end is never taken for the picture's.

/// What the markers of one JPEG say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    /// Bytes from the start-of-image marker to the end-of-image marker, both included; `None` when the data
    /// stop before it.
    pub length: Option<usize>,
    /// Width and height as the frame header gives them, when one was seen.
    pub dimensions: Option<(u32, u32)>,
    /// The picture brings Huffman tables. Many USB cameras leave them out and mean the ones of T.81 annex K.
    pub huffman_tables: bool,
}

/// Walks one JPEG that starts at the first byte; `None` when there is no start-of-image marker.
pub fn outline(bytes: &[u8]) -> Option<Outline> {
    if !bytes.starts_with(&[0xff, 0xd8]) {
        return None;
    }
    let mut outline = Outline { length: None, dimensions: None, huffman_tables: false };
    let mut at = 2;
    while let Some((marker, after)) = next_marker(bytes, at) {
        at = after;
        match marker {
            0xd9 => {
                outline.length = Some(after);
                break;
            }
            // TEM and restart markers stand alone. A second start-of-image here is the next picture: this one
            // was cut.
            0x01 | 0xd0..=0xd7 => {}
            0xd8 => break,
            _ => {
                let Some(segment) = segment(bytes, at) else { break };
                match marker {
                    0xc4 => outline.huffman_tables = true,
                    0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                        outline.dimensions = outline.dimensions.or_else(|| frame_dimensions(segment));
                    }
                    _ => {}
                }
                at += segment.len();
            }
        }
    }
    Some(outline)
}

/// The ranges of the complete JPEGs that stand one behind the other in `bytes`; what is no picture between
/// them, and a cut last one, is left out. At most `most` ranges.
pub fn split(bytes: &[u8], most: usize) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = 0;
    while ranges.len() < most {
        let Some(rest) = bytes.get(at..) else { break };
        let Some(start) = rest.windows(2).position(|pair| pair == [0xff, 0xd8]).map(|found| at + found)
        else {
            break;
        };
        match bytes.get(start..).and_then(outline).and_then(|outline| outline.length) {
            Some(length) => {
                ranges.push(start..start + length);
                at = start + length;
            }
            None => at = start + 2,
        }
    }
    ranges
}

/// The next marker at or after `at` and the position behind it. Entropy-coded data may stand before it, in
/// which `FF 00` is a data byte; `FF FF` is filling.
fn next_marker(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let mut at = at;
    loop {
        let gap = bytes.get(at..)?.iter().position(|byte| *byte == 0xff)?;
        at += gap + 1;
        match *bytes.get(at)? {
            0x00 => at += 1,
            0xff => {}
            marker => return Some((marker, at + 1)),
        }
    }
}

/// The segment at `at`, its two length bytes included; `None` when it is cut or its length is impossible.
fn segment(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let rest = bytes.get(at..)?;
    let &[high, low, ..] = rest else { return None };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length < 2 { None } else { rest.get(..length) }
}

fn frame_dimensions(segment: &[u8]) -> Option<(u32, u32)> {
    let &[_, _, _precision, h1, h0, w1, w0, ..] = segment else { return None };
    Some((u32::from(u16::from_be_bytes([w1, w0])), u32::from(u16::from_be_bytes([h1, h0]))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let pixels = vec![90; (width * height * 3) as usize];
        image::codecs::jpeg::JpegEncoder::new(&mut out)
            .encode(&pixels, width, height, image::ExtendedColorType::Rgb8)
            .unwrap();
        out
    }

    /// The same picture with an EXIF-like segment that holds a whole smaller JPEG.
    fn with_thumbnail(outer: &[u8]) -> Vec<u8> {
        let thumbnail = jpeg(8, 8);
        let mut out = outer[..2].to_vec();
        out.extend([0xff, 0xe1]);
        out.extend(u16::try_from(thumbnail.len() + 2).unwrap().to_be_bytes());
        out.extend(&thumbnail);
        out.extend(&outer[2..]);
        out
    }

    #[test]
    fn a_picture_ends_at_its_own_end_and_not_at_its_thumbnails() {
        let picture = with_thumbnail(&jpeg(32, 24));
        let seen = outline(&picture).unwrap();
        assert_eq!(seen.length, Some(picture.len()));
        assert_eq!(seen.dimensions, Some((32, 24)));
        assert!(seen.huffman_tables);
    }

    #[test]
    fn no_cut_picture_has_an_end() {
        let picture = with_thumbnail(&jpeg(32, 24));
        for cut in 2..picture.len() {
            assert_eq!(outline(&picture[..cut]).unwrap().length, None, "cut at {cut}");
        }
        assert_eq!(outline(b"no picture"), None);
    }

    #[test]
    fn a_stream_is_split_and_what_lies_between_is_left_out() {
        let (first, second) = (jpeg(16, 16), with_thumbnail(&jpeg(24, 8)));
        let mut stream = b"--boundary\r\n".to_vec();
        let start = stream.len();
        stream.extend(&first);
        stream.extend(b"\r\n--boundary\r\n");
        let next = stream.len();
        stream.extend(&second);
        let end = stream.len();
        stream.extend(&first[..first.len() - 2]);
        assert_eq!(split(&stream, 10), vec![start..start + first.len(), next..end]);
        assert_eq!(split(&stream, 1), vec![start..start + first.len()]);
    }

    #[test]
    fn a_picture_cut_by_the_next_one_does_not_swallow_it() {
        let (first, second) = (jpeg(16, 16), jpeg(8, 8));
        let cut = first.len() - 3;
        let mut stream = first[..cut].to_vec();
        stream.extend(&second);
        assert_eq!(split(&stream, 10), vec![cut..cut + second.len()]);
    }

    proptest! {
        #[test]
        fn err_any_bytes_are_walked_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut started = vec![0xff, 0xd8];
            started.extend(&bytes);
            if let Some(length) = outline(&started).unwrap().length {
                prop_assert!(length <= started.len());
                prop_assert_eq!(&started[length - 2..length], &[0xff, 0xd9]);
            }
            for range in split(&bytes, 50) {
                prop_assert!(bytes.get(range).is_some_and(|found| found.starts_with(&[0xff, 0xd8])));
            }
        }

        #[test]
        fn ok_concatenated_pictures_come_back_whole(sizes in prop::collection::vec((1u32..20, 1u32..20), 1..5)) {
            let pictures: Vec<_> = sizes.iter().map(|(width, height)| jpeg(*width, *height)).collect();
            let stream = pictures.concat();
            let back: Vec<_> = split(&stream, 10).into_iter().map(|range| stream[range].to_vec()).collect();
            prop_assert_eq!(back, pictures);
        }
    }
}
