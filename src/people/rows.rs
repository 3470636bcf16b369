//! People's rows: adding, listing, showing, removing, and what a claim is judged by.

use rusqlite::Row;

use super::lockout::{self, Subject};
use super::{Consent, Contact, NewPerson, PeopleError, PersonChange};
use crate::access::UserId;
use crate::clock::WallTime;
use crate::store::{PeopleKey, Pseudonym, Stamp, StoreError, Transaction, seal};
use std::time::Duration;

/// What to do when the user id has a row already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnExisting {
    /// Say so and change nothing.
    Refuse,
    /// The new row takes the old one's place; the pseudonym and the time of creation stay.
    Replace,
}

/// What adding did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    /// There was no row before.
    New,
    /// A row was replaced.
    Replaced,
}

/// One line of the list: nothing in it that names a person to a stranger but the user id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// The claimed identity.
    pub user_id: UserId,
    /// Whether this person may open the door.
    pub may_open: bool,
    /// What was agreed to.
    pub consent: Option<Consent>,
    /// How long the lock-out still lasts.
    pub locked_out: Option<Duration>,
}

/// A person with names and contact: for operators only, and for a job's details.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    /// The claimed identity.
    pub user_id: UserId,
    /// Whether this person may open the door.
    pub may_open: bool,
    /// Names and contact.
    pub contact: Contact,
    /// What was agreed to.
    pub consent: Option<Consent>,
    /// When the row was made.
    pub created: Stamp,
}

/// What a claim is judged by before any picture is taken (door-rules 13, 15, 16).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// The door's own list has this person.
    pub listed: bool,
    /// And lets them open.
    pub may_open: bool,
    /// And knows their consent.
    pub consent: Option<Consent>,
    /// How long a lock-out still lasts.
    pub locked_out: Option<Duration>,
}

/// Lists a person; checks all fields first.
pub fn add(
    tx: &Transaction<'_>,
    key: &PeopleKey,
    person: &NewPerson,
    existing: OnExisting,
) -> Result<Added, PeopleError> {
    let now = tx.now();
    person.check(now.wall)?;
    let user = person.user_id.as_str();
    let known = tx.one("SELECT 1 FROM people WHERE user_id = ?1", [user], |_| Ok(()))?.is_some();
    if known && existing == OnExisting::Refuse {
        return Err(PeopleError::Exists);
    }
    let sealed = seal_contact(tx, key, &person.user_id, &person.contact)?;
    let (boot_id, boot, wall) = now.columns();
    let consent = person.consent.as_ref();
    tx.execute(
        "INSERT INTO people (user_id, may_open, contact, consent_granted_ms, consent_language,
             consent_policy_url, created_boot_id, created_boot_us, created_wall_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (user_id) DO UPDATE SET may_open = excluded.may_open, contact = excluded.contact,
             consent_granted_ms = excluded.consent_granted_ms, consent_language = excluded.consent_language,
             consent_policy_url = excluded.consent_policy_url",
        rusqlite::params![
            user,
            person.may_open,
            sealed,
            consent.map(|consent| consent.granted_at.as_unix_millis()),
            consent.map(|consent| &consent.language),
            consent.map(|consent| &consent.policy_url),
            boot_id,
            boot,
            wall
        ],
    )?;
    let mut name = [0; 16];
    tx.random(&mut name);
    tx.execute(
        "INSERT INTO pseudonyms (user_id, pseudonym) VALUES (?1, ?2) ON CONFLICT (user_id) DO NOTHING",
        (user, name),
    )?;
    Ok(if known { Added::Replaced } else { Added::New })
}

/// What an import did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Imported {
    /// People who were not listed before.
    pub added: u64,
    /// People who were.
    pub replaced: u64,
    /// Of both, those without a recorded consent now.
    pub without_consent: u64,
}

