"""Manifests: found by path or name, and every mistake named with its file, key and value."""

from pathlib import Path

import faulty
import pytest

from benchmark.harness.submission import ManifestError, find_submission, read_manifest

SEARCH = [Path(__file__).resolve().parents[1] / "leaderboard" / "submissions"]
GOOD = 'name = "mine"\nentry_point = "module:Class"\n'


def write(folder: Path, text: str) -> Path:
    path = folder / "submission.toml"
    path.write_text(text)
    return path


def test_a_minimal_manifest(tmp_path):
    found = read_manifest(write(tmp_path, GOOD))
    assert (found.name, found.stacked, found.information) == ("mine", False, ("own-observations",))
    assert found.applies_to("oracle-v0")
    assert found.folder == tmp_path


@pytest.mark.parametrize("name", ["random", "planner", "rec-hyst-iql"])
def test_our_own_come_in_by_the_same_door(name):
    found = find_submission(name, SEARCH)
    assert found.name == name
    assert callable(found.build().train)


def test_patterns_of_tasks(tmp_path):
    found = read_manifest(write(tmp_path, GOOD + 'tasks = ["organization-*", "oracle-v0"]\n'))
    assert found.applies_to("organization-star-27-v0")
    assert not found.applies_to("gathering-v0")


def test_a_name_that_is_nearly_right(tmp_path):
    with pytest.raises(ManifestError, match=r"'plannner' is neither.*did you mean 'planner'"):
        find_submission("plannner", SEARCH)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('entry_point = "a:B"\n', "key 'name' is missing"),
        ('name = "x"\n', "key 'entry_point' is missing"),
        (GOOD + 'autors = ["me"]\n', "key 'autors' is unknown; did you mean 'authors'"),
        (GOOD + 'stacked = "yes"\n', "stacked='yes' must be a bool"),
        (GOOD + "authors = [1]\n", r"authors=\[1\] must hold strings only"),
        (GOOD + 'information = ["state-label"]\n', "information='state-label' is unknown; did you mean 'state-labels'"),
        (GOOD + "[parameters]\nlayers = [1, 2]\n", r"parameters.layers=\[1, 2\] must be a number, a string or a bool"),
        ('name = "../evil"\nentry_point = "a:B"\n', "name='../evil' may hold"),
        ('name = "x"\nentry_point = "a.B"\n', "must have the form 'module:Class'"),
        ("name = \n", "Invalid value"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(ManifestError, match=message) as error:
        read_manifest(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("entry", "parameters", "message"),
    [
        ("no_such_module:Class", {}, "cannot be imported"),
        ("MODULE:Nothing", {}, "cannot be imported"),
        ("MODULE:Learner", {"speed": 1}, "parameters do not fit"),
        ("MODULE:Bad", {"make": 1}, r"has no method train\(setting\)"),
    ],
)
def test_entry_points_that_do_not_fit(tmp_path, entry, parameters, message):
    folder = faulty.write(tmp_path, "x", **parameters)
    module = faulty.module_of(folder)
    entry = entry.replace("MODULE", module)
    text = (folder / "submission.toml").read_text().replace(f"{module}:Learner", entry)
    (folder / "submission.toml").write_text(text)
    with pytest.raises(ManifestError, match=message):
        find_submission(str(folder)).build()


def test_two_submissions_may_not_share_a_module_name(tmp_path):
    one, two = faulty.write(tmp_path / "a", "twin"), faulty.write(tmp_path / "b", "twin")
    shared = faulty.module_of(one)
    (two / f"{faulty.module_of(two)}.py").rename(two / f"{shared}.py")
    (two / "submission.toml").write_text((one / "submission.toml").read_text())
    find_submission(str(one)).build()
    with pytest.raises(ManifestError, match=f"is hidden by another module named '{shared}'"):
        find_submission(str(two)).build()
