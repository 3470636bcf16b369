//! A disk in memory that may be cut off from power at any write: what was not synced is lost, kept or torn by sector, as
//! chance has it. Full and failing too. SQLite reaches it through [`super::vfs`].

use std::collections::BTreeMap;
use std::sync::Arc;

use super::chance::{Chance, Time};

/// What a power cut keeps or loses as a whole.
const SECTOR: usize = 512;

/// Why an operation did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// An I/O error; also all that a dead process still tries.
    Io,
    /// No room.
    Full,
}

/// How the machine stops in the middle of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The process is killed: what it wrote stays.
    Kill,
    /// The power is cut: what was not synced is at the mercy of chance.
    PowerCut,
}

#[derive(Debug, Clone)]
enum Change {
    Write { at: usize, bytes: Vec<u8> },
    Truncate(usize),
}

#[derive(Debug, Clone, Default)]
struct File {
    /// What a power cut cannot take.
    durable: Vec<u8>,
    /// What a reader sees.
    view: Vec<u8>,
    /// Since the last sync, in order.
    pending: Vec<Change>,
    /// Whether its name is durable: since its first sync.
    named: bool,
}

/// The files of one device.
#[derive(Debug)]
pub struct Disk {
    files: BTreeMap<String, File>,
    chance: Chance,
    time: Arc<Time>,
    /// Handles of an earlier life do nothing any more.
    pub life: u64,
    /// The process is dead and does not know it yet.
    pub stopped: Option<Stop>,
    /// Stop at this operation, counted down.
    pub stop_in: Option<(u64, Stop)>,
    /// Bytes that fit.
    pub capacity: usize,
    /// So many operations in a thousand fail.
    pub failing: u64,
    /// Each operation takes so many times as long.
    pub slow: u64,
    /// Syncs so far.
    pub syncs: u64,
    /// Bytes written so far.
    pub written: u64,
}

impl Disk {
    pub fn new(chance: Chance, time: Arc<Time>) -> Self {
        Self {
            files: BTreeMap::new(),
            chance,
            time,
            life: 1,
            stopped: None,
            stop_in: None,
            capacity: usize::MAX,
            failing: 0,
            slow: 1,
            syncs: 0,
            written: 0,
        }
    }

    /// What a power cut at this moment would leave for certain, as a disk of its own that never fails.
    pub fn certain(&self) -> Self {
        let kept = |file: &File| File { view: file.durable.clone(), pending: vec![], ..file.clone() };
        let files = self.files.iter().map(|(name, file)| (name.clone(), kept(file))).collect();
        Self { files, ..Self::new(self.chance.clone(), Arc::default()) }
    }

    /// What a reader sees at this moment, as a disk of its own that never fails.
    pub fn as_seen(&self) -> Self {
        let kept = |file: &File| File { durable: file.view.clone(), pending: vec![], ..file.clone() };
        let files = self.files.iter().map(|(name, file)| (name.clone(), kept(file))).collect();
        Self { files, ..Self::new(self.chance.clone(), Arc::default()) }
    }

    pub fn bytes(&self) -> usize {
        self.files.values().map(|file| file.view.len()).sum()
    }

    /// One operation of a process of life `life`: time passes, and it may fail or be the last one.
    fn step(&mut self, life: u64, micros: (u64, u64)) -> Result<(), Trouble> {
        if life != self.life || self.stopped.is_some() {
            return Err(Trouble::Io);
        }
        let took = self.chance.micros(micros.0, micros.1) * self.slow;
        self.time.pass(took);
        if let Some((left, how)) = &mut self.stop_in {
            if *left == 0 {
                self.stopped = Some(*how);
                self.stop_in = None;
                return Err(Trouble::Io);
            }
            *left -= 1;
        }
        if self.failing > 0 && self.chance.per_mille(self.failing) { Err(Trouble::Io) } else { Ok(()) }
    }

    pub fn open(&mut self, life: u64, name: &str, create: bool) -> Result<(), Trouble> {
        self.step(life, (5, 20))?;
        match (self.files.contains_key(name), create) {
            (true, _) => Ok(()),
            (false, true) => {
                self.files.insert(name.to_owned(), File::default());
                Ok(())
            }
            (false, false) => Err(Trouble::Io),
        }
    }

