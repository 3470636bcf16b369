//! The daemon's process: the real director, submitter, drain, records and store, put together as `agent::run` does, on
//! simulated time.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvError, RecvTimeoutError, Sender, bounded};
use secrecy::SecretString;

use super::chance::{DeviceClock, Dice, Time};
use super::fiber::{self, Fiber, Wait, Woken};
use super::lock::{LinkState, SimLink};
use super::network::{Network, Wire};
use super::vfs::{self, Mounted};
use crate::access::Machine;
use crate::agent::ahead::{self, Ahead};
use crate::agent::camera::BurstOrder;
use crate::agent::director::{Director, Hands};
use crate::agent::drain::{self, Alarm};
use crate::agent::lock::LockView;
use crate::agent::message::Message;
use crate::agent::shared::{Host, Keys, Parts, Shared};
use crate::agent::submitter::{self, Orders, SubmitOrder};
use crate::agent::{AgentError, rules, start_records};
use crate::clock::{BootTime, Clock, Random};
use crate::config::{Config, GuardConfig};
use crate::queue::FreeSpace;
use crate::queue::policy::Turn;
use crate::smileid::transport::Transport;
use crate::smileid::{Client, Settings as SmileSettings};
use crate::store::{self, DeviceKey, Mode, Opening, Store};

/// The device's key; as random as it needs to be here.
pub const DEVICE_KEY: [u8; 32] = [0x5a; 32];

/// Reads ahead the moment it is asked: as early as the thread of the daemon can, and so most likely to be out of date.
struct AtOnce {
    shared: Arc<Shared>,
    read: RefCell<ahead::Read>,
}

impl Ahead for AtOnce {
    fn ask(&self, turn: Turn) {
        *self.read.borrow_mut() = ahead::read(&self.shared, turn);
    }

    fn take(&self) -> ahead::Read {
        self.read.take()
    }
}

/// What a process is started on.
pub struct Ground {
    pub time: Arc<Time>,
    pub clock: Arc<DeviceClock>,
    pub dice: Arc<Dice>,
    pub mounted: Arc<Mounted>,
    pub network: Arc<Mutex<Network>>,
    pub guard: GuardConfig,
}

/// A process that runs.
pub struct Process {
    pub shared: Arc<Shared>,
    pub director: Director,
    pub inbox: Receiver<Message>,
    pub camera: Receiver<BurstOrder>,
    pub orders: Receiver<SubmitOrder>,
    pub woken: Receiver<()>,
    pub link: Arc<Mutex<LinkState>>,
    pub submitter: Fiber,
    pub drain: Fiber,
    /// Callbacks that are being followed.
    pub others: Vec<Fiber>,
    pub settled_at: u64,
    /// Of the link: the connection it has.
    pub connection: Option<u64>,
    dead: Arc<AtomicBool>,
}

struct SimHost {
    mounted: Arc<Mounted>,
    dead: Arc<AtomicBool>,
}

impl Host for SimHost {
    fn free_space(&self) -> FreeSpace {
        let disk = self.mounted.disk();
        FreeSpace { bytes: disk.capacity.saturating_sub(disk.bytes()) as u64, inodes: None }
    }

    fn abandon(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }
}

struct FiberOrders {
    orders: Receiver<SubmitOrder>,
    clock: Arc<DeviceClock>,
    time: Arc<Time>,
}

impl Orders for FiberOrders {
    fn next(&self) -> Result<SubmitOrder, RecvError> {
        loop {
            if let Ok(order) = self.orders.try_recv() {
                return Ok(order);
            }
            if fiber::wait(Wait::Call(None)) == Woken::Dead {
                return Err(RecvError);
            }
        }
    }

    fn within(&self, span: Duration) -> Result<SubmitOrder, RecvTimeoutError> {
        let end = self.clock.boot().plus(span);
        loop {
            if let Ok(order) = self.orders.try_recv() {
                return Ok(order);
            }
            let left = end.since(self.clock.boot());
            if left.is_zero() {
                return Err(RecvTimeoutError::Timeout);
            }
            let until = self.time.now() + super::chance::span(left);
            if fiber::wait(Wait::Call(Some(until))) == Woken::Dead {
                return Err(RecvTimeoutError::Disconnected);
            }
        }
    }
}

struct FiberAlarm {
    woken: Receiver<()>,
    time: Arc<Time>,
}

