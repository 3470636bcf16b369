use super::*;
use proptest::prelude::*;

fn cells(view: &FrameView<'_>, bounds: &Bounds, side: usize) -> Vec<Option<[f32; 3]>> {
    let mut cells = vec![None; side * side];
    each_row(view, &view.channels, bounds, side, &mut Sums::default(), |found| {
        let (row, column) = (found.row, found.column);
        for (next, colour) in found.colours().enumerate() {
            assert!(cells[row * side + column + next].replace(colour).is_none(), "a cell twice");
        }
    });
    cells
}

fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (u32::try_from(at).unwrap().wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn bounds(left: f32, top: f32, width: f32, height: f32) -> Bounds {
    Bounds { left, top, right: left + width, bottom: top + height }
}

#[test]
fn whole_cells_are_averaged_exactly() {
    let rgb: Vec<u8> = (0..4 * 2).flat_map(|pixel: u8| [pixel * 10, 255, 0]).collect();
    let view = FrameView::rgb(4, 2, &rgb).unwrap();
    let seen = cells(&view, &bounds(0.0, 0.0, 4.0, 2.0), 2);
    // Cells of two pixels in one row.
    let expected = [5.0, 25.0, 45.0, 65.0].map(|red| Some([red, 255.0, 0.0]));
    assert_eq!(seen, expected);
}

#[test]
fn what_hangs_over_the_edge_is_left_out() {
    let rgb = vec![200; 10 * 10 * 3];
    let view = FrameView::rgb(10, 10, &rgb).unwrap();
    let seen = cells(&view, &bounds(-5.0, -5.0, 10.0, 10.0), 2);
    assert_eq!(seen, [None, None, None, Some([200.0; 3])]);
    assert!(cells(&view, &bounds(10.0, 0.0, 10.0, 10.0), 2).iter().all(Option::is_none));
}

#[test]
fn a_rectangle_smaller_than_its_grid_repeats_pixels() {
    let rgb: Vec<u8> = (0..4).flat_map(|pixel: u8| [pixel * 10; 3]).collect();
    let view = FrameView::rgb(4, 1, &rgb).unwrap();
    let reds: Vec<_> =
        cells(&view, &bounds(0.0, 0.0, 4.0, 1.0), 8).iter().take(8).map(|c| c.unwrap()[0]).collect();
    assert_eq!(reds, [0.0, 0.0, 10.0, 10.0, 20.0, 20.0, 30.0, 30.0]);
}

/// The same picture in each format, through the camera's own conversion.
#[test]
fn packed_and_planar_formats_mean_what_the_cameras_conversion_means() {
    use crate::camera::convert::{Format, Layout, to_pixels};
    let (width, height) = (32, 16);
    for (format, stride) in [(Format::Yuyv, 70), (Format::Nv12, 40)] {
        // Chroma near grey, so that no colour is clamped.
        let bytes: Vec<u8> = noise(70 * 40).iter().map(|byte| 96 + byte / 4).collect();
        let rgb = to_pixels(Layout { format, width, height, stride }, &bytes).unwrap().rgb;
        let raw = match format {
            Format::Yuyv => FrameView::yuyv(width, height, stride, &bytes).unwrap(),
            _ => FrameView::nv12(width, height, stride, &bytes).unwrap(),
        };
        let all = bounds(0.0, 0.0, 32.0, 16.0);
        let converted = FrameView::rgb(width, height, &rgb).unwrap();
        for (raw, converted) in cells(&raw, &all, 8).iter().zip(cells(&converted, &all, 8)) {
            for (raw, converted) in raw.unwrap().iter().zip(converted.unwrap()) {
                assert!((raw - converted).abs() < 1.0, "{format:?}: {raw} {converted}");
            }
        }
    }
}

#[test]
fn full_range_colours_are_those_of_a_jpeg() {
    let table =
        [([255, 128, 128], [255.0; 3]), ([76, 85, 255], [254.0, 0.0, 0.0]), ([0, 128, 128], [0.0; 3])];
    for (ycc, expected) in table {
        let view = FrameView::ycc(1, 1, &ycc).unwrap();
        let seen = cells(&view, &bounds(0.0, 0.0, 1.0, 1.0), 1)[0].unwrap();
        assert!(seen.iter().zip(expected).all(|(a, b): (&f32, f32)| (a - b).abs() < 1.5), "{seen:?}");
    }
}

/// One cell over 256 rows of white: the most that a sum must hold.
#[test]
fn the_highest_cell_does_not_overflow() {
    let rgb = vec![255; 8192 * 3];
    let view = FrameView::rgb(1, 8192, &rgb).unwrap();
    let seen = cells(&view, &bounds(0.0, 0.0, SIDE_MAX, SIDE_MAX), 128);
    assert_eq!(seen.iter().flatten().count(), 32);
    assert!(seen.iter().flatten().all(|colour| *colour == [255.0; 3]));
}

/// Each cell for itself, sample by sample.
fn plain(view: &FrameView<'_>, bounds: &Bounds, side: usize) -> Vec<Option<[f32; 3]>> {
    let steps = |begin, length, limit| Steps { begin, length, side, limit };
    let across = steps(bounds.left, bounds.width(), view.width);
    let down = steps(bounds.top, bounds.height(), view.height);
    let cell = |at: usize| {
        let ((left, right), (top, bottom)) = (across.pixels(at % side)?, down.pixels(at / side)?);
        let means = view.channels.map(|channel| {
            let plane = &view.planes[channel.plane];
            let columns = if channel.halved { left / 2..right.div_ceil(2) } else { left..right };
            let (mut sum, mut count) = (0_u32, 0_usize);
            for row in plane.rows(top, bottom) {
                let samples = columns.clone().map(|column| row[channel.offset + column * channel.step]);
                count += columns.len();
                sum += samples.map(u32::from).sum::<u32>();
            }
            sum as f32 / count as f32
        });
        Some(view.colour.rgb(means))
    };
    (0..side * side).map(cell).collect()
}

fn any_view(format: u8, width: u32, height: u32, padding: u32, bytes: &[u8]) -> FrameView<'_> {
    match format {
        0 => FrameView::rgb(width, height, bytes),
        1 => FrameView::ycc(width, height, bytes),
        2 => FrameView::yuyv(width, height, width.div_ceil(2) * 4 + padding, bytes),
        _ => FrameView::nv12(width, height, width.next_multiple_of(2) + padding, bytes),
    }
    .unwrap()
}