    pub fn exists(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    pub fn delete(&mut self, life: u64, name: &str) -> Result<(), Trouble> {
        self.step(life, (20, 100))?;
        self.files.remove(name);
        Ok(())
    }

    pub fn size(&self, name: &str) -> usize {
        self.files.get(name).map_or(0, |file| file.view.len())
    }

    /// Fills `room` from `at`; gives how many bytes there were.
    pub fn read(&mut self, life: u64, name: &str, at: usize, room: &mut [u8]) -> Result<usize, Trouble> {
        self.step(life, (1, 5))?;
        let view = self.files.get(name).map(|file| file.view.as_slice()).unwrap_or_default();
        let found = view.get(at..).unwrap_or_default();
        let count = found.len().min(room.len());
        room[..count].copy_from_slice(&found[..count]);
        Ok(count)
    }

    pub fn write(&mut self, life: u64, name: &str, at: usize, bytes: &[u8]) -> Result<(), Trouble> {
        let others = self.bytes() - self.size(name);
        let ran = life == self.life && self.stopped.is_none();
        let failed = self.step(life, (10, 60));
        let room = self.capacity.saturating_sub(others);
        let Some(file) = self.files.get_mut(name) else { return Err(Trouble::Io) };
        if failed.is_err() {
            // The operation that fails may have done a part of its work.
            if ran && self.stopped != Some(Stop::Kill) {
                let part = usize::try_from(self.chance.below(bytes.len() as u64 + 1)).unwrap();
                file.change(Change::Write { at, bytes: bytes[..part].to_vec() });
            }
            return failed;
        }
        if at + bytes.len() > room.max(file.view.len()) {
            return Err(Trouble::Full);
        }
        self.written += bytes.len() as u64;
        file.change(Change::Write { at, bytes: bytes.to_vec() });
        Ok(())
    }

    pub fn truncate(&mut self, life: u64, name: &str, size: usize) -> Result<(), Trouble> {
        self.step(life, (10, 60))?;
        let Some(file) = self.files.get_mut(name) else { return Err(Trouble::Io) };
        file.change(Change::Truncate(size));
        Ok(())
    }

    pub fn sync(&mut self, life: u64, name: &str) -> Result<(), Trouble> {
        let failed = self.step(life, (500, 6000));
        let Some(file) = self.files.get_mut(name) else { return Err(Trouble::Io) };
        failed?;
        self.syncs += 1;
        file.named = true;
        for change in std::mem::take(&mut file.pending) {
            apply(&mut file.durable, &change);
        }
        Ok(())
    }

    /// The process is gone; with `PowerCut` what was not synced is lost, kept or torn.
    pub fn end_life(&mut self, how: Stop) {
        self.life += 1;
        (self.stopped, self.stop_in) = (None, None);
        if how == Stop::Kill {
            return;
        }
        // All kept, all lost, or sector by sector.
        let kept = *self.chance.pick(&[0, 0, 300, 700, 1000]);
        let chance = &mut self.chance;
        self.files.retain(|_, file| {
            for change in std::mem::take(&mut file.pending) {
                survive(&mut file.durable, &change, kept, chance);
            }
            file.view.clone_from(&file.durable);
            file.named || chance.per_mille(kept)
        });
    }
}

impl File {
    fn change(&mut self, change: Change) {
        apply(&mut self.view, &change);
        self.pending.push(change);
    }
}

fn apply(content: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Truncate(size) => content.truncate(*size),
        Change::Write { at, bytes } => {
            if content.len() < at + bytes.len() {
                content.resize(at + bytes.len(), 0);
            }
            content[*at..at + bytes.len()].copy_from_slice(bytes);
        }
    }
}

/// What a power cut leaves of a change that was not synced.
fn survive(content: &mut Vec<u8>, change: &Change, kept: u64, chance: &mut Chance) {
    match change {
        Change::Truncate(_) => {
            if chance.per_mille(kept) {
                apply(content, change);
            }
        }
        Change::Write { at, bytes } => {
            for (index, sector) in bytes.chunks(SECTOR).enumerate() {
                // Some sectors tear: only their beginning is new.
                let torn = chance.per_mille(30);
                let length = if torn {
                    usize::try_from(chance.below(sector.len() as u64)).unwrap()
                } else {
                    sector.len()
                };
                if chance.per_mille(kept) {
                    let at = at + index * SECTOR;
                    apply(content, &Change::Write { at, bytes: sector[..length].to_vec() });
                }
            }
        }
    }
}
