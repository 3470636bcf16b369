use super::*;
use proptest::prelude::*;

const SQUARE: Bounds = Bounds { left: 0.0, top: 0.0, right: 128.0, bottom: 128.0 };

fn numbers(x: f32, y: f32, side: f32) -> [f32; 16] {
    let mut numbers = [0.0; 16];
    numbers[..4].copy_from_slice(&[x, y, side, side]);
    numbers
}

fn found(anchors: &[(f32, [f32; 16])]) -> Vec<Face> {
    let anchors = anchors.iter().map(|(logit, regressors)| Anchor {
        x: 0.5,
        y: 0.5,
        logit: *logit,
        regressors: *regressors,
    });
    Candidates::new().faces(anchors, &SQUARE, 0.5).to_vec()
}

#[test]
fn a_face_lies_where_its_numbers_say() {
    let mut regressors = numbers(4.0, -8.0, 20.0);
    regressors[4..6].copy_from_slice(&[-5.0, 6.0]);
    let square = Bounds { left: 100.0, top: 50.0, right: 356.0, bottom: 306.0 };
    let anchor = Anchor { x: 0.25, y: 0.5, logit: 0.0, regressors };
    let mut candidates = Candidates::new();
    let [face] = candidates.faces([anchor].into_iter(), &square, 0.5) else { panic!("one face") };
    // Two pixels of the frame are one of the input.
    assert_eq!(face.bounds, Bounds { left: 152.0, top: 142.0, right: 192.0, bottom: 182.0 });
    assert_eq!(face.landmarks.right_eye, Point { x: 154.0, y: 190.0 });
    assert_eq!(face.score, 0.5);
}

#[test]
fn boxes_on_one_face_become_their_weighted_mean() {
    let faces = found(&[(2.0, numbers(0.0, 0.0, 20.0)), (0.0, numbers(4.0, 0.0, 20.0))]);
    let [face] = faces.as_slice() else { panic!("{faces:?}") };
    let (strong, weak) = (1.0 / (1.0 + (-2.0f32).exp()), 0.5);
    let expected = 64.0 + 4.0 * weak / (strong + weak);
    assert!((face.bounds.centre().x - expected).abs() < 1e-3);
    assert_eq!(face.score, strong);
}

#[test]
fn boxes_apart_are_two_faces_and_the_better_is_first() {
    let faces = found(&[(1.0, numbers(-30.0, 0.0, 20.0)), (3.0, numbers(30.0, 0.0, 20.0))]);
    assert_eq!(faces.len(), 2);
    assert!(faces[0].score > faces[1].score && faces[0].bounds.left > faces[1].bounds.left);
}

#[test]
fn err_what_is_no_number_and_no_box_is_dropped() {
    let good = (1.0, numbers(0.0, 0.0, 20.0));
    let mut bad = Vec::new();
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for at in 0..16 {
            let mut regressors = good.1;
            regressors[at] = value;
            bad.push((5.0, regressors));
        }
    }
    bad.extend([(f32::NAN, good.1), (5.0, numbers(0.0, 0.0, 0.0)), (5.0, numbers(0.0, 0.0, -20.0))]);
    bad.extend([(5.0, numbers(f32::MAX, 0.0, f32::MAX)), (-5.0, good.1)]);
    assert_eq!(found(&bad), []);
    bad.push(good);
    assert_eq!(found(&bad).len(), 1);
    // Beyond what an exponential can hold.
    assert_eq!(found(&[(f32::INFINITY, good.1)])[0].score, 1.0);
    assert_eq!(found(&[(f32::NEG_INFINITY, good.1)]), []);
}

proptest! {
    #[test]
    fn err_any_numbers_end_and_give_finite_faces(
        anchors in prop::collection::vec((any::<f32>(), prop::array::uniform16(prop_oneof![any::<f32>(), -200.0f32..200.0])), 0..60),
    ) {
        for face in found(&anchors) {
            prop_assert!((0.5..=1.0).contains(&face.score));
            let Bounds { left, top, right, bottom } = face.bounds;
            prop_assert!([left, top, right, bottom].iter().all(|edge| edge.is_finite()));
            prop_assert!(face.landmarks.points().iter().all(|point| point.x.is_finite() && point.y.is_finite()));
        }
    }
}
