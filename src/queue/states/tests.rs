use super::*;

fn decided() -> Decided {
    Decided { verdict: Verdict::Approved, code: "clear".into(), text: String::new() }
}

fn states() -> Vec<State> {
    let mut states = vec![
        State::New,
        State::Sending,
        State::Accepted { remote: "r".into() },
        State::Decided(decided()),
        State::UnknownOutcome,
        State::DeadLetter { reason: "x".into(), answer: None },
        State::Expired,
        State::Dropped { by: "1000".into() },
    ];
    states.extend(HeldReason::ALL.map(State::Held));
    states
}

fn moves() -> Vec<Move> {
    let mut moves = vec![
        Move::Send,
        Move::NotSent,
        Move::Accept { remote: "r2".into() },
        Move::LoseAnswer,
        Move::ProvedUntaken { reserved: true },
        Move::Resubmit,
        Move::Decide(decided()),
        Move::Release,
        Move::DeadLetter { reason: "y".into(), answer: Some("a".into()) },
        Move::Expire,
        Move::Retry,
        Move::Drop { by: "0".into() },
    ];
    moves.extend(HeldReason::ALL.map(Move::Hold));
    moves
}

fn word(state: &State) -> String {
    match state {
        State::Held(reason) => format!("held-{}", reason.name()),
        other => other.name().name().to_owned(),
    }
}

/// The whole table as it is meant: one line per state, each legal move with where it leads.
const TABLE: &str = "
new: send=sending hold-clock=held-clock dead_letter=dead_letter expire=expired drop=dropped
sending: not_sent=new accept=accepted lose_answer=unknown_outcome resubmit=new hold-clock=held-clock dead_letter=dead_letter
accepted: decide=decided hold-provisional=held-provisional hold-attention=held-attention dead_letter=dead_letter drop=dropped
unknown_outcome: accept=accepted proved_untaken=new resubmit=new decide=decided dead_letter=dead_letter retry=new drop=dropped
held-clock: release=new expire=expired dead_letter=dead_letter drop=dropped
held-provisional: release=accepted decide=decided hold-provisional=held-provisional hold-attention=held-attention dead_letter=dead_letter drop=dropped
held-attention: release=accepted decide=decided hold-provisional=held-provisional hold-attention=held-attention dead_letter=dead_letter drop=dropped
dead_letter: retry=new drop=dropped
decided:
expired:
dropped:
";

#[test]
fn each_pair_of_state_and_move_is_as_the_table_says() {
    let mut legal = std::collections::BTreeMap::new();
    for line in TABLE.trim().lines() {
        let (state, entries) = line.split_once(':').unwrap();
        for entry in entries.split_whitespace() {
            let (step, to) = entry.split_once('=').unwrap();
            legal.insert((state.to_owned(), step.to_owned()), to.to_owned());
        }
    }
    let mut seen = 0;
    for state in states() {
        for step in moves() {
            let step_word = match &step {
                Move::Hold(reason) => format!("hold-{}", reason.name()),
                other => other.name().to_owned(),
            };
            let led = next(&state, &step, Some("r")).map(|to| word(&to));
            let meant = legal.get(&(word(&state), step_word.clone())).cloned();
            seen += usize::from(meant.is_some());
            assert_eq!(led, meant, "{} + {step_word}", word(&state));
        }
    }
    assert_eq!(seen, legal.len(), "a line of the table names no move");
}

#[test]
fn a_job_the_service_never_named_cannot_become_accepted_by_release() {
    assert_eq!(next(&State::Held(HeldReason::Attention), &Move::Release, None), None);
}

#[test]
fn pictures_go_with_the_move_that_makes_them_needless() {
    for (step, v1, v3) in [
        (Move::Accept { remote: "r".into() }, false, true),
        (Move::Decide(decided()), true, true),
        (Move::Expire, true, true),
        (Move::Drop { by: "0".into() }, true, true),
        (Move::Hold(HeldReason::Clock), false, false),
        (Move::Hold(HeldReason::Provisional), true, true),
        (Move::LoseAnswer, false, false),
        (Move::DeadLetter { reason: "x".into(), answer: None }, false, false),
        (Move::NotSent, false, false),
        (Move::Send, false, false),
    ] {
        assert_eq!((step.erases_images(Api::V1), step.erases_images(Api::V3)), (v1, v3), "{}", step.name());
    }
}

#[test]
fn names_are_read_back() {
    for state in StateName::ALL {
        assert_eq!(StateName::parse(state.name()), Some(state));
    }
    assert_eq!(StateName::parse("dry"), None);
}
