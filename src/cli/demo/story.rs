//! The scenes, in order. Each says what it expects and looks whether it came true.

use super::report::{Check, Printer, Scene};
use super::world::{PHOTOGRAPH, World};
use super::{is_locked, lens, openings};
use crate::cli::Failure;
use crate::control::{Reply, Request};
use crate::guard::recording::{Edge, Level};
use serde_json::{Value, json};
use std::sync::mpsc;
use std::time::Duration;

/// Longest a killed process may leave the door open (door-rules 5).
const RELOCK_MS: f64 = 100.0;

/// How an attempt ended, as its claimer heard it.
struct Ending {
    object: Value,
    text: String,
    ms: f64,
}

impl Ending {
    fn word(&self, key: &str) -> String {
        self.object.get(key).and_then(Value::as_str).unwrap_or("-").to_owned()
    }

    fn millis(&self, pointer: &str) -> Option<f64> {
        // Microseconds of one attempt are far below what a float holds exactly.
        #[allow(clippy::cast_precision_loss)]
        self.object.pointer(pointer).and_then(Value::as_u64).map(|micros| micros as f64 / 1000.0)
    }
}

fn check(what: impl Into<String>, seen: bool) -> Check {
    Check { what: what.into(), seen }
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

struct Stage<'a> {
    world: &'a mut World,
    printer: &'a Printer,
    scenes: Vec<Scene>,
}

/// Plays all scenes.
pub fn play(world: &mut World, printer: &Printer) -> Result<Vec<Scene>, Failure> {
    let mut stage = Stage { world, printer, scenes: Vec::new() };
    stage.enrol()?;
    stage.approved()?;
    stage.refused("a person whom the service refuses", "denied", "denied", "rejected")?;
    stage.not_listed()?;
    stage.no_living_face()?;
    stage.refused("a status word that nobody knows", "odd-word", "undecided", "unknown")?;
    stage.too_late()?;
    stage.network_down_and_back()?;
    stage.daemon_killed()?;
    stage.guard_killed()?;
    stage.audit()?;
    Ok(stage.scenes)
}

