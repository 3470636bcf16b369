//! Names to addresses, remembered for a while.
//!
//! The HTTP library asks for every request, also when a connection is kept, and its own resolver starts a thread
//! each time. Here an address in the URL costs nothing and a name is asked for once a minute. When the name
//! server is silent the last known addresses are tried: TLS makes sure that it is still the right server.

use crate::clock::{BootTime, Clock};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

const FRESH: Duration = Duration::from_secs(60);
const USABLE: Duration = Duration::from_secs(24 * 3600);
/// The service's host, the storage host of v1, and some change of both.
const NAMES_MAX: usize = 8;

struct Known {
    name: String,
    addresses: Vec<SocketAddr>,
    asked: BootTime,
}

/// See the module.
pub(crate) struct CachingResolver {
    clock: Arc<dyn Clock>,
    known: Mutex<Vec<Known>>,
    system: DefaultResolver,
}

impl CachingResolver {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, known: Mutex::new(Vec::new()), system: DefaultResolver::default() }
    }

    fn recall(&self, name: &str, age_max: Duration) -> Option<Vec<SocketAddr>> {
        let now = self.clock.boot();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|known| known.name == name)?;
        (now.since(found.asked) < age_max).then(|| found.addresses.clone())
    }

    fn remember(&self, name: String, addresses: Vec<SocketAddr>) {
        let asked = self.clock.boot();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known.name != name);
        if known.len() >= NAMES_MAX {
            known.remove(0);
        }
        known.push(Known { name, addresses, asked });
    }

    fn list(&self, addresses: &[SocketAddr]) -> ResolvedSocketAddrs {
        let mut list = self.empty();
        // The library's list takes 16 addresses and panics beyond.
        for address in addresses.iter().take(16) {
            list.push(*address);
        }
        list
    }
}

impl Resolver for CachingResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        let port = uri.port_u16().unwrap_or(443);
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<IpAddr>() {
            return Ok(self.list(&[SocketAddr::new(address, port)]));
        }
        let name = format!("{}:{port}", host.to_ascii_lowercase());
        if let Some(addresses) = self.recall(&name, FRESH) {
            return Ok(self.list(&addresses));
        }
        match self.system.resolve(uri, config, timeout) {
            Ok(found) => {
                self.remember(name, found.iter().copied().collect());
                Ok(found)
            }
            Err(error) => match self.recall(&name, USABLE) {
                Some(addresses) => Ok(self.list(&addresses)),
                None => Err(error),
            },
        }
    }
}

impl fmt::Debug for CachingResolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CachingResolver")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Wall};

    fn resolver() -> (Arc<ManualClock>, CachingResolver) {
        let clock = Arc::new(ManualClock::new(BootTime::from_millis(1000), Wall::Unknown));
        (clock.clone(), CachingResolver::new(clock))
    }

    fn ask(resolver: &CachingResolver, url: &str) -> Result<Vec<SocketAddr>, ureq::Error> {
        let uri: Uri = url.parse().unwrap();
        let config = ureq::Agent::config_builder().build();
        resolver.resolve(&uri, &config, NextTimeout::default()).map(|found| found.iter().copied().collect())
    }

    #[test]
    fn addresses_need_no_look_up() {
        let (_, resolver) = resolver();
        assert_eq!(ask(&resolver, "https://127.0.0.1/x").unwrap(), ["127.0.0.1:443".parse().unwrap()]);
        assert_eq!(ask(&resolver, "https://[::1]:8443/x").unwrap(), ["[::1]:8443".parse().unwrap()]);
    }

    #[test]
    fn a_name_is_remembered_and_outlives_its_name_server_for_a_day() {
        let (clock, resolver) = resolver();
        let name = "https://door-test.invalid/";
        let address: SocketAddr = "192.0.2.1:443".parse().unwrap();
        assert!(ask(&resolver, name).is_err());
        resolver.remember("door-test.invalid:443".into(), vec![address]);
        assert_eq!(ask(&resolver, name).unwrap(), [address]);
        // Stale: the look-up is made, fails (the name cannot exist), and the last known address is used.
        clock.advance(FRESH + Duration::from_secs(1));
        assert_eq!(ask(&resolver, name).unwrap(), [address]);
        clock.advance(USABLE);
        assert!(ask(&resolver, name).is_err());
    }

    #[test]
    fn the_memory_is_bounded() {
        let (_, resolver) = resolver();
        for index in 0..100 {
            resolver.remember(format!("host-{index}:443"), Vec::new());
        }
        assert_eq!(resolver.known.lock().unwrap().len(), NAMES_MAX);
    }
}
