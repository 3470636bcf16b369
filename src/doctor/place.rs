//! What the device stands on: the kernel's features, the owners and modes of files.

use super::Finding;
use crate::config::Config;
use crate::config::check::{API_KEY_CREDENTIAL, DEVICE_KEY_CREDENTIAL, credential_path};
use crate::control::server::group_named;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What the units rely on. Without it systemd leaves a protection out without a word.
const SECCOMP: &str = "/proc/sys/kernel/seccomp/actions_avail";
/// Boot time is told from other boots by it.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

pub(super) fn kernel() -> Finding {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let missing: Vec<_> = [("boot_id", BOOT_ID), ("seccomp", SECCOMP)]
        .into_iter()
        .filter(|(_, path)| !Path::new(path).exists())
        .map(|(name, _)| name)
        .collect();
    let seen = format!("Linux {}", release.trim());
    match missing.as_slice() {
        [] => Finding::ok("kernel", seen),
        // Without a boot id no start can be told from another, and the daemon does not run.
        missing if missing.contains(&"boot_id") => {
            Finding::failure("kernel", format!("{seen}: no {BOOT_ID}"), "mount /proc")
        }
        missing => Finding::warning(
            "kernel",
            format!("{seen}: without {}", missing.join(", ")),
            "use a kernel with CONFIG_SECCOMP_FILTER: the units' system call filters do nothing here",
        ),
    }
}

/// A file or directory as its metadata show it.
#[derive(Clone, Copy)]
struct Meta {
    uid: u32,
    gid: u32,
    mode: u32,
}

fn meta(path: &Path) -> std::io::Result<Meta> {
    std::fs::metadata(path).map(|meta| Meta { uid: meta.uid(), gid: meta.gid(), mode: meta.mode() & 0o7777 })
}

pub(super) fn permissions(config: &Config, each: &mut dyn FnMut(Finding)) {
    let api_key = credential_path(API_KEY_CREDENTIAL, &config.smile.api_key_file);
    let device_key = credential_path(DEVICE_KEY_CREDENTIAL, &config.device.device_key_file);
    let state = &config.device.state_dir;
    let database = crate::agent::database_path(config);
    let findings = [
        config.smile.broker.is_none().then(|| secret("the API key", &api_key, meta(&api_key))).flatten(),
        // Made at the first start.
        device_key.exists().then(|| secret("the device key", &device_key, meta(&device_key))).flatten(),
        directory(state, meta(state), meta(&database).ok()),
        guard_file(&config.door.guard_config),
    ];
    let mut all_well = true;
    for finding in findings.into_iter().flatten() {
        all_well = false;
        each(finding);
    }
    if all_well {
        each(Finding::ok("permissions", format!("keys and {} are their owners' alone", state.display())));
    }
}

/// The group that both processes share: by it they read guard.toml and open the chips.
const LOCK_GROUP: &str = "latchd-guard";

/// Whether members of the lock's group may read a file, or read and write a chip (`bits` 4 or 6). Where there is no such
/// group nothing is installed, and whoever runs the programs sees by themselves.
fn lock_group_may(meta: Option<Meta>, group: Option<u32>, bits: u32) -> bool {
    let (Some(meta), Some(group)) = (meta, group) else { return true };
    let granted = if meta.gid == group { meta.mode >> 3 } else { meta.mode };
    granted & bits == bits
}

/// The lock's file, if the guard may not read it.
fn guard_file(path: &Path) -> Option<Finding> {
    let well = lock_group_may(meta(path).ok(), group_named(LOCK_GROUP), 4);
    (!well).then(|| {
        let seen = format!("{} cannot be read by the group {LOCK_GROUP}", path.display());
        Finding::failure("permissions", seen, "systemd-tmpfiles --create latchd.conf")
    })
}

/// The chip of the strike's line, if the guard may not open it.
pub(super) fn chip(path: &Path) -> Option<Finding> {
    let well = lock_group_may(meta(path).ok(), group_named(LOCK_GROUP), 6);
    (!well).then(|| {
        let seen = format!("no permission: {} cannot be opened by the group {LOCK_GROUP}", path.display());
        Finding::failure("line", seen, "udevadm control --reload && udevadm trigger --subsystem-match=gpio")
    })
}

