//! Where a face is.

/// A place in the frame, in pixels from its top left corner. May lie outside of it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Point {
    /// To the right.
    pub x: f32,
    /// Down.
    pub y: f32,
}

/// A rectangle in pixels of the frame. May hang over its edges.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bounds {
    /// Left edge.
    pub left: f32,
    /// Top edge.
    pub top: f32,
    /// Right edge.
    pub right: f32,
    /// Bottom edge.
    pub bottom: f32,
}

impl Bounds {
    /// A square.
    pub fn square(centre: Point, side: f32) -> Self {
        let half = side / 2.0;
        Self { left: centre.x - half, top: centre.y - half, right: centre.x + half, bottom: centre.y + half }
    }

    /// In pixels.
    pub fn width(&self) -> f32 {
        self.right - self.left
    }

    /// In pixels.
    pub fn height(&self) -> f32 {
        self.bottom - self.top
    }

    /// The middle.
    pub fn centre(&self) -> Point {
        Point { x: (self.left + self.right) / 2.0, y: (self.top + self.bottom) / 2.0 }
    }

    /// Whether the point lies in it.
    pub fn contains(&self, point: Point) -> bool {
        (self.left..self.right).contains(&point.x) && (self.top..self.bottom).contains(&point.y)
    }

    /// Square pixels; 0 for what is turned inside out.
    pub fn area(&self) -> f32 {
        self.width().max(0.0) * self.height().max(0.0)
    }

    /// What both share; without area when they do not meet.
    pub fn intersection(&self, other: &Self) -> Self {
        Self {
            left: self.left.max(other.left),
            top: self.top.max(other.top),
            right: self.right.min(other.right),
            bottom: self.bottom.min(other.bottom),
        }
    }

    /// Shared area over covered area, 0 to 1; 0 when there is none to share.
    pub fn overlap(&self, other: &Self) -> f32 {
        let shared = self.intersection(other).area();
        let covered = self.area() + other.area() - shared;
        if covered > 0.0 { shared / covered } else { 0.0 }
    }
}

/// Six points of a face. Right and left are the person's own: in an unmirrored picture of a person who looks into
/// the camera, the right eye lies to the left.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Landmarks {
    /// The right eye.
    pub right_eye: Point,
    /// The left eye.
    pub left_eye: Point,
    /// Tip of the nose.
    pub nose: Point,
    /// Middle of the mouth.
    pub mouth: Point,
    /// Where the right ear begins.
    pub right_ear: Point,
    /// Where the left ear begins.
    pub left_ear: Point,
}

impl Landmarks {
    /// In the model's order.
    pub(super) fn from_points(points: [Point; 6]) -> Self {
        let [right_eye, left_eye, nose, mouth, right_ear, left_ear] = points;
        Self { right_eye, left_eye, nose, mouth, right_ear, left_ear }
    }

    /// In the model's order.
    pub fn points(&self) -> [Point; 6] {
        [self.right_eye, self.left_eye, self.nose, self.mouth, self.right_ear, self.left_ear]
    }
}

/// A face as the detector sees it. All numbers are finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Face {
    /// From the brows to the chin, about.
    pub bounds: Bounds,
    /// How sure the detector is, 0 to 1.
    pub score: f32,
    /// Six points.
    pub landmarks: Landmarks,
}