impl Stage<'_> {
    fn begin(&self, title: &'static str) -> usize {
        self.printer.begin(self.scenes.len() + 1, title);
        self.world.edges().len()
    }

    fn since(&self, before: usize) -> Vec<Edge> {
        self.world.edges().split_off(before)
    }

    fn attempt(&self, product: &str, user: &str) -> Result<Ending, Failure> {
        let bar = self.printer.bar();
        let start = self.world.now();
        let reply = self.world.claim(product, user, &mut |reply| self.printer.follow(&bar, reply));
        bar.finish_and_clear();
        let ms = millis(self.world.now().since(start));
        match reply {
            Ok(Reply::Done { object, text, .. }) => {
                self.printer.say(&format!("   {text}"));
                Ok(Ending { object, text, ms })
            }
            Ok(Reply::Failed { cause, remedy, .. }) => Err(Failure::failed(cause, remedy)),
            Ok(_) => Err(Failure::failed("the daemon's answer has no end", "see latchd.log")),
            Err(error) => Err(Failure::failed(error.to_string(), error.remedy())),
        }
    }

    fn end(&mut self, title: &'static str, ending: Option<&Ending>, edges: usize, checks: Vec<Check>) {
        let scene = Scene {
            title,
            outcome: ending.map_or_else(|| "-".into(), |ending| ending.word("outcome")),
            verdict: ending.map_or_else(|| "-".into(), |ending| ending.word("verdict")),
            from_claim_ms: ending.map(|ending| ending.ms),
            verdict_to_edge_ms: ending.and_then(|ending| ending.millis("/times/verdict_to_edge_us")),
            edges,
            checks,
        };
        self.printer.end(&scene);
        self.scenes.push(scene);
    }

    fn enrol(&mut self) -> Result<(), Failure> {
        let title = "a person enrols her face";
        let before = self.begin(title);
        let ending = self.attempt("registration", "approved")?;
        let edges = self.since(before);
        let checks = vec![
            check("the service took the face", ending.word("outcome") == "enrolled"),
            check("an enrolment does not touch the door", edges.is_empty()),
        ];
        self.end(title, Some(&ending), edges.len(), checks);
        Ok(())
    }

    fn approved(&mut self) -> Result<(), Failure> {
        let title = "the same person comes to the door";
        let before = self.begin(title);
        let ending = self.attempt("authentication", "approved")?;
        let open = self.since(before);
        self.world.wait_for("the strike to fall back", |world| is_locked(&world.edges()))?;
        let edges = self.since(before);
        let pulse = match edges.as_slice() {
            [open, shut] => millis(shut.at.since(open.at)),
            _ => 0.0,
        };
        let commits = ending.object.get("commits_to_edge").and_then(Value::as_u64).unwrap_or(u64::MAX);
        let checks = vec![
            check("approved", ending.word("verdict") == "approved"),
            check(
                "granted, said after the edge",
                ending.word("outcome") == "granted" && openings(&open) == 1,
            ),
            check(
                format!("exactly one pulse, {pulse:.0} ms, locked after"),
                edges.len() == 2 && openings(&edges) == 1 && is_locked(&edges),
            ),
            check(format!("{commits} durable commits from claim to edge"), commits <= 3),
        ];
        self.end(title, Some(&ending), edges.len(), checks);
        Ok(())
    }

    fn refused(
        &mut self,
        title: &'static str,
        user: &str,
        outcome: &str,
        verdict: &str,
    ) -> Result<(), Failure> {
        let before = self.begin(title);
        let ending = self.attempt("authentication", user)?;
        let edges = self.since(before);
        let checks = vec![
            check(
                format!("the attempt ends: {outcome}"),
                ending.word("outcome") == outcome && ending.word("verdict") == verdict,
            ),
            check("no edge on the line", edges.is_empty()),
        ];
        self.end(title, Some(&ending), edges.len(), checks);
        Ok(())
    }

    fn not_listed(&mut self) -> Result<(), Failure> {
        let title = "somebody who is not on the list";
        let before = self.begin(title);
        let ending = self.attempt("authentication", "stranger")?;
        let edges = self.since(before);
        let pictures = ending.object.get("pictures").and_then(Value::as_u64);
        let checks = vec![
            check("denied: not permitted here", ending.text.starts_with("denied: not permitted here")),
            check("no picture was taken", pictures == Some(0)),
            check("no edge on the line", edges.is_empty()),
        ];
        self.end(title, Some(&ending), edges.len(), checks);
        Ok(())
    }

    fn no_living_face(&mut self) -> Result<(), Failure> {
        let sights = [
            ("a photograph is held before the camera", "held_still", lens::held_photograph(PHOTOGRAPH)?),
            ("nobody stands before the camera", "no_face", lens::empty_room()?),
        ];
        for (title, reason, frames) in sights {
            let before = self.begin(title);
            self.world.before_the_lens(Some(&frames))?;
            let ending = self.attempt("authentication", "approved")?;
            let edges = self.since(before);
            let outcome = ending.word("outcome");
            let refused = outcome == "capture_failed" && ending.text.contains(reason);
            let checks = vec![
                check(format!("refused on the device: {reason}"), refused),
                check("nothing was saved or sent", ending.object.get("job").is_none_or(Value::is_null)),
                check("no edge on the line", edges.is_empty()),
            ];
            self.end(title, Some(&ending), edges.len(), checks);
        }
        self.world.before_the_lens(None)
    }

    fn has_event(&self, attempt: &str, kind: &str, field: Option<(&str, &str)>) -> bool {
        self.world.events().iter().any(|event| {
            event.get("attempt") == Some(&json!(attempt))
                && event.get("event") == Some(&json!(kind))
                && field.is_none_or(|(key, value)| {
                    event.pointer(&format!("/fields/{key}")) == Some(&json!(value))
                })
        })
    }

    fn too_late(&mut self) -> Result<(), Failure> {
        let title = "an approval that comes too late";
        let before = self.begin(title);
        let ending = self.attempt("authentication", "slow")?;
        let attempt = ending.word("attempt");
        self.printer.say("   the person has gone; the approval arrives now");
        self.world.wait_for("the late verdict", |world| {
            world.events().iter().any(|event| {
                event.get("event") == Some(&json!("late_verdict"))
                    && event.get("attempt") == Some(&json!(attempt))
            })
        })?;
        let edges = self.since(before);
        let checks = vec![
            check(format!("expired after {} ms", self.world.window_ms), ending.word("outcome") == "expired"),
            check(
                "audited as expired",
                self.has_event(&attempt, "attempt_ended", Some(("outcome", "expired"))),
            ),
            check(
                "the late approval is in the audit",
                self.has_event(&attempt, "late_verdict", Some(("verdict", "approved"))),
            ),
            check("no edge on the line", edges.is_empty()),
        ];
        self.end(title, Some(&ending), edges.len(), checks);
        Ok(())
    }

    fn count(&self, state: &str) -> Option<u64> {
        self.world.status()?.pointer(&format!("/queue/states/{state}")).and_then(Value::as_u64)
    }

    fn network_down_and_back(&mut self) -> Result<(), Failure> {
        let title = "the network is down";
        let before = self.begin(title);
        self.world.stop_sandbox();
        let ending = self.attempt("authentication", "approved")?;
        let (attempt, job) = (ending.word("attempt"), ending.word("job"));
        let edges = self.since(before);
        let checks = vec![
            check("saved, and the door stays shut", ending.word("outcome") == "offline"),
            check("one job waits in the queue", self.count("new") == Some(1)),
            check("no edge on the line", edges.is_empty()),
        ];
        self.end(title, Some(&ending), edges.len(), checks);

        let title = "the network is back";
        let before = self.begin(title);
        self.world.start_sandbox()?;
        let start = self.world.now();
        self.world.wait_for("the queue to drain", |world| {
            let status = world.status().unwrap_or_default();
            let waiting = |state: &str| {
                status.pointer(&format!("/queue/states/{state}")).and_then(Value::as_u64).unwrap_or(0)
            };
            status.get("queue").is_some() && waiting("new") + waiting("sending") + waiting("accepted") == 0
        })?;
        let ms = millis(self.world.now().since(start));
        self.printer.say(&format!("   the queue drained within {ms:.0} ms"));
        let edges = self.since(before);
        let decided = match self.world.ask(&Request::QueueShow { job }, &mut |_| {}) {
            Ok(Reply::Done { object, .. }) => object,
            _ => Value::Null,
        };
        let word = |key: &str| decided.get(key).and_then(Value::as_str).unwrap_or("-").to_owned();
        let checks = vec![
            check("submitted and decided", word("state") == "decided" && word("verdict") == "approved"),
            check("the verdict is in the audit", self.has_event(&attempt, "late_verdict", None)),
            check("an approval from the queue does not open the door", edges.is_empty()),
        ];
        let ending = Ending {
            object: json!({"outcome": "drained", "verdict": word("verdict")}),
            text: String::new(),
            ms,
        };
        self.end(title, Some(&ending), edges.len(), checks);
        Ok(())
    }

    /// An attempt in a thread of its own, up to the edge.
    fn open_the_door(&self, before: usize) -> Result<(), Failure> {
        let world: &World = self.world;
        std::thread::scope(|scope| {
            let (told, heard) = mpsc::channel();
            scope.spawn(move || {
                let reply = world.claim("authentication", "approved", &mut |_| {});
                // The receiver waits for the edge, not for this.
                let _ = told.send(reply.is_ok());
            });
            let opened = world.wait_for("the door to open", |world| {
                world.edges().get(before..).is_some_and(|edges| openings(edges) == 1)
            });
            let _ = heard.recv_timeout(Duration::from_secs(2));
            opened
        })
    }

    /// Milliseconds from `at` to the first locked edge after it, and the process that made it.
    fn relocked(&self, before: usize, at: crate::clock::BootTime) -> Option<(f64, u32)> {
        let edge =
            self.since(before).into_iter().find(|edge| edge.level == Level::Locked && edge.at >= at)?;
        Some((millis(edge.at.since(at)), edge.pid))
    }

    fn daemon_killed(&mut self) -> Result<(), Failure> {
        let title = "the daemon is killed while the door is open";
        let before = self.begin(title);
        self.open_the_door(before)?;
        let at = self.world.kill_daemon();
        self.world.wait_for("the guard to relock", |world| is_locked(&world.edges()))?;
        let relocked = at.and_then(|at| self.relocked(before, at));
        let ms = relocked.map_or(f64::INFINITY, |(ms, _)| ms);
        self.printer
            .say(&format!("   kill -9; locked again after {ms:.1} ms by the guard; the daemon starts anew"));
        self.world.start_daemon()?;
        let edges = self.since(before);
        let interrupted =
            self.world.events().iter().any(|event| event.get("event") == Some(&json!("unlock_interrupted")));
        let checks = vec![
            check(format!("the guard locked the line within {RELOCK_MS} ms ({ms:.1})"), ms <= RELOCK_MS),
            check("nothing is resumed after the restart", edges.len() == 2 && is_locked(&edges)),
            check("the audit says unlock_interrupted", interrupted),
        ];
        let ending = Ending { object: json!({"outcome": "relocked"}), text: String::new(), ms };
        self.end(title, Some(&ending), edges.len(), checks);
        Ok(())
    }

    fn guard_killed(&mut self) -> Result<(), Failure> {
        let title = "the guard is killed while the door is open";
        let before = self.begin(title);
        let pid = self.world.status().and_then(|status| status.pointer("/lock/pid").and_then(Value::as_u64));
        let pid = pid.and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
        self.open_the_door(before)?;
        let at = self.world.kill_guard(pid);
        self.world.wait_for("the daemon to relock", |world| is_locked(&world.edges()))?;
        let relocked = at.and_then(|at| self.relocked(before, at));
        let (ms, by) = relocked.unwrap_or((f64::INFINITY, 0));
        self.printer
            .say(&format!("   kill -9; locked again after {ms:.1} ms by the daemon; a new guard takes over"));
        self.world.wait_for("the new guard", |world| {
            world.status().is_some_and(|status| {
                status.pointer("/lock/state") == Some(&json!("locked"))
                    && status.pointer("/lock/pid") != Some(&json!(pid))
            })
        })?;
        let edges = self.since(before);
        let checks = vec![
            check(format!("the daemon locked the line within {RELOCK_MS} ms ({ms:.1})"), ms <= RELOCK_MS),
            check("it was not the dead guard", by != pid && by != 0),
            check("no unlocked level at the hand-over", edges.len() == 2 && is_locked(&edges)),
        ];
        let ending = Ending { object: json!({"outcome": "relocked"}), text: String::new(), ms };
        self.end(title, Some(&ending), edges.len(), checks);
        Ok(())
    }

    fn audit(&mut self) -> Result<(), Failure> {
        let title = "the audit of all this";
        self.begin(title);
        let verified = match self.world.ask(&Request::Verify { head: None }, &mut |_| {}) {
            Ok(Reply::Done { exit, text, .. }) => {
                self.printer.say(&format!("   {text}"));
                exit == 0
            }
            _ => false,
        };
        let checks = vec![
            check("the chain of events is whole", verified),
            check("the door is locked", is_locked(&self.world.edges())),
        ];
        self.end(title, None, 0, checks);
        Ok(())
    }
}
