//! A job read back to be sent: opened as a whole when it is small, else read part by part while it is sent.

use super::QueueError;
use super::jobs::{Info, context, image_ids, info, part_context};
use crate::access::{JobId, PictureKind};
use crate::picture::Jpeg;
use crate::store::seal::{self, Secret};
use crate::store::{QueueKey, StoreError, Transaction, Wiped};

/// First bytes of a picture, which tell its kind.
const HEAD: usize = 16;
/// Bytes of a job up to which its pictures stay opened until it is sent. What a door takes is that small, and opening it
/// twice would be half the work of sending it; a document is read again part by part.
const OPENED: u64 = 384 * 1024;

/// A picture of a job, as it is kept. No `Debug`: it may be the picture itself.
#[derive(PartialEq, Eq)]
pub struct Kept {
    /// Which of the job's pictures it is.
    pub kind: PictureKind,
    /// Its place among those of its kind.
    pub number: u32,
    /// Where its first part lies; the others follow.
    first: i64,
    /// In how many parts it is sealed.
    pub parts: u32,
    /// Its length.
    pub bytes: u64,
    /// CRC-32 of it.
    pub crc32: u32,
    /// Its first bytes.
    pub head: Vec<u8>,
    /// All of it, of a small job.
    pub opened: Option<Wiped>,
}

/// A job with all that is sent; of a large one [`part`] reads the pictures' bytes. That all can be read was tried.
pub struct Job {
    /// Its row.
    pub info: Info,
    /// What the submission needs besides pictures.
    pub details: Wiped,
    /// Its pictures, those of one kind in their order.
    pub pictures: Vec<Kept>,
    own: Secret,
}

impl Job {
    /// The pictures of one kind, in their order.
    pub fn pictures_of(&self, kind: PictureKind) -> impl Iterator<Item = &Kept> {
        self.pictures.iter().filter(move |picture| picture.kind == kind)
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("info", &self.info).finish_non_exhaustive()
    }
}

/// A job as it lies in the file; of a small one with all of its parts, so that it can be opened when the file is let go.
pub struct Sealed {
    info: Info,
    wrapped: Vec<u8>,
    details: Vec<u8>,
    /// Each with its sealed parts, or with none of a large job.
    pictures: Vec<(Kept, Vec<Vec<u8>>)>,
}

impl Sealed {
    /// Whether [`Sealed::open`] needs the file no more.
    pub fn is_whole(&self) -> bool {
        self.info.bytes <= OPENED
    }

    /// Opens it; what is not here is read by `tx`.
    pub fn open(self, key: &QueueKey, tx: Option<&Transaction<'_>>) -> Result<Job, QueueError> {
        let (id, small) = (self.info.id, self.is_whole());
        let own = seal::open_secret(key.secret(), &context(id, "key", 0), self.wrapped, "a job's key")?;
        let details = seal::open(&own, &context(id, "details", 0), self.details, "a job's details")?;
        let mut job =
            Job { info: self.info, details, pictures: Vec::with_capacity(self.pictures.len()), own };
        for (mut picture, sealed) in self.pictures {
            let mut sum = crc32fast::Hasher::new();
            let mut sealed = sealed.into_iter();
            // All of it is opened now: what is damaged is known before anything is sent.
            for index in 0..picture.parts {
                let bytes = match (sealed.next(), tx) {
                    (Some(sealed), _) => open_part(&job, &picture, index, sealed)?,
                    (None, Some(tx)) => part(tx, &job, &picture, index)?,
                    (None, None) => return Err(QueueError::ImagesErased(id)),
                };
                sum.update(&bytes);
                picture.bytes += bytes.len() as u64;
                let missing = HEAD.saturating_sub(picture.head.len());
                picture.head.extend(bytes.iter().take(missing));
                match &mut picture.opened {
                    _ if !small => {}
                    Some(opened) => opened.extend_from_slice(&bytes),
                    opened => *opened = Some(bytes),
                }
            }
            picture.crc32 = sum.finalize();
            job.pictures.push(picture);
        }
        job.pictures.sort_by_key(|picture| (picture.kind, picture.number));
        Ok(job)
    }
}

/// A job with all that is sent, still sealed.
pub fn sealed(tx: &Transaction<'_>, id: JobId) -> Result<Sealed, QueueError> {
    let info = info(tx, id)?;
    let erased = || QueueError::ImagesErased(id);
    let sql = "SELECT wrapped, details FROM job_keys JOIN jobs ON job = seq WHERE job = ?1";
    let row = tx.one(sql, [info.seq], |row| Ok((row.get(0)?, row.get::<_, Option<Vec<u8>>>(1)?)))?;
    let (true, Some((wrapped, Some(details)))) = (info.has_images, row) else { return Err(erased()) };
    let mut job = Sealed { info, wrapped, details, pictures: Vec::new() };
    let (first, last) = image_ids(job.info.seq);
    let sql =
        "SELECT kind, number, id, iif(?3, sealed, NULL) FROM images WHERE id BETWEEN ?1 AND ?2 ORDER BY id";
    let whole = job.is_whole();
    let mut unknown = false;
    tx.each(sql, (first, last, whole), |row| {
        let Some(kind) = PictureKind::parse(row.get_ref(0)?.as_str()?) else {
            unknown = true;
            return Ok(false);
        };
        let (number, sealed) = (row.get(1)?, row.get::<_, Option<Vec<u8>>>(3)?);
        match job.pictures.last_mut() {
            Some((kept, parts)) if (kept.kind, kept.number) == (kind, number) => {
                kept.parts += 1;
                parts.extend(sealed);
            }
            _ => {
                let first = row.get(2)?;
                let kept = Kept {
                    kind,
                    number,
                    first,
                    parts: 1,
                    bytes: 0,
                    crc32: 0,
                    head: Vec::new(),
                    opened: None,
                };
                job.pictures.push((kept, sealed.into_iter().collect()));
            }
        }
        Ok(true)
    })?;
    if unknown { Err(StoreError::Row { what: "images.kind" }.into()) } else { Ok(job) }
}

/// A job with all that is sent, unsealed.
pub fn load(tx: &Transaction<'_>, key: &QueueKey, id: JobId) -> Result<Job, QueueError> {
    sealed(tx, id)?.open(key, Some(tx))
}

/// One part of a picture, unsealed.
pub fn part(tx: &Transaction<'_>, job: &Job, picture: &Kept, index: u32) -> Result<Wiped, QueueError> {
    let sql = "SELECT sealed FROM images WHERE id = ?1";
    let sealed = tx.one(sql, [picture.first.saturating_add(index.into())], |row| row.get::<_, Vec<u8>>(0))?;
    open_part(job, picture, index, sealed.ok_or(QueueError::ImagesErased(job.info.id))?)
}

fn open_part(job: &Job, picture: &Kept, index: u32, sealed: Vec<u8>) -> Result<Wiped, QueueError> {
    let place = (index, picture.parts);
    let context = part_context(job.info.id, picture.kind.name(), picture.number, place);
    Ok(seal::open(&job.own, &context, sealed, "a job's picture")?)
}

/// A whole picture, for an export.
pub fn whole(tx: &Transaction<'_>, job: &Job, picture: &Kept) -> Result<Jpeg, QueueError> {
    let mut bytes = Vec::with_capacity(usize::try_from(picture.bytes).unwrap_or(0));
    for index in 0..picture.parts {
        bytes.extend_from_slice(&part(tx, job, picture, index)?);
    }
    Ok(Jpeg(bytes))
}
