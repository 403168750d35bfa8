from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from zoo.training.evaluate import quick_scores, score, score_numpy

#: true 0 0 0 1 1 2, answered 0 0 1 1 1 0
TARGET = torch.tensor([0, 0, 0, 1, 1, 2])
LOGITS = torch.eye(3)[torch.tensor([0, 0, 1, 1, 1, 0])]


def test_figures_are_those_computed_by_hand() -> None:
    found = score(LOGITS, TARGET)
    assert found.top1 == 4 / 6
    # F1 = 2 tp / (2 tp + fp + fn): 4/6, 4/5, 0
    assert found.macro_f1 == pytest.approx((4 / 6 + 4 / 5 + 0) / 3, abs=1e-6)
    assert found.count == 6
    assert found.confusion == ((2, 1, 0), (0, 2, 0), (1, 0, 0))
    first, second, third = found.per_class
    assert first == {
        "precision": round(2 / 3, 6),
        "recall": round(2 / 3, 6),
        "f1": round(2 / 3, 6),
        "n": 3,
    }
    assert (second["precision"], second["recall"], second["n"]) == (0.666667, 1.0, 2)
    assert (third["precision"], third["recall"], third["f1"], third["n"]) == (0, 0, 0, 1)


def test_quick_scores_are_the_same_figures() -> None:
    found = score(LOGITS, TARGET)
    assert quick_scores(LOGITS, TARGET) == (found.top1, found.macro_f1)
    assert score_numpy(LOGITS, TARGET.numpy()) == found


def test_a_class_that_neither_occurs_nor_is_answered_does_not_count() -> None:
    target, logits = torch.tensor([0, 0, 1]), torch.eye(3)[torch.tensor([0, 0, 1])]
    found = score(logits, target)
    assert (found.top1, found.macro_f1) == (1.0, 1.0)
    assert found.per_class[2]["n"] == 0


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_macro_f1_and_top1_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    truth, answers = np.array(pairs).T
    top1, macro = quick_scores(torch.eye(5)[torch.from_numpy(answers)], torch.from_numpy(truth))
    assert top1 == (truth == answers).mean()
    assert macro == pytest.approx(
        f1_score(truth, answers, average="macro", zero_division=0), abs=1e-6
    )


def test_json_names_the_classes_and_how_sure_the_figure_is() -> None:
    record = score(LOGITS, TARGET).to_json(("ant", "bee", "cat"))
    assert list(record) == ["top1", "macro_f1", "n", "interval", "per_class", "confusion"]
    low, high = record["interval"]
    assert 0 < low < record["top1"] < high < 1
    assert record["per_class"]["cat"]["n"] == 1
    assert record["confusion"] == [[2, 1, 0], [0, 2, 0], [1, 0, 0]]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_figures_by_class_are_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    truth, answers = np.array(pairs).T
    found = score(torch.eye(5)[torch.from_numpy(answers)], torch.from_numpy(truth))
    columns = np.array(
        precision_recall_fscore_support(truth, answers, labels=range(5), zero_division=0)
    )
    for place, (precision, recall, f1, count) in enumerate(columns.T):
        assert found.per_class[place] == pytest.approx(
            {"precision": precision, "recall": recall, "f1": f1, "n": count}, abs=1e-6
        )


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=40))
def test_the_confusion_matrix_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    truth, answers = np.array(pairs).T  # often without a class, in one of them or in both
    found = score(torch.eye(5)[torch.from_numpy(answers)], torch.from_numpy(truth))
    expected = confusion_matrix(truth, answers, labels=range(5))
    assert found.confusion == tuple(map(tuple, expected.tolist()))


def test_h8_memory_grows_with_the_classes_and_not_with_their_square() -> None:
    classes = 100_000  # the square of which would be 80 GB
    target = torch.tensor([0, 1, classes - 1])
    logits = torch.zeros(3, classes)
    logits[[0, 1, 2], [0, 1, 5]] = 1
    found = score(logits, target)
    assert (found.top1, len(found.per_class), found.confusion) == (2 / 3, classes, None)
    assert found.macro_f1 == 0.5  # of the four classes that occur
    assert quick_scores(logits, target) == (found.top1, found.macro_f1)
    assert found.to_json(tuple(map(str, range(classes))))["confusion"] is None
