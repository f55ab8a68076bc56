"""What Minari reads back is what our dataset holds."""

import numpy as np
import pytest
from typer.testing import CliRunner

from benchmark.episodes import datasets
from benchmark.episodes.datasets import dataset, load_dataset
from benchmark.measures.references import reference
from leaderboard import cli

minari = pytest.importorskip("minari", reason="needs penumbra[minari]")
from leaderboard.minari_format import joint_spaces, minari_id, write_minari  # noqa: E402


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """Shards of 20 episodes, and folders of our own for the cache and for Minari."""
    monkeypatch.setenv("PENUMBRA_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    monkeypatch.setattr(datasets, "SHARD", 20)
    monkeypatch.setattr(datasets, "_digests", dict)
    return tmp_path / "minari"


# Oracle ends early and late; in Organization each agent is paid for itself; Honeycomb's team shares rewards.
@pytest.mark.parametrize("dataset_id", ["oracle-random-v0", "organization-full-9-random-v0", "honeycomb-random-v0"])
def test_minari_reads_back_the_episodes_that_we_hold(dataset_id):
    name, folder = write_minari(dataset_id, "test", 12)
    assert folder.is_dir()
    ours, theirs = load_dataset(dataset_id, "test", 12), minari.load_dataset(name)
    task = dataset(dataset_id).task()
    assert theirs.total_episodes == 12
    assert theirs.total_steps == ours.steps
    assert (theirs.observation_space, theirs.action_space) == joint_spaces(task)
    seeds = [entry["seed"] for entry in theirs.storage.get_episode_metadata(range(12))]
    assert seeds == ours.keys.tolist()
    returns = []
    for row, episode in enumerate(theirs.iterate_episodes()):
        length = int(ours.lengths[row])
        assert len(episode) == length
        np.testing.assert_array_equal(episode.observations, ours.observations[row, : length + 1].numpy())
        np.testing.assert_array_equal(episode.actions, ours.actions[row, :length].numpy())
        np.testing.assert_array_equal(episode.infos["hidden"], ours.hidden[row, : length + 1].numpy())
        np.testing.assert_array_equal(episode.terminations, ours.terminated[row, :length].numpy())
        assert episode.truncations.sum() + episode.terminations.sum() == 1
        assert episode.truncations[-1] or episode.terminations[-1]
        if not task.shared_reward:
            np.testing.assert_array_equal(episode.infos["rewards"], ours.rewards[row, :length].numpy())
        assert all(theirs.observation_space.contains(entry) for entry in episode.observations)
        assert all(theirs.action_space.contains(entry) for entry in episode.actions)
        returns.append(episode.rewards.astype(np.float64).sum())
    np.testing.assert_allclose(returns, ours.returns.numpy(), rtol=1e-12)


def test_the_dataset_says_what_its_numbers_mean():
    name, _ = write_minari("oracle-random-v0", "validation", 3)
    assert name == minari_id("oracle-random-v0", "validation") == "penumbra/oracle-random-validation-v0"
    read = minari.load_dataset(name)
    meaning, task = read.storage.metadata, dataset("oracle-random-v0").task()
    assert meaning["task_id"] == "oracle-v0"
    assert meaning["actions"] == list(task.action_names)
    assert [entry["name"] for entry in meaning["hidden_variables"]] == [v.name for v in task.hidden_variables]
    scale = reference("oracle-v0")
    assert minari.get_normalized_score(read, np.array([scale.trivial, scale.reference])).tolist() == [0.0, 1.0]


def test_what_is_there_already_is_not_written_over_and_nothing_is_left_half_written(folders, monkeypatch):
    write_minari("oracle-random-v0", "test", 2)
    with pytest.raises(ValueError, match="is there already; remove it"):
        write_minari("oracle-random-v0", "test", 2)
    with pytest.raises(ValueError, match="split='tset' is unknown"):
        write_minari("oracle-random-v0", "tset")

    def broken(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("leaderboard.minari_format._meaning", broken)
    with pytest.raises(KeyboardInterrupt):
        write_minari("oracle-random-v0", "train", 2)
    assert not (folders / "penumbra" / "oracle-random-train-v0").exists()


def test_the_command_says_how_to_read_what_it_wrote():
    arguments = ["dataset", "oracle-random-v0", "--minari", "test", "--episodes", "2"]
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "minari.load_dataset('penumbra/oracle-random-test-v0')" in result.output
    assert minari.load_dataset("penumbra/oracle-random-test-v0").total_episodes == 2
