//! Files as operators write them, good and bad.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use super::*;
use proptest::prelude::*;

const HEAD: &str = "user_id,may_open,given_names,last_name,email,phone,consent_granted_at,consent_language,consent_policy_url\n";

fn known() -> Wall {
    Wall::Known(WallTime::from_rfc3339("2026-06-01T00:00:00Z").unwrap())
}

fn read(text: &str) -> Result<Vec<(usize, PersonChange)>, PeopleError> {
    parse(text, ImportFormat::Csv, known())
}

#[test]
fn ok_quotes_line_breaks_and_crlf() {
    let text = format!(
        "\u{feff}{HEAD}\r\nu1,true,\"Ada \"\"A\"\"\",\"Love,\nlace\",a@b.co,,2026-01-02T03:04:05+01:00,EN,https://x.org/p\r\n\nu2,false,Bo,Li,,+12345678,,,\n"
    );
    // A line break inside a name is read as such and then refused by the person's own check.
    let Err(PeopleError::Line { line: 3, why }) = read(&text) else { panic!("accepted") };
    assert!(why.starts_with("last_name"), "{why}");
    let people = read(&text.replace("Love,\nlace", "Love,lace")).unwrap();
    assert_eq!(people.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 5]);
    let (_, ada) = &people[0];
    assert_eq!((ada.contact.given_names.as_deref(), ada.may_open), (Some("Ada \"A\""), true));
    assert_eq!(
        ada.consent.as_ref().unwrap().as_ref().unwrap().granted_at.to_rfc3339(),
        "2026-01-02T02:04:05.000Z"
    );
    assert_eq!(people[1].1.consent, Some(None));
}

#[test]
fn err_names_the_line_and_not_its_content() {
    let row = |user: &str| format!("{user},true,Zelda,Secretname,z@b.co,,,,\n");
    for (text, line, word) in [
        (String::new(), 1, "empty"),
        ("user_id,nickname\n".into(), 1, "\"nickname\" is no column"),
        ("u1,true,Zelda,Secretname\n".into(), 1, "must name the columns, separated by commas: user_id,"),
        ("user_id;may_open;given_names\nu1;true;Secretname".into(), 1, "not by semicolons"),
        ("user_id,user_id\n".into(), 1, "twice"),
        ("user_id,given_names\n".into(), 1, "may_open is missing"),
        (format!("{HEAD}{}u2,true,Secretname\n", row("u1")), 3, "3 fields instead of 9"),
        (format!("{HEAD}{}{}", row("u1"), row("u1")), 3, "line 2 again"),
        (format!("{HEAD}{}", row("no spaces")), 2, "user id"),
        (format!("{HEAD}u1,yes,Zelda,Secretname,z@b.co,,,,\n"), 2, "may_open"),
        (format!("{HEAD}u1,true,Zelda,Secretname,,,,,\n"), 2, "email"),
        (format!("{HEAD}u1,true,Zelda,Secretname,z@b.co,,yesterday,EN,https://x.org\n"), 2, "such as"),
        (
            format!("{HEAD}u1,true,Zelda,Secretname,z@b.co,,2027-01-01T00:00:00Z,EN,https://x.org\n"),
            2,
            "future",
        ),
        (
            format!("{HEAD}u1,true,Zelda,Secretname,z@b.co,,,EN,https://x.org\n"),
            2,
            "consent_granted_at is missing: a consent has",
        ),
        (
            format!("{HEAD}u1,true,Zelda,Secretname,z@b.co,,2026-01-01T00:00:00Z,en,https://x.org\n"),
            2,
            "capital",
        ),
        (format!("{HEAD}{}\"u2,true\n\n", row("u1")), 3, "not closed"),
        (format!("{HEAD}\"u1\"x,true\n"), 2, "behind"),
        (format!("{HEAD}u\"1,true\n"), 2, "inside"),
    ] {
        let error = read(&text).unwrap_err();
        let PeopleError::Line { line: seen, .. } = &error else { panic!("{error}") };
        assert_eq!(*seen, line, "{error}");
        assert!(error.to_string().contains(word), "{error}");
        assert!(!error.to_string().contains("Secretname"), "{error}");
    }
}

#[test]
fn json_counts_lines_and_knows_its_fields() {
    let one = r#"{"user_id":"u1","may_open":true,"given_names":"Ada","last_name":"L","email":"a@b.co"}"#;
    let read = |text: &str| parse(text, ImportFormat::Json, known());
    assert_eq!(read(&format!("[\n{one}\n,\n{}]", one.replace("u1", "u2"))).unwrap()[1].0, 4);
    for (text, line, word) in [
        ("{}".to_owned(), 1, "user_id is missing"),
        (format!("[{one},\n\n{{\"user_id\":\"u2\",\n\"may_open\":\"Secretname\"}}]"), 3, "may_open must be"),
        (
            format!("[{one},\n{}]", one.replace("email", "e-mail").replace("u1", "u2")),
            2,
            "\"e-mail\" is no column",
        ),
        (format!("[{one},\n{one}]"), 2, "line 1 again"),
        (format!("[{one},\n7]"), 2, "no object"),
        (format!("[{}]", one.replace("true", "true,\"may_open\":false")), 1, "may_open is there twice"),
        (format!("[{one},\n"), 2, "not JSON"),
    ] {
        let error = read(&text).unwrap_err();
        assert!(matches!(error, PeopleError::Line { line: seen, .. } if seen == line), "{text} {error}");
        assert!(error.to_string().contains(word), "{error}");
        assert!(!error.to_string().contains("Secretname"));
    }
}

#[test]
fn a_file_keeps_what_it_does_not_speak_of_and_removes_what_it_empties() {
    let narrow = read("user_id,may_open\nu1,true\n").unwrap();
    let change = &narrow[0].1;
    assert!(change.keeps_something() && change.consent.is_none() && change.contact.email.is_none());
    let emptied =
        read("user_id,may_open,phone,consent_granted_at,consent_language,consent_policy_url\nu1,true,,,,\n");
    let change = &emptied.unwrap()[0].1;
    assert_eq!((&change.consent, &change.contact.phone), (&Some(None), &Some(None)));
    // JSON says the same with null and with a key that is not there.
    let json =
        parse(r#"{"user_id":"u1","may_open":true,"phone":null}"#, ImportFormat::Json, known()).unwrap();
    assert_eq!((&json[0].1.contact.phone, &json[0].1.contact.email), (&Some(None), &None));
}

#[test]
fn what_people_show_prints_is_read_one_after_the_other() {
    let one = r#"{"kind":"done","user_id":"u1","may_open":true,"given_names":"Ada","last_name":"L","email":"a@b.co","phone":null,"consent_granted_at":null,"consent_language":null,"consent_policy_url":null}"#;
    let text = format!("{one}\n{}\n", one.replace("u1", "u2"));
    let lines: Vec<_> =
        parse(&text, ImportFormat::Json, known()).unwrap().into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, [1, 2]);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[a-z,\"\n\r]{0,80}") {
        let _ = read(&text);
        let _ = read(&format!("{HEAD}{text}"));
    }

    #[test]
    fn fields_survive_quoting(rows in proptest::collection::vec(proptest::collection::vec("[ -~\n]{1,8}", 3), 1..5)) {
        let text: String = rows
            .iter()
            .map(|row| row.iter().map(|f| format!("\"{}\"", f.replace('"', "\"\""))).collect::<Vec<_>>().join(",") + "\r\n")
            .collect();
        let read: Vec<_> = split(&text).unwrap().into_iter().map(|(_, fields)| fields).collect();
        prop_assert_eq!(read, rows);
    }
}
