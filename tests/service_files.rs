//! What `make install` puts beside the programs fits together: each user and group that a unit, a rule or a directory
//! names is made by sysusers.d or is Debian's own (base-passwd). A missing one keeps a service from starting for ever
//! (216/GROUP, 217/USER).

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Users and groups of every Debian, of those that are used here.
const DEBIANS: [&str; 2] = ["root", "video"];

type Names = BTreeSet<String>;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(path)).unwrap()
}

fn rows(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
}

/// The users and the groups that sysusers.d makes, and the names that its memberships need.
fn made(text: &str) -> (Names, Names, Names) {
    let (mut users, mut groups, mut needed) = (Names::new(), Names::new(), Names::new());
    for row in rows(text) {
        match row[0].as_str() {
            "u" => {
                users.insert(row[1].clone());
                groups.insert(row[1].clone());
            }
            "g" => {
                groups.insert(row[1].clone());
            }
            "m" => needed.extend([row[1].clone(), row[2].clone()]),
            other => assert_eq!(other, "u, g or m"),
        }
    }
    (users, groups, needed)
}

/// The names behind `keys` of a unit's text.
fn named(unit: &str, keys: &[&str]) -> Names {
    let settings = unit.lines().filter_map(|line| line.split_once('='));
    let values = settings.filter(|(key, _)| keys.contains(key)).map(|(_, value)| value);
    values.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[test]
fn every_user_and_group_is_made_or_debians_own() {
    let (mut users, mut groups, members) = made(&read("sysusers.d/latchd.conf"));
    users.extend(DEBIANS.map(str::to_owned));
    groups.extend(DEBIANS.map(str::to_owned));
    assert!(members.iter().all(|name| groups.contains(name)), "{members:?}");
    assert!(groups.contains("latchd-operator"), "the daemon gives it operator.sock");

    for unit in ["latchd.service", "latchd-guard.service", "latchd-guard.socket"] {
        let text = read(unit);
        let user = named(&text, &["User", "SocketUser"]);
        let group = named(&text, &["Group", "SocketGroup", "SupplementaryGroups"]);
        assert!(!user.is_empty() && !group.is_empty(), "{unit} runs as somebody");
        assert!(user.is_subset(&users), "{unit}: {user:?} are not all of {users:?}");
        assert!(group.is_subset(&groups), "{unit}: {group:?} are not all of {groups:?}");
    }
    for row in rows(&read("tmpfiles.d/latchd.conf")) {
        assert!(users.contains(&row[3]) && groups.contains(&row[4]), "tmpfiles.d: {row:?}");
    }
    let udev = read("udev/99-latchd.rules");
    let of_rule: Names = udev
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once("GROUP=\"")?.1.split('"').next())
        .map(str::to_owned)
        .collect();
    assert!(!of_rule.is_empty() && of_rule.is_subset(&groups), "{of_rule:?}");

    // Who reads the lock's file and opens its chip must be in those groups.
    let config = rows(&read("tmpfiles.d/latchd.conf"));
    let guard_file = config.iter().find(|row| row[1].ends_with("/guard.toml")).unwrap();
    for unit in ["latchd.service", "latchd-guard.service"] {
        let mine = named(&read(unit), &["Group", "SupplementaryGroups"]);
        assert!(mine.contains(&guard_file[4]), "{unit} cannot read guard.toml");
        assert!(of_rule.is_subset(&mine), "{unit} cannot open the chip");
    }
}

#[test]
fn every_program_and_page_a_unit_names_is_installed() {
    let makefile = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Makefile")).unwrap();
    for unit in ["latchd.service", "latchd-guard.service", "latchd-guard.socket"] {
        let text = read(unit);
        for start in named(&text, &["ExecStart"]).iter().filter(|word| word.starts_with("/usr/bin/")) {
            let program = start.trim_start_matches("/usr/bin/");
            assert!(makefile.contains(&format!("$(RELEASE)/{program}")), "{unit}: {start}");
        }
        let pages = named(&text, &["Documentation"]);
        assert!(!pages.is_empty(), "{unit}");
        for page in pages {
            let name = page.strip_prefix("file:///usr/share/doc/latchd/").unwrap();
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name).exists(), "{unit}: {page}");
        }
        for socket in named(&text, &["Sockets", "Requires", "Wants"]) {
            read(&socket);
        }
    }
}
