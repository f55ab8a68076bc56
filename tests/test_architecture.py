"""The arrows of ARCHITECTURE.md, read off the imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ["benchmark.tasks", "benchmark.episodes", "benchmark.measures", "benchmark.harness"]
HEAVY = {"pandas", "scipy", "rliable", "seaborn", "matplotlib", "pydantic", "jinja2"}


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
    return found


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package.replace(".", "/")).rglob("*.py"))
    return [path for path in found if "submissions" not in path.parts]  # learners that others have submitted


@pytest.mark.parametrize("floor", range(len(FLOORS)))
def test_inside_benchmark_arrows_point_down(floor):
    above = FLOORS[floor + 1 :]
    for path in modules(FLOORS[floor]):
        assert not [name for name in imports(path) for other in above if name.startswith(other)], path


def test_benchmark_knows_neither_baselines_nor_leaderboard():
    for path in modules("benchmark"):
        assert not {name for name in imports(path) if name.split(".")[0] in {"baselines", "leaderboard"}}, path


def test_baselines_and_leaderboard_do_not_know_each_other():
    for path in modules("baselines"):
        assert "leaderboard" not in {name.split(".")[0] for name in imports(path)}, path
    for path in modules("leaderboard"):
        assert "baselines" not in {name.split(".")[0] for name in imports(path)}, path


def test_pettingzoo_and_minari_are_met_in_one_file_each():
    users = [
        path.name
        for package in ("benchmark", "baselines", "leaderboard")
        for path in modules(package)
        if {name.split(".")[0] for name in imports(path)} & {"pettingzoo", "gymnasium", "minari"}
    ]
    assert users == ["parallel_env.py", "minari_format.py"]


def test_training_imports_nothing_that_a_bare_gpu_image_lacks():
    for package in ("benchmark", "baselines"):
        for path in modules(package):
            assert not {name.split(".")[0] for name in imports(path)} & HEAVY, path
    program = (
        "import sys, benchmark, benchmark.harness.runner, baselines.hysteretic_iql, baselines.planner, leaderboard.cli;"
        f"print(sorted({HEAVY | {'pettingzoo', 'gymnasium'}!r} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


def test_no_global_generator_and_no_pickle():
    for package in ("benchmark", "baselines", "leaderboard"):
        for path in modules(package):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Attribute):
                    dotted = ast.unparse(node)
                    assert dotted not in {"torch.manual_seed", "torch.rand", "torch.randn", "torch.randint"}, path
                    # The contract says that a task can be pickled, so its check must; nothing is ever read from a file.
                    allowed = (
                        {"pickle.dumps", "pickle.loads", "pickle.PicklingError"} if path.name == "testing.py" else ()
                    )
                    assert dotted in allowed or not dotted.startswith(("random.", "pickle.")), f"{path}: {dotted}"
                    legacy = dotted.startswith("np.random.") and dotted not in {
                        "np.random.default_rng",
                        "np.random.Generator",
                    }
                    assert not legacy, f"{path}: {dotted}"