proptest! {
    #[test]
    fn sums_side_by_side_are_those_of_each_cell_to_the_last_bit(
        width in 1u32..80, height in 1u32..80, padding in 0u32..9, format in 0u8..4,
        left in -40.0f32..80.0, top in -40.0f32..80.0, across in 1.0f32..150.0, down in 1.0f32..150.0,
        side in prop::sample::select(vec![1, 8, 31]),
    ) {
        let bytes = noise(80 * 3 * 80 + 9 * 160);
        let view = any_view(format, width, height, padding, &bytes);
        let bounds = bounds(left, top, across, down);
        prop_assert_eq!(cells(&view, &bounds, side), plain(&view, &bounds, side));
    }

    #[test]
    fn err_any_rectangle_of_any_frame_is_looked_at_without_a_panic(
        width in 1u32..80, height in 1u32..80, padding in 0u32..9, format in 0u8..4,
        corners in prop::array::uniform4(prop_oneof![any::<f32>(), -200.0f32..300.0]), side in prop::sample::select(vec![128, 160]),
    ) {
        let bytes = noise(80 * 3 * 80 + 9 * 160);
        let view = any_view(format, width, height, padding, &bytes);
        let [left, top, right, bottom] = corners;
        for colour in cells(&view, &Bounds { left, top, right, bottom }, side).into_iter().flatten() {
            prop_assert!(colour.iter().all(|value| (0.0..=255.0).contains(value)), "{colour:?}");
        }
    }

    #[test]
    fn a_flat_frame_is_flat_everywhere(width in 1u32..60, height in 1u32..60, left in -30.0f32..60.0, length in 1.0f32..200.0, value: u8) {
        let rgb = vec![value; (width * height * 3) as usize];
        let view = FrameView::rgb(width, height, &rgb).unwrap();
        for colour in cells(&view, &bounds(left, left / 2.0, length, length), 128).into_iter().flatten() {
            prop_assert_eq!(colour, [f32::from(value); 3]);
        }
    }
}
