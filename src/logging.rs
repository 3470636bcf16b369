//! Where log lines go: the journal under systemd, readable lines on a terminal otherwise.
//!
//! A journal that does not read blocks its writers, so lines go through a bounded channel to a thread of its
//! own; when the channel is full, lines are dropped and their number is told with the next one that fits.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use log::kv::{Key, Value, VisitSource};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Lines that may wait; more are dropped and counted.
const BACKLOG: usize = 1024;

struct Line {
    level: Level,
    target: String,
    text: String,
    fields: Vec<(String, String)>,
}

enum Order {
    Line(Line),
    Flush(Sender<()>),
}

struct Channel {
    orders: Sender<Order>,
    dropped: AtomicU64,
}

struct Collect<'a>(&'a mut Vec<(String, String)>);

impl<'kvs> VisitSource<'kvs> for Collect<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        self.0.push((key.as_str().to_owned(), value.to_string()));
        Ok(())
    }
}

impl Log for Channel {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // Libraries log what they send and receive: only our own lines are known to be free of secrets.
        metadata.target().starts_with("latchd")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut fields = Vec::new();
        // Collecting into a Vec cannot fail.
        let _ = record.key_values().visit(&mut Collect(&mut fields));
        let dropped = self.dropped.swap(0, Ordering::AcqRel);
        if dropped > 0 {
            fields.push(("lines_dropped".into(), dropped.to_string()));
        }
        let line = Line {
            level: record.level(),
            target: record.target().to_owned(),
            text: record.args().to_string(),
            fields,
        };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.orders.try_send(Order::Line(line))
        {
            self.dropped.fetch_add(dropped + 1, Ordering::AcqRel);
        }
    }

    fn flush(&self) {
        let (done, wait) = bounded(1);
        if self.orders.try_send(Order::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(std::time::Duration::from_millis(500));
        }
    }
}

fn level_mark(level: Level) -> (anstyle::Style, &'static str) {
    use anstyle::AnsiColor;
    match level {
        Level::Error => (AnsiColor::Red.on_default(), "error"),
        Level::Warn => (AnsiColor::Yellow.on_default(), "warn "),
        Level::Info => (AnsiColor::Green.on_default(), "info "),
        Level::Debug | Level::Trace => (AnsiColor::Blue.on_default(), "debug"),
    }
}

fn write_readable(out: &mut dyn Write, line: &Line) -> std::io::Result<()> {
    let (style, mark) = level_mark(line.level);
    write!(out, "{style}{mark}{style:#} {}", line.text)?;
    for (key, value) in &line.fields {
        write!(out, " {key}={value}")?;
    }
    writeln!(out)
}

fn writer(orders: &Receiver<Order>, journal: Option<&systemd_journal_logger::JournalLog>) {
    for order in orders {
        match order {
            Order::Flush(done) => drop(done.try_send(())),
            Order::Line(line) => match journal {
                Some(journal) => journal.log(
                    &Record::builder()
                        .level(line.level)
                        .target(&line.target)
                        .args(format_args!("{}", line.text))
                        .key_values(&line.fields.as_slice())
                        .build(),
                ),
                None => drop(write_readable(&mut anstream::stderr().lock(), &line)),
            },
        }
    }
}

/// Starts logging at `level`. Does nothing when it was started before.
pub fn start(level: LevelFilter) {
    let (orders, receiver) = bounded(BACKLOG);
    let journal = systemd_journal_logger::connected_to_journal()
        .then(|| systemd_journal_logger::JournalLog::new().ok())
        .flatten()
        .map(|journal| journal.with_syslog_identifier("latchd".into()));
    let spawned = std::thread::Builder::new()
        .name("log".into())
        .spawn(move || writer(&receiver, journal.as_ref()))
        .is_ok();
    let channel = Box::new(Channel { orders, dropped: AtomicU64::new(0) });
    if spawned && log::set_boxed_logger(channel).is_ok() {
        log::set_max_level(level);
    }
}

/// Writes one line to the journal, also from a command at a terminal: for what an operator does past the daemon. Without a
/// journal nothing is written; whether it was.
pub fn to_journal(level: Level, text: &str, fields: &[(&str, &str)]) -> bool {
    let Ok(journal) = systemd_journal_logger::JournalLog::new() else { return false };
    let journal = journal.with_syslog_identifier("latchd".into());
    journal.log(
        &Record::builder()
            .level(level)
            .target("latchd")
            .args(format_args!("{text}"))
            .key_values(&fields)
            .build(),
    );
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_its_fields() {
        let line = Line {
            level: Level::Warn,
            target: "latchd".into(),
            text: "the queue is paused".into(),
            fields: vec![("reason".into(), "unpaid".into())],
        };
        let mut out = Vec::new();
        write_readable(&mut out, &line).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("the queue is paused reason=unpaid"), "{text}");
    }

    #[test]
    fn a_full_backlog_drops_and_counts_instead_of_blocking() {
        let (orders, receiver) = bounded(1);
        let channel = Channel { orders, dropped: AtomicU64::new(0) };
        let write = || {
            channel.log(
                &Record::builder().target("latchd::x").level(Level::Info).args(format_args!("x")).build(),
            );
        };
        (0..5).for_each(|_| write());
        drop(receiver.recv());
        write();
        let Ok(Order::Line(line)) = receiver.recv() else { panic!("no line") };
        assert_eq!(line.fields, vec![("lines_dropped".to_owned(), "4".to_owned())]);
    }

    #[test]
    fn other_crates_lines_are_not_written() {
        let (orders, receiver) = bounded(1);
        let channel = Channel { orders, dropped: AtomicU64::new(0) };
        channel.log(&Record::builder().target("ureq").level(Level::Info).args(format_args!("x")).build());
        assert!(receiver.is_empty());
    }
}
