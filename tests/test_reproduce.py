"""Table 1 and the results page, from records made up for the purpose."""

import math
from pathlib import Path

import numpy as np
import pytest
from fabricate import failed, finished
from typer.testing import CliRunner

from benchmark.harness.record import write_record
from benchmark.harness.suites import SUITES
from benchmark.measures.references import reference
from leaderboard import cli, published
from leaderboard.organization import TOPOLOGIES, Place, collect, mean_field_gaps, mean_field_order, table_1
from leaderboard.organization_costs import cost, costs, predictions, savings, scaling, settled, sizes
from leaderboard.organization_page import figures, most_compared, scale_figure, write_page
from leaderboard.organization_policies import noted_pair_policy, pair, path, policies
from leaderboard.submission import parse_record, read_records

SUITE = SUITES["standard"]


def run(submission, task_id, seed, value, **changes):
    return finished(submission, task_id, seed, value, suite=SUITE, **changes)


def cells_of(*records):
    import json

    return collect(parse_record(json.dumps(record)) for record in records)


def row(table, **where):
    data = table.data
    for key, value in where.items():
        data = data[data[key] == value]
    assert len(data) == 1
    return data.iloc[0], table.cells.loc[data.index[0]]


FOUND = cells_of(
    *(run("ia2c++-cf", "organization-full-27-v0", seed, value) for seed, value in enumerate([3180.0, 3150.0, 3165.0])),
    *(run("ia2c++-mf", "organization-full-27-v0", seed, value) for seed, value in enumerate([3170.0, 3172.0])),
    *(run("ia2c++-mf", "organization-star-27-v0", seed, value) for seed, value in enumerate([1700.0, 1780.0])),
    *(run("ia2c++-mf", "organization-tree-27-v0", seed, value) for seed, value in enumerate([3100.0, 3240.0])),
    run("maddpg++-cf", "organization-full-9-v0", 0, 1020.0),
    failed("maddpg++-cf", "organization-full-9-v0", 1, suite=SUITE),
    run("ia2c++-cf", "oracle-v0", 0, 1.0),
)


