//! Whose the state directory and its files are: what one user makes there another cannot open.

use super::error::AgentError;
use super::shared::database_path;
use crate::config::Config;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The user that the packaged service runs as.
const SERVICE: &str = "latchd";

/// What a command that works alone would find and be.
#[derive(Debug, Clone, Copy)]
struct Place {
    me: u32,
    directory: Option<u32>,
    database: Option<u32>,
    service: Option<u32>,
}

/// Why it may not work there.
#[derive(Debug, PartialEq, Eq)]
enum Barred {
    /// This is another user's, by number.
    Of(u32),
    /// There is no directory.
    NoDirectory,
    /// Root would make a database that the service's user could not open.
    RootMakes,
}

impl Place {
    fn judge(self) -> Option<Barred> {
        let Some(directory) = self.directory else { return Some(Barred::NoDirectory) };
        if let Some(owner) =
            [Some(directory), self.database].into_iter().flatten().find(|owner| *owner != self.me)
        {
            return Some(Barred::Of(owner));
        }
        let makes = self.database.is_none();
        (makes && self.me == 0 && self.service.is_some_and(|service| service != 0))
            .then_some(Barred::RootMakes)
    }
}

/// Whether this user may change the database of a stopped daemon, or make it.
///
/// # Errors
/// The daemon's user could not open afterwards what this one makes.
pub fn check(config: &Config) -> Result<(), AgentError> {
    let owner = |path: &Path| std::fs::metadata(path).map(|meta| meta.uid()).ok();
    let directory = &config.device.state_dir;
    let users = users();
    let place = Place {
        me: rustix::process::geteuid().as_raw(),
        directory: owner(directory),
        database: owner(&database_path(config)),
        service: uid_in(&users, SERVICE),
    };
    let directory = directory.display().to_string();
    match place.judge() {
        None => Ok(()),
        Some(Barred::NoDirectory) => Err(AgentError::NoDirectory { directory }),
        Some(Barred::RootMakes) => Err(AgentError::RootMakes { directory, service: SERVICE }),
        Some(Barred::Of(uid)) => Err(AgentError::WrongUser { directory, owner: name_in(&users, uid) }),
    }
}

/// What to do about a file that this user may not open or write: whose it is, and who this is.
pub fn remedy(path: &Path) -> Option<String> {
    // A file that cannot even be looked at lies in a directory that can.
    let (path, owner) =
        path.ancestors().find_map(|path| Some((path, std::fs::metadata(path).ok()?.uid())))?;
    advice(path, owner, rustix::process::geteuid().as_raw(), &users())
}

fn advice(path: &Path, owner: u32, me: u32, users: &str) -> Option<String> {
    let (theirs, mine) = (name_in(users, owner), name_in(users, me));
    (owner != me).then(|| {
        format!(
            "{path} belongs to {theirs} and this runs as {mine}: sudo chown {mine}: {path}, or run it as {theirs}",
            path = path.display()
        )
    })
}

fn users() -> String {
    std::fs::read_to_string("/etc/passwd").unwrap_or_default()
}

fn uid_in(users: &str, name: &str) -> Option<u32> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
    })
}

/// The user's name, or the number as chown and sudo take it.
fn name_in(users: &str, uid: u32) -> String {
    let named =
        users.lines().find(|line| line.split(':').nth(2).and_then(|number| number.parse().ok()) == Some(uid));
    named.and_then(|line| line.split(':').next()).map_or_else(|| format!("#{uid}"), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "root:x:0:0::/:/bin/sh\nlatchd:x:997:990::/:/usr/sbin/nologin\n";

    #[test]
    fn users_have_names_and_numbers() {
        assert_eq!((uid_in(USERS, "latchd"), uid_in(USERS, "latch")), (Some(997), None));
        assert_eq!((name_in(USERS, 997), name_in(USERS, 7)), ("latchd".into(), "#7".into()));
    }

    #[test]
    fn who_may_not_open_a_file_hears_whose_it_is() {
        let key = Path::new("/var/lib/latchd/device.key");
        let advice = |owner, me| advice(key, owner, me, USERS);
        assert_eq!(
            advice(0, 997).unwrap(),
            "/var/lib/latchd/device.key belongs to root and this runs as latchd: sudo chown latchd: \
             /var/lib/latchd/device.key, or run it as root"
        );
        assert_eq!(advice(997, 997), None, "then it is something else");
    }

    #[test]
    fn nobody_makes_what_the_daemons_user_cannot_open() {
        let judge = |me, directory, database, service| Place { me, directory, database, service }.judge();
        // As a service: the directory is the service's, and so is what may be made there.
        assert_eq!(judge(997, Some(997), None, Some(997)), None);
        assert_eq!(judge(0, Some(997), None, Some(997)), Some(Barred::Of(997)));
        assert_eq!(judge(0, Some(0), None, Some(997)), Some(Barred::RootMakes));
        assert_eq!(judge(0, None, None, Some(997)), Some(Barred::NoDirectory));
        // A database of another in a directory of one's own.
        assert_eq!(judge(0, Some(0), Some(997), Some(997)), Some(Barred::Of(997)));
        assert_eq!(judge(0, Some(0), Some(0), Some(997)), None, "it is there: nothing is made");
        // On a desk.
        assert_eq!(judge(1000, Some(1000), None, None), None);
        assert_eq!(judge(0, Some(0), None, None), None);
        assert_eq!(judge(1000, Some(1001), Some(1001), None), Some(Barred::Of(1001)));
    }
}
