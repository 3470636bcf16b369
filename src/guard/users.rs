//! Which user may speak to the guard: a name of /etc/passwd, or a number.

use super::error::GuardError;
use std::path::Path;

/// The uid of `peer_user`, or of this process when there is none.
///
/// # Errors
/// The user is not in /etc/passwd.
pub fn peer_uid(peer_user: Option<&str>) -> Result<u32, GuardError> {
    match peer_user {
        None => Ok(rustix::process::geteuid().as_raw()),
        Some(user) => {
            let table = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
            uid_in(&table, user).ok_or_else(|| GuardError::UnknownUser(user.to_owned()))
        }
    }
}

fn uid_in(table: &str, user: &str) -> Option<u32> {
    let named = table.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?;
        (name == user).then(|| uid.parse().ok())?
    });
    named.or_else(|| user.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "root:x:0:0:root:/root:/bin/sh\nlatchd:x:997:990::/:/usr/sbin/nologin\n+bad\n";

    #[test]
    fn a_user_is_found_by_exact_name_or_number() {
        assert_eq!(uid_in(TABLE, "latchd"), Some(997));
        assert_eq!(uid_in(TABLE, "root"), Some(0));
        assert_eq!(uid_in(TABLE, "1234"), Some(1234));
        assert_eq!(uid_in(TABLE, "latch"), None);
        assert_eq!(uid_in(TABLE, "x"), None);
        assert_eq!(uid_in(TABLE, ""), None);
    }
}
