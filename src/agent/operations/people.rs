//! The list of people.

use super::{Actor, Backend, done, erase, request, user};
use crate::agent::error::AgentError;
use crate::control::Reply;
use crate::people::{self, ImportFormat, Imported, OnExisting, PeopleError, Subject};
use serde_json::{Value, json};

/// "1 person", "2 people".
fn people_count(count: u64) -> String {
    if count == 1 { "1 person".into() } else { format!("{count} people") }
}

pub(super) fn add(
    backend: &Backend<'_>,
    actor: Actor,
    person: &Value,
    replace: bool,
) -> Result<Reply, AgentError> {
    let now = backend.store.read(|tx| Ok::<_, AgentError>(tx.now().wall))?;
    let person = people::parse_one(person, now)?;
    let existing = if replace { OnExisting::Replace } else { OnExisting::Refuse };
    let id = person.user_id.clone();
    let (_, person) = backend.change(actor, "people_added", None, Some(&id), |tx, keys| {
        Ok(people::change(tx, &keys.people, &person, existing)?)
    })?;
    let consent = if person.consent.is_some() {
        ""
    } else {
        "; no consent is recorded (--consent-…), so nothing can be captured"
    };
    Ok(done(json!({"user_id": id.as_str()}), format!("{id} is on the list{consent}")))
}

pub(super) fn consent_json(consent: Option<&people::Consent>) -> Value {
    consent.map_or(Value::Null, |consent| {
        json!({
            "granted_at": consent.granted_at.to_rfc3339(),
            "language": consent.language,
            "policy_url": consent.policy_url,
        })
    })
}

pub(super) fn list(backend: &Backend<'_>, send: &mut dyn FnMut(Reply)) -> Result<Reply, AgentError> {
    let list = backend.store.read(people::list)?;
    for person in &list {
        let locked_out = person.locked_out.map(|left| left.as_secs());
        let object = json!({
            "user_id": person.user_id.as_str(),
            "may_open": person.may_open,
            "consent": consent_json(person.consent.as_ref()),
            "locked_out_seconds": locked_out,
        });
        let text = format!(
            "{:<32} {:<14} {:<22} {}",
            person.user_id.as_str(),
            if person.may_open { "may open" } else { "may not open" },
            person
                .consent
                .as_ref()
                .map_or_else(|| "no consent".into(), |c| format!("consent {}", c.language)),
            locked_out.map_or_else(String::new, |left| format!("locked out {left} s")),
        );
        send(Reply::Item { object, text: text.trim_end().to_owned() });
    }
    let count = list.len();
    Ok(done(json!({"people": count}), format!("{} on the list", people_count(count as u64))))
}

pub(super) fn show(backend: &Backend<'_>, id: &str) -> Result<Reply, AgentError> {
    let (id, keys) = (user(id)?, backend.keys()?);
    let Some(person) = backend.store.read(|tx| people::show(tx, &keys.people, &id))? else {
        return Err(PeopleError::Unlisted.into());
    };
    let consent = person.consent.as_ref();
    let object = json!({
        "user_id": id.as_str(),
        "may_open": person.may_open,
        "given_names": person.contact.given_names,
        "last_name": person.contact.last_name,
        "email": person.contact.email,
        "phone": person.contact.phone,
        "consent_granted_at": consent.map(|consent| consent.granted_at.to_rfc3339()),
        "consent_language": consent.map(|consent| consent.language.clone()),
        "consent_policy_url": consent.map(|consent| consent.policy_url.clone()),
    });
    let text = [
        ("user id", Some(id.to_string())),
        ("name", Some(format!("{} {}", person.contact.given_names, person.contact.last_name))),
        ("email", person.contact.email.clone()),
        ("phone", person.contact.phone.clone()),
        ("may open", Some(person.may_open.to_string())),
        (
            "consent",
            consent.map(|c| format!("{} {} {}", c.granted_at.to_rfc3339(), c.language, c.policy_url)),
        ),
    ]
    .into_iter()
    .map(|(key, value)| format!("{key:<9} {}", value.as_deref().unwrap_or("-")))
    .collect::<Vec<_>>()
    .join("\n");
    Ok(done(object, text))
}

pub(super) fn remove(
    backend: &Backend<'_>,
    actor: Actor,
    id: &str,
    send: &mut dyn FnMut(Reply),
) -> Result<Reply, AgentError> {
    let id = user(id)?;
    let gone = backend.change(actor, "people_removed", None, Some(&id), |tx, _| {
        if people::remove(tx, &id)? { Ok(true) } else { Err(PeopleError::Unlisted.into()) }
    })?;
    debug_assert!(gone);
    erase::told(backend, json!({"user_id": id.as_str()}), &format!("{id} is off the list"), send)
}

pub(super) fn import(
    backend: &Backend<'_>,
    actor: Actor,
    format: &str,
    text: &str,
) -> Result<Reply, AgentError> {
    let format = match format {
        "csv" => ImportFormat::Csv,
        "json" => ImportFormat::Json,
        _ => {
            return Err(request(
                "format",
                "is neither csv nor json",
                "name a file that ends in .csv or .json",
            ));
        }
    };
    let now = backend.store.read(|tx| Ok::<_, AgentError>(tx.now().wall))?;
    let list = people::parse_import(text, format, now)?;
    let Imported { added, replaced, without_consent } =
        backend.change(actor, "people_imported", None, None, |tx, keys| {
            Ok(people::import(tx, &keys.people, &list, OnExisting::Replace)?)
        })?;
    let people = added + replaced;
    let mut text = format!("{}: {added} added, {replaced} replaced", people_count(people));
    if without_consent > 0 {
        text.push_str(&format!(" ({without_consent} without consent, so nothing of them can be captured)"));
    }
    let object = json!({
        "people": people, "added": added, "replaced": replaced, "without_consent": without_consent,
    });
    Ok(done(object, text))
}

pub(super) fn lift(
    backend: &Backend<'_>,
    actor: Actor,
    user_id: Option<String>,
    reader: Option<String>,
) -> Result<Reply, AgentError> {
    let id = user_id.as_deref().map(user).transpose()?;
    let lifted = backend.change(actor, "lockout_lifted", None, id.as_ref(), |tx, _| {
        let subject = match (&id, &reader) {
            (Some(id), None) => Subject::User(id),
            (None, Some(reader)) => Subject::Reader(reader),
            _ => {
                return Err(request(
                    "lock-out",
                    "a user or a reader, not both",
                    "give --user-id or --reader",
                ));
            }
        };
        let lifted = people::lift(tx, subject)?;
        // Strangers may be locked out as well, so that comes first.
        if let Some(id) = id.as_ref().filter(|_| !lifted)
            && !people::standing(tx, id)?.listed
        {
            return Err(PeopleError::Unlisted.into());
        }
        Ok(lifted)
    })?;
    let text = if lifted { "the lock-out is lifted" } else { "there was no lock-out" };
    Ok(done(json!({"lifted": lifted}), text))
}
