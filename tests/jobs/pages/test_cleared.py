"""How many candidates are cleared, in the words of the first screen and the terminal."""

from __future__ import annotations

from tests.jobs.pages.test_report import headline_with
from tests.jobs.pages.test_sentences import first_screen, terminal
from tests.support.small_world import SmallWorld


def test_who_is_cleared_is_said_at_each_share_with_what_may_be_wrong(finished_world: SmallWorld) -> None:
    wrong = "Of those cleared at one of these shares, on average at most 5 % are in more"
    cleared = {"0.01": 12, "0.001": 9, "0.0001": 0}
    headline_with(finished_world, cleared=cleared)
    for text in (terminal(finished_world), first_screen(finished_world)):
        assert (
            "12 people, flagged or not, are in less than 1 of 100 samples, 9 of them in less than 1 of"
            in text
        )
        assert "1 of 10,000 samples" not in text and wrong in text
    headline_with(finished_world, cleared={"0.01": 1, "0.001": 0})
    assert "1 person, flagged or not, is in less than 1 of 100 samples: people of" in terminal(finished_world)
    headline_with(finished_world, cleared={"0.01": 0})
    assert "leared, person by person" not in terminal(finished_world) + first_screen(finished_world)