/// Lists a person of whom perhaps only a part is given; the rest stays as it is recorded. Says who it is now.
pub fn change(
    tx: &Transaction<'_>,
    key: &PeopleKey,
    change: &PersonChange,
    existing: OnExisting,
) -> Result<(Added, NewPerson), PeopleError> {
    let known = if change.keeps_something() { show(tx, key, &change.user_id)? } else { None };
    let person = change.onto(known.map(|known| (known.contact, known.consent)))?;
    Ok((add(tx, key, &person, existing)?, person))
}

/// Lists many people, each with the line of its file; the first bad one refuses all.
///
/// The caller's transaction must be given up on an error: then nothing of the file was taken.
pub fn import(
    tx: &Transaction<'_>,
    key: &PeopleKey,
    people: &[(usize, PersonChange)],
    existing: OnExisting,
) -> Result<Imported, PeopleError> {
    let mut done = Imported::default();
    for (line, person) in people {
        let (added, person) = change(tx, key, person, existing).map_err(|error| match error {
            PeopleError::Store(error) => error.into(),
            error => PeopleError::Line { line: *line, why: error.to_string() },
        })?;
        match added {
            Added::New => done.added += 1,
            Added::Replaced => done.replaced += 1,
        }
        done.without_consent += u64::from(person.consent.is_none());
    }
    Ok(done)
}

/// Everybody on the list, without names, by user id.
pub fn list(tx: &Transaction<'_>) -> Result<Vec<Listed>, PeopleError> {
    let rows = tx.all(
        "SELECT user_id, may_open, consent_granted_ms, consent_language, consent_policy_url
         FROM people ORDER BY user_id",
        [],
        |row| Ok((row.get::<_, String>(0)?, row.get(1)?, consent(row, 2)?)),
    )?;
    rows.into_iter()
        .map(|(user, may_open, consent)| {
            let user_id = user_id(&user)?;
            let locked_out = lockout::lockout(tx, Subject::User(&user_id))?;
            Ok(Listed { user_id, may_open, consent, locked_out })
        })
        .collect()
}

/// One person with names and contact; `None` when not listed.
pub fn show(tx: &Transaction<'_>, key: &PeopleKey, user: &UserId) -> Result<Option<Person>, PeopleError> {
    let row = tx.one(
        "SELECT may_open, consent_granted_ms, consent_language, consent_policy_url, contact,
             created_boot_id, created_boot_us, created_wall_ms
         FROM people WHERE user_id = ?1",
        [user.as_str()],
        |row| Ok((row.get(0)?, consent(row, 1)?, row.get::<_, Vec<u8>>(4)?, Stamp::from_row(row, 5)?)),
    )?;
    let Some((may_open, consent, sealed, created)) = row else { return Ok(None) };
    let plain = seal::open(key.secret(), &context(user), sealed, "a person's contact")?;
    let contact = serde_json::from_slice(&plain).map_err(|_| StoreError::Row { what: "people.contact" })?;
    Ok(Some(Person { user_id: user.clone(), may_open, contact, consent, created }))
}

/// The user ids that can be read of a list whose table may be damaged.
pub fn readable_ids(tx: &Transaction<'_>) -> Vec<String> {
    tx.from_both_ends(("people", "user_id", "id"))
}

/// Takes a person off the list, with pseudonym, denials and lock-out; `false` when not listed.
pub fn remove(tx: &Transaction<'_>, user: &UserId) -> Result<bool, PeopleError> {
    let listed = tx.one("SELECT 1 FROM people WHERE user_id = ?1", [user.as_str()], |_| Ok(()))?.is_some();
    erase(tx, user)?;
    Ok(listed)
}

/// As [`remove`], for somebody who need not be listed; gives how many rows spoke of this person.
pub fn erase(tx: &Transaction<'_>, user: &UserId) -> Result<usize, PeopleError> {
    let mut rows = 0;
    for sql in [
        "DELETE FROM people WHERE user_id = ?1",
        "DELETE FROM pseudonyms WHERE user_id = ?1",
        "DELETE FROM denials WHERE kind = 'user' AND name = ?1",
        "DELETE FROM lockouts WHERE kind = 'user' AND name = ?1",
    ] {
        rows += tx.execute(sql, [user.as_str()])?;
    }
    Ok(rows)
}