/// A key that others may read, or that cannot be read at all.
fn secret(what: &str, path: &Path, meta: std::io::Result<Meta>) -> Option<Finding> {
    let path = path.display();
    match meta {
        Ok(meta) if meta.mode & 0o077 != 0 => Some(Finding::warning(
            "permissions",
            format!("{what} in {path} may be read by others (mode {:04o})", meta.mode),
            format!("chmod 0600 {path}, and change the key if others use this machine"),
        )),
        Ok(_) => None,
        Err(error) => Some(Finding::failure(
            "permissions",
            format!("{what} in {path}: {error}"),
            match error.kind() {
                std::io::ErrorKind::PermissionDenied => "run latchd doctor as root".to_owned(),
                _ => format!("put the key there: install -m 0600 /dev/stdin {path}"),
            },
        )),
    }
}

fn directory(path: &Path, state: std::io::Result<Meta>, database: Option<Meta>) -> Option<Finding> {
    let shown = path.display();
    match (state, database) {
        (Err(error), _) => Some(Finding::failure(
            "permissions",
            format!("{shown}: {error}"),
            format!(
                "start latchd.service, which makes it, or: install -d -m 0700 -o latchd -g latchd {shown}"
            ),
        )),
        (Ok(state), Some(database)) if state.uid != database.uid => Some(Finding::failure(
            "permissions",
            format!("{shown} belongs to user {}, the database in it to user {}", state.uid, database.uid),
            format!("chown -R --reference={shown} {shown}"),
        )),
        (Ok(state), _) if state.mode & 0o077 != 0 => Some(Finding::warning(
            "permissions",
            format!("{shown} is open to others (mode {:04o})", state.mode),
            format!("chmod 0700 {shown}"),
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use std::io::{Error, ErrorKind};

    fn level(finding: Option<Finding>) -> Option<Level> {
        finding.map(|finding| finding.level)
    }

    #[test]
    fn a_key_is_its_owners_alone() {
        let file = Path::new("/etc/latchd/smile-api-key");
        let of = |mode| level(secret("the key", file, Ok(Meta { uid: 0, gid: 0, mode })));
        assert_eq!((of(0o600), of(0o400)), (None, None));
        assert_eq!((of(0o640), of(0o604)), (Some(Level::Warning), Some(Level::Warning)));
        for (kind, remedy) in
            [(ErrorKind::NotFound, "put the key there"), (ErrorKind::PermissionDenied, "as root")]
        {
            let finding = secret("the key", file, Err(Error::from(kind))).unwrap();
            assert_eq!(finding.level, Level::Failure);
            assert!(finding.remedy.contains(remedy), "{finding:?}");
        }
    }

    #[test]
    fn the_locks_group_must_be_let_in_where_there_is_one() {
        let may = |gid, mode, group, bits| lock_group_may(Some(Meta { uid: 0, gid, mode }), group, bits);
        assert!(may(5, 0o640, Some(5), 4) && may(0, 0o644, Some(5), 4) && may(5, 0o660, Some(5), 6));
        assert!(!may(0, 0o640, Some(5), 4) && !may(5, 0o600, Some(5), 4) && !may(5, 0o640, Some(5), 6));
        assert!(!may(5, 0o606, Some(5), 6), "the group's bits count for its members, not the others'");
        assert!(may(0, 0o600, None, 6) && lock_group_may(None, Some(5), 4));
    }

    #[test]
    fn directory_and_database_have_one_owner() {
        let path = Path::new("/var/lib/latchd");
        let meta = |uid, mode| Meta { uid, gid: 0, mode };
        let judge = |state, database| level(directory(path, state, database));
        assert_eq!(judge(Ok(meta(7, 0o700)), None), None);
        assert_eq!(judge(Ok(meta(7, 0o700)), Some(meta(7, 0o600))), None);
        assert_eq!(judge(Ok(meta(7, 0o700)), Some(meta(0, 0o600))), Some(Level::Failure));
        assert_eq!(judge(Ok(meta(7, 0o755)), Some(meta(7, 0o600))), Some(Level::Warning));
        assert_eq!(judge(Err(Error::from(ErrorKind::NotFound)), None), Some(Level::Failure));
    }
}
