//! The scenario file's rules, one table of right ones and one of wrong ones.

use super::*;
use proptest::prelude::*;

#[test]
fn ok_a_whole_file() {
    let scenario = parse(
        r#"
enrolled = ["u-1"]
unknown_identity = "block"
token_seconds = 3
callback_required = true
clock_skew_seconds = 300

[default]
decide_after_ms = 20

[[user]]
id = "u-2"
verdict = "sideways"
result_code = "0813"
answer_after_ms = 5

[[fault]]
endpoint = "v3/authentication"
user = "u-1"
calls = [1, 3]
kind = "drop-after-body"

[[fault]]
kind = "status"
status = 429
retry_after = 7

[[fault]]
endpoint = "v3/status"
kind = "set-fields"
set = { "result.PartnerParams.user_id" = "u-9", code = 2302 }
"#,
    )
    .unwrap();
    assert!(scenario.enrolled.contains("u-1"));
    assert_eq!(scenario.unknown_identity, UnknownIdentity::Block);
    assert_eq!(scenario.token_seconds, 3);
    assert!(scenario.callback_required);
    assert_eq!(scenario.clock_skew_seconds, Some(300));
    assert_eq!(scenario.rule("somebody").decide_after, Duration::from_millis(20));
    assert_eq!(scenario.rule("u-2").verdict.as_deref(), Some("sideways"));
    assert_eq!(scenario.rule("u-2").decide_after, Duration::ZERO, "a user's rule stands alone");
    assert_eq!(scenario.faults[0].endpoint, Some(Endpoint::V3Authentication));
    assert_eq!(scenario.faults[0].calls, [1, 3]);
    let FaultKind::Status { retry_after, .. } = &scenario.faults[1].kind else { panic!("not a status") };
    assert_eq!(*retry_after, Some(RetryAfter::Text("7".into())));
    let FaultKind::Edit { set, .. } = &scenario.faults[2].kind else { panic!("not an edit") };
    assert!(set.contains(&(vec!["result".into(), "PartnerParams".into(), "user_id".into()], "u-9".into())));
    assert!(set.contains(&(vec!["code".into()], 2302.into())));
}

#[test]
fn ok_nothing_is_a_healthy_service() {
    assert_eq!(parse("").unwrap(), Scenario::default());
}

#[test]
fn err_with_its_line() {
    for (text, line, word) in [
        ("\nverdict = \"clear\"", 2, "unknown field"),
        ("[default]\n\ndecide_after_ms = \"soon\"", 3, "invalid type"),
        ("[[user]]\nid = \"a\"\n[[user]]\nid = \"a\"", 4, "second rule"),
        ("[[user]]\nverdict = \"clear\"", 1, "missing field `id`"),
        ("unknown_identity = \"open\"", 1, "refuse"),
        ("[[fault]]\nkind = \"explode\"", 2, "explode"),
        ("[[fault]]\nendpoint = \"v4/x\"\nkind = \"silence\"", 3, "v3/authentication"),
        ("[[fault]]\nkind = \"status\"", 2, "needs `status`"),
        ("[[fault]]\nkind = \"status\"\nstatus = 100", 2, "no status"),
        ("[[fault]]\nkind = \"status\"\nstatus = 503\njob = \"maybe\"", 2, "maybe"),
        ("[[fault]]\nkind = \"redirect\"\nstatus = 200\nlocation = \"x\"", 2, "no redirect"),
        ("[[fault]]\nkind = \"silence\"\nbytes = 3", 2, "`bytes` means nothing"),
        ("[[fault]]\nkind = \"late\"", 2, "needs `delay_ms`"),
        ("[[fault]]\nkind = \"silence\"\ncalls = [0]", 2, "counted from 1"),
        ("[[fault]]\nkind = \"drop-before-body\"\nuser = \"u\"", 2, "leave `user` out"),
        ("[[fault]]\nkind = \"silence\"\nendpoint = \"v3/token\"\nuser = \"u\"", 2, "leave `user` out"),
        (
            "[[fault]]\nkind = \"status\"\nstatus = 429\nretry_after = 1\nretry_after_date_in_s = 1",
            2,
            "not both",
        ),
        ("[[fault", 1, ""),
    ] {
        match parse(text) {
            Err(SandboxError::Scenario { line: at, what }) => {
                assert_eq!(at, line, "{text}: {what}");
                assert!(what.contains(word), "{text}: {what}");
                assert!(!what.contains('\n'), "one line: {what}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

proptest! {
    /// Whatever the file holds, it is understood or refused on one line with a line number of the file.
    #[test]
    fn any_text_is_read_or_refused(text in r#"(\[\[fault\]\]|\[\[user\]\]|\[default\]|kind|status|id|calls|=|"[a-z-]{0,8}"|[0-9]{1,20}|[\[\]{},.]|\n| |\PC){0,40}"#) {
        if let Err(error) = parse(&text) {
            let SandboxError::Scenario { line, what } = error else { panic!("{error}") };
            prop_assert!(line >= 1 && line <= text.lines().count().max(1) + 1, "{line}");
            prop_assert!(!what.contains('\n'));
        }
    }
}
