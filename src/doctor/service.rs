//! The clock and the configured service: its name, its certificate, and whether it takes this device's credentials.

use super::{Finding, Patient};
use crate::access::{JobId, Product, UserId};
use crate::agent::api_key;
use crate::clock::{Wall, WallTime};
use crate::config::model::Api;
use crate::smileid::{Client, Failure, Handle, Settings};
use std::net::ToSocketAddrs;

/// v3 refuses time stamps further off than five minutes; consent and audit want it better.
const CLOCK_OFF_MAX_SECONDS: u64 = 60;
/// Names nobody: v1 is asked for a job that does not exist, since it has no call that only proves a key.
const NOBODY: &str = "latchd-doctor";

pub(super) fn examine(patient: &Patient<'_>, each: &mut dyn FnMut(Finding)) {
    let wall = patient.clock.wall();
    match ask(patient) {
        Ok((seen, server)) => {
            each(clock(wall, server));
            each(Finding::ok("service", seen));
        }
        Err(finding) => {
            each(clock(wall, None));
            each(finding);
        }
    }
}

fn clock(wall: Wall, server: Option<WallTime>) -> Finding {
    let Wall::Known(now) = wall else {
        return Finding::failure(
            "clock",
            "not known since the start, or before the release of this program",
            "let the device reach a time server (timedatectl), or set its clock; until then jobs are held",
        );
    };
    let Some(server) = server else { return Finding::ok("clock", now.to_rfc3339()) };
    let off = now.as_unix_millis().abs_diff(server.as_unix_millis()) / 1000;
    let seen = format!("{}, {off} s from the service's", now.to_rfc3339());
    if off > CLOCK_OFF_MAX_SECONDS {
        return Finding::failure(
            "clock",
            seen,
            "let the device reach a time server (timedatectl set-ntp true)",
        );
    }
    Finding::ok("clock", seen)
}

/// Proves the way to the service step by step, and what its clock says.
fn ask(patient: &Patient<'_>) -> Result<(String, Option<WallTime>), Finding> {
    let failure = |seen: String, remedy: &str| Finding::failure("service", seen, remedy);
    let smile = &patient.config.smile;
    let key = api_key(patient.config).map_err(|error| failure(error.to_string(), &error.remedy()))?;
    let settings =
        Settings::from_config(smile, key).map_err(|error| failure(error.to_string(), error.remedy()))?;
    let (host, port) = settings.host();
    // The system's resolver is asked as the daemon asks it; its own time limit is the longest wait.
    (host.as_str(), port).to_socket_addrs().map_err(|error| {
        failure(
            format!("the name {host} is not found: {error}"),
            "check cable, Wi-Fi, /etc/resolv.conf and [smile] base_url",
        )
    })?;
    let client = Client::new(settings, patient.clock.clone(), patient.random.clone())
        .map_err(|error| failure(error.to_string(), error.remedy()))?;
    let refused = |error: Failure| failure(format!("{host}: {error}"), error.remedy());
    client.warm().map_err(refused)?;
    if client.api() == Api::V1 {
        let user = UserId::parse(NOBODY).map_err(|error| failure(error.to_string(), ""))?;
        let mut job = [0; 16];
        patient.random.fill(&mut job);
        client.look_up(&Handle::own(Product::Authentication, user, JobId(job))).map_err(refused)?;
    }
    let shown = if smile.broker.is_some() { "the broker's token" } else { "its key" };
    let seen = format!("{host} answers over TLS and takes partner {} and {shown}", smile.partner_id);
    Ok((seen, client.server_time()))
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn the_clock_is_held_against_the_services() {
        let at = |seconds: i64| WallTime::from_unix_millis(1_790_000_000_000 + seconds * 1000);
        let of = |now, server| clock(now, server).level;
        assert_eq!(of(Wall::Unknown, Some(at(0))), Level::Failure);
        assert_eq!(of(Wall::Known(at(0)), None), Level::Ok);
        assert_eq!(of(Wall::Known(at(60)), Some(at(0))), Level::Ok);
        assert_eq!(of(Wall::Known(at(0)), Some(at(61))), Level::Failure);
        assert_eq!(of(Wall::Known(at(3600)), Some(at(0))), Level::Failure);
    }
}
