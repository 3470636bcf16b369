//! The same network over the same weights by tract on one thread, beside `latchd bench eyes`.
//!
//! usage: tract-peer DIRECTORY VECTORS.json     prints one JSON object
//! DIRECTORY holds what model.py wrote: network.onnx and input.f32.

use std::path::Path;
use std::time::Instant;
use tract_onnx::prelude::*;

const RUNS: usize = 31;
const REGRESSORS: usize = 16;

fn main() -> TractResult<()> {
    let args: Vec<String> = std::env::args().collect();
    let [_, directory, vectors] = args.as_slice() else { panic!("usage: tract-peer DIRECTORY VECTORS.json") };
    let directory = Path::new(directory);
    let model = tract_onnx::onnx()
        .model_for_path(directory.join("network.onnx"))?
        .into_optimized()?
        .into_runnable()?;
    let bytes = std::fs::read(directory.join("input.f32"))?;
    let input: Vec<f32> = bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
    let input: TValue = Tensor::from_shape(&[1, 3, 128, 128], &input)?.into();

    let out = model.run(tvec!(input.clone()))?;
    let (logits, regressors) = (out[0].to_plain_array_view::<f32>()?, out[1].to_plain_array_view::<f32>()?);
    let vectors: serde_json::Value = serde_json::from_slice(&std::fs::read(vectors)?)?;
    let worst = check(&vectors["tensor"], logits.as_slice().unwrap(), regressors.as_slice().unwrap());

    let mut micros: Vec<f64> = (0..RUNS)
        .map(|_| {
            let begin = Instant::now();
            model.run(tvec!(input.clone())).unwrap();
            begin.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    micros.sort_by(f64::total_cmp);
    println!(
        "{}",
        serde_json::json!({"network_us": micros[RUNS / 2], "network_least_us": micros[0], "worst_difference": worst})
    );
    Ok(())
}

/// The greatest difference from the numbers that LiteRT gave for the same picture; panics where it is another network.
fn check(wanted: &serde_json::Value, logits: &[f32], regressors: &[f32]) -> f64 {
    let number = |name: &str| wanted[name].as_f64().unwrap();
    let top = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b])).unwrap();
    assert_eq!(top as f64, number("top_anchor"));
    let mine = regressors[top * REGRESSORS..][..REGRESSORS].iter();
    let pairs = mine.zip(wanted["top_regressors"].as_array().unwrap());
    let worst = pairs
        .map(|(mine, wanted)| (f64::from(*mine) - wanted.as_f64().unwrap()).abs())
        .fold((f64::from(logits[top]) - number("top_logit")).abs(), f64::max);
    assert!(worst <= 1e-3, "off by {worst}");
    // All 896 anchors, by their sums.
    let logit_sum: f64 = logits.iter().map(|logit| f64::from(*logit)).sum();
    let regressor_sum: f64 = regressors.iter().map(|number| f64::from(number.abs())).sum();
    for (mine, wanted) in [(logit_sum, number("logit_sum")), (regressor_sum, number("regressor_abs_sum"))] {
        assert!((mine / wanted - 1.0).abs() <= 1e-5, "the sum {mine} should be {wanted}");
    }
    worst
}
