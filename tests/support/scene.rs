//! Pictures of one public photograph as a door's camera might show it: nearer, tilted, darker, two of them.
#![allow(dead_code)] // Each test takes what it needs.

use latchd::picture::Pixels;
use latchd::picture::read::{Upright, decode, read_file};

pub const WIDTH: u32 = 640;
pub const HEIGHT: u32 = 480;
/// Middle and half axes of the photograph's face, in its pixels.
const FACE: [f32; 2] = [223.0, 112.0];
const AXES: [f32; 2] = [62.0, 82.0];

/// The photograph.
pub fn photograph() -> Pixels {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/astronaut.png");
    read_file(path.as_ref()).and_then(|bytes| decode(&bytes, Upright::AsStored)).unwrap()
}

/// How the photograph lies in a picture.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Where the middle of the face comes to lie.
    pub at: [f32; 2],
    /// Pixels of the picture for one of the photograph.
    pub scale: f32,
    /// Narrower than it is by so much, as a picture that is turned away.
    pub squeeze: f32,
    /// Clockwise.
    pub degrees: f32,
}

impl Place {
    /// In the middle and upright.
    pub fn scaled(scale: f32) -> Self {
        Self { at: [WIDTH as f32 / 2.0, HEIGHT as f32 / 2.0], scale, squeeze: 1.0, degrees: 0.0 }
    }
}

/// A wall, with a camera's noise.
pub fn wall(seed: u32) -> Vec<u8> {
    let mut noise = Noise(seed);
    (0..WIDTH * HEIGHT)
        .flat_map(|pixel| {
            let shade = 90.0 + (pixel % WIDTH) as f32 / 20.0 + noise.next() * 3.0;
            [shade, shade + 4.0, shade + 8.0].map(byte)
        })
        .collect()
}

/// Puts the photograph into a picture.
pub fn put(into: &mut [u8], photograph: &Pixels, place: Place) {
    let (sin, cos) = place.degrees.to_radians().sin_cos();
    let size = [photograph.width as f32, photograph.height as f32];
    for (number, pixel) in into.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = (number % WIDTH as usize, number / WIDTH as usize);
        let (x, y) = (x as f32 - place.at[0], y as f32 - place.at[1]);
        let across = (x * cos + y * sin) / place.scale / place.squeeze + FACE[0];
        let down = (y * cos - x * sin) / place.scale + FACE[1];
        if across >= 0.0 && down >= 0.0 && across < size[0] - 1.0 && down < size[1] - 1.0 {
            *pixel = between(photograph, across, down);
        }
    }
}

fn between(photograph: &Pixels, across: f32, down: f32) -> [u8; 3] {
    let (left, top) = (across as usize, down as usize);
    let (right, low) = (across.fract(), down.fract());
    let at = |x: usize, y: usize| {
        photograph.rgb.as_chunks::<3>().0[y * photograph.width as usize + x].map(f32::from)
    };
    let [one, two, three, four] =
        [at(left, top), at(left + 1, top), at(left, top + 1), at(left + 1, top + 1)];
    std::array::from_fn(|channel| {
        let upper = one[channel] * (1.0 - right) + two[channel] * right;
        let lower = three[channel] * (1.0 - right) + four[channel] * right;
        byte(upper * (1.0 - low) + lower * low)
    })
}

/// The photograph on the wall, so large.
pub fn person(place: Place) -> Vec<u8> {
    let mut picture = wall(1);
    put(&mut picture, &photograph(), place);
    picture
}

/// More or less light on all of it.
pub fn lit(mut picture: Vec<u8>, by: f32) -> Vec<u8> {
    picture.iter_mut().for_each(|value| *value = byte(f32::from(*value) * by));
    picture
}

/// With the noise of a sensor, so many steps of standard deviation, about.
pub fn noisy(mut picture: Vec<u8>, deviation: f32) -> Vec<u8> {
    let mut noise = Noise(7);
    // A sum of two even spreads of 1.73 steps.
    picture.iter_mut().for_each(|value| {
        let both = noise.next() + noise.next();
        *value = byte(f32::from(*value) + both * deviation * 1.22);
    });
    picture
}

