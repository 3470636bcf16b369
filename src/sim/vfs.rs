//! SQLite's way to a simulated [`Disk`]. This file alone may be unsafe, and no other than a test build has it: SQLite calls
//! a file system through pointers.
//!
//! Paths are `/sim-N/name`; N finds the disk. One process and one connection use a disk at a time, so locks always succeed
//! and the shared memory of a WAL belongs to the handle.
#![allow(unsafe_code, reason = "SQLite's interface for file systems is a table of C functions")]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use rusqlite::ffi;

use super::disk::{Disk, Trouble};

/// The name to open databases with.
pub const NAME: &str = "latchd-sim";

static DISKS: Mutex<BTreeMap<u64, Arc<Mutex<Disk>>>> = Mutex::new(BTreeMap::new());

/// A disk that databases can be opened on, until this is dropped.
pub struct Mounted {
    number: u64,
    disk: Arc<Mutex<Disk>>,
}

impl Mounted {
    /// Makes the disk known to SQLite.
    pub fn new(disk: Disk) -> Self {
        register();
        let disk = Arc::new(Mutex::new(disk));
        let mut disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
        let number = disks.last_key_value().map_or(1, |(last, _)| last + 1);
        disks.insert(number, Arc::clone(&disk));
        Self { number, disk }
    }

    pub fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn path(&self) -> std::path::PathBuf {
        format!("/sim-{}/latchd.db", self.number).into()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        DISKS.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.number);
    }
}

/// The disk and the name on it of a path.
fn find(path: &str) -> Option<(Arc<Mutex<Disk>>, &str)> {
    let (number, name) = path.strip_prefix("/sim-")?.split_once('/')?;
    let number = number.parse().ok()?;
    Some((DISKS.lock().unwrap_or_else(PoisonError::into_inner).get(&number)?.clone(), name))
}

/// What stands behind an open file.
struct Open {
    disk: Arc<Mutex<Disk>>,
    name: String,
    life: u64,
    /// The WAL's index, in regions.
    shared: Vec<Vec<u64>>,
}

