//! The network and the service at its end: the real client's requests go in as values, are delayed, lost, cut and answered
//! twice as chance has it, and the sandbox's own judgement answers them.

use std::io::Read as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ureq::http::{Request, Response};

use super::chance::{Chance, Time};
use super::fiber::{self, Wait, Woken};
use crate::sandbox::direct::{Direct, Said};
use crate::sandbox::{JobSeen, Protocol};
use crate::smileid::body::Body;
use crate::smileid::transport::{Carrier, Lost, Unread};

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Fine,
    /// No connection.
    Refused,
    /// The connection breaks in the middle of the body.
    BodyCut,
    /// Sent, and never seen by the service.
    NeverArrives,
    /// The service has it, and its answer is lost.
    AnswerLost,
    /// The answer breaks off.
    AnswerCut,
    /// The service has it, and something in between says 502.
    BadGateway,
    /// A gateway answers in its place.
    Gateway(u16),
    /// Too many requests, with a time to wait.
    TryLater,
    /// An answer that was given before comes again.
    Repeated,
    /// It takes long.
    Slow,
}

/// Our own id of a job that the service took.
pub fn own_id(seen: &JobSeen) -> String {
    match seen.protocol {
        Protocol::V1 => seen.job_id.clone(),
        _ => seen.partner_params.get("job_id").cloned().unwrap_or_default(),
    }
}

/// Behind the lock.
pub struct Network {
    pub service: Direct,
    pub chance: Chance,
    /// No connection until then.
    pub down_until: u64,
    /// So many requests in a thousand meet a fault.
    pub faulty: u64,
    /// What the service took, in order.
    pub taken: Vec<JobSeen>,
    /// Answers to status calls, for repetition.
    said: Vec<Said>,
    /// How many jobs the service had when last looked at.
    known: usize,
    /// Requests and what became of them, for the trace.
    pub log: Vec<String>,
}

impl Network {
    pub fn new(service: Direct, chance: Chance) -> Self {
        Self { service, chance, down_until: 0, faulty: 0, taken: vec![], said: vec![], known: 0, log: vec![] }
    }

    fn draw(&mut self, path: &str) -> Fate {
        if !self.chance.per_mille(self.faulty) {
            return Fate::Fine;
        }
        let status = path.contains("status");
        let fate = match self.chance.below(14) {
            0 | 1 => Fate::Refused,
            2 => Fate::BodyCut,
            3 => Fate::NeverArrives,
            4 | 5 => Fate::AnswerLost,
            6 => Fate::AnswerCut,
            7 => Fate::BadGateway,
            8 => Fate::Gateway(*self.chance.pick(&[503, 500, 401, 402, 429, 404])),
            9 => Fate::TryLater,
            10 | 11 if status => Fate::Repeated,
            _ => Fate::Slow,
        };
        self.log.push(format!("{path}: {fate:?}"));
        fate
    }

    /// The service answers, and what it took is noted.
    fn ask(&mut self, request: Request<Vec<u8>>) -> Said {
        let status = request.uri().path().contains("status");
        let said = self.service.answer(request);
        let jobs = self.service.jobs();
        for (seen, _) in jobs.iter().skip(self.known) {
            self.taken.push(seen.clone());
        }
        self.known = jobs.len();
        self.log.push(format!("answer {}", said.status));
        if status && said.status == 200 {
            self.said.push(said.clone());
        }
        said
    }
}

/// One process's way to the network.
pub struct Wire {
    pub network: Arc<Mutex<Network>>,
    pub time: Arc<Time>,
    pub dead: Arc<AtomicBool>,
}

impl Wire {
    fn network(&self) -> MutexGuard<'_, Network> {
        self.network.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time passes; the link may be gone at its end.
    fn pass(&self, least: u64, most: u64) -> Result<(), Lost> {
        let broken = || Err(Lost::Broken("the link is down".into()));
        if self.dead.load(Ordering::Relaxed) {
            return broken();
        }
        let span = self.network().chance.micros(least, most);
        let until = self.time.now() + span;
        if fiber::wait(Wait::Time(until)) == Woken::Dead || self.network().down_until > self.time.now() {
            return broken();
        }
        Ok(())
    }

    fn lost<T>(&self) -> Result<T, Lost> {
        // The client would wait for its own limit.
        self.pass(1_000_000, 10_000_000)?;
        Err(Lost::Broken("timed out".into()))
    }
}

const MILLI: u64 = 1000;

impl Carrier for Wire {
    fn carry(
        &self,
        request: Request<()>,
        body: Option<&mut Body<'_, '_>>,
        _: u64,
    ) -> Result<Response<Result<Vec<u8>, Unread>>, Lost> {
        let path = request.uri().path().to_owned();
        // The client holds its token's lock while it fetches one, as on a device: nothing may wait there.
        let token = path.ends_with("/token");
        let pass = |least, most| if token { Ok(()) } else { self.pass(least, most) };
        let fate = self.network().draw(&path);
        if fate == Fate::Refused
            || self.network().down_until > self.time.now()
            || self.dead.load(Ordering::Relaxed)
        {
            pass(MILLI, 100 * MILLI)?;
            return Err(Lost::Broken("no connection".into()));
        }
        pass(5 * MILLI, 60 * MILLI)?;
        let mut sent = Vec::new();
        if let Some(body) = body {
            let length = usize::try_from(body.length()).unwrap();
            let part = if fate == Fate::BodyCut { length / 2 } else { length };
            sent.resize(part, 0);
            body.read_exact(&mut sent).map_err(|error| Lost::Broken(error.to_string()))?;
            if fate == Fate::BodyCut {
                return Err(Lost::Broken("the connection broke".into()));
            }
        }
        pass(10 * MILLI, 150 * MILLI)?;
        if fate == Fate::NeverArrives {
            return if token { Err(Lost::Broken("timed out".into())) } else { self.lost() };
        }
        let said = match fate {
            Fate::Gateway(status) => gateway(status),
            Fate::TryLater => Said { headers: vec![("retry-after", "3".into())], ..gateway(429) },
            _ => self.network().ask(request.map(|()| sent)),
        };
        if fate == Fate::AnswerLost {
            return if token { Err(Lost::Broken("timed out".into())) } else { self.lost() };
        }
        let said = match fate {
            Fate::BadGateway => gateway(502),
            Fate::Repeated => {
                let mut network = self.network();
                let said = network.said.clone();
                if said.is_empty() { gateway(502) } else { network.chance.pick(&said).clone() }
            }
            _ => said,
        };
        let most = if fate == Fate::Slow { 20_000 * MILLI } else { 150 * MILLI };
        pass(10 * MILLI, most)?;
        let cut = fate == Fate::AnswerCut;
        let mut response = Response::builder().status(said.status);
        for (name, value) in &said.headers {
            response = response.header(*name, value);
        }
        let body = if cut {
            Err(Unread::Broken(Lost::Broken("the answer broke off".into())))
        } else {
            Ok(said.body)
        };
        response.body(body).map_err(|_| Lost::Nonsense("the answer cannot be formed"))
    }
}

fn gateway(status: u16) -> Said {
    let body = br#"{"status":"error","message":"scripted","job_id":null,"user_id":null}"#.to_vec();
    // A 502 from in between says nothing about a job.
    let body = if status == 502 { b"<html>bad gateway</html>".to_vec() } else { body };
    Said { status, headers: vec![("content-type", "application/json".into())], body }
}