/// What a claim of this identity is judged by. Somebody not listed has no standing but may be locked out.
pub fn standing(tx: &Transaction<'_>, user: &UserId) -> Result<Standing, PeopleError> {
    let locked_out = lockout::lockout(tx, Subject::User(user))?;
    let row = tx.one(
        "SELECT may_open, consent_granted_ms, consent_language, consent_policy_url
         FROM people WHERE user_id = ?1",
        [user.as_str()],
        |row| Ok((row.get(0)?, consent(row, 1)?)),
    )?;
    Ok(match row {
        Some((may_open, consent)) => Standing { listed: true, may_open, consent, locked_out },
        None => Standing { locked_out, ..Standing::default() },
    })
}

/// The person's name in the events; `None` when not listed.
pub fn pseudonym(tx: &Transaction<'_>, user: &UserId) -> Result<Option<Pseudonym>, PeopleError> {
    let sql = "SELECT pseudonym FROM pseudonyms WHERE user_id = ?1";
    Ok(tx.one(sql, [user.as_str()], |row| row.get(0).map(Pseudonym))?)
}

/// Whom a pseudonym means, for operators; `None` once that was erased.
pub fn by_pseudonym(tx: &Transaction<'_>, name: Pseudonym) -> Result<Option<UserId>, PeopleError> {
    let sql = "SELECT user_id FROM pseudonyms WHERE pseudonym = ?1";
    tx.one(sql, [name.0], |row| row.get::<_, String>(0))?.map(|user| user_id(&user)).transpose()
}

/// Seals everybody's names and contact for another key. Gives how many, and how many the old key did not open: those rows
/// stay as they were.
pub fn reseal(tx: &Transaction<'_>, old: &PeopleKey, new: &PeopleKey) -> Result<(u64, u64), PeopleError> {
    let (mut resealed, mut unreadable) = (0, 0);
    let people = tx.all("SELECT id, user_id, contact FROM people", [], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, Vec<u8>>(2)?))
    })?;
    for (id, user, sealed) in people {
        let context = context(&user_id(&user)?);
        let Ok(plain) = seal::open(old.secret(), &context, sealed, "a person's contact") else {
            unreadable += 1;
            continue;
        };
        let sealed = seal::seal(new.secret(), &context, &plain, tx.source())?;
        tx.execute("UPDATE people SET contact = ?2 WHERE id = ?1", (id, sealed))?;
        resealed += 1;
    }
    Ok((resealed, unreadable))
}

fn seal_contact(
    tx: &Transaction<'_>,
    key: &PeopleKey,
    user: &UserId,
    contact: &Contact,
) -> Result<Vec<u8>, PeopleError> {
    let plain = zeroize::Zeroizing::new(
        serde_json::to_vec(contact).map_err(|_| StoreError::Row { what: "people.contact" })?,
    );
    Ok(seal::seal(key.secret(), &context(user), &plain, tx.source())?)
}

fn context(user: &UserId) -> Vec<u8> {
    [b"person ", user.as_str().as_bytes()].concat()
}

fn user_id(text: &str) -> Result<UserId, PeopleError> {
    Ok(UserId::parse(text).map_err(|_| StoreError::Row { what: "people.user_id" })?)
}

fn consent(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<Consent>> {
    let (granted, language, policy) = (row.get(first)?, row.get(first + 1)?, row.get(first + 2)?);
    Ok(match (granted, language, policy) {
        (Some(millis), Some(language), Some(policy_url)) => {
            Some(Consent { granted_at: WallTime::from_unix_millis(millis), language, policy_url })
        }
        _ => None,
    })
}
