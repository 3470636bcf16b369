//! No file makes the loader fall, and every defect it reports is on a line that the file has.

use latchd::config::{Config, Source, load, reference};
use proptest::prelude::*;
use std::path::Path;

fn judge(text: &str) {
    let lines = text.split('\n').count();
    let judged: Result<(Config, Source), _> = load::parse(text, Path::new("latchd.toml"));
    if let Err(errors) = judged {
        assert!(!errors.0.is_empty());
        for error in &errors.0 {
            assert!(error.place.line.is_none_or(|line| (1..=lines).contains(&line)), "{error}");
            assert!(!error.to_string().contains('\n'), "{error:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_judged(text in "\\PC{0,200}") {
        judge(&text);
    }

    #[test]
    fn any_damage_to_a_good_file_is_judged(at in 0usize..6000, cut in 0usize..40, put in "[\\[\\]=\"'\\.\\n a-z0-9-]{0,8}") {
        let mut text = reference::annotated_toml();
        let start = at.min(text.len());
        let end = (start + cut).min(text.len());
        text.replace_range(start..end, &put);
        judge(&text);
    }
}
