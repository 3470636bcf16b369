//! How many connections one socket serves at once, and how many of them one user may keep.

use std::sync::{Arc, Mutex, PoisonError};

/// Connections that may be open at once on one socket.
pub const CONNECTIONS: usize = 16;
/// How many of them one user may have, so that nobody keeps the others out. Root and the daemon's own user may have all:
/// either could end the daemon anyhow, and on a desk everything runs as one user.
pub const OF_ONE_USER: usize = 4;

/// The users of the open connections.
#[derive(Debug)]
pub struct Places {
    own_uid: u32,
    open: Mutex<Vec<u32>>,
}

/// One open connection; gives its place back when dropped.
#[derive(Debug)]
pub struct Place {
    uid: u32,
    of: Arc<Places>,
}

impl Places {
    /// All places free; the daemon runs as `own_uid`.
    pub fn new(own_uid: u32) -> Arc<Self> {
        Arc::new(Self { own_uid, open: Mutex::new(Vec::with_capacity(CONNECTIONS)) })
    }

    /// A place for a connection of `uid`, or `None` when too many are open.
    pub fn take(self: &Arc<Self>, uid: u32) -> Option<Place> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let limit = if uid == 0 || uid == self.own_uid { CONNECTIONS } else { OF_ONE_USER };
        let mine = open.iter().filter(|user| **user == uid).count();
        if open.len() >= CONNECTIONS || mine >= limit {
            return None;
        }
        open.push(uid);
        Some(Place { uid, of: Arc::clone(self) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.of.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|user| *user == self.uid) {
            open.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_cannot_keep_the_others_out() {
        let places = Places::new(990);
        let mut kept: Vec<_> = (0..OF_ONE_USER).map(|_| places.take(1000).unwrap()).collect();
        assert!(places.take(1000).is_none());
        let other = places.take(1001).unwrap();
        assert!(places.take(0).is_some() && places.take(990).is_some());
        kept.pop();
        assert!(places.take(1000).is_some(), "a place that was given back is free");
        drop(other);
    }

    #[test]
    fn root_and_the_daemons_user_may_have_all_places_and_no_more() {
        let places = Places::new(990);
        let kept: Vec<_> = (0..CONNECTIONS).map(|n| places.take(if n % 2 == 0 { 0 } else { 990 })).collect();
        assert!(kept.iter().all(Option::is_some));
        assert!(places.take(0).is_none() && places.take(990).is_none() && places.take(1000).is_none());
    }
}
