"""Denied, not listed, too late, not understood, offline, and approvals that come out of the queue: the door stays shut."""

from board import wait_for

NAME = "no_edge"
DONE = {"decided"}


def run(lab):
    lab.fresh()
    for what, user, exits, outcomes in [
        ("denied", lab.person("deny"), {3}, {"denied"}),
        ("not listed", "stranger-1", {3}, {"not_permitted"}),
        ("expired", lab.person("slow"), {5}, {"expired"}),
        ("an unknown word", lab.person("odd"), {5}, {"undecided", "held"}),
    ]:
        status, last = lab.attempt(user)
        lab.check(f"{what}: told so", status in exits and last.get("outcome") in outcomes, (status, last))
        lab.check(f"{what}: no edge", lab.board.edges() == [], lab.board.edges())
    lab.check("a stranger's picture is not sent", not lab.service.submissions_of("stranger-1"))

    def late_approvals():
        lab.service.offline()
        people = [lab.person() for _ in range(lab.count("late approvals"))]
        ends = [lab.attempt(user) for user in people]
        saved = [last.get("outcome") in ("offline", "paused") and status == 4 for status, last in ends]
        lab.service.online()
        jobs = {last.get("job") for _, last in ends}
        wait_for("the queue's drain", 60 + 5 * len(people),
                 lambda: all(job["state"] in DONE for name, job in lab.queue().items() if name in jobs))
        attempts = {last.get("attempt") for _, last in ends}
        verdicts = [event for event in lab.events()
                    if event["event"] == "late_verdict" and event["attempt"] in attempts]
        once = [len(lab.service.jobs_of(user)) for user in people]
        return {"checks": [
            ("told: saved, offline", all(saved), f"{saved.count(True)} of {len(saved)}"),
            ("each was submitted once", all(count == 1 for count in once), once),
            ("each approval is in the audit as late", len(verdicts) == len(people), len(verdicts)),
            ("no edge", lab.board.edges() == [], lab.board.edges()),
        ]}

    lab.part(f"{lab.count('late approvals')} late approvals", late_approvals)
    lab.check("the audit's chain is whole", lab.latchd("events --verify")[-1].get("whole") is True)