impl Alarm for FiberAlarm {
    fn sleep(&self, nap: Duration) -> Result<(), RecvTimeoutError> {
        if self.woken.try_recv().is_ok() {
            return Ok(());
        }
        let until = self.time.now() + super::chance::span(nap);
        match fiber::wait(Wait::Call(Some(until))) {
            Woken::Dead => Err(RecvTimeoutError::Disconnected),
            Woken::Called => self.woken.try_recv().map_err(|_| RecvTimeoutError::Timeout),
            Woken::Time => Err(RecvTimeoutError::Timeout),
        }
    }
}

impl Process {
    /// Starts the daemon on what is there.
    pub fn start(ground: &Ground, config: &Config) -> Result<(Self, Opening), AgentError> {
        let dead = Arc::new(AtomicBool::new(false));
        let clock: Arc<dyn Clock> = ground.clock.clone();
        let random: Arc<dyn Random> = ground.dice.clone();
        let settings = SmileSettings::from_config(&config.smile, SecretString::from(super::world::API_KEY))?;
        let wire = Wire { network: ground.network.clone(), time: ground.time.clone(), dead: dead.clone() };
        let transport = Transport::over(Box::new(wire), clock.clone());
        let client = Client::with(settings, transport, clock.clone(), random.clone())?;
        let (store, opening) = Store::open(store::Settings {
            path: ground.mounted.path(),
            vfs: Some(vfs::NAME.to_owned()),
            clock: clock.clone(),
            random: random.clone(),
            mode: Mode::ReadWrite,
            max_bytes: crate::queue::file_limit(&config.queue),
        })?;
        let Some(key) = DeviceKey::from_bytes(&DEVICE_KEY) else { unreachable!("32 bytes") };
        let keys = Keys::of(&key);
        store::check_key(&store, &keys.audit, true)?;
        let host = Box::new(SimHost { mounted: ground.mounted.clone(), dead: dead.clone() });
        let parts = Parts { store, keys, client, clock, random, host };
        let (shared, woken) = Shared::of(config, &ground.guard, parts);
        start_records(&shared, &opening)?;
        Ok((Self::assemble(ground, config, shared, woken, dead), opening))
    }

    fn assemble(
        ground: &Ground,
        config: &Config,
        shared: Arc<Shared>,
        woken: Receiver<()>,
        dead: Arc<AtomicBool>,
    ) -> Self {
        let (messages, inbox) = bounded(64);
        let (camera_orders, camera) = bounded(1);
        let (submit_orders, orders) = bounded(2);
        let link = Arc::new(Mutex::new(LinkState::default()));
        let handle = SimLink { state: link.clone(), clock: ground.clock.clone(), dead: dead.clone() };
        let hands = Hands { link: Box::new(handle), camera: camera_orders, submitter: submit_orders };
        let lock = Arc::new(Mutex::new(LockView::default()));
        let director = Director::new(shared.clone(), Machine::new(rules(config)), hands, lock);
        let submitter = {
            let (shared, director): (_, Sender<Message>) = (shared.clone(), messages);
            let (clock, time) = (ground.clock.clone(), ground.time.clone());
            let orders = FiberOrders { orders: orders.clone(), clock, time };
            Fiber::new("submitter", move || submitter::run(&shared, &orders, &director))
        };
        let drain = {
            let shared = shared.clone();
            let alarm = FiberAlarm { woken: woken.clone(), time: ground.time.clone() };
            let ahead = AtOnce { shared: shared.clone(), read: RefCell::default() };
            Fiber::new("drain", move || drain::run(&shared, &alarm, &ahead))
        };
        let mut process = Self {
            shared,
            director,
            inbox,
            camera,
            orders,
            woken,
            link,
            submitter,
            drain,
            others: Vec::new(),
            settled_at: 0,
            connection: None,
            dead,
        };
        // To their first wait.
        process.submitter.run(Woken::Called);
        process.drain.run(Woken::Called);
        process
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Now, by the device's clock.
    pub fn now(&self) -> BootTime {
        self.shared.clock.boot()
    }

    /// The process is gone, whatever its threads were doing.
    pub fn end(self) {
        self.dead.store(true, Ordering::Relaxed);
        for fiber in self.others.into_iter().chain([self.submitter, self.drain]) {
            fiber.end();
        }
    }
}
