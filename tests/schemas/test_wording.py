"""How shares are written, and what a silence says."""

from __future__ import annotations

from schemas.wording import per_million, silence_text


def test_a_share_is_rounded_up_to_three_digits() -> None:
    shares = [0.0123456, 9.9401e-5, 7.28006e-5, 1e-6, 1.001e-9, 1.0]
    assert [per_million(share) for share in shares] == ["12,400", "99.5", "72.9", "1", "0.00101", "1,000,000"]


def test_a_silence_says_of_which_samples_it_holds() -> None:
    assert silence_text(1.5e-3, 0.95, 0.8, "assumed") == (
        "not found; a person in 1,500 or more of a million compared samples would have been flagged with an "
        "estimated chance of 95 %, if samples show at least 80 % of what a photo shows of a person, which is "
        "assumed, as too few are flagged to measure it"
    )
    assert "by the score max and if samples resemble people as their photos do" in silence_text(
        1.5e-3, 0.5, None, None
    )
