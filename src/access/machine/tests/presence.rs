//! Whoever stays enters, whoever leaves does not (door-rules 12).

use super::*;

/// Brings a machine that wants the person to stay to where the service judges; the last picture is at 1000 ms.
fn judging_of_one_who_stays(product: Product) -> Machine {
    let mut m = judging(Product::Authentication);
    m.rules.away = Some(Duration::from_secs(2));
    m.current = None;
    m.handle(at(0), claim(ATTEMPT, product));
    m.handle(at(1000), Event::Captured { attempt: ATTEMPT, last_picture: at(1000) });
    m.handle(at(1001), Event::Armed { attempt: ATTEMPT });
    m.handle(at(1002), Event::Stored { attempt: ATTEMPT, job: JOB });
    m.handle(at(1003), Event::Accepted { attempt: ATTEMPT, remote_job: "job_x".into() });
    m
}

fn seen(m: &mut Machine, millis: u64) {
    assert!(m.handle(at(millis), Event::Seen { attempt: ATTEMPT, at: at(millis) }).is_empty());
}

/// door-rules 12
#[test]
fn whoever_stays_enters_and_whoever_leaves_does_not() {
    let mut m = judging_of_one_who_stays(Product::Authentication);
    seen(&mut m, 2900);
    seen(&mut m, 4800);
    assert_eq!(m.deadline(), Some(at(6800)));
    m.handle(at(6700), verdict(Verdict::Approved));
    assert_eq!(grants(&m.handle(at(6799), Event::VerdictStored { attempt: ATTEMPT })), 1);

    let mut m = judging_of_one_who_stays(Product::Authentication);
    seen(&mut m, 2900);
    assert!(m.handle(at(4899), Event::Tick).is_empty());
    let commands = m.handle(at(4900), Event::Tick);
    assert!(matches!(commands.as_slice(), [Command::Disarm { .. }, ..]), "{commands:?}");
    assert_eq!(outcome(&commands), Some(Outcome::Left));
    let late = m.handle(at(4901), verdict(Verdict::Approved));
    assert_eq!((grants(&late), m.attempt()), (0, None), "{late:?}");
}

/// door-rules 12: neither a sighting that comes too late nor one from the future brings anybody back.
#[test]
fn coming_back_is_not_staying() {
    let mut m = judging_of_one_who_stays(Product::Authentication);
    m.handle(at(2999), verdict(Verdict::Approved));
    m.handle(at(3000), Event::Seen { attempt: ATTEMPT, at: at(3000) });
    let commands = m.handle(at(3001), Event::VerdictStored { attempt: ATTEMPT });
    assert_eq!((grants(&commands), outcome(&commands)), (0, Some(Outcome::Left)));

    let mut m = judging_of_one_who_stays(Product::Authentication);
    m.handle(at(2000), Event::Seen { attempt: ATTEMPT, at: at(2900) });
    m.handle(at(2000), Event::Seen { attempt: OTHER, at: at(2000) });
    assert_eq!(m.deadline(), Some(at(4000)));
}

/// Until the pictures are encoded the camera cannot look; from then on it must.
#[test]
fn presence_counts_from_when_the_camera_is_free_to_look() {
    let mut m = machine();
    m.rules.away = Some(Duration::from_secs(2));
    m.handle(at(0), claim(ATTEMPT, Product::Authentication));
    m.handle(at(2500), Event::Captured { attempt: ATTEMPT, last_picture: at(1000) });
    assert_eq!(m.deadline(), Some(at(4500)));
    assert_eq!(outcome(&m.handle(at(4500), Event::Tick)), Some(Outcome::Left));
}

/// Nothing opens by an enrolment: whoever enrols may go.
#[test]
fn an_enrolment_waits_for_nobody() {
    let mut m = judging_of_one_who_stays(Product::Registration);
    assert!(m.handle(at(9000), Event::Tick).is_empty());
}