pub fn blurred(picture: Vec<u8>, sigma: f32) -> Vec<u8> {
    let picture = image::RgbImage::from_raw(WIDTH, HEIGHT, picture).unwrap();
    image::imageops::blur(&picture, sigma).into_raw()
}

/// A rectangle of one colour: left, top, width, height.
pub fn covered(mut picture: Vec<u8>, [left, top, width, height]: [usize; 4], colour: [u8; 3]) -> Vec<u8> {
    for row in picture.as_chunks_mut::<3>().0.chunks_mut(WIDTH as usize).skip(top).take(height) {
        row.iter_mut().skip(left).take(width).for_each(|pixel| *pixel = colour);
    }
    picture
}

/// The photograph with another lightness of the skin's part of it: L of CIE Lab times `by`, colours kept.
pub fn of_lightness(mut photograph: Pixels, by: f32) -> Pixels {
    let width = photograph.width as usize;
    for (number, pixel) in photograph.rgb.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let (x, y) = ((number % width) as f32, (number / width) as f32);
        let away = ((x - FACE[0]) / AXES[0]).hypot((y - FACE[1]) / AXES[1]);
        // Whole within the face, nothing outside, and no edge between.
        let share = (1.3 - away).clamp(0.0, 0.3) / 0.3;
        if share > 0.0 {
            let [lightness, a, b] = to_lab(*pixel);
            *pixel = from_lab([lightness * (1.0 + (by - 1.0) * share), a, b]);
        }
    }
    photograph
}

/// Mean L of the face, 0 to 100.
pub fn lightness(photograph: &Pixels) -> f32 {
    let width = photograph.width as usize;
    let inside = |number: usize| {
        let (x, y) = ((number % width) as f32, (number / width) as f32);
        ((x - FACE[0]) / AXES[0]).hypot((y - FACE[1]) / AXES[1]) < 0.8
    };
    let face: Vec<f32> = photograph
        .rgb
        .as_chunks::<3>()
        .0
        .iter()
        .enumerate()
        .filter(|(number, _)| inside(*number))
        .map(|(_, pixel)| to_lab(*pixel)[0])
        .collect();
    face.iter().sum::<f32>() / face.len() as f32
}

/// A number from -1 to 1 after another, the same ones for a seed.
pub struct Noise(pub u32);

impl Noise {
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 23) as f32 - 1.0
    }
}

fn byte(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// CIE Lab of sRGB, D65.
fn to_lab(pixel: [u8; 3]) -> [f32; 3] {
    let [r, g, b] = pixel.map(|value| {
        let value = f32::from(value) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    });
    let bend = |value: f32| if value > 0.008_856 { value.cbrt() } else { 7.787 * value + 16.0 / 116.0 };
    let x = bend((0.412_4 * r + 0.357_6 * g + 0.180_5 * b) / 0.950_47);
    let y = bend(0.212_6 * r + 0.715_2 * g + 0.072_2 * b);
    let z = bend((0.019_3 * r + 0.119_2 * g + 0.950_5 * b) / 1.088_83);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

fn from_lab([lightness, a, b]: [f32; 3]) -> [u8; 3] {
    let bend = |value: f32| if value > 0.206_9 { value.powi(3) } else { (value - 16.0 / 116.0) / 7.787 };
    let middle = (lightness + 16.0) / 116.0;
    let (x, y, z) = (0.950_47 * bend(middle + a / 500.0), bend(middle), 1.088_83 * bend(middle - b / 200.0));
    [
        3.240_6 * x - 1.537_2 * y - 0.498_6 * z,
        -0.968_9 * x + 1.875_8 * y + 0.041_5 * z,
        0.055_7 * x - 0.204 * y + 1.057 * z,
    ]
    .map(|value| {
        let value = if value <= 0.003_130_8 { value * 12.92 } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 };
        byte(value * 255.0)
    })
}