def test_the_published_table_is_the_rewards_arithmetic():
    for place, agents in enumerate(published.SIZES):
        assert reference(f"organization-full-{agents}-v0").optimum == published.CONFIGURATION[place]
        assert published.MEAN_FIELD["full"][place] == published.CONFIGURATION[place]
        assert published.MEAN_FIELD["tree"][place] == 30 * 2 * agents
        assert published.MEAN_FIELD["star"][place] == 30 * (2 * agents + 4)
        assert published.MEAN_FIELD["circle"][place] == 30 * (2 * agents + 4 * (agents // 3))
    assert published.table_1("mf", "lattice", 80) == 7650
    assert published.table_1("cf", "lattice", 9) is None


def test_a_bankrupt_run_shows_but_does_not_outweigh_the_others():
    """Of four the interquartile mean leaves out the best and the worst."""
    runs = [run("ia2c++-mf", "organization-star-27-v0", n, value) for n, value in enumerate([-76700.0, 1.0, 3.0, 9.0])]
    found = cells_of(*runs, *(run("ia2c++-mf", "organization-full-27-v0", n, 10.0 + n) for n in range(4)))
    numbers, text = row(table_1(found, "mf"), topology="star", agents=27)
    assert (numbers["ia2c++-mf"], numbers["ia2c++-mf_worst"]) == (2.0, -76700.0)
    assert text["ia2c++-mf"].endswith("(4, worst -24.119)")
    gap, _ = row(mean_field_gaps(found), topology="star")
    assert gap["gap"] == 11.5 - 2.0


def test_table_1_has_every_published_cell_and_the_middle_of_ours():
    table = table_1(FOUND, "cf")
    assert len(table.data) == 5 * len(published.SIZES) + 1  # and nine agents, which somebody played
    numbers, text = row(table, topology="full", agents=27)
    assert numbers["ia2c++-cf"] == 3165
    assert 3150 <= numbers["ia2c++-cf_low"] < 3165 < numbers["ia2c++-cf_high"] <= 3180
    assert text["ia2c++-cf"].endswith("] 0.995 (3, worst 0.991)")
    assert text["maddpg++-cf"] == "-"
    assert (numbers["paper"], numbers["optimum"]) == (3180, 3180)
    numbers, text = row(table, topology="full", agents=9)
    assert math.isnan(numbers["paper"])
    assert text["maddpg++-cf"] == "1020 [n/a] 1.000 (1, 1 failed, worst 1.000)"
    assert not any("Episodes" in note for note in table.notes)


def test_table_1_says_who_trained_for_another_number_of_episodes():
    runs = [run("ia2c++-cf", f"organization-full-{agents}-v0", 0, 1000.0) for agents in (9, 27)]
    short = finished("ia2c++-cf", "organization-full-40-v0", 0, 1000.0, suite=SUITES["quick"])
    assert table_1(cells_of(*runs, short), "cf").notes[-2] == (
        f"Episodes of training: {SUITE.budget('organization-full-9-v0'):,}, but "
        f"{SUITES['quick'].budget('organization-full-40-v0'):,} (ia2c++-cf on organization-full-40-v0)."
    )


def test_table_1_says_which_preset_made_its_numbers():
    found = cells_of(
        run("ia2c++-cf", "organization-full-9-v0", 0, 1000.0),
        run("ia2c++-cf", "organization-full-27-v0", 0, 1000.0, config={"preset": "faithful"}),
    )
    assert (
        table_1(found, "cf")
        .notes[-1]
        .startswith("Preset: scalable, but faithful: ia2c++-cf on organization-full-27-v0. ")
    )
    assert table_1(FOUND, "cf").notes[-1].startswith("Preset: scalable. ")


def test_gaps_to_the_full_topology_say_whether_they_are_certain():
    table = mean_field_gaps(FOUND)
    star, text = row(table, topology="star")
    assert star["gap"] == pytest.approx(3171 - 1740)
    assert star["formula"] == 1740
    assert text["certain"] == "yes"
    assert row(table, topology="tree")[1]["certain"] == "no"
    order = mean_field_order(FOUND).cells.iloc[0]
    assert order["ours"] == "full 3171 > tree 3170 > star 1740"
    assert order["paper"] == "full 3180 > star 1740 > tree 1620"


def test_only_the_largest_budget_counts():
    small, large = SUITE, SUITES["full"]
    found = cells_of(
        finished("ia2c++-cf", "organization-full-9-v0", 0, 1.0, suite=small),
        finished("ia2c++-cf", "organization-full-9-v0", 0, 2.0, suite=large),
    )
    assert found["ia2c++-cf", Place("full", 9)].value.point == 2.0


def with_curve(record, values, episodes=100):
    """The record with these greedy evaluations at its marks, and so many episodes between marks."""
    for place, (mark, value) in enumerate(zip(record["marks"], values, strict=True)):
        mark["greedy"] |= {"mean": value, "min": value, "max": value}
        mark["episodes"] = episodes * place // 2
    record["final_return"] = float(np.mean(values[-5:]))
    record["final_returns"] = [values[-1]] * len(record["final_returns"])
    return record


def sealed(record):
    from benchmark.harness.record import seal

    return seal(record)


def test_settling_is_the_first_mark_from_which_all_stay_within_two_percent():
    values = [0.0] * 5 + [1000.0] + [900.0] * 2 + [985.0] * 3 + [1000.0] * 10
    record = sealed(with_curve(run("ia2c++-cf", "organization-full-9-v0", 0, 1000.0), values))
    cell = cells_of(record)["ia2c++-cf", Place("full", 9)]
    mark = settled(cell.runs[0])
    assert mark is not None
    assert mark.share == pytest.approx(8 / 20)
    assert cost(cell).episodes == 400
    assert cost(cell).seconds == pytest.approx(0.5 * 8 / 5)  # five runs shared the time
    jumpy = sealed(with_curve(run("ia2c++-cf", "organization-full-9-v0", 0, 1000.0), [*values[:-1], 1200.0]))
    cell = cells_of(jumpy)["ia2c++-cf", Place("full", 9)]
    assert settled(cell.runs[0]) is None
    assert math.isnan(cost(cell).episodes)


def test_savings_compare_what_both_have_settled_on():
    early, late = [0.0] * 4 + [1000.0] * 17, [0.0] * 8 + [1000.0] * 13
    found = cells_of(
        *(
            sealed(with_curve(run(name, f"organization-full-{agents}-v0", 0, 1000.0), values))
            for agents in (9, 27)
            for name, values in (("ia2c++-mf", early), ("ia2c++-cf", late))
        )
    )
    numbers, text = row(savings(found), first="ia2c++-mf", second="ia2c++-cf")
    assert numbers["episodes"] == pytest.approx(0.5)
    assert numbers["tasks"] == 2
    assert text["paper, episodes"] == "0.4335"
    assert len(costs(found).data) == 4


def test_policies_are_followed_state_by_state():
    notes = {"policy_meager": "0/0/9", "policy_several": "3/2/4", "policy_many": "5/0/4", "others_policy_error": 0.25}
    found = cells_of(*(run("maddpg++-mf", "organization-star-9-v0", seed, 1.0, notes=notes) for seed in range(3)))
    table = policies(found)
    numbers, text = row(table, submission="maddpg++-mf")
    # 32 at medium and high; then many (self majority, -18 + 20) brings the firm back to high, which brings it up.
    assert numbers["value"] == 2 * 32 + 14 * 2 + 14 * 32
    assert text["levels (earned)"] == "medium (32), [high (32), very high (2)]"
    assert text["runs"] == "3 of 3"
    assert predictions(found).cells.iloc[0]["mean over runs"] == "0.250 [0.250, 0.250]"
    assert len(policies(FOUND).data) == 0


def test_what_two_agents_choose_is_told_in_words():
    publics = ("meager", "several", "many")
    published = {f"policy_{now}_after_{before}": "2/0/0" for now in publics for before in publics}
    published |= {f"policy_meager_after_{before}": "0/2/0" for before in publics}
    mixed = published | {"policy_meager_after_meager": "0/1/1"}
    task_id = "organization-pair-v0"
    found = cells_of(*(run("ia2c", task_id, s, 167.0, notes=mixed if s == 0 else published) for s in range(3)))
    told = [noted_pair_policy(one) for one in next(iter(found.values())).runs]
    assert told[1] == "self at several, many; balance at meager"
    assert told[0] == (
        "self at several, many; balance and group at meager after meager; "
        "balance at meager after several, meager after many"
    )
    numbers, text = row(pair(found), submission="ia2c")
    # Self once from medium, then balance at low for 29 steps, with a tenth of the previous reward each time.
    paid = [6.0]
    for _ in range(29):
        paid.append(5.0 + 0.1 * paid[-1])
    assert numbers["optimum"] == pytest.approx(sum(paid))
    assert numbers["ratio"] == pytest.approx(167.0 / sum(paid))
    assert text["both choose"] == f"{told[1]} (2 of 3); or {told[0]} (1 of 3)"


def test_a_run_that_noted_no_policy_of_a_pair_has_none():
    (cell,) = cells_of(run("ia2c", "organization-pair-v0", 0, 1.0)).values()
    assert noted_pair_policy(cell.runs[0]) is None


def test_a_path_without_return_has_no_brackets():
    from benchmark.measures.planners.organization import Visit

    visits = [Visit(2, (1, 0, 0), -2.0), Visit(1, (1, 0, 0), 96.0)]
    assert path(visits) == "medium (-2), low (96)"


def test_the_slope_of_time_against_agents():
    def timed(agents):
        record = run("ia2c++-cf", f"organization-full-{agents}-v0", 0, 1.0, notes={"memory_mib": 2 * agents})
        for place, mark in enumerate(record["marks"]):
            mark["seconds"] = 0.001 * agents**1.5 * place
        return sealed(record)

    found = cells_of(*map(timed, (9, 27, 100, 1000)))
    table = scaling(found)
    assert any(note.endswith("seconds ~ N^1.50, memory ~ N^1.00") for note in table.notes)
    numbers, _ = row(table, agents=100)
    assert (numbers["seconds"], numbers["memory"]) == (pytest.approx(1.0 / 4), 200)
    assert [drawing.name for drawing in figures(found)] == ["curves", "scale"]
    assert len(scale_figure(sizes(found)).axes) == 2


@pytest.fixture
def folder(tmp_path):
    """Records of the four learners in all topologies, as files."""
    generator = np.random.default_rng(0)
    for learner in ("ia2c++", "maddpg++"):
        for summary in ("cf", "mf"):
            for topology in TOPOLOGIES:
                task_id = f"organization-{topology}-27-v0"
                paper = published.table_1(summary, topology, 27)
                assert paper is not None
                for seed in range(3):
                    value = float(f"{paper * generator.uniform(0.97, 1.0):.7g}")
                    record = run(f"{learner}-{summary}", task_id, seed, value)
                    write_record(tmp_path / "records" / f"{learner}-{summary}" / task_id / f"{seed}.json", record)
    return tmp_path / "records"


def penumbra(*arguments: str):
    return CliRunner().invoke(cli.app, list(arguments))


def test_the_command_prints_table_1_and_writes_it(folder, tmp_path):
    out = tmp_path / "deep" / "table.md"
    result = penumbra("reproduce", "table1", str(folder), "--out", str(out))
    assert result.exit_code == 0, result.output
    assert "Table 1, configurations (CF)" in result.output
    assert "Table 1, mean field (MF)" in result.output
    assert "11910" in result.output
    assert out.read_text().startswith("# Table 1, configurations (CF)")


def test_the_page_is_the_same_twice_and_has_its_figure(folder, tmp_path):
    records = read_records(folder)
    written = write_page(records, tmp_path / "page.md")
    assert [file.name for file in written] == ["page.md", "page-curves.png"]
    first = [file.read_bytes() for file in written]
    assert [file.read_bytes() for file in write_page(reversed(records), tmp_path / "page.md")] == first
    text = (tmp_path / "page.md").read_text()
    for title in ("Table 1, mean field (MF)", "What the mean field loses", "The cost of learning, compared"):
        assert f"## {title}" in text
    assert text.count("\n# ") == 0
    assert most_compared(collect(records)) == 27


def test_a_page_without_records_of_the_family_says_what_is_missing(tmp_path):
    written = write_page([], tmp_path / "page.md")
    assert written == [tmp_path / "page.md"]
    assert Path(written[0]).read_text().count(" - |") >= 4 * 25


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tabel1"], "did you mean 'table1'"),
        (["organization"], "--out"),
    ],
)
def test_bad_requests_are_said(arguments, message, folder):
    result = penumbra("reproduce", *arguments, str(folder))
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)
