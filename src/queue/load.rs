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

/// A job with all that is sent, unsealed.
pub fn load(tx: &Transaction<'_>, key: &QueueKey, id: JobId) -> Result<Job, QueueError> {
    let info = info(tx, id)?;
    let wrapped =
        tx.one("SELECT wrapped FROM job_keys WHERE job = ?1", [info.seq], |row| row.get::<_, Vec<u8>>(0))?;
    let (true, Some(wrapped)) = (info.has_images, wrapped) else { return Err(QueueError::ImagesErased(id)) };
    let own = seal::open_secret(key.secret(), &context(id, "key", 0), wrapped, "a job's key")?;
    let details = tx
        .one("SELECT details FROM jobs WHERE seq = ?1", [info.seq], |row| row.get::<_, Option<Vec<u8>>>(0))?
        .flatten()
        .ok_or(QueueError::ImagesErased(id))?;
    let details = seal::open(&own, &context(id, "details", 0), details, "a job's details")?;
    let (first, last) = image_ids(info.seq);
    let mut kept: Vec<(String, u32, i64, u32)> = Vec::new();
    tx.each(
        "SELECT kind, number, id FROM images WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
        (first, last),
        |row| {
            let (kind, number) = (row.get(0)?, row.get(1)?);
            match kept.last_mut() {
                Some((last, its, _, parts)) if *last == kind && *its == number => *parts += 1,
                _ => kept.push((kind, number, row.get(2)?, 1)),
            }
            Ok(true)
        },
    )?;
    let small = info.bytes <= OPENED;
    let mut job = Job { info, details, pictures: Vec::with_capacity(kept.len()), own };
    for (kind, number, first, parts) in kept {
        let kind = PictureKind::parse(&kind).ok_or(StoreError::Row { what: "images.kind" })?;
        let mut picture =
            Kept { kind, number, first, parts, bytes: 0, crc32: 0, head: Vec::new(), opened: None };
        let mut sum = crc32fast::Hasher::new();
        // All of it is read now: what is damaged is known before anything is sent.
        for index in 0..parts {
            let bytes = part(tx, &job, &picture, index)?;
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

/// One part of a picture, unsealed.
pub fn part(tx: &Transaction<'_>, job: &Job, picture: &Kept, index: u32) -> Result<Wiped, QueueError> {
    let (kind, number) = (picture.kind.name(), picture.number);
    let sql = "SELECT sealed FROM images WHERE id = ?1";
    let sealed = tx.one(sql, [picture.first.saturating_add(index.into())], |row| row.get::<_, Vec<u8>>(0))?;
    let sealed = sealed.ok_or(QueueError::ImagesErased(job.info.id))?;
    let context = part_context(job.info.id, kind, number, (index, picture.parts));
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