impl Open {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// SQLite allocates this and gives it to every call.
#[repr(C)]
struct Handle {
    base: ffi::sqlite3_file,
    open: *mut Open,
}

/// # Safety
/// `file` is one that [`open`] filled and [`close`] has not seen.
unsafe fn of<'a>(file: *mut ffi::sqlite3_file) -> &'a mut Open {
    // SAFETY: `open` put a leaked box there; SQLite uses a file from one thread at a time.
    unsafe { &mut *(*file.cast::<Handle>()).open }
}

/// # Safety
/// `text` is a C string or null.
unsafe fn text<'a>(text: *const c_char) -> Option<&'a str> {
    // SAFETY: the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }).and_then(|text| text.to_str().ok())
}

fn code(result: Result<(), Trouble>, io: c_int) -> c_int {
    match result {
        Ok(()) => ffi::SQLITE_OK,
        Err(Trouble::Full) => ffi::SQLITE_FULL,
        Err(Trouble::Io) => io,
    }
}

fn place(at: i64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX / 2)
}

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives room for a `Handle` and a C string.
    unsafe {
        (*file).pMethods = std::ptr::null();
        let Some(name) = text(name) else { return ffi::SQLITE_CANTOPEN };
        let Some((disk, name)) = find(name) else { return ffi::SQLITE_CANTOPEN };
        let opened = {
            let mut disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
            let life = disk.life;
            disk.open(life, name, flags & ffi::SQLITE_OPEN_CREATE != 0).map(|()| life)
        };
        let Ok(life) = opened else { return ffi::SQLITE_CANTOPEN };
        let open = Box::new(Open { disk, name: name.to_owned(), life, shared: Vec::new() });
        (*file.cast::<Handle>()).open = Box::into_raw(open);
        (*file).pMethods = &raw const METHODS.0;
        if !out.is_null() {
            *out = flags;
        }
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: the box that `open` leaked; SQLite closes a file once.
    drop(unsafe { Box::from_raw((*file.cast::<Handle>()).open) });
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut ffi::sqlite3_file, to: *mut c_void, count: c_int, at: i64) -> c_int {
    // SAFETY: SQLite gives room for `count` bytes.
    let (open, room) =
        unsafe { (of(file), std::slice::from_raw_parts_mut(to.cast::<u8>(), place(count.into()))) };
    let read = open.disk().read(open.life, &open.name, place(at), room);
    match read {
        Ok(found) if found == room.len() => ffi::SQLITE_OK,
        Ok(found) => {
            room[found..].fill(0);
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(_) => ffi::SQLITE_IOERR_READ,
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    count: c_int,
    at: i64,
) -> c_int {
    // SAFETY: SQLite gives `count` bytes.
    let (open, bytes) =
        unsafe { (of(file), std::slice::from_raw_parts(from.cast::<u8>(), place(count.into()))) };
    code(open.disk().write(open.life, &open.name, place(at), bytes), ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, size: i64) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { of(file) };
    code(open.disk().truncate(open.life, &open.name, place(size)), ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    let open = unsafe { of(file) };
    code(open.disk().sync(open.life, &open.name), ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn size(file: *mut ffi::sqlite3_file, out: *mut i64) -> c_int {
    // SAFETY: an open file, and room for a number.
    unsafe {
        let open = of(file);
        *out = i64::try_from(open.disk().size(&open.name)).unwrap_or(i64::MAX);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn lock(_: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn reserved(_: *mut ffi::sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: room for a number.
    unsafe { *out = 0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

unsafe extern "C" fn sector(_: *mut ffi::sqlite3_file) -> c_int {
    512
}

/// As SQLite takes it for granted of Linux: writing a sector's part does not damage the rest of it.
unsafe extern "C" fn characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shared_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    // SAFETY: an open file; a region stays where it is, for its vector never grows.
    unsafe {
        let shared = &mut of(file).shared;
        while extend != 0 && shared.len() <= place(region.into()) {
            shared.push(vec![0; place(bytes.into()).div_ceil(8)]);
        }
        *out = shared
            .get_mut(place(region.into()))
            .map_or(std::ptr::null_mut(), |region| region.as_mut_ptr().cast());
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn shared_lock(_: *mut ffi::sqlite3_file, _: c_int, _: c_int, _: c_int) -> c_int {
    ffi::SQLITE_OK
}

unsafe extern "C" fn shared_barrier(_: *mut ffi::sqlite3_file) {}

unsafe extern "C" fn shared_unmap(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    // SAFETY: an open file.
    unsafe { of(file) }.shared.clear();
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, _: c_int) -> c_int {
    // SAFETY: a C string.
    let Some(name) = (unsafe { text(name) }) else { return ffi::SQLITE_IOERR_DELETE };
    let Some((disk, name)) = find(name) else { return ffi::SQLITE_IOERR_DELETE };
    let mut disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
    let life = disk.life;
    code(disk.delete(life, name), ffi::SQLITE_IOERR_DELETE)
}

unsafe extern "C" fn access(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    _: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: a C string, and room for a number.
    unsafe {
        let there = text(name).is_some_and(|name| {
            find(name)
                .is_some_and(|(disk, name)| disk.lock().unwrap_or_else(PoisonError::into_inner).exists(name))
        });
        *out = c_int::from(there);
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn full_name(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    room: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: a C string, and `room` bytes.
    unsafe {
        let bytes = CStr::from_ptr(name).to_bytes_with_nul();
        if bytes.len() > place(room.into()) {
            return ffi::SQLITE_CANTOPEN;
        }
        std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len());
    }
    ffi::SQLITE_OK
}

/// Seeds what SQLite makes of it: salts of the WAL, which no decision looks at.
unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, count: c_int, out: *mut c_char) -> c_int {
    // SAFETY: `count` bytes.
    unsafe { std::ptr::write_bytes(out, 7, place(count.into())) };
    count
}

unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, micros: c_int) -> c_int {
    micros
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, out: *mut f64) -> c_int {
    // SAFETY: room for a number. latchd asks SQLite for no time.
    unsafe { *out = 2_461_345.5 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn last_error(_: *mut ffi::sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}

struct Methods(ffi::sqlite3_io_methods);

// SAFETY: function pointers; nothing is ever written to it.
unsafe impl Sync for Methods {}

static METHODS: Methods = Methods(ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(size),
    xLock: Some(lock),
    xUnlock: Some(lock),
    xCheckReservedLock: Some(reserved),
    xFileControl: Some(control),
    xSectorSize: Some(sector),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(shared_map),
    xShmLock: Some(shared_lock),
    xShmBarrier: Some(shared_barrier),
    xShmUnmap: Some(shared_unmap),
    xFetch: None,
    xUnfetch: None,
});

fn register() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let vfs = Box::new(ffi::sqlite3_vfs {
            iVersion: 1,
            szOsFile: c_int::try_from(size_of::<Handle>()).unwrap_or(c_int::MAX),
            mxPathname: 512,
            pNext: std::ptr::null_mut(),
            zName: c"latchd-sim".as_ptr(),
            pAppData: std::ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_name),
            xDlOpen: None,
            xDlError: None,
            xDlSym: None,
            xDlClose: None,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: Some(current_time),
            xGetLastError: Some(last_error),
            xCurrentTimeInt64: None,
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        });
        // SAFETY: SQLite keeps the pointer for ever, and it lives as long.
        let done = unsafe { ffi::sqlite3_vfs_register(Box::into_raw(vfs), 0) };
        assert_eq!(done, ffi::SQLITE_OK, "SQLite takes no file system");
    });
}
