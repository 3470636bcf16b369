use super::*;

pub(in crate::eyes) fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

pub(in crate::eyes) fn vectors() -> serde_json::Value {
    serde_json::from_slice(&fixture("blazeface_vectors.json")).unwrap()
}

pub(in crate::eyes) fn number(value: &serde_json::Value) -> f32 {
    value.as_f64().unwrap() as f32
}

fn instructions() -> Vec<Instructions> {
    let mut all = vec![Instructions::Baseline, Instructions::best()];
    all.dedup();
    all
}

fn close(ours: f32, theirs: f32, tolerance: f32, what: &str) {
    assert!((ours - theirs).abs() <= tolerance, "{what}: {ours}, LiteRT has {theirs}");
}

/// tests/fixtures/blazeface_vectors.json: what LiteRT computes from the unmodified model.
#[test]
fn the_tensors_are_those_of_litert() {
    let picture = image::load_from_memory(&fixture("astronaut_128.png")).unwrap().to_rgb8();
    let expected = &vectors()["tensor"];
    for instructions in instructions() {
        let mut network = Network::new(Model::shipped().unwrap(), instructions);
        // Twice: nothing may remain of a pass before.
        for _ in 0..2 {
            let mut input = network.black_input();
            for (column, row, pixel) in picture.enumerate_pixels() {
                let colour = pixel.0.map(|value| f32::from(value) / 127.5 - 1.0);
                input.row(row as usize).unwrap()[column as usize] = colour;
            }
            network.run();
            let anchors: Vec<Anchor> = network.anchors().collect();
            assert_eq!(anchors.len(), 896);
            let top = usize::try_from(expected["top_anchor"].as_u64().unwrap()).unwrap();
            assert!(anchors.iter().all(|anchor| anchor.logit <= anchors[top].logit));
            close(anchors[top].logit, number(&expected["top_logit"]), 2e-3, "logit");
            for (ours, theirs) in
                anchors[top].regressors.iter().zip(expected["top_regressors"].as_array().unwrap())
            {
                close(*ours, number(theirs), 2e-3, "regressor");
            }
            let logits: f64 = anchors.iter().map(|anchor| f64::from(anchor.logit)).sum();
            close(logits as f32, number(&expected["logit_sum"]), 0.1, "sum of logits");
            let sizes =
                anchors.iter().flat_map(|anchor| anchor.regressors).map(|number| f64::from(number.abs()));
            close(
                sizes.sum::<f64>() as f32,
                number(&expected["regressor_abs_sum"]),
                2.0,
                "sum of regressors",
            );
            let above = anchors.iter().filter(|anchor| anchor.logit > 0.0).count();
            assert_eq!(above, usize::try_from(expected["n_logit_above_0"].as_u64().unwrap()).unwrap());
        }
    }
}

#[test]
fn anchors_lie_in_the_models_order() {
    let network = Network::new(Model::shipped().unwrap(), Instructions::Baseline);
    let places: Vec<_> = network.anchors().map(|anchor| (anchor.x, anchor.y)).collect();
    assert_eq!(places[0], (0.5 / 16.0, 0.5 / 16.0));
    assert_eq!(places[2], (1.5 / 16.0, 0.5 / 16.0));
    assert_eq!(places[511], (15.5 / 16.0, 15.5 / 16.0));
    assert_eq!(places[512], (0.5 / 8.0, 0.5 / 8.0));
    assert_eq!(places[895], (7.5 / 8.0, 7.5 / 8.0));
}
