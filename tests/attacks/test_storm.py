"""The fast part of `make attacks`: a study whose server is killed."""

from attacks import storm


def test_no_acknowledged_answer_is_lost(tmp_path):
    found = storm.attack(tmp_path, participants=6, kills=3, per_method=5)
    assert found.trials == 72
    assert found.acknowledged >= 72 - 6 * 3
    assert found.failures == []
