//! The jobs, listed and counted.

use super::queue::{row_json, row_text};
use super::{Backend, PAGE, done, request, user, wall_text};
use crate::access::Task;
use crate::agent::error::AgentError;
use crate::clock::{Wall, WallTime};
use crate::control::{JobFilter, Reply};
use crate::queue::{self, Stats};
use serde_json::{Value, json};
use std::time::Duration;

const AGE: &str = "write a span as 90m, 36h or 7d, or a time as 2026-11-02T09:30:00Z";

/// How long ago: a span, or the time since a moment, which needs a clock.
fn age(what: &'static str, text: &str, now: Wall) -> Result<Duration, AgentError> {
    let refuse = |why: String| request(what, why, AGE);
    if let Some(moment) = WallTime::from_rfc3339(text) {
        let Wall::Known(now) = now else {
            return Err(request(what, "the time is not known here", "write a span as 90m, 36h or 7d"));
        };
        let millis = now.as_unix_millis().saturating_sub(moment.as_unix_millis());
        return Ok(Duration::from_millis(u64::try_from(millis).unwrap_or(0)));
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        "w" => 7 * 24 * 3600,
        _ => return Err(refuse(format!("{text:?} is neither a span nor a time"))),
    };
    let count: u64 = digits.parse().map_err(|_| refuse(format!("{text:?} is neither a span nor a time")))?;
    Ok(Duration::from_secs(count.saturating_mul(unit)))
}

fn filter(asked: &JobFilter, now: Wall) -> Result<queue::Filter, AgentError> {
    let state = asked.state.as_deref().map(|name| {
        queue::StateName::parse(name).ok_or_else(|| {
            let remedy = "leave the state out to see all jobs with theirs";
            request("state", format!("{name:?} is no state"), remedy)
        })
    });
    let task = asked.product.as_deref().map(|name| {
        Task::parse(name).ok_or_else(|| {
            let remedy = "leave the product out to see all jobs with theirs";
            request("product", format!("{name:?} is no product"), remedy)
        })
    });
    Ok(queue::Filter {
        state: state.transpose()?,
        task: task.transpose()?,
        user_id: asked.user_id.as_deref().map(user).transpose()?,
        older_than: asked.older_than.as_deref().map(|text| age("older-than", text, now)).transpose()?,
        within: asked.since.as_deref().map(|text| age("since", text, now)).transpose()?,
        after: 0,
        limit: asked.limit.unwrap_or(u32::MAX),
    })
}

pub(super) fn list(
    backend: &Backend<'_>,
    asked: &JobFilter,
    send: &mut dyn FnMut(Reply),
) -> Result<Reply, AgentError> {
    let now = backend.store.read(|tx| Ok::<_, AgentError>(tx.now().wall))?;
    let mut filter = filter(asked, now)?;
    let mut left = filter.limit;
    loop {
        filter.limit = left.min(PAGE);
        let rows = backend.store.read(|tx| queue::list(tx, &filter))?;
        for row in &rows {
            filter.after = row.seq;
            send(Reply::Item { object: row_json(row), text: row_text(row) });
        }
        let found = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        left = left.saturating_sub(found);
        if found < PAGE {
            let count = asked.limit.unwrap_or(u32::MAX).saturating_sub(left);
            let text = if count == 1 { "1 job".into() } else { format!("{count} jobs") };
            return Ok(done(json!({"jobs": count}), text));
        }
    }
}

/// The queue in numbers, as `status` and `queue stats` print it.
pub(super) fn stats_json(stats: &Stats) -> Value {
    let each = |value: &dyn Fn(&queue::Depth) -> Value| -> Value {
        stats.states.iter().map(|(state, depth)| ((*state).to_owned(), value(depth))).collect()
    };
    let pause = stats.pause.as_ref();
    json!({
        "unfinished": stats.unfinished,
        "states": each(&|depth| depth.jobs.into()),
        "products": each(&|depth| json!(depth.products)),
        "oldest_seconds": each(&|depth| depth.oldest.as_secs().into()),
        "held_bytes": stats.held_bytes,
        "bytes": stats.file_bytes,
        "paused": pause.map(|pause| pause.reason.name()),
        "paused_since": pause.and_then(|pause| wall_text(pause.since.wall)),
        "probe_in_seconds": pause.and_then(|pause| pause.probe_in).map(|left| left.as_secs()),
        "next_due_seconds": stats.next_due.map(|left| left.as_secs()),
    })
}

/// A span for people: its two largest units.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

pub(super) fn stats(backend: &Backend<'_>) -> Result<Reply, AgentError> {
    let stats = backend.store.read(queue::stats)?;
    let mut lines = Vec::new();
    for (state, depth) in &stats.states {
        let products: Vec<_> = depth.products.iter().map(|(name, count)| format!("{count} {name}")).collect();
        let oldest = span(depth.oldest);
        lines.push(format!("{state:<15} {:>7}  oldest {oldest:<12} {}", depth.jobs, products.join(", ")));
    }
    if lines.is_empty() {
        lines.push("empty".into());
    }
    lines.push(format!(
        "pictures held: {} KiB; database: {} KiB in use",
        stats.held_bytes / 1024,
        stats.file_bytes / 1024
    ));
    match (&stats.pause, stats.next_due) {
        (Some(pause), _) => lines.push(format!("paused ({})", pause.reason.name())),
        (None, Some(left)) => lines.push(format!("next in {}", span(left))),
        (None, None) => lines.push("nothing waits".into()),
    }
    Ok(done(stats_json(&stats), lines.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_span_or_the_time_since_a_moment() {
        let now = Wall::Known(WallTime::from_rfc3339("2026-06-01T12:00:00Z").unwrap());
        for (text, seconds) in [
            ("90s", Some(90)),
            ("90m", Some(5_400)),
            ("36h", Some(129_600)),
            ("7d", Some(604_800)),
            ("2w", Some(1_209_600)),
            ("2026-06-01T11:59:00Z", Some(60)),
            ("2026-06-02T00:00:00Z", Some(0)),
            ("", None),
            ("7", None),
            ("d", None),
            ("-1d", None),
            ("7 d", None),
            ("7dd", None),
            ("yesterday", None),
        ] {
            assert_eq!(age("since", text, now).ok().map(|age| age.as_secs()), seconds, "{text}");
        }
        assert!(age("since", "2026-06-01T11:59:00Z", Wall::Unknown).is_err());
        assert_eq!(age("since", "36h", Wall::Unknown).unwrap().as_secs(), 129_600);
    }
}
